/* NumPy's .npy: a magic number, the format's version, the length of a header, the header as a Python literal
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 * padded with spaces, and the elements. */
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "base/text.h"
#include "formats/formats.h"
#include "formats/little_endian.h"

#define MAGIC        "\x93NUMPY"
#define MAGIC_LENGTH 6
#define ALIGNMENT    64 /* of the data in a file NumPy writes */
#define TENSOR_NAME  "array"

static const struct {
    const char *code;
    dcls_dtype dtype;
} descrs[] = {{"f4", DCLS_F32}, {"f2", DCLS_F16}, {"f8", DCLS_F64}, {"i8", DCLS_I64}, {"i4", DCLS_I32},
              {"i2", DCLS_I16}, {"i1", DCLS_I8},  {"u1", DCLS_U8},  {"b1", DCLS_BOOL}};

typedef struct npy {
    dcls_tensor tensor; /* dtype and shape */
    bool fortran, big_endian;
    const unsigned char *data;
    size_t size; /* of data */
} npy;

/* ---- header: the little of Python's syntax that NumPy writes ---- */

typedef struct parser {
    dcls_context *ctx;
    const char *at, *end;
} parser;

static dcls_status fail_header(parser *p, const char *what)
{
    return dcls_fail(p->ctx, DCLS_ERR_FORMAT, ".npy header: %s", what);
}

static void skip_space(parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static bool accept(parser *p, const char *word)
{
    size_t length = strlen(word);
    skip_space(p);
    if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length) != 0) return false;
    p->at += length;
    return true;
}

/* A string without escapes, in either kind of quotes, into text of size bytes. */
static bool parse_string(parser *p, char *text, size_t size)
{
    skip_space(p);
    if (p->at == p->end || (*p->at != '\'' && *p->at != '"')) return false;
    const char *first = p->at + 1, *last = memchr(first, *p->at, (size_t)(p->end - first));
    if (last == NULL || (size_t)(last - first) >= size) return false;
    memcpy(text, first, (size_t)(last - first));
    text[last - first] = '\0';
    p->at = last + 1;
    return strlen(text) == (size_t)(last - first) && strchr(text, '\\') == NULL;
}

static bool parse_size(parser *p, int64_t *out)
{
    char text[20];
    size_t length = 0;
    skip_space(p);
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9' && length < sizeof text - 1)
        text[length++] = *p->at++;
    text[length] = '\0';
    accept(p, "L"); /* Python 2 marks long integers */
    return dcls_parse_int(text, out);
}

/* A tuple: (), (3,) or (3, 4). */
static dcls_status parse_shape(parser *p, npy *n)
{
    dcls_tensor *t = &n->tensor;
    bool comma = true;
    if (!accept(p, "(")) return fail_header(p, "'shape' is no tuple");
    while (!accept(p, ")")) {
        if (!comma) return fail_header(p, "'shape' is malformed");
        if (t->ndim == DCLS_MAX_DIMS)
            return dcls_fail(p->ctx, DCLS_ERR_UNSUPPORTED, "more than %d dimensions", DCLS_MAX_DIMS);
        if (!parse_size(p, &t->shape[t->ndim++])) return fail_header(p, "'shape' is malformed");
        comma = accept(p, ",");
    }
    if (t->ndim == 1 && !comma) return fail_header(p, "'shape' is no tuple");
    return DCLS_OK;
}

static dcls_status fail_descr(parser *p, const char *descr)
{
    return dcls_fail(p->ctx, DCLS_ERR_UNSUPPORTED,
                     "dtype '%s' is not supported (float16 to 64, int8 to 64, uint8 and bool are)", descr);
}

static dcls_status parse_descr(parser *p, npy *n)
{
    char descr[16];
    if (accept(p, "[")) return dcls_fail(p->ctx, DCLS_ERR_UNSUPPORTED, "arrays of records are not supported");
    if (!parse_string(p, descr, sizeof descr)) return fail_header(p, "'descr' is malformed");
    const char *code = descr + (descr[0] != '\0' && strchr("<>|=", descr[0]) != NULL);
    for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++) {
        if (strcmp(code, descrs[i].code) != 0) continue;
        n->tensor.dtype = descrs[i].dtype;
        n->big_endian = descr[0] == '>';
        if (descr[0] == '|' && dcls_dtype_size(n->tensor.dtype) > 1) break;
        return DCLS_OK;
    }
    return fail_descr(p, descr);
}

static dcls_status parse_order(parser *p, npy *n)
{
    n->fortran = accept(p, "True");
    return n->fortran || accept(p, "False") ? DCLS_OK
                                            : fail_header(p, "'fortran_order' is neither True nor False");
}

static dcls_status parse_header(parser *p, npy *n)
{
    static const struct {
        const char *key;
        dcls_status (*parse)(parser *p, npy *n);
    } members[] = {{"descr", parse_descr}, {"fortran_order", parse_order}, {"shape", parse_shape}};
    unsigned seen = 0;
    bool comma = true;
    if (!accept(p, "{")) return fail_header(p, "is no dictionary");
    while (!accept(p, "}")) {
        char key[16];
        size_t m = 0;
        if (!comma || !parse_string(p, key, sizeof key) || !accept(p, ":"))
            return fail_header(p, "is malformed");
        while (m < 3 && strcmp(key, members[m].key) != 0)
            m++;
        if (m == 3) return dcls_fail(p->ctx, DCLS_ERR_FORMAT, ".npy header: unknown key '%s'", key);
        if (seen & 1u << m) return dcls_fail(p->ctx, DCLS_ERR_FORMAT, ".npy header: '%s' appears twice", key);
        seen |= 1u << m;
        DCLS_TRY(members[m].parse(p, n));
        comma = accept(p, ",");
    }
    if (seen != 7) return fail_header(p, "'descr', 'fortran_order' or 'shape' is missing");
    skip_space(p);
    return p->at == p->end ? DCLS_OK : fail_header(p, "something follows the dictionary");
}

/* Finds header and data and reads the former. */
static dcls_status parse_file(dcls_context *ctx, const dcls_bytes *bytes, npy *n)
{
    const unsigned char *data = bytes->data;
    if (bytes->size < MAGIC_LENGTH + 4 || memcmp(data, MAGIC, MAGIC_LENGTH) != 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "no .npy file, or a truncated one");
    int version = data[MAGIC_LENGTH], length_bytes = version == 1 ? 2 : 4;
    if (version < 1 || version > 3)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "version %d of the .npy format", version);
    size_t start = MAGIC_LENGTH + 2 + (size_t)length_bytes;
    if (bytes->size < start) return dcls_fail(ctx, DCLS_ERR_FORMAT, "truncated .npy header");
    size_t length = (size_t)dcls_little_endian(data + MAGIC_LENGTH + 2, length_bytes);
    if (length > bytes->size - start)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, ".npy header of %zu bytes, but only %zu follow (truncated?)",
                         length, bytes->size - start);
    parser p = {.ctx = ctx, .at = (const char *)data + start, .end = (const char *)data + start + length};
    n->data = data + start + length;
    n->size = bytes->size - start - length;
    return parse_header(&p, n);
}

static dcls_status check_size(dcls_context *ctx, npy *n)
{
    dcls_tensor *t = &n->tensor;
    char text[DCLS_SHAPE_TEXT];
    dcls_shape_text(text, sizeof text, t->ndim, t->shape);
    if (!dcls_shape_bytes(t->dtype, t->ndim, t->shape, &t->nbytes))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "shape %s is too large", text);
    if (t->nbytes != n->size)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "shape %s of %s takes %zu bytes, but there are %zu%s", text,
                         dcls_dtype_name(t->dtype), t->nbytes, n->size,
                         n->size < t->nbytes ? " (truncated?)" : "");
    return DCLS_OK;
}

/* ---- data ---- */

/* One element of `size` bytes, little-endian whatever it was. */
static void copy_element(unsigned char *to, const unsigned char *from, size_t size, bool reverse)
{
    if (!reverse) {
        memcpy(to, from, size);
        return;
    }
    for (size_t i = 0; i < size; i++)
        to[i] = from[size - 1 - i];
}

/* Walks the array in row-major order; from follows with the strides of the order in the file. */
static void copy_data(const npy *n, unsigned char *to)
{
    const dcls_tensor *t = &n->tensor;
    size_t size = dcls_dtype_size(t->dtype), stride[DCLS_MAX_DIMS] = {0}, step = size;
    int64_t index[DCLS_MAX_DIMS] = {0};
    const unsigned char *from = n->data;
    for (int i = 0; i < t->ndim; i++) {
        int d = n->fortran ? i : t->ndim - 1 - i;
        stride[d] = step;
        step *= (size_t)t->shape[d];
    }
    for (size_t done = 0; done < t->nbytes; done += size) {
        copy_element(to + done, from, size, n->big_endian);
        for (int d = t->ndim - 1; d >= 0; d--) {
            from += stride[d];
            if (++index[d] < t->shape[d]) break;
            from -= stride[d] * (size_t)index[d];
            index[d] = 0;
        }
    }
}

/* The tensor of set, in place where the file allows it; *in_place tells. */
static dcls_status add_array(dcls_context *ctx, npy *n, dcls_tensors *set, bool *in_place)
{
    dcls_tensor *t = &n->tensor;
    void *copy;
    bool plain = !n->big_endian && (!n->fortran || t->ndim < 2);
    *in_place = plain && (uintptr_t)n->data % DCLS_TENSOR_ALIGNMENT == 0;
    t->name = TENSOR_NAME;
    t->data = n->data;
    if (*in_place) return dcls_tensors_add(ctx, set, t);
    DCLS_TRY(dcls_tensors_add_new(ctx, set, t->name, t->dtype, t->ndim, t->shape, &copy));
    if (plain)
        memcpy(copy, n->data, t->nbytes);
    else
        copy_data(n, copy);
    return DCLS_OK;
}

static dcls_status read_set(dcls_context *ctx, const dcls_bytes *bytes, dcls_tensors *set, bool *in_place)
{
    npy n = {0};
    DCLS_TRY(parse_file(ctx, bytes, &n));
    DCLS_TRY(check_size(ctx, &n));
    return add_array(ctx, &n, set, in_place);
}

dcls_status dcls_npy_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out)
{
    dcls_tensors *set;
    bool in_place = false;
    *out = NULL;
    dcls_status status = dcls_tensors_create(ctx, "npy", &set);
    if (status == DCLS_OK) status = read_set(ctx, bytes, set, &in_place);
    if (status == DCLS_OK && in_place)
        status = dcls_tensors_own(ctx, set, bytes->data);
    else
        free(bytes->data);
    *bytes = (dcls_bytes){0};
    if (status == DCLS_OK)
        *out = set;
    else
        dcls_tensors_destroy(set);
    return status;
}

/* ---- writing ---- */

static const char *descr_code(dcls_dtype dtype)
{
    size_t i = 0;
    while (descrs[i].dtype != dtype)
        i++;
    return descrs[i].code;
}

static void put_header(const dcls_tensor *tensor, dcls_dtype dtype, dcls_output *output)
{
    char text[320]; /* 8 sizes of 19 digits and the words fit */
    char endian = dcls_dtype_size(dtype) > 1 ? '<' : '|';
    int used = snprintf(text, sizeof text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", endian,
                        descr_code(dtype));
    for (int d = 0; d < tensor->ndim; d++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%lld%s", (long long)tensor->shape[d],
                         tensor->ndim == 1      ? ","
                         : d + 1 < tensor->ndim ? ", "
                                                : "");
    used += snprintf(text + used, sizeof text - (size_t)used, "), }");
    int before = MAGIC_LENGTH + 4;
    int length = (before + used + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - before; /* newline included */
    const unsigned char numbers[] = {1, 0, (unsigned char)length, (unsigned char)(length >> 8)};
    dcls_output_write(output, MAGIC, MAGIC_LENGTH);
    dcls_output_write(output, numbers, sizeof numbers);
    dcls_output_printf(output, "%-*s\n", length - 1, text);
}

/* NumPy has no BF16; F32 holds the same values. */
static void put_widened(const dcls_tensor *tensor, dcls_output *output)
{
    const unsigned char *data = tensor->data;
    for (size_t at = 0; at < tensor->nbytes; at += dcls_dtype_size(tensor->dtype)) {
        float value;
        dcls_to_float(tensor->dtype, data + at, &value, 1);
        dcls_output_write(output, &value, sizeof value);
    }
}

dcls_status dcls_npy_write(dcls_context *ctx, const dcls_tensors *set, const char *path)
{
    dcls_output *output;
    if (set->count != 1)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, ".npy holds exactly one tensor, and there are %zu",
                         set->count);
    const dcls_tensor *tensor = &set->items[0];
    bool widen = tensor->dtype == DCLS_BF16;
    DCLS_TRY(dcls_output_open(ctx, path, &output));
    put_header(tensor, widen ? DCLS_F32 : tensor->dtype, output);
    if (widen)
        put_widened(tensor, output);
    else
        dcls_output_write(output, tensor->data, tensor->nbytes);
    return dcls_output_commit(ctx, output);
}
