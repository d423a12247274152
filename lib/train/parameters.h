/* What training changes: the model's tensors, each once, however many layers name it. */
#ifndef DCLS_TRAIN_PARAMETERS_H
#define DCLS_TRAIN_PARAMETERS_H

#include "dcls_train.h"
#include "model/model.h"

typedef enum dcls_role {
    DCLS_ROLE_WEIGHT,   /* of convolutions and linear layers: decays */
    DCLS_ROLE_OTHER,    /* biases, norms, layer scales: no decay */
    DCLS_ROLE_POSITION, /* P: own rate, clamped */
    DCLS_ROLE_SPREAD,   /* SIG: own rate */
    DCLS_ROLE_BUFFER    /* running statistics: no gradient, but averaged and saved */
} dcls_role;

typedef struct dcls_parameter {
    const char *name;
    const dcls_tensor *tensor; /* of the model; its data is `value` */
    dcls_role role;
    bool frozen;
    size_t count;
    float *value;    /* [count], memory of the model's tensors */
    float *gradient; /* [count], NULL for buffers */

    /* positions: [ndim, rows, elements], index j clamped to +-limit[j] */
    int ndim;
    int64_t rows, elements;
    float limit[DCLS_MAX_SPATIAL];
    bool stuck_when_whole; /* v1: no slope where a position is a whole number, the limits among them */
} dcls_parameter;

/* Whether steps change it: buffers have no gradient. */
static inline bool dcls_parameter_learns(const dcls_parameter *p)
{
    return !p->frozen && p->role != DCLS_ROLE_BUFFER;
}

typedef struct dcls_parameters {
    dcls_parameter *items;
    size_t count, capacity;
    dcls_map index;   /* tensor name -> item */
    size_t floats;    /* of all gradients */
    float *gradients; /* [floats], owned */
} dcls_parameters;

/* The parameters of a model whose tensors are all F32 and may be written, in order of nodes and slots.
 * freeze: globs of names. Free with dcls_parameters_free, in failure too. */
dcls_status dcls_parameters_create(dcls_context *ctx, const dcls_model *model, const char *const *freeze,
                                   size_t freeze_count, dcls_parameters *out);
void dcls_parameters_free(dcls_parameters *parameters);
/* NULL for NULL and for a tensor that is none. */
dcls_parameter *dcls_parameters_find(const dcls_parameters *parameters, const dcls_tensor *tensor);

/* A copy of a model with the tensors its network uses, floating-point ones as F32, in memory that may be
 * written through dcls_parameter.value. */
dcls_status dcls_model_writable_copy(dcls_context *ctx, const dcls_model *model, dcls_model **out);

#endif
