#include "ops/conv_backward.h"

#include <stdlib.h>
#include <string.h>

#include "ops/conv_internal.h"

/* ---- the input's gradient ---- */

dcls_geometry dcls_conv_turned_geometry(const dcls_geometry *g)
{
    dcls_geometry back = {.batch = g->batch,
                          .in_channels = g->out_channels,
                          .out_channels = g->in_channels,
                          .groups = g->groups};
    for (int d = 0; d < 3; d++) {
        back.in[d] = (g->out[d] - 1) * g->stride[d] + 1;
        back.out[d] = g->in[d];
        back.kernel[d] = g->kernel[d];
        back.dilation[d] = g->dilation[d];
        back.stride[d] = 1;
        back.pad[d] = (g->kernel[d] - 1) * g->dilation[d] - g->pad[d];
    }
    return back;
}

/* Row of [in, out/groups] that row o * in/groups + i of [out, in/groups] becomes. */
static int64_t turned_row(const dcls_geometry *g, int64_t o, int64_t i)
{
    const int64_t in = g->in_channels / g->groups, out = g->out_channels / g->groups;
    return (o / out * in + i) * out + o % out;
}

dcls_status dcls_conv_create_turned_dense(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                          const dcls_epilogue *epilogue, dcls_conv_how how, dcls_conv **out)
{
    *out = NULL;
    DCLS_TRY(dcls_conv_check(ctx, g));
    const int64_t in = g->in_channels / g->groups, cells = dcls_volume(g->kernel);
    float *turned = dcls_alloc(ctx, (size_t)(g->out_channels * in * cells), sizeof *turned);
    if (turned == NULL) return DCLS_ERR_MEMORY;
    for (int64_t o = 0; o < g->out_channels; o++)
        for (int64_t i = 0; i < in; i++, weight += cells) {
            float *to = turned + turned_row(g, o, i) * cells;
            for (int64_t k = 0; k < cells; k++)
                to[k] = weight[cells - 1 - k];
        }
    const dcls_geometry back = dcls_conv_turned_geometry(g);
    const dcls_status status = dcls_conv_create_dense(ctx, &back, turned, epilogue, how, out);
    free(turned);
    return status;
}

/* Cells of turned windows, in rising order. */
static void turn_taps(const dcls_geometry *g, const dcls_taps *taps, dcls_taps *turned)
{
    const int64_t in = g->in_channels / g->groups, cells = dcls_volume(g->kernel);
    turned->start[0] = 0;
    for (int64_t o = 0; o < g->out_channels; o++) /* lengths first, where the rows end up */
        for (int64_t i = 0; i < in; i++) {
            const int64_t row = o * in + i;
            turned->start[turned_row(g, o, i) + 1] = taps->start[row + 1] - taps->start[row];
        }
    for (int64_t row = 0; row < taps->rows; row++)
        turned->start[row + 1] += turned->start[row];
    for (int64_t o = 0; o < g->out_channels; o++)
        for (int64_t i = 0; i < in; i++) {
            int64_t at = turned->start[turned_row(g, o, i)];
            for (int64_t t = taps->start[o * in + i + 1]; t-- > taps->start[o * in + i]; at++) {
                turned->cell[at] = (int32_t)(cells - 1 - taps->cell[t]);
                turned->value[at] = taps->value[t];
            }
        }
}

dcls_status dcls_conv_create_turned_sparse(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                           const dcls_epilogue *epilogue, dcls_conv **out)
{
    *out = NULL;
    DCLS_TRY(dcls_conv_check(ctx, g));
    const size_t count = (size_t)taps->start[taps->rows];
    dcls_taps turned = {.rows = taps->rows};
    turned.start = dcls_alloc(ctx, (size_t)taps->rows + 1, sizeof *turned.start);
    turned.cell = dcls_alloc(ctx, count, sizeof *turned.cell);
    turned.value = dcls_alloc(ctx, count, sizeof *turned.value);
    dcls_status status = turned.start && turned.cell && turned.value ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) {
        const dcls_geometry back = dcls_conv_turned_geometry(g);
        turn_taps(g, taps, &turned);
        status = dcls_conv_create_sparse(ctx, &back, &turned, epilogue, out);
    }
    dcls_taps_free(&turned);
    return status;
}

bool dcls_conv_is_strided(const dcls_geometry *g)
{
    bool strided = false;
    for (int d = 0; d < 3; d++)
        strided = strided || (g->stride[d] > 1 && g->out[d] > 1);
    return strided;
}

void dcls_conv_spread(const dcls_geometry *g, int64_t planes, const float *dy, float *spread)
{
    const dcls_geometry back = dcls_conv_turned_geometry(g);
    const int64_t cells = dcls_volume(back.in);
    memset(spread, 0, (size_t)(planes * cells) * sizeof *spread);
    for (int64_t p = 0; p < planes; p++, spread += cells)
        for (int64_t z = 0; z < g->out[0]; z++)
            for (int64_t y = 0; y < g->out[1]; y++, dy += g->out[2]) {
                float *to = spread + (z * g->stride[0] * back.in[1] + y * g->stride[1]) * back.in[2];
                for (int64_t x = 0; x < g->out[2]; x++)
                    to[x * g->stride[2]] = dy[x];
            }
}

/* ---- the weights' gradient ---- */

/* Floats of a block of columns: half of a usual second-level cache, twice over with its transpose. */
#define BLOCK_FLOATS ((int64_t)48 << 10)
#define BLOCK_LEAST  ((int64_t)64)

typedef struct products {
    const dcls_geometry *g;
    int64_t m, n, k; /* of one group: outputs, pixels, columns */
    int64_t block;   /* pixels at once */
    bool direct;     /* the input is the matrix of columns */
} products;

static products products_of(const dcls_geometry *g)
{
    products p = {.g = g, .m = g->out_channels / g->groups, .n = dcls_volume(g->out)};
    p.k = g->in_channels / g->groups * dcls_volume(g->kernel);
    p.block = dcls_min_i64(p.n, dcls_max_i64(BLOCK_LEAST, BLOCK_FLOATS / dcls_max_i64(p.k, p.m) / 16 * 16));
    p.direct = dcls_conv_is_pointwise(g);
    return p;
}

size_t dcls_conv_dense_backward_scratch(const dcls_geometry *g)
{
    const products p = products_of(g);
    return (size_t)((p.direct ? 0 : p.k * p.block) + DCLS_GEMM_ROWS_SCRATCH(p.k, p.block));
}

/* `count` cells of a line, `stride` apart, the first one at `first`; those outside [0, width) are zeros. */
static void fill_run(const float *line, int64_t width, int64_t first, int64_t stride, int64_t count,
                     float *to)
{
    const int64_t before = first < 0 ? dcls_min_i64(count, (-first + stride - 1) / stride) : 0;
    const int64_t inside = first < width ? (width - first + stride - 1) / stride : 0;
    const int64_t end = dcls_max_i64(before, dcls_min_i64(count, inside));
    memset(to, 0, (size_t)before * sizeof *to);
    if (stride == 1 && end > before)
        memcpy(to + before, line + first + before, (size_t)(end - before) * sizeof *to);
    else
        for (int64_t i = before; i < end; i++)
            to[i] = line[first + i * stride];
    memset(to + end, 0, (size_t)(count - end) * sizeof *to);
}

/* Columns of the pixels [from, from + count) of one input channel: [kernel cells, count]. */
static void fill_columns(const dcls_geometry *g, const float *x, int64_t from, int64_t count, float *to)
{
    for (int64_t cell = 0; cell < dcls_volume(g->kernel); cell++) {
        const int64_t k[3] = {cell / (g->kernel[1] * g->kernel[2]), cell / g->kernel[2] % g->kernel[1],
                              cell % g->kernel[2]};
        for (int64_t pixel = from; pixel < from + count;) {
            const int64_t row = pixel / g->out[2], column = pixel % g->out[2];
            const int64_t run = dcls_min_i64(g->out[2] - column, from + count - pixel);
            const int64_t z = row / g->out[1] * g->stride[0] - g->pad[0] + k[0] * g->dilation[0];
            const int64_t y = row % g->out[1] * g->stride[1] - g->pad[1] + k[1] * g->dilation[1];
            const int64_t first = column * g->stride[2] - g->pad[2] + k[2] * g->dilation[2];
            const bool inside = z >= 0 && z < g->in[0] && y >= 0 && y < g->in[1];
            if (inside)
                fill_run(x + (z * g->in[1] + y) * g->in[2], g->in[2], first, g->stride[2], run, to);
            else
                memset(to, 0, (size_t)run * sizeof *to);
            to += run;
            pixel += run;
        }
    }
}

/* One group of a block of pixels: sums += dy columns^T. */
static void add_block(const products *p, const dcls_simd *simd, const float *x, const float *dy, int64_t from,
                      float *sums, float *scratch)
{
    const dcls_geometry *g = p->g;
    const int64_t count = dcls_min_i64(p->block, p->n - from), in = dcls_volume(g->in),
                  cells = dcls_volume(g->kernel);
    float *columns = scratch, *rest = scratch + (p->direct ? 0 : p->k * p->block);
    const float *source = x + from;
    int64_t stride = in;
    if (!p->direct) {
        for (int64_t c = 0; c < p->k / cells; c++)
            fill_columns(g, x + c * in, from, count, columns + c * cells * count);
        source = columns;
        stride = count;
    }
    simd->gemm_rows(&(dcls_gemm){.m = p->m,
                                 .n = p->k,
                                 .k = count,
                                 .a = dy + from,
                                 .lda = p->n,
                                 .b = source,
                                 .ldb = stride,
                                 .c = sums,
                                 .ldc = p->k},
                    rest);
}

void dcls_conv_dense_backward(const dcls_geometry *g, const dcls_simd *simd, const float *x, const float *dy,
                              float *sums, float *scratch)
{
    const products p = products_of(g);
    const int64_t in = g->in_channels / g->groups * dcls_volume(g->in);
    for (int64_t group = 0; group < g->groups; group++)
        for (int64_t from = 0; from < p.n; from += p.block)
            add_block(&p, simd, x + group * in, dy + group * p.m * p.n, from, sums + group * p.m * p.k,
                      scratch);
}
