/*
 * Recipes: everything a training run is told, from JSON files or key by key. The rules of dcls.h on errors,
 * threads and ownership hold here too.
 */
#ifndef DCLS_RECIPE_H
#define DCLS_RECIPE_H

#include <dcls_train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Everything a training run is told. A recipe file is a JSON object whose groups hold the keys, as
 * {"schedule": {"epochs": 30}} for schedule.epochs; its "base" names a recipe it begins with, "about" may
 * hold anything. Paths in a file are relative to the file's folder. Keys, ranges and defaults:
 * dcls_recipe_key_at. */
typedef struct dcls_recipe {
    const char *model_file;     /* a model to go on with, else NULL and .. */
    dcls_create_options create; /* .. a new network */
    const char *graph;          /* file of create.arch_json */
    const char *whiten;         /* layer for dcls_model_whiten; NULL: none */
    size_t label_count;         /* of create.labels */
    dcls_replace_options replace;
    const char *train, *val; /* data sets; val may be NULL */
    dcls_dataset_options data;
    size_t class_count;           /* of data.classes */
    int64_t mask_classes, ignore; /* of masks */
    int64_t val_limit;            /* most validation pictures; 0: all */
    dcls_loader_options loader;   /* of training: preprocess is the model's and not set here */
    int64_t cache_mib;
    dcls_trainer_options trainer;
    size_t class_weight_count;   /* of trainer.class_weights */
    bool balanced;               /* class weights are to be made from the data */
    const char *const *teachers; /* model files whose answers are learned */
    size_t teacher_count;
    double distill_share;   /* trainer.distill where there are teachers */
    dcls_schedule schedule; /* steps and warmup: see dcls_recipe_plan */
    int64_t epochs;
    double warmup_epochs;
    double repulsion_epochs;  /* trainer.repulsion_after, in epochs: see dcls_recipe_plan */
    int64_t validate_every;   /* epochs, 0: never */
    int64_t record_positions; /* steps, 0: never */
    int64_t seed;
    void *memory; /* what pointers point to */
} dcls_recipe;

/* All at their defaults. */
DCLS_API dcls_status dcls_recipe_create(dcls_context *ctx, dcls_recipe **out);
DCLS_API void dcls_recipe_destroy(dcls_recipe *recipe);
/* Sets what a file, or its text, says; the rest stays. JSON that is none, an unknown key or a value
 * out of range is DCLS_ERR_ARGUMENT: the message names the key, and the file if the fault is in a base.
 * folder is what paths are relative to, NULL: the present one. */
DCLS_API dcls_status dcls_recipe_load(dcls_context *ctx, dcls_recipe *recipe, const char *path);
DCLS_API dcls_status dcls_recipe_read(dcls_context *ctx, dcls_recipe *recipe, const char *json,
                                      const char *folder);
/* Sets one key, by its name or that of its flag, from text: "0.9", "true", "cosine", "360,480". A list gains
 * an entry, a setting in place of an earlier one of its key; "" empties it. */
DCLS_API dcls_status dcls_recipe_set(dcls_context *ctx, dcls_recipe *recipe, const char *key,
                                     const char *value);
/* Checks what keys say of each other, reads the graph and hands seed, batch and sizes on to the parts. To be
 * called when all is set. */
DCLS_API dcls_status dcls_recipe_check(dcls_context *ctx, dcls_recipe *recipe);
/* Sets the schedule's steps, and the trainer's, for so many batches an epoch. */
DCLS_API dcls_status dcls_recipe_plan(dcls_context *ctx, dcls_recipe *recipe, int64_t batches);
/* The whole recipe as JSON that reads back the same from any folder, for logs and checkpoints. Belongs to the
 * recipe. */
DCLS_API dcls_status dcls_recipe_text(dcls_context *ctx, dcls_recipe *recipe, const char **out);

typedef struct dcls_recipe_key {
    const char *key;      /* "schedule.epochs" */
    const char *flag;     /* "epochs", NULL where only files and -s have it */
    const char *group;    /* heading it belongs under: "Learning rate" */
    const char *text;     /* what it is */
    const char *value;    /* what stands for a value in help: "N", "a|b"; NULL for a switch */
    const char *choices;  /* "a|b", or NULL */
    const char *fallback; /* as text, or NULL */
    bool is_switch;       /* true or false: a flag without a value */
    bool is_list;
} dcls_recipe_key;

/* The flag for what other programs call NAME, such as "lr" or "batch-size"; NULL if none is known. */
DCLS_API const char *dcls_recipe_flag_meant(const char *name);
DCLS_API size_t dcls_recipe_key_count(void);
/* index < count. Strings are static. */
DCLS_API dcls_recipe_key dcls_recipe_key_at(size_t index);

#ifdef __cplusplus
}
#endif
#endif
