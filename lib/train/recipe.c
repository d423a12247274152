/* Recipes: everything a training run is told, from files and flags. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/attributes.h"
#include "train/recipe.h"

#define MOST_BYTES (1 << 20)
#define MOST_BASES 8

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

static dcls_status fail_key(dcls_context *ctx, const char *key)
{
    const dcls_recipe_row *rows;
    const size_t count = dcls_recipe_rows(&rows);
    char hint[DCLS_HINT_TEXT];
    const char *near = dcls_nearest(key, count, key_at, rows);
    if (near == NULL) near = dcls_nearest(key, count, flag_at, rows);
    dcls_hint(hint, sizeof hint, near);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "unknown key '%.200s'%s", key, hint);
}

/* Whether there are keys "NAME.something". */
static bool is_group(const char *name)
{
    const dcls_recipe_row *rows;
    const size_t count = dcls_recipe_rows(&rows), length = strlen(name);
    for (size_t i = 0; i < count; i++)
        if (strncmp(rows[i].key, name, length) == 0 && rows[i].key[length] == '.') return true;
    return false;
}

size_t dcls_recipe_key_count(void)
{
    const dcls_recipe_row *rows;
    return dcls_recipe_rows(&rows);
}

/* Headings of groups, in the order of help. */
static const char *const GROUPS[][2] = {{"model", "Network"},
                                        {"replace", "Replacing layers of the network"},
                                        {"data", "Data"},
                                        {"augment", "Random changes of training pictures"},
                                        {"optimizer", "Optimiser"},
                                        {"schedule", "Learning rate"},
                                        {"loss", "Loss"}};

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
    case DCLS_RECIPE_PATH: return "PATH";
    case DCLS_RECIPE_INT: return "N";
    case DCLS_RECIPE_SIZE: return "H,W";
    case DCLS_RECIPE_REAL: return "X";
    case DCLS_RECIPE_RANGE: return "LOW,HIGH";
    case DCLS_RECIPE_FLAG: return NULL;
    case DCLS_RECIPE_LIST: return strcmp(row->key, "model.settings") == 0 ? "KEY=VALUE" : "NAME";
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
                             .is_list = row->type == DCLS_RECIPE_LIST};
}

/* One of these takes the place of another. */
static const char *const MODELS[] = {"file", "arch", "graph"};

static void forget_model(dcls_recipe *recipe)
{
    recipe->model_file = recipe->create.arch = recipe->graph = recipe->create.arch_json = NULL;
}

dcls_status dcls_recipe_set(dcls_context *ctx, dcls_recipe *recipe, const char *key, const char *value)
{
    const dcls_recipe_row *row = dcls_recipe_find(key);
    if (row == NULL) return fail_key(ctx, key);
    for (size_t i = 0; i < 3; i++)
        if (strncmp(row->key, "model.", 6) == 0 && strcmp(row->key + 6, MODELS[i]) == 0) forget_model(recipe);
    return dcls_recipe_put(ctx, recipe, row, value);
}

/* ---- files ------------------------------------------------------------------------------------------ */

typedef struct reading {
    dcls_recipe *recipe;
    const char *folder;
    int depth; /* of files that begin with another one */
} reading;

static dcls_status load(dcls_context *ctx, dcls_recipe *recipe, const char *path, int depth);

static dcls_status put_member(dcls_context *ctx, const reading *r, const char *key, const dcls_json *value)
{
    const dcls_recipe_row *row = dcls_recipe_find(key);
    if (row == NULL || strcmp(row->key, key) != 0) return fail_key(ctx, key);
    return dcls_recipe_put_json(ctx, r->recipe, row, value, r->folder);
}

static dcls_status put_group(dcls_context *ctx, const reading *r, const dcls_json *group)
{
    char key[300];
    for (size_t i = 0; i < dcls_json_count(group); i++) {
        const dcls_json *member = dcls_json_at(group, i);
        snprintf(key, sizeof key, "%.100s.%.190s", dcls_json_name(group), dcls_json_name(member));
        DCLS_TRY(put_member(ctx, r, key, member));
    }
    return DCLS_OK;
}

static dcls_status load_base(dcls_context *ctx, const reading *r, const dcls_json *value)
{
    const char *name = dcls_json_as_string(value);
    if (name == NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'base' must be the name of a recipe, not %s",
                         dcls_json_kind_text(value));
    if (r->depth >= MOST_BASES)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'base': recipes that begin with each other, %d deep",
                         MOST_BASES);
    dcls_string path = {0};
    dcls_string_printf(&path, "%s%s%s", name[0] != '/' && r->folder != NULL ? r->folder : "",
                       name[0] != '/' && r->folder != NULL ? "/" : "", name);
    const dcls_status status = path.failed ? dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory")
                                           : load(ctx, r->recipe, path.data, r->depth + 1);
    dcls_string_free(&path);
    return status;
}

static dcls_status put_object(dcls_context *ctx, const reading *r, const dcls_json *root)
{
    if (dcls_json_kind_of(root) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a recipe is an object, not %s", dcls_json_kind_text(root));
    const dcls_json *base = dcls_json_find(root, "base");
    if (base != NULL) DCLS_TRY(load_base(ctx, r, base));
    for (size_t i = 0; i < 3; i++)
        if (dcls_json_find(dcls_json_find(root, "model"), MODELS[i]) != NULL) forget_model(r->recipe);
    for (size_t i = 0; i < dcls_json_count(root); i++) {
        const dcls_json *member = dcls_json_at(root, i);
        const char *key = dcls_json_name(member);
        if (strcmp(key, "base") == 0 || strcmp(key, "about") == 0) continue;
        if (dcls_json_kind_of(member) == DCLS_JSON_OBJECT && (is_group(key) || dcls_recipe_find(key) == NULL))
            DCLS_TRY(dcls_json_count(member) > 0 || is_group(key) ? put_group(ctx, r, member)
                                                                  : fail_key(ctx, key));
        else if (is_group(key))
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'%s' must be an object of keys, not %s", key,
                             dcls_json_kind_text(member));
        else
            DCLS_TRY(put_member(ctx, r, key, member));
    }
    return DCLS_OK;
}

static dcls_status read_text(dcls_context *ctx, const reading *r, const char *json, size_t size)
{
    dcls_json *root;
    DCLS_TRY(dcls_json_parse(ctx, json, size, &root));
    const dcls_status status = put_object(ctx, r, root);
    dcls_json_free(root);
    return status;
}

dcls_status dcls_recipe_read(dcls_context *ctx, dcls_recipe *recipe, const char *json, const char *folder)
{
    return read_text(ctx, &(reading){recipe, folder, 0}, json, strlen(json));
}

static dcls_status load(dcls_context *ctx, dcls_recipe *recipe, const char *path, int depth)
{
    dcls_bytes bytes;
    DCLS_TRY(dcls_file_read(ctx, path, MOST_BYTES, &bytes));
    const char *slash = strrchr(path, '/');
    char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + (slash == path)) : NULL;
    dcls_status status = DCLS_OK;
    if (slash != NULL && folder == NULL)
        status = dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    else
        status = read_text(ctx, &(reading){recipe, folder, depth}, (const char *)bytes.data, bytes.size);
    free(folder);
    free(bytes.data);
    return status == DCLS_OK || depth == 0 ? status : dcls_fail_within(ctx, status, "%s: ", path);
}

dcls_status dcls_recipe_load(dcls_context *ctx, dcls_recipe *recipe, const char *path)
{
    return load(ctx, recipe, path, 0);
}

/* ---- checks ----------------------------------------------------------------------------------------- */

static dcls_status read_graph(dcls_context *ctx, dcls_recipe *recipe)
{
    dcls_bytes bytes;
    const dcls_status status =
        dcls_file_read(ctx, recipe->graph, dcls_context_limit(ctx, DCLS_LIMIT_JSON_BYTES), &bytes);
    if (status != DCLS_OK) return dcls_fail_within(ctx, status, "%s: ", recipe->graph);
    recipe->create.arch_json = dcls_arena_strndup(ctx, recipe->memory, (const char *)bytes.data, bytes.size);
    free(bytes.data);
    return recipe->create.arch_json != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status check_model(dcls_context *ctx, const dcls_recipe *recipe)
{
    const dcls_create_options *create = &recipe->create;
    const int said = (recipe->model_file != NULL) + (create->arch != NULL) + (recipe->graph != NULL);
    if (said != 1)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "%s of a model to go on with (model.file), an architecture (model.arch) and a "
                         "description (model.graph) is needed",
                         said == 0 ? "one" : "only one");
    if (recipe->model_file != NULL && create->setting_count > 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "model.settings are for new networks, not for '%s'",
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
    if (augment->scale_max > 0 && augment->area_max > 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "augment.scale and augment.area exclude each other");
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

/* ---- writing ---------------------------------------------------------------------------------------- */

/* Values with commas between them stand in JSON as lists of numbers. */
static void write_numbers(dcls_json_out *out, char *text)
{
    char *rest = NULL;
    dcls_json_begin(out, '[');
    for (char *piece = strtok_r(text, ",", &rest); piece != NULL; piece = strtok_r(NULL, ",", &rest))
        dcls_json_raw(out, piece);
    dcls_json_end(out, ']');
}

static void write_entries(dcls_json_out *out, const dcls_recipe *recipe, const dcls_recipe_row *row,
                          char *text, size_t size)
{
    dcls_json_begin(out, '[');
    for (size_t i = 0; dcls_recipe_get(recipe, row, i, text, size); i++) {
        if (row->type == DCLS_RECIPE_WEIGHTS)
            dcls_json_raw(out, text);
        else
            dcls_json_string(out, text);
    }
    dcls_json_end(out, ']');
}

/* A recipe that is written is read from another folder. */
static void write_path(dcls_json_out *out, const char *path)
{
    char *here = path[0] != '/' ? getcwd(NULL, 0) : NULL;
    dcls_string whole = {0};
    if (path[0] != '/' && here == NULL && errno == ENOMEM) out->to->failed = true;
    if (here != NULL) dcls_string_printf(&whole, "%s/%s", here, path);
    dcls_json_string(out, here != NULL && !whole.failed ? whole.data : path);
    dcls_string_free(&whole);
    free(here);
}

static void write_row(dcls_json_out *out, const dcls_recipe *recipe, const dcls_recipe_row *row, char *text,
                      size_t size)
{
    switch (row->type) {
    case DCLS_RECIPE_INT:
    case DCLS_RECIPE_REAL:
    case DCLS_RECIPE_FLAG: dcls_json_raw(out, text); break;
    case DCLS_RECIPE_SIZE:
    case DCLS_RECIPE_RANGE: write_numbers(out, text); break;
    case DCLS_RECIPE_LIST: write_entries(out, recipe, row, text, size); break;
    case DCLS_RECIPE_PATH: write_path(out, text); break;
    case DCLS_RECIPE_WEIGHTS:
        if (recipe->balanced)
            dcls_json_string(out, text);
        else
            write_entries(out, recipe, row, text, size);
        break;
    default: dcls_json_string(out, text); break;
    }
}

#define TEXT_SIZE (65536 + 1)

dcls_status dcls_recipe_text(dcls_context *ctx, dcls_recipe *recipe, const char **out)
{
    const dcls_recipe_row *rows;
    const size_t count = dcls_recipe_rows(&rows);
    dcls_string json = {0};
    dcls_json_out j = {.to = &json};
    char *text = dcls_alloc(ctx, TEXT_SIZE, 1);
    if (text == NULL) return DCLS_ERR_MEMORY;
    const char *group = "";
    size_t group_length = 0;
    dcls_json_begin(&j, '{');
    for (size_t i = 0; i < count; i++) {
        const char *key = rows[i].key, *dot = strchr(key, '.');
        const size_t length = dot != NULL ? (size_t)(dot - key) : 0;
        if (!dcls_recipe_get(recipe, &rows[i], 0, text, TEXT_SIZE)) continue;
        if (length != group_length || memcmp(key, group, length) != 0) {
            char name[64];
            if (group_length > 0) dcls_json_end(&j, '}');
            snprintf(name, sizeof name, "%.*s", (int)length, key);
            if (length > 0) {
                dcls_json_key(&j, name);
                dcls_json_begin(&j, '{');
            }
            group = key;
            group_length = length;
        }
        dcls_json_key(&j, dot != NULL ? dot + 1 : key);
        write_row(&j, recipe, &rows[i], text, TEXT_SIZE);
    }
    if (group_length > 0) dcls_json_end(&j, '}');
    dcls_json_end(&j, '}');
    free(text);
    *out = json.failed ? NULL : dcls_arena_strdup(ctx, recipe->memory, json.data);
    dcls_string_free(&json);
    return *out != NULL ? DCLS_OK
                        : dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory while a recipe is written");
}
