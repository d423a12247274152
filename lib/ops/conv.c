/* The common life of the convolution algorithms. */
#include "ops/conv.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "ops/conv_internal.h"

#define MAX_THREADS 1024

/* Largest size, stride, dilation, padding, and largest reach of a window: sums of four of these and products
 * of two fit easily. */
#define MAX_SIZE ((int64_t)1 << 29)

/* A task shorter than this (about two microseconds) is not worth handing out. */
#define TASK_MACS 131072

static dcls_status too_large(dcls_context *ctx)
{
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "the sizes of this convolution are too large");
}

static bool sizes_positive(const dcls_geometry *g)
{
    bool positive = g->batch > 0 && g->in_channels > 0 && g->out_channels > 0 && g->groups > 0;
    for (int d = 0; d < 3; d++)
        positive = positive && g->in[d] > 0 && g->out[d] > 0 && g->kernel[d] > 0 && g->stride[d] > 0 &&
                   g->dilation[d] > 0;
    return positive;
}

static bool small_enough(int64_t size)
{
    return size <= MAX_SIZE;
}

/* Sizes one by one, then the span of input coordinates along every dimension and their product, which bounds
 * every offset within a channel. */
static bool coordinates_fit(const dcls_geometry *g)
{
    int64_t volume = 64; /* room for paddings on both sides of every dimension */
    for (int d = 0; d < 3; d++) {
        if (!small_enough(g->in[d]) || !small_enough(g->out[d]) || !small_enough(g->kernel[d])) return false;
        if (!small_enough(g->stride[d]) || !small_enough(g->dilation[d])) return false;
        if (!small_enough(g->pad[d]) || g->pad[d] < -MAX_SIZE) return false;
        int64_t steps = (g->out[d] - 1) * g->stride[d], window = (g->kernel[d] - 1) * g->dilation[d];
        if (!small_enough(steps) || !small_enough(window)) return false;
        int64_t span = g->in[d] + steps + window + llabs(g->pad[d]) + 1;
        if (!dcls_mul_i64(volume, span, &volume)) return false;
    }
    return true;
}

static bool tensor_fits(int64_t a, int64_t b, int64_t c)
{
    int64_t count;
    return dcls_mul_i64(a, b, &count) && dcls_mul_i64(count, c, &count) &&
           count <= PTRDIFF_MAX / (int64_t)sizeof(float);
}

dcls_status dcls_conv_check(dcls_context *ctx, const dcls_geometry *g)
{
    if (!sizes_positive(g))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a size of this convolution is not positive");
    if (g->in_channels % g->groups || g->out_channels % g->groups)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "channels (%lld in, %lld out) do not divide into %lld groups",
                         (long long)g->in_channels, (long long)g->out_channels, (long long)g->groups);
    bool fits = small_enough(g->in_channels) && small_enough(g->out_channels) && coordinates_fit(g) &&
                tensor_fits(g->batch, g->in_channels, dcls_volume(g->in)) &&
                tensor_fits(g->batch, g->out_channels, dcls_volume(g->out)) &&
                tensor_fits(g->out_channels, g->in_channels / g->groups, dcls_volume(g->kernel)) &&
                dcls_volume(g->kernel) <= INT32_MAX; /* cells of taps */
    return fits ? DCLS_OK : too_large(ctx);
}

void *dcls_conv_allocate(dcls_context *ctx, size_t size, const dcls_conv_method *method,
                         const dcls_geometry *g, const dcls_epilogue *epilogue)
{
    dcls_conv *conv = dcls_alloc_zero(ctx, 1, size);
    if (conv == NULL) return NULL;
    conv->method = *method;
    conv->g = *g;
    if (epilogue != NULL) conv->epilogue = *epilogue;
    conv->in_volume = dcls_volume(g->in);
    conv->out_volume = dcls_volume(g->out);
    return conv;
}

dcls_status dcls_conv_finish(dcls_conv *conv, dcls_status status, dcls_conv **out)
{
    if (status != DCLS_OK) {
        dcls_conv_destroy(conv);
        conv = NULL;
    }
    *out = conv;
    return status;
}

void *dcls_conv_pack(dcls_context *ctx, dcls_conv *conv, int64_t count, size_t size)
{
    void *memory = dcls_alloc(ctx, (size_t)count, size);
    if (memory != NULL) conv->packed_bytes += (size_t)count * size;
    return memory;
}

/* Rounded up to whole cache lines, so that every part of the workspace starts on one. */
static bool workspace_part(size_t floats, size_t *out)
{
    if (!dcls_add_size(floats, 15, &floats)) return false;
    *out = floats / 16 * 16;
    return true;
}

dcls_status dcls_conv_set_work(dcls_context *ctx, dcls_conv *conv, dcls_conv_work work)
{
    size_t bytes;
    bool fits = workspace_part(work.shared_floats, &conv->shared_floats) &&
                workspace_part(work.scratch_floats, &conv->scratch_floats) &&
                dcls_add_size(conv->scratch_floats, dcls_floats_apart(1), &bytes) &&
                dcls_mul_size(bytes, MAX_THREADS, &bytes) &&
                dcls_add_size(bytes, conv->shared_floats, &bytes) &&
                dcls_mul_size(bytes, sizeof(float), &bytes);
    if (!fits) return too_large(ctx);
    conv->units = work.units;
    conv->macs = work.total_macs;
    conv->bundle = dcls_min_i64(work.units, (int64_t)(TASK_MACS / (work.macs + 1)) + 1);
    return DCLS_OK;
}

void dcls_conv_cell(const dcls_geometry *g, int64_t cell, int64_t shift[3])
{
    const int64_t k[3] = {cell / (g->kernel[1] * g->kernel[2]), cell / g->kernel[2] % g->kernel[1],
                          cell % g->kernel[2]};
    for (int d = 0; d < 3; d++)
        shift[d] = k[d] * g->dilation[d] - g->pad[d];
}

bool dcls_conv_shift(const dcls_geometry *g, int64_t cell, int64_t shift[3])
{
    bool reaches = true;
    dcls_conv_cell(g, cell, shift);
    for (int d = 0; d < 3; d++) {
        int64_t first =
            shift[d] < 0 ? dcls_ceil_div(-shift[d], g->stride[d]) : 0; /* y with y * stride + shift >= 0 */
        reaches = reaches && first < g->out[d] && first * g->stride[d] + shift[d] < g->in[d];
    }
    return reaches;
}

float *dcls_conv_target(const dcls_conv_pass *pass, int64_t plane, int64_t pixel, float *scratch)
{
    return pass->in_place ? scratch : pass->out + plane * pass->conv->out_volume + pixel;
}

void dcls_conv_complete(const dcls_conv_pass *pass, int64_t plane, int64_t pixel, float *y, int64_t n)
{
    const dcls_conv *conv = pass->conv;
    int64_t at = plane * conv->out_volume + pixel;
    const float *residual = pass->residual != NULL ? pass->residual + at : NULL;
    dcls_epilogue_apply(pass->simd, &conv->epilogue, plane % conv->g.out_channels, y, residual, n);
    if (pass->in_place) memcpy(pass->out + at, y, (size_t)n * sizeof *y);
}

void dcls_conv_finish_rows(const dcls_conv_pass *pass, int64_t plane, int64_t rows, int64_t pixel,
                           int64_t pixels, const float *x, int64_t x_stride)
{
    const dcls_conv *conv = pass->conv;
    const dcls_epilogue *e = &conv->epilogue;
    const int64_t at = plane * conv->out_volume + pixel, channel = plane % conv->g.out_channels;
    const dcls_finish f = {.rows = rows,
                           .pixels = pixels,
                           .x = x,
                           .x_stride = x_stride,
                           .y = pass->out + at,
                           .residual = pass->residual != NULL ? pass->residual + at : NULL,
                           .stride = conv->out_volume,
                           .bias = e->bias != NULL ? e->bias + channel : NULL,
                           .scale = e->scale != NULL ? e->scale + channel : NULL,
                           .shift = e->scale != NULL ? e->shift + channel : NULL,
                           .activation = e->activation,
                           .activation2 = e->activation2};
    pass->simd->finish(&f);
}

static int64_t task_count(const dcls_conv *conv)
{
    return dcls_ceil_div(conv->units, conv->bundle);
}

static int64_t worker_count(const dcls_conv *conv, int threads)
{
    return dcls_max_i64(1, dcls_min_i64(threads, task_count(conv)));
}

static size_t scratch_step(const dcls_conv *conv, int64_t workers)
{
    return conv->scratch_floats > 0 ? conv->scratch_floats + dcls_floats_apart(workers) : 0;
}

size_t dcls_conv_workspace(const dcls_conv *conv, int threads)
{
    size_t most = 0; /* fewer workers lie further apart */
    for (int64_t workers = 1; workers <= worker_count(conv, threads); workers++) {
        const size_t floats = (size_t)(workers - 1) * scratch_step(conv, workers) + conv->scratch_floats;
        if (floats > most) most = floats;
    }
    return (conv->shared_floats + most) * sizeof(float);
}

size_t dcls_conv_packed_bytes(const dcls_conv *conv)
{
    return conv->packed_bytes;
}

double dcls_conv_macs(const dcls_conv *conv)
{
    return conv->macs;
}

const char *dcls_conv_algorithm(const dcls_conv *conv)
{
    return conv->method.name;
}

static void run_task(void *arg, int64_t task, int worker)
{
    const dcls_conv_pass *pass = arg;
    const dcls_conv *conv = pass->conv;
    float *scratch = dcls_conv_scratch(pass, worker);
    int64_t end = dcls_min_i64((task + 1) * conv->bundle, conv->units);
    for (int64_t unit = task * conv->bundle; unit < end; unit++)
        conv->method.run_unit(pass, unit, scratch);
}

static dcls_conv_pass make_pass(const dcls_conv *conv, const dcls_simd *simd, const float *in,
                                const float *residual, float *out, void *workspace, int64_t workers)
{
    dcls_conv_pass pass = {.conv = conv,
                           .simd = simd,
                           .in = in,
                           .residual = conv->epilogue.residual ? residual : NULL,
                           .out = out,
                           .shared = workspace,
                           .scratch_step = scratch_step(conv, workers),
                           .workers = workers,
                           .images = conv->g.batch};
    pass.worker_memory = pass.shared + conv->shared_floats;
    pass.in_place = pass.residual == out;
    return pass;
}

void dcls_conv_run(const dcls_conv *conv, const dcls_simd *simd, const float *in, const float *residual,
                   float *out, void *workspace, int threads)
{
    dcls_conv_pass pass = make_pass(conv, simd, in, residual, out, workspace, worker_count(conv, threads));
    if (conv->method.run != NULL) {
        conv->method.run(&pass, (int)dcls_min_i64(threads, task_count(conv)));
        return;
    }
    if (conv->method.prepare != NULL) conv->method.prepare(&pass, threads);
    dcls_parallel_for(threads, task_count(conv), run_task, &pass);
}

/* One after the other, for algorithms that take one at a time. */
static void run_each(const dcls_conv *conv, const dcls_simd *simd, int64_t images, const float *in,
                     const float *residual, float *out, void *workspace)
{
    const int64_t in_floats = conv->g.in_channels * conv->in_volume,
                  out_floats = conv->g.out_channels * conv->out_volume;
    if (!conv->epilogue.residual) residual = NULL;
    for (int64_t n = 0; n < images; n++, in += in_floats, out += out_floats) {
        dcls_conv_run(conv, simd, in, residual, out, workspace, 1);
        if (residual != NULL) residual += out_floats;
    }
}

/* Algorithms that take several images at once prepare nothing. */
void dcls_conv_run_images(const dcls_conv *conv, const dcls_simd *simd, int64_t images, const float *in,
                          const float *residual, float *out, void *workspace)
{
    if (conv->group <= 1) {
        run_each(conv, simd, images, in, residual, out, workspace);
        return;
    }
    dcls_conv_pass pass = make_pass(conv, simd, in, residual, out, workspace, 1);
    pass.images = images;
    if (conv->method.run != NULL) {
        conv->method.run(&pass, 1);
        return;
    }
    const int64_t units = conv->units * dcls_ceil_div(images, conv->group); /* a batch of 1 is one group */
    for (int64_t unit = 0; unit < units; unit++)
        conv->method.run_unit(&pass, unit, pass.worker_memory);
}

void dcls_conv_destroy(dcls_conv *conv)
{
    if (conv == NULL) return;
    conv->method.release(conv);
    free(conv);
}
