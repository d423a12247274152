/* Layers that change the size of planes or their number: pools, resize, concat. */
#include <stdlib.h>
#include <string.h>

#include "ops/backward.h"
#include "plan/node_ops.h"
#include "train/program.h"

static float *cleared(const dcls_layer *layer, const dcls_visit *visit)
{
    const int64_t floats = visit->count * visit->program->values[layer->inputs[0]].floats;
    float *dx = dcls_visit_gradient(visit, layer->inputs[0]);
    if (!layer->adds[0]) memset(dx, 0, (size_t)floats * sizeof *dx);
    return dx;
}

/* ---- pools ---- */

static dcls_geometry pool_geometry(const dcls_layer *layer, const dcls_visit *visit)
{
    dcls_geometry g = dcls_program_geometry(visit->program, layer);
    g.batch = visit->count;
    return g;
}

static void pool_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_geometry g = pool_geometry(layer, visit);
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    float *y = dcls_visit_value(visit, layer->output);
    int64_t pad_after[3];
    dcls_node_pad_after(layer->node, pad_after);
    if (layer->node->op == DCLS_OP_MAX_POOL)
        dcls_max_pool_forward(visit->program->simd, &g, x, y, 1);
    else
        dcls_avg_pool_forward(visit->program->simd, &g, pad_after, layer->node->window.count_include_pad, x,
                              y, 1);
}

static void pool_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    if (!layer->wanted[0]) return;
    const dcls_geometry g = pool_geometry(layer, visit);
    const float *dy = dcls_visit_gradient(visit, layer->output);
    float *dx = cleared(layer, visit);
    int64_t pad_after[3];
    dcls_node_pad_after(layer->node, pad_after);
    if (layer->node->op == DCLS_OP_MAX_POOL)
        dcls_max_pool_backward(visit->program->simd, &g, dcls_visit_value(visit, layer->inputs[0]), dy, dx);
    else
        dcls_avg_pool_backward(&g, pad_after, layer->node->window.count_include_pad, dy, dx);
}

const dcls_layer_type dcls_layer_pool = {
    .name = "pool", .keeps_input = true, .forward = pool_forward, .backward = pool_backward};

static dcls_extent extent_of(const dcls_layer *layer, const dcls_visit *visit)
{
    dcls_extent e = dcls_program_extent(visit->program, layer->inputs[0]);
    e.batch = visit->count;
    return e;
}

static void global_pool_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_simd *simd = visit->program->simd;
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    float *y = dcls_visit_value(visit, layer->output);
    if (layer->node->op == DCLS_OP_GLOBAL_AVG_POOL)
        dcls_global_avg_pool_forward(simd, extent_of(layer, visit), x, y, 1);
    else
        dcls_global_max_pool_forward(simd, extent_of(layer, visit), x, y, 1);
}

static void global_pool_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_extent e = extent_of(layer, visit);
    if (!layer->wanted[0]) return;
    const float *dy = dcls_visit_gradient(visit, layer->output);
    float *dx = cleared(layer, visit);
    if (layer->node->op == DCLS_OP_GLOBAL_MAX_POOL) {
        dcls_global_pool_backward(false, e, dcls_visit_value(visit, layer->inputs[0]), dy, dx);
        return;
    }
    for (int64_t p = 0; p < e.batch * e.channels; p++, dx += e.pixels)
        visit->program->simd->scale_shift(dx, dx, e.pixels, 1, dy[p] / (float)e.pixels);
}

const dcls_layer_type dcls_layer_global_pool = {.name = "global pool",
                                                .keeps_input = true,
                                                .forward = global_pool_forward,
                                                .backward = global_pool_backward};

/* ---- resize ---- */

typedef struct resize_layer {
    dcls_resize_shape shape; /* of one image */
    dcls_resize_back *back;
} resize_layer;

static dcls_status create_resize(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    const dcls_shape *in = &p->values[layer->inputs[0]].shape;
    resize_layer *r = layer->state = dcls_alloc_zero(ctx, 1, sizeof *r);
    if (r == NULL) return DCLS_ERR_MEMORY;
    r->shape = dcls_node_resize(layer->node, in, &p->values[layer->output].shape);
    r->shape.planes = in->size[1];
    if (!layer->wanted[0]) return DCLS_OK;
    DCLS_TRY(dcls_resize_back_create(ctx, &r->shape, &r->back));
    layer->scratch_floats = dcls_resize_back_scratch(r->back);
    return DCLS_OK;
}

static void destroy_resize(dcls_layer *layer)
{
    resize_layer *r = layer->state;
    if (r != NULL) dcls_resize_back_destroy(r->back);
    free(r);
}

static void resize_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    dcls_resize_shape shape = ((const resize_layer *)layer->state)->shape;
    shape.planes *= visit->count;
    dcls_resize_forward(&shape, dcls_visit_value(visit, layer->inputs[0]),
                        dcls_visit_value(visit, layer->output), 1);
}

static void resize_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const resize_layer *r = layer->state;
    if (layer->wanted[0])
        dcls_resize_back_run(r->back, visit->program->simd, visit->count * r->shape.planes,
                             dcls_visit_gradient(visit, layer->output), cleared(layer, visit),
                             visit->scratch);
}

const dcls_layer_type dcls_layer_resize = {.name = "resize",
                                           .create = create_resize,
                                           .destroy = destroy_resize,
                                           .forward = resize_forward,
                                           .backward = resize_backward};

/* ---- concat ---- */

static void concat_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_train_value *values = visit->program->values;
    float *y = dcls_visit_value(visit, layer->output);
    int64_t at = 0;
    for (int k = 0; k < layer->input_count; k++) {
        const int64_t floats = values[layer->inputs[k]].floats;
        const float *x = dcls_visit_value(visit, layer->inputs[k]);
        for (int64_t n = 0; n < visit->count; n++)
            memcpy(y + n * values[layer->output].floats + at, x + n * floats, (size_t)floats * sizeof *y);
        at += floats;
    }
}

static void concat_backward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_train_value *values = visit->program->values;
    const float *dy = dcls_visit_gradient(visit, layer->output);
    int64_t at = 0;
    for (int k = 0; k < layer->input_count; k++) {
        const int64_t floats = values[layer->inputs[k]].floats;
        float *dx = layer->wanted[k] ? dcls_visit_gradient(visit, layer->inputs[k]) : NULL;
        for (int64_t n = 0; dx != NULL && n < visit->count; n++) {
            const float *from = dy + n * values[layer->output].floats + at;
            if (layer->adds[k])
                visit->program->simd->add(dx + n * floats, from, dx + n * floats, floats);
            else
                memcpy(dx + n * floats, from, (size_t)floats * sizeof *dx);
        }
        at += floats;
    }
}

const dcls_layer_type dcls_layer_concat = {
    .name = "concat", .forward = concat_forward, .backward = concat_backward};
