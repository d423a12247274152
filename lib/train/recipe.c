/* Recipes: everything a training run is told, from files and flags. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/json.h"
#include "model/attributes.h"
#include "train/recipe.h"

dcls_status dcls_recipe_create(dcls_context *ctx, dcls_recipe **out)
{
    const dcls_recipe_row *rows;
    *out = NULL;
    dcls_recipe *recipe = dcls_alloc_zero(ctx, 1, sizeof *recipe);
    if (recipe == NULL) return DCLS_ERR_MEMORY;
    recipe->memory = dcls_alloc_zero(ctx, 1, sizeof(dcls_arena));
    dcls_status status = recipe->memory != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    const size_t count = dcls_recipe_rows(&rows);
    for (size_t i = 0; i < count && status == DCLS_OK; i++)
        if (rows[i].fallback != NULL) status = dcls_recipe_put(ctx, recipe, &rows[i], rows[i].fallback);
    recipe->loader.shuffle = recipe->loader.drop_last = true;
    if (status != DCLS_OK) {
        dcls_recipe_destroy(recipe);
        return status;
    }
    *out = recipe;
    return DCLS_OK;
}

void dcls_recipe_destroy(dcls_recipe *recipe)
{
    if (recipe == NULL) return;
    if (recipe->memory != NULL) dcls_arena_free(recipe->memory);
    free(recipe->memory);
    free(recipe);
}

/* ---- keys ------------------------------------------------------------------------------------------- */

static const char *key_at(const void *of, size_t index)
{
    const dcls_recipe_row *rows = of;
    return rows[index].key;
}

static const char *flag_at(const void *of, size_t index)
{
    const dcls_recipe_row *rows = of;
    return rows[index].flag;
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot != NULL ? dot + 1 : key;
}

/* "schedule.lr" and "epochs" have the last part of a key, or the name of its flag. */
static const char *same_last_part(const char *name, const dcls_recipe_row *rows, size_t count)
{
    const char *last = last_part(name);
    const dcls_recipe_row *row = dcls_recipe_find(last);
    if (row != NULL) return row->key;
    for (size_t i = 0; i < count; i++)
        if (strcmp(last_part(rows[i].key), last) == 0) return rows[i].key;
    return NULL;
}

static const char *nearest_key(const char *name)
{
    const dcls_recipe_row *rows;
    const size_t count = dcls_recipe_rows(&rows);
    const char *near = same_last_part(name, rows, count);
    if (near == NULL) near = dcls_recipe_meant(name);
    if (near == NULL) near = dcls_nearest(name, count, key_at, rows);
    if (near != NULL) return near;
    near = dcls_nearest(last_part(name), count, flag_at, rows);
    return near != NULL ? dcls_recipe_find(near)->key : NULL;
}

dcls_status dcls_recipe_fail_key(dcls_context *ctx, const char *key)
{
    char hint[DCLS_HINT_TEXT];
    dcls_hint(hint, sizeof hint, nearest_key(key));
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "unknown key '%.200s'%s", key, hint);
}

size_t dcls_recipe_key_count(void)
{
    const dcls_recipe_row *rows;
    return dcls_recipe_rows(&rows);
}

/* Headings of groups, in the order of help. */
static const char *const GROUPS[][2] = {
    {"model", "Network"},       {"replace", "Replacing layers of the network"},
    {"data", "Data"},           {"augment", "Random changes of training pictures"},
    {"optimizer", "Optimiser"}, {"schedule", "Learning rate"},
    {"loss", "Loss"},           {"distill", "Distillation"}};

static const char *group_of(const char *key)
{
    const size_t length = strcspn(key, ".");
    for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++)
        if (strlen(GROUPS[i][0]) == length && memcmp(GROUPS[i][0], key, length) == 0) return GROUPS[i][1];
    return "Training";
}

static const char *value_of(const dcls_recipe_row *row)
{
    if (row->choices != NULL) return row->choices;
    switch (row->type) {
    case DCLS_RECIPE_PATH:
    case DCLS_RECIPE_PATHS: return "PATH";
    case DCLS_RECIPE_INT: return "N";
    case DCLS_RECIPE_SIZE: return "H,W";
    case DCLS_RECIPE_REAL: return "X";
    case DCLS_RECIPE_RANGE: return "LOW,HIGH";
    case DCLS_RECIPE_FLAG: return NULL;
    case DCLS_RECIPE_LIST:
        if (strcmp(row->key, "model.labels") == 0) return "A,B,..|FILE";
        if (strcmp(row->key, "optimizer.rates") == 0) return "GLOB=X";
        return strcmp(row->key, "model.settings") == 0 ? "KEY=VALUE" : "NAME";
    case DCLS_RECIPE_WEIGHTS: return "LIST";
    default: return "NAME";
    }
}

dcls_recipe_key dcls_recipe_key_at(size_t index)
{
    const dcls_recipe_row *rows;
    dcls_recipe_rows(&rows);
    const dcls_recipe_row *row = &rows[index];
    return (dcls_recipe_key){.key = row->key,
                             .flag = row->flag,
                             .group = group_of(row->key),
                             .text = row->text,
                             .value = value_of(row),
                             .choices = row->choices,
                             .fallback = row->fallback,
                             .is_switch = row->type == DCLS_RECIPE_FLAG,
                             .is_list = row->type == DCLS_RECIPE_LIST || row->type == DCLS_RECIPE_PATHS};
}

/* One of these takes the place of another. */
bool dcls_recipe_names_model(const char *name)
{
    return strcmp(name, "file") == 0 || strcmp(name, "arch") == 0 || strcmp(name, "graph") == 0;
}

void dcls_recipe_forget_model(dcls_recipe *recipe)
{
    recipe->model_file = recipe->create.arch = recipe->graph = recipe->create.arch_json = NULL;
}

dcls_status dcls_recipe_set(dcls_context *ctx, dcls_recipe *recipe, const char *key, const char *value)
{
    const dcls_recipe_row *row = dcls_recipe_find(key);
    if (row == NULL) return dcls_recipe_fail_key(ctx, key);
    if (strncmp(row->key, "model.", 6) == 0 && dcls_recipe_names_model(row->key + 6))
        dcls_recipe_forget_model(recipe);
    return dcls_recipe_put(ctx, recipe, row, value);
}

/* ---- checks ----------------------------------------------------------------------------------------- */

static dcls_status read_graph(dcls_context *ctx, dcls_recipe *recipe)
{
    dcls_bytes bytes;
    const dcls_status status =
        dcls_file_read(ctx, recipe->graph, dcls_context_limit(ctx, DCLS_LIMIT_JSON_BYTES), &bytes);
    if (status != DCLS_OK) return dcls_fail_within(ctx, status, "%s: ", recipe->graph);
    if (memchr(bytes.data, '\0', bytes.size) != NULL) { /* the text would end there */
        free(bytes.data);
        return dcls_fail(
            ctx, DCLS_ERR_FORMAT,
            "%s: is no JSON description of a network; model.file (--model) goes on with a trained one",
            recipe->graph);
    }
    dcls_json *root = NULL;
    const bool trained = dcls_json_parse(ctx, (const char *)bytes.data, bytes.size, &root) == DCLS_OK &&
                         dcls_json_count(dcls_json_find(root, "tensors")) > 0;
    dcls_json_free(root);
    recipe->create.arch_json = dcls_arena_strndup(ctx, recipe->memory, (const char *)bytes.data, bytes.size);
    free(bytes.data);
    if (trained)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s: has weights; model.file (--model) goes on with it",
                         recipe->graph);
    return recipe->create.arch_json != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status check_model(dcls_context *ctx, const dcls_recipe *recipe)
{
    const dcls_create_options *create = &recipe->create;
    const int said = (recipe->model_file != NULL) + (create->arch != NULL) + (recipe->graph != NULL);
    if (said != 1)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         said == 0
                             ? "a model to go on with (model.file, --model), an architecture (model.arch, "
                               "--arch) or a description (model.graph, --graph) is needed"
                             : "only one of a model to go on with (model.file), an architecture "
                               "(model.arch) and a description (model.graph) may be given");
    if (recipe->model_file != NULL && create->setting_count > 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "model.settings are for new networks, not for '%s'",
                         recipe->model_file);
    if (recipe->model_file != NULL && recipe->whiten != NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "model.whiten is for new networks, not for '%s'",
                         recipe->model_file);
    if (recipe->label_count > 0 && create->classes > 0 && create->classes != (int64_t)recipe->label_count)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "model.classes is %lld, but there are %zu model.labels",
                         (long long)create->classes, recipe->label_count);
    return DCLS_OK;
}

static dcls_status check_numbers(dcls_context *ctx, const dcls_recipe *recipe)
{
    const dcls_augment *augment = &recipe->loader.augment;
    if (augment->scale_max > 0 && augment->scale_min < 0.01)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "augment.scale starts at %g, must be 0.01 or more",
                         augment->scale_min);
    if (augment->area_max > 0 && augment->area_min < 0.001)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "augment.area starts at %g, must be 0.001 or more",
                         augment->area_min);
    const int64_t side =
        recipe->loader.height < recipe->loader.width ? recipe->loader.height : recipe->loader.width;
    if (augment->cutout > side || augment->crop_padding > side)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "augment.%s is %lld, more than a side of the pictures, %lld x %lld",
                         augment->cutout > side ? "cutout" : "crop_padding",
                         (long long)(augment->cutout > side ? augment->cutout : augment->crop_padding),
                         (long long)recipe->loader.width, (long long)recipe->loader.height);
    if (augment->scale_max > 0 && augment->area_max > 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "augment.scale and augment.area exclude each other");
    if (recipe->trainer.lovasz > 0 && augment->mixup > 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "loss.lovasz and augment.mixup exclude each other");
    if (recipe->schedule.kind == DCLS_SCHEDULE_ONE_CYCLE && recipe->warmup_epochs > 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "schedule.warmup is not for 'onecycle', which rises by itself (schedule.rise)");
    if (recipe->schedule.floor > recipe->schedule.rate)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "schedule.floor %g is above schedule.rate %g",
                         recipe->schedule.floor, recipe->schedule.rate);
    if (recipe->warmup_epochs > (double)recipe->epochs)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "schedule.warmup is longer than the %lld epochs of all",
                         (long long)recipe->epochs);
    const int64_t classes = recipe->create.classes;
    if (recipe->class_weight_count > 0 && classes > 0 && classes != (int64_t)recipe->class_weight_count)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "loss.class_weights has %zu numbers for %lld classes",
                         recipe->class_weight_count, (long long)classes);
    if (recipe->class_count > 0 && recipe->mask_classes > 0 &&
        recipe->mask_classes != (int64_t)recipe->class_count)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "data.class_count is %lld, but there are %zu data.classes",
                         (long long)recipe->mask_classes, recipe->class_count);
    return DCLS_OK;
}

dcls_status dcls_recipe_check(dcls_context *ctx, dcls_recipe *recipe)
{
    DCLS_TRY(check_model(ctx, recipe));
    if (recipe->label_count > 0) recipe->create.classes = (int64_t)recipe->label_count;
    DCLS_TRY(check_numbers(ctx, recipe));
    if (recipe->train == NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the training data is missing: data.train, or --train");
    if (recipe->graph != NULL) DCLS_TRY(read_graph(ctx, recipe));
    recipe->data.class_count = recipe->class_count > 0 ? recipe->class_count : (size_t)recipe->mask_classes;
    recipe->data.ignore_index = (int)recipe->ignore;
    recipe->loader.cache_bytes = recipe->cache_mib << 20;
    recipe->create.seed = recipe->replace.seed = recipe->loader.seed = recipe->trainer.seed =
        (uint64_t)recipe->seed;
    recipe->trainer.distill = recipe->teacher_count > 0 ? recipe->distill_share : 0;
    recipe->trainer.batch = recipe->loader.batch;
    recipe->trainer.height = recipe->loader.height;
    recipe->trainer.width = recipe->loader.width;
    return DCLS_OK;
}

dcls_status dcls_recipe_plan(dcls_context *ctx, dcls_recipe *recipe, int64_t batches)
{
    int64_t steps = 0;
    if (batches < 1 || !dcls_mul_i64(batches, recipe->epochs, &steps))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld epochs of %lld batches", (long long)recipe->epochs,
                         (long long)batches);
    recipe->schedule.steps = steps;
    recipe->schedule.warmup = (int64_t)rint(recipe->warmup_epochs * (double)batches);
    const double after = rint(recipe->repulsion_epochs * (double)batches);
    recipe->trainer.repulsion_after = after < (double)steps ? (int64_t)after : steps;
    return DCLS_OK;
}
