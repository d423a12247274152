/* Inside the optimiser: what making it (optimizer_create.c) and its steps (optimizer.c) share. */
#ifndef DCLS_TRAIN_OPTIMIZER_INTERNAL_H
#define DCLS_TRAIN_OPTIMIZER_INTERNAL_H

#include "train/optimizer.h"

/* Part of one parameter. */
typedef struct dcls_optimizer_piece {
    const dcls_parameter *of;
    size_t first, count; /* within the parameter */
    size_t at;           /* of `first` in the state's arrays */
} dcls_optimizer_piece;

struct dcls_optimizer_state {
    const dcls_parameters *parameters;
    dcls_optimizer method;
    double momentum, beta1, beta2, eps, weight_decay, clip_norm, average, nudge;
    bool nesterov;
    int64_t steps;

    double *rates;  /* [parameters->count]: factor of the learning rate of each parameter */
    size_t *offset; /* [parameters->count]: of each parameter in the arrays below */
    dcls_optimizer_piece *pieces;
    size_t piece_count;
    double *squares;       /* [piece_count]: of the gradients */
    float *first, *second; /* moments, NULL where the method has none */
    float *averages;       /* or NULL */
};

#endif
