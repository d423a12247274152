/* Resize, backward. Every output reads one or two neighbouring cells along each axis; what an axis does to
 * one impulse after the other tells which, and how much of them. Backward each output gives that much back:
 * rows first, then columns. */
#include <stdlib.h>
#include <string.h>

#include "ops/backward.h"

/* One output along an axis: it reads `cell` and the one behind it. */
typedef struct reach {
    int64_t cell;
    float weight[2];
} reach;

struct dcls_resize_back {
    int64_t in[3], out[3];
    reach *axis[3]; /* [out] */
};

static void find_reaches(const float *matrix, int64_t in, int64_t out, reach *axis)
{
    for (int64_t o = 0; o < out; o++) {
        axis[o] = (reach){0};
        bool found = false;
        for (int64_t i = 0; i < in; i++) {
            const float weight = matrix[i * out + o];
            if (weight == 0) continue;
            if (!found) axis[o].cell = i;
            axis[o].weight[found ? 1 : 0] = weight;
            found = true;
        }
        if (axis[o].cell == in - 1 && in > 1) { /* the pair ends with the last cell */
            axis[o].cell--;
            axis[o].weight[1] = axis[o].weight[0];
            axis[o].weight[0] = 0;
        }
    }
}

static dcls_status create_axis(dcls_context *ctx, const dcls_resize_shape *s, int d, reach **axis)
{
    const size_t in = (size_t)s->in[d], out = (size_t)s->out[d];
    const dcls_resize_shape line = {.planes = s->in[d],
                                    .in = {1, 1, s->in[d]},
                                    .out = {1, 1, s->out[d]},
                                    .scale = {0, 0, s->scale[d]},
                                    .linear = s->linear,
                                    .align_corners = s->align_corners};
    size_t cells, results;
    if (!dcls_mul_size(in, in, &cells) || !dcls_mul_size(in, out, &results))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "this resize is too large for a gradient");
    float *impulses = dcls_alloc_zero(ctx, cells, sizeof *impulses);
    float *matrix = dcls_alloc(ctx, results, sizeof *matrix);
    *axis = dcls_alloc(ctx, out, sizeof **axis);
    const bool ready = impulses && matrix && *axis;
    if (ready) {
        for (size_t i = 0; i < in; i++)
            impulses[i * in + i] = 1;
        dcls_resize_forward(&line, impulses, matrix, 1);
        find_reaches(matrix, s->in[d], s->out[d], *axis);
    }
    free(impulses);
    free(matrix);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

dcls_status dcls_resize_back_create(dcls_context *ctx, const dcls_resize_shape *s, dcls_resize_back **out)
{
    dcls_status status = DCLS_OK;
    *out = NULL;
    dcls_resize_back *back = dcls_alloc_zero(ctx, 1, sizeof *back);
    if (back == NULL) return DCLS_ERR_MEMORY;
    for (int d = 0; d < 3 && status == DCLS_OK; d++) {
        back->in[d] = s->in[d];
        back->out[d] = s->out[d];
        status = create_axis(ctx, s, d, &back->axis[d]);
    }
    if (status == DCLS_OK)
        *out = back;
    else
        dcls_resize_back_destroy(back);
    return status;
}

void dcls_resize_back_destroy(dcls_resize_back *back)
{
    if (back == NULL) return;
    for (int d = 0; d < 3; d++)
        free(back->axis[d]);
    free(back);
}

size_t dcls_resize_back_scratch(const dcls_resize_back *back)
{
    return (size_t)((back->in[0] + 1) * back->in[1] * back->out[2]);
}

static void give(const dcls_simd *simd, const reach *r, int64_t in, const float *from, float *to, int64_t n)
{
    simd->axpy(r->weight[0], from, 1, to + r->cell * n, n);
    if (in > 1 && r->weight[1] != 0) simd->axpy(r->weight[1], from, 1, to + (r->cell + 1) * n, n);
}

void dcls_resize_back_run(const dcls_resize_back *back, const dcls_simd *simd, int64_t planes,
                          const float *dy, float *dx, float *scratch)
{
    const int64_t *in = back->in, *out = back->out, wide = out[2], slice = in[1] * wide;
    float *lines = scratch + slice; /* [in[0], in[1], out[2]] */
    for (int64_t p = 0; p < planes; p++) {
        memset(lines, 0, (size_t)(in[0] * slice) * sizeof *lines);
        for (int64_t z = 0; z < out[0]; z++) {
            memset(scratch, 0, (size_t)slice * sizeof *scratch);
            for (int64_t y = 0; y < out[1]; y++, dy += wide)
                give(simd, &back->axis[1][y], in[1], dy, scratch, wide);
            give(simd, &back->axis[0][z], in[0], scratch, lines, slice);
        }
        for (int64_t row = 0; row < in[0] * in[1]; row++, dx += in[2])
            for (int64_t x = 0; x < wide; x++) {
                const reach *r = &back->axis[2][x];
                dx[r->cell] += r->weight[0] * lines[row * wide + x];
                if (in[2] > 1) dx[r->cell + 1] += r->weight[1] * lines[row * wide + x];
            }
    }
}

dcls_status dcls_resize_backward(dcls_context *ctx, const dcls_resize_shape *s, const float *dy, float *dx)
{
    dcls_resize_back *back;
    DCLS_TRY(dcls_resize_back_create(ctx, s, &back));
    float *scratch = dcls_alloc(ctx, dcls_resize_back_scratch(back), sizeof *scratch);
    if (scratch != NULL)
        dcls_resize_back_run(back, dcls_simd_get(dcls_cpu_detect()), s->planes, dy, dx, scratch);
    free(scratch);
    dcls_resize_back_destroy(back);
    return scratch != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}
