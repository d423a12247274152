/* From the calls torch.save pickles to tensors: which storage, which view of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "formats/pytorch.h"

#define MAX_WRAPPING 8 /* a tensor in a parameter in a subclass .. */

/* ---- storages ------------------------------------------------------------------------------------------ */

typedef struct storage_class {
    const char *name;
    int dtype;
    uint8_t itemsize;
} storage_class;

static const storage_class storage_classes[] = {
    {"FloatStorage", DCLS_F32, 4},    {"HalfStorage", DCLS_F16, 2},   {"BFloat16Storage", DCLS_BF16, 2},
    {"DoubleStorage", DCLS_F64, 8},   {"LongStorage", DCLS_I64, 8},   {"IntStorage", DCLS_I32, 4},
    {"ShortStorage", DCLS_I16, 2},    {"CharStorage", DCLS_I8, 1},    {"ByteStorage", DCLS_U8, 1},
    {"BoolStorage", DCLS_BOOL, 1},    {"UntypedStorage", DCLS_U8, 1}, {"ComplexFloatStorage", -1, 8},
    {"ComplexDoubleStorage", -1, 16}, {"QInt8Storage", -1, 1},        {"QUInt8Storage", -1, 1},
    {"QInt32Storage", -1, 4},
};

typedef struct dtype_name {
    const char *name;
    dcls_dtype dtype;
} dtype_name;

static const dtype_name dtype_names[] = {
    {"float32", DCLS_F32}, {"float16", DCLS_F16}, {"bfloat16", DCLS_BF16}, {"float64", DCLS_F64},
    {"int64", DCLS_I64},   {"int32", DCLS_I32},   {"int16", DCLS_I16},     {"int8", DCLS_I8},
    {"uint8", DCLS_U8},    {"bool", DCLS_BOOL},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Storages of graphics cards were once classes of torch.cuda. */
static const storage_class *find_class(const dcls_pickle_value *global)
{
    static const char *const modules[] = {"torch", "torch.storage", "torch.cuda"};
    for (size_t m = 0; m < COUNT(modules); m++)
        for (size_t i = 0; i < COUNT(storage_classes); i++)
            if (dcls_pickle_is_global(global, modules[m], storage_classes[i].name))
                return &storage_classes[i];
    return NULL;
}

/* The persistent id: ("storage", class, key, location, numel), and in the legacy form a view or None. */
static bool is_storage_id(const dcls_pickle_value *id)
{
    return id->kind == DCLS_PICKLE_TUPLE && (id->count == 5 || id->count == 6) &&
           dcls_pickle_is_text(id->items[0], "storage") && id->items[2]->kind == DCLS_PICKLE_TEXT &&
           id->items[4]->kind == DCLS_PICKLE_INT && id->items[4]->integer >= 0;
}

static dcls_status read_id(dcls_torch_reader *r, const dcls_pickle_value *persistent, dcls_torch_storage *out)
{
    char text[DCLS_PICKLE_DESCRIBE];
    const dcls_pickle_value *id = persistent->object.args;
    if (!is_storage_id(id))
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "a persistent id does not describe a storage");
    const storage_class *class = find_class(id->items[1]);
    if (!class)
        return dcls_fail(r->ctx, DCLS_ERR_UNSUPPORTED, "a storage of unknown class: %s",
                         dcls_pickle_describe(id->items[1], text, sizeof text));
    dcls_pickle_text key = id->items[2]->text;
    if (memchr(key.data, 0, key.length))
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "a storage key holds a NUL");
    out->key = dcls_arena_strndup(r->ctx, &r->names, key.data, key.length);
    if (!out->key) return DCLS_ERR_MEMORY;
    out->class_name = class->name;
    out->dtype = class->dtype;
    out->itemsize = class->itemsize;
    out->numel = (uint64_t)id->items[4]->integer;
    return DCLS_OK;
}

dcls_status dcls_torch_storage_of(dcls_torch_reader *r, const dcls_pickle_value *persistent, size_t *index)
{
    dcls_torch_storage storage = {0};
    bool found = false;
    int64_t at = 0;
    DCLS_TRY(read_id(r, persistent, &storage));
    DCLS_TRY(dcls_map_add(r->ctx, &r->by_key, storage.key, (int64_t)r->storage_count, &found, &at));
    *index = (size_t)at;
    if (found) {
        const dcls_torch_storage *known = &r->storages[at];
        if (known->class_name != storage.class_name || known->numel != storage.numel)
            return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "storage '%s' is given two types or sizes",
                             storage.key);
        return DCLS_OK;
    }
    DCLS_TRY(dcls_grow(r->ctx, &r->storages, &r->storage_capacity, r->storage_count + 1, sizeof storage));
    r->storages[r->storage_count++] = storage;
    return DCLS_OK;
}

static dcls_status load_storage(dcls_torch_reader *r, dcls_torch_storage *storage)
{
    size_t size = 0;
    unsigned char *data = NULL;
    if (storage->data) return DCLS_OK;
    if (__builtin_mul_overflow(storage->numel, storage->itemsize, &size))
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "storage '%s' has an impossible size", storage->key);
    DCLS_TRY(r->load(r, storage, size, &data));
    DCLS_TRY(dcls_tensors_own(r->ctx, r->set, data));
    storage->data = data;
    return DCLS_OK;
}

/* ---- views --------------------------------------------------------------------------------------------- */

/* A tensor as it lies in a storage; sizes, strides and offsets count elements. */
typedef struct view {
    dcls_dtype dtype;
    size_t itemsize;
    int ndim;
    int64_t shape[DCLS_MAX_DIMS], stride[DCLS_MAX_DIMS];
    uint64_t offset, storage_numel;
    const unsigned char *data; /* of the first element once the storage was loaded */
} view;

static bool is_rebuild(const dcls_pickle_value *global, const char *name)
{
    return dcls_pickle_is_global(global, "torch._utils", name);
}

bool dcls_torch_is_tensor(const dcls_pickle_value *value)
{
    static const char prefix[] = "_rebuild_";
    if (value->kind != DCLS_PICKLE_OBJECT || value->object.callable->kind != DCLS_PICKLE_GLOBAL) return false;
    const dcls_pickle_value *global = value->object.callable;
    if (dcls_pickle_is_global(global, "torch._tensor", "_rebuild_from_type_v2")) return true;
    dcls_pickle_text module = global->global.module, name = global->global.name;
    return module.length == strlen("torch._utils") &&
           memcmp(module.data, "torch._utils", module.length) == 0 && name.length >= strlen(prefix) &&
           memcmp(name.data, prefix, strlen(prefix)) == 0;
}

/* A call that rebuilds a tensor, once parameters and subclasses around it are taken off. */
typedef struct rebuild {
    const dcls_pickle_value *function, *args;
} rebuild;

/* What is wrapped is again a call, or for subclasses a function and its arguments. False when there is
 * nothing more. */
static bool unwrap(rebuild *call)
{
    const dcls_pickle_value *args = call->args;
    bool parameter = is_rebuild(call->function, "_rebuild_parameter") ||
                     is_rebuild(call->function, "_rebuild_parameter_with_state");
    if (parameter && args->count >= 1 && args->items[0]->kind == DCLS_PICKLE_OBJECT) {
        *call = (rebuild){args->items[0]->object.callable, args->items[0]->object.args};
        return true;
    }
    if (dcls_pickle_is_global(call->function, "torch._tensor", "_rebuild_from_type_v2") && args->count == 4 &&
        args->items[2]->kind == DCLS_PICKLE_TUPLE) {
        *call = (rebuild){args->items[0], args->items[2]};
        return true;
    }
    return false;
}

static dcls_status read_dtype(dcls_torch_reader *r, const dcls_pickle_value *global, view *out)
{
    char text[DCLS_PICKLE_DESCRIBE];
    for (size_t i = 0; i < COUNT(dtype_names); i++) {
        if (!dcls_pickle_is_global(global, "torch", dtype_names[i].name)) continue;
        out->dtype = dtype_names[i].dtype;
        return DCLS_OK;
    }
    return dcls_fail(r->ctx, DCLS_ERR_UNSUPPORTED, "its element type, %s, is not supported",
                     dcls_pickle_describe(global, text, sizeof text));
}

static dcls_status read_sizes(dcls_torch_reader *r, const dcls_pickle_value *from, int64_t *to, int *count)
{
    if (from->kind != DCLS_PICKLE_TUPLE && from->kind != DCLS_PICKLE_LIST)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "its sizes or strides are no tuple");
    if (from->count > DCLS_MAX_DIMS)
        return dcls_fail(r->ctx, DCLS_ERR_UNSUPPORTED, "it has %zu dimensions, at most %d are supported",
                         from->count, DCLS_MAX_DIMS);
    for (size_t i = 0; i < from->count; i++) {
        if (from->items[i]->kind != DCLS_PICKLE_INT || from->items[i]->integer < 0)
            return dcls_fail(r->ctx, DCLS_ERR_FORMAT,
                             "a size or stride of it is not a whole number from 0 on");
        to[i] = from->items[i]->integer;
    }
    *count = (int)from->count;
    return DCLS_OK;
}

/* Legacy checkpoints may give a storage as a part of another: (key, offset, numel) in elements. */
static dcls_status narrow_to_part(dcls_torch_reader *r, const dcls_pickle_value *id, view *out)
{
    if (id->count < 6 || id->items[5]->kind == DCLS_PICKLE_NONE) return DCLS_OK;
    const dcls_pickle_value *part = id->items[5];
    bool ok = part->kind == DCLS_PICKLE_TUPLE && part->count == 3 &&
              part->items[1]->kind == DCLS_PICKLE_INT && part->items[2]->kind == DCLS_PICKLE_INT &&
              part->items[1]->integer >= 0 && part->items[2]->integer >= 0;
    uint64_t begin = ok ? (uint64_t)part->items[1]->integer : 0,
             count = ok ? (uint64_t)part->items[2]->integer : 0;
    if (!ok || begin > out->storage_numel || count > out->storage_numel - begin ||
        __builtin_add_overflow(out->offset, begin, &out->offset))
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "its part of the storage is not inside the storage");
    out->storage_numel = begin + count;
    return DCLS_OK;
}

/* The element farthest from the first must lie in the storage: offset + sum (size - 1) stride < numel.
 * Strides are not negative, so nothing lies before the first. */
static dcls_status check_extent(dcls_torch_reader *r, const view *v)
{
    uint64_t last = v->offset;
    bool inside = true;
    for (int i = 0; i < v->ndim; i++) {
        uint64_t step;
        if (v->shape[i] == 0) return DCLS_OK;
        inside = inside &&
                 !__builtin_mul_overflow((uint64_t)v->shape[i] - 1, (uint64_t)v->stride[i], &step) &&
                 !__builtin_add_overflow(last, step, &last);
    }
    if (!inside || last >= v->storage_numel)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "it reaches beyond its storage of %llu elements",
                         (unsigned long long)v->storage_numel);
    return DCLS_OK;
}

/* Fills a view from a call of torch._utils._rebuild_tensor (storage, offset, size, stride), _v2 (..,
 * requires_grad, hooks, [metadata]) or _v3 (.., requires_grad, hooks, dtype, [metadata]). */
static dcls_status read_view(dcls_torch_reader *r, const rebuild *call, view *out, size_t *storage)
{
    bool v3 = is_rebuild(call->function, "_rebuild_tensor_v3"),
         v2 = is_rebuild(call->function, "_rebuild_tensor_v2");
    size_t count = call->args->count, plain = v3 ? 7 : v2 ? 6 : 4;
    dcls_pickle_value *const *args = call->args->items;
    char text[DCLS_PICKLE_DESCRIBE];
    if (!v3 && !v2 && !is_rebuild(call->function, "_rebuild_tensor"))
        return dcls_fail(r->ctx, DCLS_ERR_UNSUPPORTED, "it is of a kind that is not supported, made by %s",
                         dcls_pickle_describe(call->function, text, sizeof text));
    if (count < plain || count > plain + 1 || args[0]->kind != DCLS_PICKLE_PERSISTENT ||
        args[1]->kind != DCLS_PICKLE_INT || args[1]->integer < 0)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "its arguments are not those of a tensor");
    if (count > plain && args[plain]->count > 0)
        return dcls_fail(r->ctx, DCLS_ERR_UNSUPPORTED, "conjugate and negated views are not supported");

    int strides = 0;
    DCLS_TRY(dcls_torch_storage_of(r, args[0], storage));
    const dcls_torch_storage *s = &r->storages[*storage];
    if (s->dtype < 0)
        return dcls_fail(r->ctx, DCLS_ERR_UNSUPPORTED, "its elements (%s) are not supported", s->class_name);
    out->dtype = (dcls_dtype)s->dtype;
    out->offset = (uint64_t)args[1]->integer;
    out->storage_numel = s->numel;
    DCLS_TRY(narrow_to_part(r, args[0]->object.args, out));
    if (v3) DCLS_TRY(read_dtype(r, args[6], out));
    out->itemsize = dcls_dtype_size(out->dtype);
    if (__builtin_mul_overflow(out->storage_numel, s->itemsize, &out->storage_numel))
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "its storage has an impossible size");
    out->storage_numel /= out->itemsize;
    DCLS_TRY(read_sizes(r, args[2], out->shape, &out->ndim));
    DCLS_TRY(read_sizes(r, args[3], out->stride, &strides));
    if (strides != out->ndim)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "it has %d sizes but %d strides", out->ndim, strides);
    return check_extent(r, out);
}

/* Whether elements lie one after the other in row-major order; strides of sizes 0 and 1 do not matter. */
static bool is_contiguous(const view *v)
{
    int64_t expected = 1;
    for (int i = v->ndim; i-- > 0;) {
        if (v->shape[i] == 0) return true;
        if (v->shape[i] > 1 && v->stride[i] != expected) return false;
        expected *= v->shape[i];
    }
    return true;
}

/* Copies the view's elements in row-major order, the last dimension in the inner loop. */
static void gather(const view *v, unsigned char *to)
{
    int64_t index[DCLS_MAX_DIMS] = {0};
    int last = v->ndim - 1; /* a scalar is contiguous: there is one */
    size_t step = (size_t)v->stride[last] * v->itemsize;
    const unsigned char *row = v->data;
    for (;;) {
        for (int64_t i = 0; i < v->shape[last]; i++, to += v->itemsize)
            memcpy(to, row + (size_t)i * step, v->itemsize);
        int axis = last - 1;
        while (axis >= 0 && ++index[axis] == v->shape[axis])
            index[axis--] = 0;
        if (axis < 0) return;
        row = v->data;
        for (int i = 0; i <= axis; i++)
            row += (size_t)index[i] * (size_t)v->stride[i] * v->itemsize;
    }
}

/* Views may be expanded or share storage, so that a small file could ask for any amount of memory. */
static dcls_status copy_view(dcls_torch_reader *r, const char *name, const view *v, size_t nbytes)
{
    void *data = NULL;
    if (nbytes > r->copy_budget)
        return dcls_fail(r->ctx, DCLS_ERR_LIMIT, "its views of storages take far more memory than the file");
    r->copy_budget -= nbytes;
    DCLS_TRY(dcls_tensors_add_new(r->ctx, r->set, name, v->dtype, v->ndim, v->shape, &data));
    if (nbytes == 0) return DCLS_OK;
    if (is_contiguous(v))
        memcpy(data, v->data, nbytes);
    else
        gather(v, data);
    return DCLS_OK;
}

static dcls_status make_tensor(dcls_torch_reader *r, const char *name, const dcls_pickle_value *value)
{
    rebuild call = {value->object.callable, value->object.args};
    view v = {0};
    size_t index = 0, nbytes = 0;
    for (int i = 0; i < MAX_WRAPPING && unwrap(&call); i++)
        continue;
    DCLS_TRY(read_view(r, &call, &v, &index));
    if (!dcls_shape_bytes(v.dtype, v.ndim, v.shape, &nbytes))
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "it has an impossible size");
    DCLS_TRY(load_storage(r, &r->storages[index]));
    if (nbytes == 0) return copy_view(r, name, &v, 0);
    v.data = r->storages[index].data + v.offset * v.itemsize;
    if (!is_contiguous(&v) || (uintptr_t)v.data % 8 != 0) return copy_view(r, name, &v, nbytes);
    dcls_tensor tensor = {.name = name, .dtype = v.dtype, .ndim = v.ndim, .data = v.data};
    memcpy(tensor.shape, v.shape, sizeof tensor.shape);
    return dcls_tensors_add(r->ctx, r->set, &tensor);
}

dcls_status dcls_torch_add_tensor(dcls_torch_reader *r, const char *name, const dcls_pickle_value *value)
{
    dcls_status status = make_tensor(r, name, value);
    if (status != DCLS_OK) dcls_fail_within(r->ctx, status, "tensor '%s': ", name);
    return status;
}
