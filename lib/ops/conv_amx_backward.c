/*
 * The gradient of a convolution's weights as products of AMX tiles: over pixels, of input channels with
 * output channels, once for every cell of the window.
 *
 * Inputs lie in padded rows, image under image with the padding between them shared; gradients of outputs lie
 * at the places of their first cells, zeros elsewhere. For every cell the same numbers are read then, from
 * another place on.
 */
#include <string.h>

#include "ops/conv_backward.h"
#include "ops/tiles.h"

#define SIDE  DCLS_AMX_SIDE
#define TERMS (2 * DCLS_AMX_SIDE)

typedef struct layout {
    const dcls_geometry *g;
    dcls_conv_how how;
    int64_t images;
    int64_t in, out;       /* channels, whole tiles */
    int64_t width, height; /* of a padded plane, the padding below being the next one's above */
    int64_t terms;         /* pixels of all images, whole steps */
    int64_t row, x_part;   /* numbers of a channel and of a part of inputs */
    int64_t y_part;        /* pairs of a part of outputs' gradients */
} layout;

static int64_t whole(int64_t n, int64_t unit)
{
    return dcls_ceil_div(n, unit) * unit;
}

static layout layout_of(const dcls_geometry *g, dcls_conv_how how, int64_t images)
{
    layout l = {.g = g, .how = how, .images = images};
    l.in = whole(g->in_channels, SIDE);
    l.out = whole(g->out_channels, SIDE);
    l.width = g->in[2] + g->pad[2];
    l.height = g->in[1] + g->pad[1];
    const int64_t reach = (g->kernel[1] - 1) * g->dilation[1] * l.width + (g->kernel[2] - 1) * g->dilation[2];
    l.terms = whole(images * l.height * l.width, TERMS);
    l.row = whole(l.terms + reach + 1, TERMS);
    if (l.row % (2 * TERMS) == 0) l.row += TERMS; /* powers of two share the sets of a cache */
    l.x_part = l.in * l.row;
    l.y_part = l.terms / 2 * l.out;
    return l;
}

/* Rows of outputs and of padded inputs are as long, and what an output reaches beyond a row is padding. */
bool dcls_conv_amx_backward_suits(const dcls_geometry *g)
{
    bool yes = g->groups == 1 && g->kernel[0] == 1 && g->in[0] == 1 && g->out[0] == 1 && g->pad[0] == 0 &&
               g->in_channels >= SIDE / 2 && g->out_channels >= SIDE / 2;
    for (int d = 1; d < 3; d++)
        yes = yes && g->stride[d] == 1 && g->pad[d] >= 0 && g->out[d] <= g->in[d] + g->pad[d] &&
              g->out[d] - 1 + (g->kernel[d] - 1) * g->dilation[d] < g->in[d] + 2 * g->pad[d];
    return yes;
}

size_t dcls_conv_amx_backward_sums(const dcls_geometry *g)
{
    return (size_t)(dcls_volume(g->kernel) * whole(g->in_channels, SIDE) * whole(g->out_channels, SIDE));
}

/* Floats: packed inputs and gradients, rows of SIDE channels of the latter on their way. */
size_t dcls_conv_amx_backward_scratch(const dcls_geometry *g, dcls_conv_how how, int64_t images)
{
    const layout l = layout_of(g, how, images);
    const int64_t numbers = how.parts * (l.x_part + SIDE * l.terms);
    return (size_t)(dcls_ceil_div(numbers, 2) + how.parts * l.y_part + l.terms / TERMS * 2);
}

/* Planes of one channel of all images, of padded rows, in the parts of a row of numbers. */
static void pack_channel(const layout *l, const float *planes, int64_t image_floats, const int64_t size[3],
                         int64_t first, uint16_t *to, int64_t part)
{
    for (int64_t n = 0; n < l->images; n++, planes += image_floats)
        for (int64_t y = 0; y < size[1]; y++)
            l->how.amx->pack_row(l->how.parts, planes + y * size[2],
                                 to + first + (n * l->height + y) * l->width, part, size[2]);
}

static void pack_inputs(const layout *l, const float *x, uint16_t *to)
{
    const dcls_geometry *g = l->g;
    memset(to, 0, (size_t)(l->how.parts * l->x_part) * sizeof *to);
    for (int64_t c = 0; c < g->in_channels; c++)
        pack_channel(l, x + c * dcls_volume(g->in), g->in_channels * dcls_volume(g->in), g->in,
                     g->pad[1] * l->width + g->pad[2], to + c * l->row, l->x_part);
}

/* Pairs of pixels by channels. rows: [parts, SIDE, terms] of scratch. */
static void pack_gradients(const layout *l, const float *dy, uint32_t *to, uint16_t *rows)
{
    const dcls_geometry *g = l->g;
    const int64_t part = SIDE * l->terms, volume = dcls_volume(g->out);
    memset(rows, 0, (size_t)(l->how.parts * part) * sizeof *rows);
    for (int64_t first = 0; first < l->out; first += SIDE) {
        for (int64_t c = 0; c < SIDE; c++)
            if (first + c < g->out_channels)
                pack_channel(l, dy + (first + c) * volume, g->out_channels * volume, g->out, 0,
                             rows + c * l->terms, part);
            else
                for (int p = 0; p < l->how.parts; p++)
                    memset(rows + p * part + c * l->terms, 0, (size_t)l->terms * sizeof *rows);
        for (int p = 0; p < l->how.parts; p++)
            for (int64_t j = 0; j < l->terms / 2; j += SIDE)
                l->how.amx->transpose((const uint32_t *)(const void *)(rows + p * part) + j, l->terms / 2,
                                      to + p * l->y_part + j * l->out + first, l->out);
    }
}

void dcls_conv_amx_backward(const dcls_geometry *g, dcls_conv_how how, int64_t images, const float *x,
                            const float *dy, float *sums, float *scratch)
{
    const layout l = layout_of(g, how, images);
    const int64_t cells = dcls_volume(g->kernel), steps = l.terms / TERMS;
    int64_t *start = (int64_t *)(void *)scratch;
    uint32_t *gradients = (uint32_t *)(void *)(start + steps);
    uint16_t *inputs = (uint16_t *)(void *)(gradients + how.parts * l.y_part);
    pack_gradients(&l, dy, gradients, inputs + how.parts * l.x_part);
    pack_inputs(&l, x, inputs);
    for (int64_t s = 0; s < steps; s++)
        start[s] = s * SIDE * l.out;
    how.amx->begin();
    for (int64_t panel = 0; panel < l.in; panel += DCLS_AMX_ROWS * SIDE)
        for (int64_t cell = 0; cell < cells; cell++) {
            const int64_t offset =
                cell / g->kernel[2] * g->dilation[1] * l.width + cell % g->kernel[2] * g->dilation[2];
            const dcls_amx_product product = {.parts = how.parts,
                                              .row_tiles = dcls_min_i64(DCLS_AMX_ROWS, (l.in - panel) / SIDE),
                                              .column_tiles = l.out / SIDE,
                                              .steps = steps,
                                              .start = start,
                                              .a = inputs + panel * l.row + offset,
                                              .rows = {.row = l.row, .part = l.x_part, .step = TERMS},
                                              .b = gradients,
                                              .b_stride = l.out,
                                              .b_part = l.y_part,
                                              .c = sums + (cell * l.in + panel) * l.out,
                                              .c_stride = l.out,
                                              .add = true};
            how.amx->multiply(&product);
        }
    how.amx->end();
}

void dcls_conv_amx_backward_collect(const dcls_geometry *g, const float *sums, float *gradient)
{
    const int64_t cells = dcls_volume(g->kernel), in = whole(g->in_channels, SIDE),
                  out = whole(g->out_channels, SIDE);
    for (int64_t o = 0; o < g->out_channels; o++)
        for (int64_t c = 0; c < g->in_channels; c++)
            for (int64_t cell = 0; cell < cells; cell++)
                *gradient++ = sums[(cell * in + c) * out + o];
}
