/*
 * dcls train, in parts:
 *
 *   cmd_train.c         options, and a run from its beginning to its end
 *   train_options.c     a flag for every key of a recipe, from the recipe's own table; the recipe they make
 *   train_folder.c      the folder of a run: who may write there, recipe.json, names in it
 *   train_data.c        data sets, batches, whether the network fits
 *   train_network.c     the network: new, or made to fit the data's classes
 *   train_teacher.c     models whose answers are learned
 *   train_state.c       checkpoint.bin, best.bin, model.bin
 *   train_loop.c        epochs and steps, validation, signals
 *   train_log.c         log.ndjson
 *   train_show.c        what is said on stderr
 */
#ifndef DCLS_CLI_TRAIN_H
#define DCLS_CLI_TRAIN_H

#include <stdio.h>

#include "cli.h"
#include "dcls_recipe.h"
#include "options.h"
#include "progress.h"
#include "stopwatch.h"

typedef struct train_options {
    const char *out, *resume;
    cli_list flags; /* name and value of every flag of the recipe */
    cli_list set;   /* KEY=VALUE */
    double save_every;
    uint64_t max_memory; /* bytes; 0: the library's limit */
    bool force, dry_run, print_recipe;
} train_options;

/* Sums over batches. */
typedef struct train_sums {
    double loss, added; /* added: of loss, what is not cross entropy */
    int64_t correct, targets, batches;
} train_sums;

/* Where a run stands: all of it is kept in a checkpoint. */
typedef struct train_point {
    int64_t epoch, batch; /* epochs that are done, batches of the next one */
    double best;          /* score of the best validation; negative: none yet */
    int64_t best_epoch;
    double seconds; /* spent so far, by all processes of the run */
    int64_t log_bytes,
        frames; /* of log.ndjson and positions.npy that belong to it; log_bytes -1: not known */
    train_sums window, epoch_sums;
    int64_t validated;       /* epochs that were done at the last validation */
    int64_t pictures, names; /* of the training data; 0: not known */
    int64_t teachers;        /* what tells their weights apart; 0: none, or not known */
} train_point;

typedef struct train_run {
    const cli *run;
    const train_options *options;
    dcls_recipe *recipe;
    char *recipe_text; /* of the recipe without folders, for what is saved */
    dcls_dataset *train, *val;
    dcls_loader *loader;
    dcls_trainer *trainer;
    dcls_teacher *teacher; /* NULL: none, see train_teacher.c */
    dcls_model **teacher_models;
    bool teachers_moved; /* those of the command line take the place of the recipe's */
    int64_t names;       /* of the training data */
    dcls_task task;
    int64_t classes, parameters, positions;
    float *class_weights;

    const char *folder; /* where everything is written; NULL: nowhere */
    FILE *log;
    dcls_recording *recording; /* NULL: none */

    train_point at;
    int64_t batches;                         /* of an epoch */
    double start_score;                      /* of the model to go on with; 0: not known */
    bool begins_anew;                        /* layers of it were replaced by random ones */
    double begun;                            /* clock when this process began to train */
    double before;                           /* at.seconds then */
    double step_seconds, validation_seconds; /* of one, as of late; 0: not known */
    double told;                             /* clock of the last plain line */
    int64_t resumed_steps;                   /* done before this process */
    bool headed;
    cli_progress progress;
} train_run;

const char *train_score_name(const train_run *t); /* "mIoU", "top-1" */

/* ---- train_options.c ---- */

void train_add_options(cli_table *table);
/* The recipe of a file (NULL: none), flags and -s, checked. resumed: what a run that goes on may not change
 * is refused. Exit statuses, here and below; what is wrong has been said. */
int train_read_recipe(train_run *t, const char *path, bool resumed);
/* As JSON of several lines; to be freed. */
int train_recipe_text(const train_run *t, char **out);

/* ---- train_folder.c ---- */

/* "FOLDER/NAME"; to be freed. */
char *train_path(const train_run *t, const char *name);
bool train_has(const train_run *t, const char *name);
/* Of a path, without what differs from machine to machine; to be freed. */
char *train_last_part(const char *path);
/* Refuses a folder that holds a run: one with something to lose. */
int train_folder_check(const train_run *t);
/* Makes it, or takes it up, and keeps others off: opens the log. */
int train_folder_open(train_run *t, bool resumed);
int train_folder_write_recipe(const train_run *t);

/* ---- train_data.c ---- */

int train_open_data(train_run *t);
/* Checks that network and data fit, and makes class weights and batches. */
int train_open_loader(train_run *t, const dcls_model *model);

/* ---- train_network.c ---- */

/* The network to begin with; the caller's. */
int train_open_network(train_run *t, dcls_model **out);
/* Whitens the layer that the recipe names, if any: the last thing done to a new network. */
int train_whiten(train_run *t, dcls_model **model);

/* ---- train_teacher.c ---- */

/* The recipe's teachers, if it has any, for a network to train. */
int train_open_teachers(train_run *t, const dcls_model *student);
void train_close_teachers(train_run *t);
/* What they answer to a batch becomes part of it, until the next one. */
int train_ask_teachers(train_run *t, dcls_batch *batch);
/* "NAME, NAME", to be freed; NULL: none. */
char *train_teacher_names(const train_run *t);

/* ---- train_state.c ---- */

int train_save(train_run *t);
int train_save_model(train_run *t, const char *name);
/* Whether model.bin is that of so many epochs, all of the run's. */
bool train_has_model_of(const train_run *t, int64_t epochs);
/* Takes up the run of checkpoint.bin; *state and *model are the caller's. */
int train_load(train_run *t, dcls_tensors **state, dcls_model **model);

/* ---- train_loop.c ---- */

int train_loop(train_run *t);
/* Says what a run would be, and tries a step of it. */
int train_try(train_run *t);

/* ---- train_log.c ---- */

/* Cuts off what a run that goes on will do again. */
int train_log_cut(train_run *t);
bool train_log_is_empty(const train_run *t);
int train_log_start(train_run *t);
int train_log_step(train_run *t, const dcls_step_result *result, double rate);
int train_log_validation(train_run *t, const dcls_scores *scores, double seconds, bool best);

/* ---- train_show.c ---- */

void train_show_start(train_run *t);
/* What training and the model do with pictures, where that may surprise. */
void train_show_pictures(const train_run *t);
void train_show_trial(const train_run *t);
void train_show_step(train_run *t, double rate);
void train_show_validating(train_run *t, int64_t done, int64_t all);
void train_show_epoch(train_run *t, const dcls_scores *scores, bool best);

#endif
