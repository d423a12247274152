/* The set of named tensors. */
#include "formats/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "base/text.h"

dcls_status dcls_tensors_create(dcls_context *ctx, const char *format, dcls_tensors **out)
{
    *out = NULL;
    dcls_tensors *set = dcls_alloc_zero(ctx, 1, sizeof *set);
    if (set == NULL) return DCLS_ERR_MEMORY;
    set->format = format;
    set->module = "";
    *out = set;
    return DCLS_OK;
}

void dcls_tensors_destroy(dcls_tensors *tensors)
{
    if (tensors == NULL) return;
    for (size_t i = 0; i < tensors->block_count; i++)
        free(tensors->blocks[i]);
    free(tensors->blocks);
    dcls_bytes_free(&tensors->mapping);
    free(tensors->items);
    free(tensors->meta);
    dcls_map_free(&tensors->index);
    dcls_map_free(&tensors->meta_index);
    dcls_arena_free(&tensors->strings);
    free(tensors);
}

/* ---- filling ---- */

dcls_status dcls_tensors_own(dcls_context *ctx, dcls_tensors *set, void *block)
{
    dcls_status status =
        dcls_grow(ctx, &set->blocks, &set->block_capacity, set->block_count + 1, sizeof *set->blocks);
    if (status != DCLS_OK) {
        free(block);
        return status;
    }
    set->blocks[set->block_count++] = block;
    return DCLS_OK;
}

dcls_status dcls_tensors_own_bytes(dcls_context *ctx, dcls_tensors *set, dcls_bytes *bytes)
{
    const dcls_bytes taken = *bytes;
    *bytes = (dcls_bytes){0};
    if (!taken.mapped) return dcls_tensors_own(ctx, set, taken.data);
    set->mapping = taken;
    return DCLS_OK;
}

static dcls_status check_tensor(dcls_context *ctx, const dcls_tensor *tensor, size_t *nbytes)
{
    if ((unsigned)tensor->dtype >= DCLS_DTYPE_COUNT)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "tensor '%s': no such dtype", tensor->name);
    if (tensor->ndim < 0 || tensor->ndim > DCLS_MAX_DIMS)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "tensor '%s': %d dimensions; at most %d are supported",
                         tensor->name, tensor->ndim, DCLS_MAX_DIMS);
    if (!dcls_shape_bytes(tensor->dtype, tensor->ndim, tensor->shape, nbytes)) {
        char text[DCLS_SHAPE_TEXT];
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s': impossible shape %s", tensor->name,
                         dcls_shape_text(text, sizeof text, tensor->ndim, tensor->shape));
    }
    return DCLS_OK;
}

dcls_status dcls_tensors_add(dcls_context *ctx, dcls_tensors *set, const dcls_tensor *tensor)
{
    size_t nbytes = 0;
    bool found;
    DCLS_TRY(check_tensor(ctx, tensor, &nbytes));
    DCLS_TRY(dcls_grow(ctx, &set->items, &set->capacity, set->count + 1, sizeof *set->items));
    if (dcls_map_find(&set->index, tensor->name) >= 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' appears twice", tensor->name);
    char *name = dcls_arena_strdup(ctx, &set->strings, tensor->name);
    if (name == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_map_add(ctx, &set->index, name, (int64_t)set->count, &found, NULL));
    dcls_tensor *item = &set->items[set->count++];
    *item = *tensor;
    item->name = name;
    item->nbytes = nbytes;
    return DCLS_OK;
}

dcls_status dcls_tensors_add_new(dcls_context *ctx, dcls_tensors *set, const char *name, dcls_dtype dtype,
                                 int ndim, const int64_t *shape, void **data)
{
    dcls_tensor tensor = {.name = name, .dtype = dtype, .ndim = ndim};
    size_t nbytes = 0;
    if (ndim > 0 && ndim <= DCLS_MAX_DIMS) memcpy(tensor.shape, shape, (size_t)ndim * sizeof *shape);
    DCLS_TRY(check_tensor(ctx, &tensor, &nbytes));
    void *block = dcls_alloc(ctx, nbytes, 1);
    if (block == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_tensors_own(ctx, set, block));
    tensor.data = block;
    DCLS_TRY(dcls_tensors_add(ctx, set, &tensor));
    *data = block;
    return DCLS_OK;
}

dcls_status dcls_tensors_set_meta(dcls_context *ctx, dcls_tensors *set, const char *key, const char *value)
{
    char *kept = dcls_arena_strdup(ctx, &set->strings, value);
    if (kept == NULL) return DCLS_ERR_MEMORY;
    int64_t pair = dcls_map_find(&set->meta_index, key);
    if (pair >= 0) {
        set->meta[2 * pair + 1] = kept;
        return DCLS_OK;
    }
    DCLS_TRY(dcls_grow(ctx, &set->meta, &set->meta_capacity, 2 * set->meta_count + 2, sizeof *set->meta));
    char *kept_key = dcls_arena_strdup(ctx, &set->strings, key);
    if (kept_key == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_map_add(ctx, &set->meta_index, kept_key, (int64_t)set->meta_count, NULL, NULL));
    set->meta[2 * set->meta_count] = kept_key;
    set->meta[2 * set->meta_count + 1] = kept;
    set->meta_count++;
    return DCLS_OK;
}

/* ---- taking a part ---- */

/* What stands behind prefix, which ends with a dot, in name; NULL if it begins otherwise or ends there. */
static const char *name_inside(const char *name, const char *prefix)
{
    const size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && name[length] != '\0' ? name + length : NULL;
}

/* The outermost modules there are, a few of them. */
static dcls_status fail_module(dcls_context *ctx, const dcls_tensors *set, const char *module)
{
    char there[160] = "";
    size_t used = 0, last = 0;
    for (size_t i = 0; i < set->count; i++) {
        const char *name = set->items[i].name;
        const size_t length = strcspn(name, ".");
        const bool again =
            used > 0 && strlen(there + last) == length + 2 && strncmp(there + last + 1, name, length) == 0;
        if (name[length] != '.' || again || used + length + 5 > sizeof there) continue;
        const int written =
            snprintf(there + used, sizeof there - used, "%s'%.*s'", used > 0 ? ", " : "", (int)length, name);
        last = used > 0 ? used + 2 : 0;
        used += (size_t)written;
    }
    if (used == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "no tensor belongs to a module '%s', or to any", module);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "no tensor belongs to a module '%s': there are %s", module,
                     there);
}

/* Leaves tensors that have a name in names, and calls them that; count of them. On failure the set is as it
 * was. */
static dcls_status keep_named(dcls_context *ctx, dcls_tensors *set, const char *const *names, size_t count)
{
    dcls_map index = {0};
    dcls_status status = DCLS_OK;
    int64_t kept = 0;
    for (size_t i = 0; i < count && status == DCLS_OK; i++)
        if (names[i] != NULL) status = dcls_map_add(ctx, &index, names[i], kept++, NULL, NULL);
    if (status != DCLS_OK) {
        dcls_map_free(&index);
        return status;
    }
    dcls_tensor *to = set->items;
    for (size_t i = 0; i < count; i++) {
        if (names[i] == NULL) continue;
        *to = set->items[i];
        to++->name = names[i];
    }
    set->count = (size_t)kept;
    dcls_map_free(&set->index);
    set->index = index;
    return DCLS_OK;
}

/* prefix: "module." */
static dcls_status take_prefix(dcls_context *ctx, dcls_tensors *set, const char *module, const char *prefix)
{
    const char **names = dcls_alloc(ctx, set->count, sizeof *names);
    if (names == NULL) return DCLS_ERR_MEMORY;
    bool any = false;
    for (size_t i = 0; i < set->count; i++) {
        names[i] = name_inside(set->items[i].name, prefix);
        any = any || names[i] != NULL;
    }
    const dcls_status status = any ? keep_named(ctx, set, names, set->count) : fail_module(ctx, set, module);
    free(names);
    return status;
}

dcls_status dcls_tensors_take_module(dcls_context *ctx, dcls_tensors *set, const char *module)
{
    const size_t length = strlen(module), before = strlen(set->module);
    if (dcls_tensors_meta(set, DCLS_META_MODEL) != NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "holds a network, whose modules cannot be taken alone");
    if (length == 0 || strcmp(module, ".") == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the name of a module is empty");
    char *whole = dcls_arena_alloc(ctx, &set->strings, before + length + 2, 1);
    if (whole == NULL) return DCLS_ERR_MEMORY;
    const bool dot = length > 0 && module[length - 1] == '.';
    sprintf(whole, "%s%s%s", set->module, module, dot ? "" : ".");
    DCLS_TRY(take_prefix(ctx, set, module, whole + before));
    set->module = whole;
    return DCLS_OK;
}

dcls_status dcls_tensors_drop(dcls_context *ctx, dcls_tensors *set, const char *const *globs, size_t count)
{
    if (dcls_tensors_meta(set, DCLS_META_MODEL) != NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "holds a network, whose tensors cannot be left out");
    const char **names = dcls_alloc(ctx, set->count, sizeof *names);
    if (names == NULL) return DCLS_ERR_MEMORY;
    dcls_status status = DCLS_OK;
    for (size_t i = 0; i < set->count; i++)
        names[i] = dcls_any_matches(globs, count, set->items[i].name) ? NULL : set->items[i].name;
    for (size_t g = 0; g < count && status == DCLS_OK; g++) {
        bool any = false;
        for (size_t i = 0; i < set->count; i++)
            any = any || dcls_any_matches(globs + g, 1, set->items[i].name);
        if (!any) status = dcls_fail(ctx, DCLS_ERR_ARGUMENT, "no tensor's name matches '%s'", globs[g]);
    }
    if (status == DCLS_OK) status = keep_named(ctx, set, names, set->count);
    free(names);
    return status;
}

/* ---- asking ---- */

const char *dcls_tensors_format(const dcls_tensors *tensors)
{
    return tensors->format;
}

const char *dcls_tensors_choice(const dcls_tensors *tensors)
{
    return tensors->choice;
}

size_t dcls_tensors_count(const dcls_tensors *tensors)
{
    return tensors->count;
}

const dcls_tensor *dcls_tensors_at(const dcls_tensors *tensors, size_t index)
{
    return &tensors->items[index];
}

const dcls_tensor *dcls_tensors_find(const dcls_tensors *tensors, const char *name)
{
    int64_t index = dcls_map_find(&tensors->index, name);
    return index >= 0 ? &tensors->items[index] : NULL;
}

const char *dcls_tensors_meta_key(const dcls_tensors *tensors, size_t index)
{
    return index < tensors->meta_count ? tensors->meta[2 * index] : NULL;
}

const char *dcls_tensors_meta_value(const dcls_tensors *tensors, size_t index)
{
    return index < tensors->meta_count ? tensors->meta[2 * index + 1] : NULL;
}

const char *dcls_tensors_meta(const dcls_tensors *set, const char *key)
{
    int64_t pair = dcls_map_find(&set->meta_index, key);
    return pair >= 0 ? set->meta[2 * pair + 1] : NULL;
}
