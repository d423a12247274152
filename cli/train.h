/* A training run: what its parts share. */
#ifndef DCLS_CLI_TRAIN_H
#define DCLS_CLI_TRAIN_H

#include <stdio.h>

#include "cli.h"
#include "dcls_train.h"

typedef struct train_run {
    const cli *run;
    dcls_recipe *recipe;
    dcls_dataset *train, *val;
    dcls_loader *loader, *val_loader;
    dcls_trainer *trainer;
    float *class_weights; /* made from the data, else NULL */
    const char *folder;   /* where everything is written */
    FILE *log;

    int64_t epoch, batch, batches; /* where the run stands, and batches of an epoch */
    double best;                   /* of the validation's score; negative: none yet */
    double loss_sum;               /* since the last line of the log */
    int64_t correct, targets, logged_batches;
    double started;     /* seconds of the clock */
    int64_t first_step; /* of this process */
} train_run;

double train_now(void);

/* train_data.c: data sets, loaders and the network of a recipe. Exit statuses. */
int train_open_data(train_run *t);
int train_open_network(train_run *t, const dcls_model **model, dcls_model **owned);
int train_open_loaders(train_run *t, const dcls_model *model);
/* Makes balanced class weights, or checks those of the recipe. */
int train_weigh_classes(train_run *t, const dcls_model *model);

/* train_state.c: DIR/checkpoint.bin, DIR/best.bin, DIR/model.bin. */
int train_save(const train_run *t);
int train_save_model(const train_run *t, const char *name);
/* Takes up a checkpoint's position in the run; *model is the caller's. */
int train_load(train_run *t, dcls_tensors **state, dcls_model **model);

/* train_log.c */
int train_log_open(train_run *t);
void train_log_step(train_run *t, const dcls_step_result *result, double rate);
void train_log_validation(train_run *t, const dcls_scores *scores, double seconds, bool best);

/* train_validate.c: scores of the present (or averaged) weights on the validation set. */
int train_validate(train_run *t, dcls_scores *out);

#endif
