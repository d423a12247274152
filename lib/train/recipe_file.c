/* Recipes from files, which may begin with others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "formats/formats.h"
#include "model/attributes.h"
#include "train/recipe.h"

#define MOST_BYTES (1 << 20)

typedef struct reading {
    dcls_recipe *recipe;
    const char *folder;
    const struct reading *above; /* whose base this is, NULL: none's */
    const char *real;            /* the file without links, NULL: not known */
    bool *named;                 /* set once a message names its file */
} reading;

static dcls_status load(dcls_context *ctx, dcls_recipe *recipe, const char *path, const reading *above);

/* Whether there are keys "NAME.something". */
static bool is_group(const char *name)
{
    const dcls_recipe_row *rows;
    const size_t count = dcls_recipe_rows(&rows), length = strlen(name);
    for (size_t i = 0; i < count; i++)
        if (strncmp(rows[i].key, name, length) == 0 && rows[i].key[length] == '.') return true;
    return false;
}

static dcls_status put_member(dcls_context *ctx, const reading *r, const char *key, const dcls_json *value)
{
    const dcls_recipe_row *row = dcls_recipe_find(key);
    if (row == NULL || strcmp(row->key, key) != 0) return dcls_recipe_fail_key(ctx, key);
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
    dcls_string path = {0};
    dcls_string_printf(&path, "%s%s%s", name[0] != '/' && r->folder != NULL ? r->folder : "",
                       name[0] != '/' && r->folder != NULL ? "/" : "", name);
    const dcls_status status =
        path.failed ? dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory") : load(ctx, r->recipe, path.data, r);
    dcls_string_free(&path);
    return status;
}

/* A model takes the place of the base's, whose settings and whitening are not for another one. */
static void replace_model(dcls_recipe *recipe, const dcls_json *model)
{
    const char *arch = dcls_json_as_string(dcls_json_find(model, "arch"));
    const bool same = arch != NULL && recipe->create.arch != NULL && strcmp(arch, recipe->create.arch) == 0;
    const bool fresh = recipe->create.arch == NULL && recipe->graph == NULL && recipe->model_file == NULL;
    bool replaced = false;
    for (size_t i = 0; i < dcls_json_count(model); i++)
        replaced = replaced || dcls_recipe_names_model(dcls_json_name(dcls_json_at(model, i)));
    if (!replaced) return;
    dcls_recipe_forget_model(recipe);
    if (same || fresh) return;
    recipe->create.settings = NULL;
    recipe->create.setting_count = 0;
    recipe->whiten = NULL;
}

/* A model given in the place of a recipe. */
static dcls_status refuse_model(dcls_context *ctx, const dcls_json *root)
{
    const char *format = dcls_json_as_string(dcls_json_find(root, "format"));
    if (format == NULL || strcmp(format, "dcls-model") != 0) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                     dcls_json_find(root, "tensors") != NULL
                         ? "is a model, not a recipe: --model goes on with it"
                         : "describes a network, not a recipe: --graph trains it");
}

static dcls_status put_object(dcls_context *ctx, const reading *r, const dcls_json *root)
{
    if (dcls_json_kind_of(root) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a recipe is an object, not %s", dcls_json_kind_text(root));
    DCLS_TRY(refuse_model(ctx, root));
    const dcls_json *base = dcls_json_find(root, "base");
    if (base != NULL) DCLS_TRY(load_base(ctx, r, base));
    replace_model(r->recipe, dcls_json_find(root, "model"));
    for (size_t i = 0; i < dcls_json_count(root); i++) {
        const dcls_json *member = dcls_json_at(root, i);
        const char *key = dcls_json_name(member);
        if (strcmp(key, "base") == 0 || strcmp(key, "about") == 0) continue;
        if (dcls_json_kind_of(member) == DCLS_JSON_OBJECT && (is_group(key) || dcls_recipe_find(key) == NULL))
            DCLS_TRY(dcls_json_count(member) > 0 || is_group(key) ? put_group(ctx, r, member)
                                                                  : dcls_recipe_fail_key(ctx, key));
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
    dcls_status status = dcls_json_parse(ctx, json, size, &root);
    /* A recipe that is none is wrong usage, as every other fault of one. */
    if (status == DCLS_ERR_FORMAT) return dcls_fail_within(ctx, DCLS_ERR_ARGUMENT, "%s", "");
    if (status != DCLS_OK) return status;
    status = put_object(ctx, r, root);
    dcls_json_free(root);
    return status;
}

dcls_status dcls_recipe_read(dcls_context *ctx, dcls_recipe *recipe, const char *json, const char *folder)
{
    bool named = false;
    return read_text(ctx, &(reading){.recipe = recipe, .folder = folder, .named = &named}, json,
                     strlen(json));
}

/* Told by the first bytes: models may be longer than a recipe can be. */
static bool is_model(const char *path)
{
    unsigned char begin[4096];
    const char *looks_like = NULL;
    FILE *file = strcmp(path, "-") != 0 ? fopen(path, "rbe") : NULL;
    if (file == NULL) return false;
    const size_t size = fread(begin, 1, sizeof begin, file);
    fclose(file);
    const dcls_format format = dcls_format_sniff(begin, size, &looks_like);
    return format == DCLS_FORMAT_SAFETENSORS || format == DCLS_FORMAT_PYTORCH_ZIP ||
           format == DCLS_FORMAT_PYTORCH_LEGACY;
}

static dcls_status check_loop(dcls_context *ctx, const reading *r)
{
    for (const reading *above = r->above; above != NULL && r->real != NULL; above = above->above)
        if (above->real != NULL && strcmp(above->real, r->real) == 0) {
            *r->named = true;
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'base': recipes that begin with each other");
        }
    return DCLS_OK;
}

static dcls_status load_bytes(dcls_context *ctx, const reading *r, const char *path)
{
    struct stat st;
    dcls_bytes bytes;
    DCLS_TRY(check_loop(ctx, r));
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && is_model(path))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "is a model, not a recipe: --model goes on with it");
    DCLS_TRY(dcls_file_read(ctx, path, MOST_BYTES, &bytes));
    const dcls_status status = read_text(ctx, r, (const char *)bytes.data, bytes.size);
    free(bytes.data);
    return status;
}

/* A fault of a base is told under its name, once; the caller knows that of the first file. */
static dcls_status load(dcls_context *ctx, dcls_recipe *recipe, const char *path, const reading *above)
{
    bool named = false;
    const char *slash = strrchr(path, '/');
    char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + (slash == path)) : NULL;
    char *real = strcmp(path, "-") != 0 ? realpath(path, NULL) : NULL;
    const reading r = {recipe, folder, above, real, above != NULL ? above->named : &named};
    dcls_status status = slash != NULL && folder == NULL ? dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory")
                                                         : load_bytes(ctx, &r, path);
    if (status != DCLS_OK && above != NULL && !*r.named) {
        *r.named = true;
        status = dcls_fail_within(ctx, status, "%s: ", path);
    }
    free(folder);
    free(real);
    return status;
}

dcls_status dcls_recipe_load(dcls_context *ctx, dcls_recipe *recipe, const char *path)
{
    return load(ctx, recipe, path, NULL);
}
