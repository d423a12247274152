/* Networks out of bytes: each byte is a choice of a program that generates a network with tensors of its own.
 */
#ifndef TESTS_NETWORK_GENERATOR_H
#define TESTS_NETWORK_GENERATOR_H

#include "graph_fuzz.h"

#include <stdio.h>

#include "base/text.h"

#define MOST_VALUES 12
#define MOST_WORK   3000000.0 /* multiply-adds of the largest network tried */

typedef struct value {
    char name[16];
    int ndim;
    int64_t size[5];
} value;

typedef struct generator {
    dcls_context *ctx;
    const uint8_t *at, *end;
    dcls_tensors *set;
    dcls_string json;
    value values[MOST_VALUES]; /* the first is the input */
    int count;
    double work;
} generator;

/* A number below n; 0 when the input is used up. */
static int pick(generator *g, int n)
{
    return g->at < g->end ? *g->at++ % n : 0;
}

static const value *last(const generator *g)
{
    return &g->values[g->count - 1];
}

/* ---- pieces of JSON ---- */

static void open_node(generator *g, const char *op)
{
    dcls_string_printf(&g->json, "%s{\"op\":\"%s\",\"name\":\"n%d\"", g->count > 1 ? "," : "", op, g->count);
}

static void close_node(generator *g, const value *out)
{
    dcls_string_puts(&g->json, "}");
    g->values[g->count] = *out;
    snprintf(g->values[g->count].name, sizeof out->name, "n%d", g->count);
    g->count++;
}

static void write_list(generator *g, const char *key, int n, const int64_t *list)
{
    dcls_string_printf(&g->json, ",\"%s\":[", key);
    for (int i = 0; i < n; i++)
        dcls_string_printf(&g->json, "%s%d", i > 0 ? "," : "", (int)list[i]);
    dcls_string_puts(&g->json, "]");
}

/* A tensor of random numbers scale * (-1 .. 1) + shift under the key `slot` of the current node. */
static void write_tensor(generator *g, const char *slot, int ndim, const int64_t *shape, float scale,
                         float shift)
{
    char name[32];
    void *data;
    int64_t count = 0;
    snprintf(name, sizeof name, "n%d.%s", g->count, slot);
    if (!dcls_shape_count(ndim, shape, &count)) abort();
    if (dcls_tensors_add_new(g->ctx, g->set, name, DCLS_F32, ndim, shape, &data) != DCLS_OK) abort();
    float *numbers = data;
    fuzz_fill(numbers, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        numbers[i] = numbers[i] * scale + shift;
    dcls_string_printf(&g->json, ",\"%s\":\"%s\"", slot, name);
}

/* ---- windows ---- */

typedef struct window {
    int64_t kernel[3], stride[3], padding[3], dilation[3];
    bool ceil_mode;
} window;

/* The shape behind a window; false when it does not fit. */
static bool slide(const value *in, const window *w, value *out)
{
    *out = *in;
    for (int i = 0; i < in->ndim - 2; i++) {
        const int64_t room = in->size[i + 2] + 2 * w->padding[i] - w->dilation[i] * (w->kernel[i] - 1) - 1;
        if (room < 0) return false;
        out->size[i + 2] = room / w->stride[i] + 1;
        if (w->ceil_mode && room % w->stride[i] > 0 &&
            out->size[i + 2] * w->stride[i] < in->size[i + 2] + w->padding[i])
            out->size[i + 2]++;
    }
    return true;
}

static void count_work(generator *g, const value *out, const window *w, int64_t per_cell)
{
    double work = (double)per_cell;
    for (int i = 0; i < out->ndim; i++)
        work *= (double)out->size[i];
    for (int i = 0; i < out->ndim - 2; i++)
        work *= (double)w->kernel[i];
    g->work += work;
}

static void write_window(generator *g, int n, const window *w, bool dilation)
{
    write_list(g, "stride", n, w->stride);
    write_list(g, "padding", n, w->padding);
    if (dilation) write_list(g, "dilation", n, w->dilation);
}

static void write_pad_mode(generator *g, const value *in, const window *w)
{
    static const char *const MODES[] = {"zeros", "reflect", "replicate", "circular"};
    const int mode = pick(g, 4);
    for (int i = 0; i < in->ndim - 2; i++)
        if (w->padding[i] >= in->size[i + 2]) return;
    dcls_string_printf(&g->json, ",\"padding_mode\":\"%s\"", MODES[mode]);
}

/* ---- nodes: each adds one if it fits what is there ---- */

static int64_t pick_groups(generator *g, int64_t in, int64_t *out)
{
    static const int64_t FACTORS[] = {1, 2, 3, 4};
    const int64_t groups = pick(g, 2) ? in : FACTORS[pick(g, 4)];
    if (in % groups != 0) return 1;
    *out = groups * (1 + pick(g, groups == in ? 2 : 3));
    return groups;
}

static void add_conv(generator *g)
{
    const value in = *last(g);
    value out;
    window w;
    int64_t channels = 1 + pick(g, 6);
    const int n = in.ndim - 2;
    if (n < 1) return;
    const int64_t groups = pick_groups(g, in.size[1], &channels);
    for (int i = 0; i < n; i++) {
        w.kernel[i] = 1 + pick(g, 4);
        w.stride[i] = 1 + pick(g, 3);
        w.padding[i] = pick(g, 4);
        w.dilation[i] = 1 + pick(g, 3);
    }
    w.ceil_mode = false;
    if (!slide(&in, &w, &out)) return;
    out.size[1] = channels;
    count_work(g, &out, &w, in.size[1] / groups);
    open_node(g, "conv");
    const int64_t shape[] = {channels, in.size[1] / groups, w.kernel[0], w.kernel[1], w.kernel[2]};
    write_tensor(g, "weight", n + 2, shape, 0.5f, 0);
    if (pick(g, 2)) write_tensor(g, "bias", 1, &channels, 1, 0);
    write_window(g, n, &w, true);
    write_pad_mode(g, &in, &w);
    dcls_string_printf(&g->json, ",\"groups\":%d", (int)groups);
    close_node(g, &out);
}

/* Weight, P and SIG of a layer whose positions have `positions` dimensions and whose kernel has `dense` plain
 * ones. */
static void write_elements(generator *g, int64_t channels, int64_t per_group, int positions, int dense,
                           const window *w, bool spread)
{
    const int64_t elements = 1 + pick(g, 6);
    const bool shared = pick(g, 3) == 0;
    int64_t shape[8] = {0}, shape_P[8] = {positions};
    int ndim = 0;
    shape[ndim++] = channels;
    shape[ndim++] = per_group;
    for (int i = 0; i < dense; i++)
        shape[ndim++] = w->kernel[i];
    shape[ndim++] = elements;
    memcpy(shape_P + 1, shape + (shared ? 1 : 0), (size_t)(ndim - shared) * sizeof shape[0]);
    write_tensor(g, "weight", ndim, shape, 0.7f, 0);
    write_tensor(g, "P", ndim + 1 - shared, shape_P, 0.5f + (float)pick(g, 6), 0);
    if (spread) write_tensor(g, "SIG", ndim + 1 - shared, shape_P, 1, 0);
}

static void add_dcls(generator *g)
{
    static const char *const VERSIONS[] = {"v0", "v1", "max", "gauss"};
    const value in = *last(g);
    value out;
    window w = {.stride = {1, 1, 1}, .dilation = {1, 1, 1}};
    int64_t channels = 1 + pick(g, 6);
    const int n = in.ndim - 2, version = pick(g, 4), kind = n == 1 ? 0 : pick(g, 4), flat = pick(g, 2);
    if (n < 1) return;
    const bool dense = kind == 1 && version != 0, thin = kind == 2 && n == 2; /* 2_1d or 3_1d; 2dK1d */
    const int64_t groups = pick_groups(g, in.size[1], &channels);
    for (int i = 0; i < n; i++) {
        w.kernel[i] = dense && i < n - 1 ? 1 + pick(g, 3) : thin && i != flat ? 1 : 1 + pick(g, 9);
        w.stride[i] = 1 + pick(g, 5) / 4;
        w.padding[i] = pick(g, 3) ? w.kernel[i] / 2 : pick(g, 4);
    }
    if (!slide(&in, &w, &out)) return;
    out.size[1] = channels;
    count_work(g, &out, &w, in.size[1] / groups);
    open_node(g, "dcls");
    write_elements(g, channels, in.size[1] / groups, dense || thin ? 1 : n, dense ? n - 1 : 0, &w,
                   version >= 2);
    if (pick(g, 2)) write_tensor(g, "bias", 1, &channels, 1, 0);
    dcls_string_printf(&g->json, ",\"version\":\"%s\",\"groups\":%d,\"layer\":\"%s\",\"flat_dim\":%d",
                       VERSIONS[version], (int)groups,
                       thin     ? "2dK1d"
                       : !dense ? "dcls"
                       : n == 2 ? "2_1d"
                                : "3_1d",
                       flat);
    write_list(g, "dilated_kernel_size", dense || thin ? 1 : n,
               dense  ? &w.kernel[n - 1]
               : thin ? &w.kernel[flat]
                      : w.kernel);
    write_window(g, n, &w, false);
    write_pad_mode(g, &in, &w);
    close_node(g, &out);
}

static void add_pool(generator *g)
{
    const value in = *last(g);
    value out;
    window w = {.dilation = {1, 1, 1}};
    const int n = in.ndim - 2;
    const bool max = pick(g, 2) == 0;
    if (n < 1) return;
    w.ceil_mode = pick(g, 2);
    for (int i = 0; i < n; i++) {
        w.kernel[i] = 1 + pick(g, 4);
        w.stride[i] = 1 + pick(g, 4);
        w.padding[i] = pick(g, (int)(w.kernel[i] / 2) + 1);
        if (max) w.dilation[i] = 1 + pick(g, 2);
    }
    if (!slide(&in, &w, &out)) return;
    open_node(g, max ? "max_pool" : "avg_pool");
    write_list(g, "kernel_size", n, w.kernel);
    write_window(g, n, &w, max);
    dcls_string_printf(&g->json, ",\"ceil_mode\":%s", w.ceil_mode ? "true" : "false");
    if (!max) dcls_string_printf(&g->json, ",\"count_include_pad\":%s", pick(g, 2) ? "true" : "false");
    close_node(g, &out);
}

static void add_norm(generator *g)
{
    const value in = *last(g);
    const bool batch = pick(g, 2) == 0, affine = pick(g, 2);
    open_node(g, batch ? "batch_norm" : "layer_norm");
    if (affine) write_tensor(g, "weight", 1, &in.size[1], 1, 0.2f);
    if (affine && pick(g, 2)) write_tensor(g, "bias", 1, &in.size[1], 1, 0);
    if (batch) write_tensor(g, "running_mean", 1, &in.size[1], 1, 0);
    if (batch) write_tensor(g, "running_var", 1, &in.size[1], 0.5f, 1);
    close_node(g, &in);
}

static void add_plain(generator *g)
{
    static const char *const OPS[] = {"relu",    "gelu",      "sigmoid",  "softmax",
                                      "dropout", "drop_path", "identity", "gelu"};
    const value in = *last(g);
    const int op = pick(g, 8);
    open_node(g, OPS[op]);
    if (op == 7) dcls_string_puts(&g->json, ",\"approximate\":\"tanh\"");
    close_node(g, &in);
}

static void add_scale(generator *g)
{
    const value in = *last(g);
    open_node(g, "layer_scale");
    write_tensor(g, "weight", 1, &in.size[1], 1, 0.5f);
    close_node(g, &in);
}

static bool one_pixel(const value *v)
{
    for (int i = 2; i < v->ndim; i++)
        if (v->size[i] != 1) return false;
    return true;
}

static void add_pair(generator *g)
{
    const value a = *last(g), b = g->values[pick(g, g->count)];
    const bool same = dcls_shape_equal(a.ndim, a.size, b.ndim, b.size);
    const bool mixed = a.ndim == b.ndim && a.size[1] == b.size[1] && (one_pixel(&a) || one_pixel(&b));
    if (!same && !mixed) return;
    const bool swap = pick(g, 2);
    open_node(g, pick(g, 3) ? "add" : "mul");
    dcls_string_printf(&g->json, ",\"inputs\":[\"%s\",\"%s\"]", swap ? b.name : a.name,
                       swap ? a.name : b.name);
    close_node(g, one_pixel(&a) ? &b : &a);
}

static void add_concat(generator *g)
{
    value out = *last(g);
    const int inputs = 1 + pick(g, 3);
    dcls_string list = {0};
    dcls_string_printf(&list, "\"%s\"", out.name);
    for (int i = 0; i < inputs; i++) {
        const value *other = &g->values[pick(g, g->count)];
        bool fits = other->ndim == out.ndim && out.size[1] + other->size[1] <= 64;
        for (int d = 2; fits && d < out.ndim; d++)
            fits = other->size[d] == out.size[d];
        if (!fits) continue;
        dcls_string_printf(&list, ",\"%s\"", other->name);
        out.size[1] += other->size[1];
    }
    open_node(g, "concat");
    dcls_string_printf(&g->json, ",\"inputs\":[%s]", list.data);
    close_node(g, &out);
    dcls_string_free(&list);
}

static void add_reduce(generator *g)
{
    value out = *last(g);
    const int kind = pick(g, 3);
    const bool flatten = kind < 2 && pick(g, 2);
    if (out.ndim == 2) return;
    open_node(g, kind == 0 ? "global_avg_pool" : kind == 1 ? "global_max_pool" : "flatten");
    if (flatten) dcls_string_puts(&g->json, ",\"flatten\":true");
    for (int i = 2; i < out.ndim; i++) {
        if (kind == 2) out.size[1] *= out.size[i];
        out.size[i] = 1;
    }
    if (kind == 2 || flatten) out.ndim = 2;
    close_node(g, &out);
}

static void add_linear(generator *g)
{
    value out = *last(g);
    if (out.ndim != 2 || out.size[1] > 4096) return;
    const int64_t shape[] = {1 + pick(g, 9), out.size[1]};
    open_node(g, "linear");
    write_tensor(g, "weight", 2, shape, 0.5f, 0);
    if (pick(g, 2)) write_tensor(g, "bias", 1, shape, 1, 0);
    out.size[1] = shape[0];
    close_node(g, &out);
}

static void add_resize(generator *g)
{
    const value in = *last(g), like = g->values[pick(g, g->count)];
    value out = in;
    const bool linear = pick(g, 2), corners = pick(g, 2), sized = pick(g, 2);
    if (in.ndim == 2) return;
    if (!sized && like.ndim == 2) return;
    open_node(g, "resize");
    dcls_string_printf(&g->json, ",\"mode\":\"%s\"", linear ? "bilinear" : "nearest");
    if (linear && corners) dcls_string_puts(&g->json, ",\"align_corners\":true");
    for (int i = 2; i < in.ndim; i++)
        out.size[i] = sized ? 1 + pick(g, 16) : like.size[i];
    if (sized)
        write_list(g, "size", in.ndim - 2, out.size + 2);
    else
        dcls_string_printf(&g->json, ",\"inputs\":[\"%s\",\"%s\"]", in.name, like.name);
    close_node(g, &out);
}

/* ---- the network ---- */

static void start(generator *g)
{
    static const char *const AXES[] = {"depth", "height", "width"};
    value *input = &g->values[0];
    const int n = 1 + (pick(g, 8) + 4) / 5 % 3; /* mostly pictures */
    *input = (value){.name = "input", .ndim = n + 2, .size = {1 + pick(g, 3), 1 + pick(g, 6)}};
    dcls_string_printf(&g->json, "{\"input\":{\"channels\":%d", (int)input->size[1]);
    for (int i = 0; i < n; i++) {
        input->size[i + 2] = 1 + pick(g, n == 3 ? 7 : 20);
        dcls_string_printf(&g->json, ",\"%s\":\"any\"", AXES[i + 3 - n]);
    }
    dcls_string_puts(&g->json, "},\"nodes\":[");
    g->count = 1;
}

/* Joins what nobody uses, so that the network has one output: all are pooled to pixels and concatenated. */
static void finish(generator *g, const bool *used)
{
    dcls_string list = {0};
    int loose = 0;
    const int made = g->count;
    for (int i = 1; i < made; i++) {
        if (used[i]) continue;
        const char *name = g->values[i].name;
        if (g->values[i].ndim > 2) {
            dcls_string_printf(
                &g->json,
                ",{\"op\":\"global_avg_pool\",\"flatten\":true,\"name\":\"%s.pool\",\"inputs\":\"%s\"}", name,
                name);
            dcls_string_printf(&list, "%s\"%s.pool\"", loose > 0 ? "," : "", name);
        } else {
            dcls_string_printf(&list, "%s\"%s\"", loose > 0 ? "," : "", name);
        }
        loose++;
    }
    if (loose > 1)
        dcls_string_printf(&g->json, ",{\"op\":\"concat\",\"name\":\"all\",\"inputs\":[%s]}", list.data);
    dcls_string_puts(&g->json, "]}");
    dcls_string_free(&list);
}

/* Every node takes the value before it, so only jumps leave something unused. */
static bool generate(generator *g)
{
    typedef void add_fn(generator *);
    static add_fn *const ADD[] = {add_conv,   add_dcls, add_pool,   add_norm,   add_plain,
                                  add_scale,  add_pair, add_concat, add_reduce, add_linear,
                                  add_resize, add_dcls, add_conv,   add_plain};
    bool used[MOST_VALUES] = {false};
    start(g);
    while (g->at < g->end && g->count < MOST_VALUES - 1 && g->work < MOST_WORK) {
        const int before = g->count;
        ADD[pick(g, (int)(sizeof ADD / sizeof ADD[0]))](g);
        if (g->count > before) used[before - 1] = true;
    }
    finish(g, used);
    return g->count > 1 && g->work < MOST_WORK;
}

#endif
