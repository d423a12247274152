/* Nodes become layers: which run in one phase, and who writes or adds to which gradient. */
#include "train/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "ops/tiles.h"
#include "plan/node_ops.h"
#include "train/logits.h"

#define LANES_LEAST 8
#define LANE_IMAGES 32 /* more lanes where each gets so many */
#define LANES_MOST  64
/* Of the largest value in a visit: a few of them fit the second-level cache. */
#define CHUNK_FLOATS ((int64_t)32 << 10)
/* The same where convolutions gain from images side by side: products repay what comes from further away. */
#define JOINED_FLOATS ((int64_t)512 << 10)

/* ---- layers ---- */

static bool is_rename(const dcls_node *node)
{
    switch (node->op) {
    case DCLS_OP_FLATTEN:
    case DCLS_OP_IDENTITY: return true;
    case DCLS_OP_DROPOUT:
    case DCLS_OP_DROP_PATH: return node->p == 0;
    default: return false;
    }
}

static const dcls_layer_type *kind_of(const dcls_node *node)
{
    switch (node->op) {
    case DCLS_OP_CONV:
    case DCLS_OP_DCLS: return &dcls_layer_conv;
    case DCLS_OP_LINEAR: return &dcls_layer_linear;
    case DCLS_OP_BATCH_NORM: return &dcls_layer_batch_norm;
    case DCLS_OP_LAYER_NORM: return &dcls_layer_layer_norm;
    case DCLS_OP_RELU: return &dcls_layer_relu;
    case DCLS_OP_GELU:
    case DCLS_OP_SIGMOID: return &dcls_layer_activation;
    case DCLS_OP_SOFTMAX: return &dcls_layer_softmax;
    case DCLS_OP_MAX_POOL:
    case DCLS_OP_AVG_POOL: return &dcls_layer_pool;
    case DCLS_OP_GLOBAL_AVG_POOL:
    case DCLS_OP_GLOBAL_MAX_POOL: return &dcls_layer_global_pool;
    case DCLS_OP_ADD: return &dcls_layer_add;
    case DCLS_OP_MUL: return &dcls_layer_mul;
    case DCLS_OP_LAYER_SCALE: return &dcls_layer_scale;
    case DCLS_OP_CONCAT: return &dcls_layer_concat;
    case DCLS_OP_RESIZE: return &dcls_layer_resize;
    case DCLS_OP_DROPOUT: return &dcls_layer_dropout;
    case DCLS_OP_DROP_PATH: return &dcls_layer_drop_path;
    default: return NULL;
    }
}

static void find_parameters(const dcls_program *p, dcls_layer *layer)
{
    const dcls_node *node = layer->node;
    layer->weight = dcls_parameters_find(p->parameters, node->weight);
    layer->bias = dcls_parameters_find(p->parameters, node->bias);
    layer->P = dcls_parameters_find(p->parameters, node->P);
    layer->SIG = dcls_parameters_find(p->parameters, node->SIG);
    layer->running_mean = dcls_parameters_find(p->parameters, node->running_mean);
    layer->running_var = dcls_parameters_find(p->parameters, node->running_var);
    layer->trains = dcls_trains(layer->weight) || dcls_trains(layer->bias) || dcls_trains(layer->P) ||
                    dcls_trains(layer->SIG);
}

/* Batch norm with fixed statistics: where they are frozen. */
static bool is_fixed_norm(const dcls_layer *layer)
{
    return layer->node->op == DCLS_OP_BATCH_NORM && layer->running_mean != NULL &&
           layer->running_mean->frozen;
}

static dcls_status add_layer(dcls_context *ctx, dcls_program *p, int n)
{
    const dcls_node *node = &p->model->nodes[n];
    dcls_layer *layer = &p->layers[p->layer_count++];
    if (node->input_count > DCLS_LAYER_INPUTS)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "node '%s' has %d inputs, training takes up to %d", node->name,
                         node->input_count, DCLS_LAYER_INPUTS);
    *layer = (dcls_layer){.kind = kind_of(node),
                          .node = node,
                          .input_count = node->op == DCLS_OP_RESIZE ? 1 : node->input_count,
                          .output = n + 1,
                          .gradient = n + 1,
                          .residual = -1};
    for (int k = 0; k < layer->input_count; k++)
        layer->inputs[k] = p->values[node->inputs[k]].root;
    find_parameters(p, layer);
    if (node->op != DCLS_OP_BATCH_NORM) return DCLS_OK;
    if (is_fixed_norm(layer)) {
        layer->kind = &dcls_layer_scale;
        return DCLS_OK;
    }
    dcls_layer *norm = &p->layers[p->layer_count++];
    *norm = *layer;
    layer->kind = &dcls_layer_batch_stats;
    layer->output = -1;
    layer->pair = norm;
    norm->pair = layer;
    return DCLS_OK;
}

/* Nodes that value depends on. */
static void mark_needed(const dcls_model *model, int value, bool *needed)
{
    if (value > 0) needed[value - 1] = true;
    for (int n = (int)model->node_count - 1; n >= 0; n--)
        for (int k = 0; needed[n] && k < model->nodes[n].input_count; k++)
            if (model->nodes[n].inputs[k] > 0) needed[model->nodes[n].inputs[k] - 1] = true;
}

static dcls_status add_layers(dcls_context *ctx, dcls_program *p, const bool *needed)
{
    const dcls_model *model = p->model;
    for (int v = 0; v < p->value_count; v++) {
        p->values[v].root = p->values[v].gradient_root = p->values[v].gradient_group = v;
        if (v > 0 && is_rename(&model->nodes[v - 1]))
            p->values[v].root = p->values[model->nodes[v - 1].inputs[0]].root;
    }
    for (int n = 0; n < (int)model->node_count; n++)
        if (needed[n] && !is_rename(&model->nodes[n])) DCLS_TRY(add_layer(ctx, p, n));
    p->layers[p->layer_count++] = (dcls_layer){.kind = p->use.given ? &dcls_layer_given : &dcls_layer_loss,
                                               .input_count = 1,
                                               .inputs = {p->values[p->output].root},
                                               .output = -1,
                                               .gradient = -1,
                                               .residual = -1};
    for (int l = 0; l < p->layer_count; l++) {
        p->layers[l].phase = p->phase_count;
        if (p->layers[l].kind->settle != NULL) p->phase_count++;
    }
    p->phase_count++;
    return DCLS_OK;
}

/* ---- gradients ---- */

static void find_wanted(dcls_program *p)
{
    p->values[0].wants_gradient = p->use.by_input;
    for (int l = 0; l < p->layer_count; l++) {
        dcls_layer *layer = &p->layers[l];
        bool wants = layer->trains;
        for (int k = 0; k < layer->input_count; k++) {
            layer->wanted[k] = p->values[layer->inputs[k]].wants_gradient;
            wants = wants || layer->wanted[k];
        }
        if (layer->output >= 0) p->values[layer->output].wants_gradient = wants;
        if (layer->kind == &dcls_layer_batch_norm) layer->wanted[0] = false; /* its pair writes it */
    }
}

/* The first layer that reads a value's gradient: the one that makes it, or the statistics ahead of it. */
static int first_reader(const dcls_program *p, int value)
{
    for (int l = 0; l < p->layer_count; l++)
        if (p->layers[l].gradient == value) return l;
    return -1;
}

/* What happens to memory that a sum's gradient and those of its terms would share. Backward: a writer must
 * not come before a reader whose value it does not concern. */
typedef struct sharing {
    int last[2];  /* writers of each term but the sum, the latest; -1: none */
    int pending;  /* the latest writer of what shares the memory already and the sum is no part of .. */
    int expected; /* .. and the earliest reader of that */
} sharing;

static void mark_above(const dcls_program *p, int sum, bool above)
{
    for (int v = sum;; v = p->values[v].gradient_root) {
        p->values[v].above = above;
        if (p->values[v].gradient_root == v) return;
    }
}

/* A sum whose terms share its memory leaves the reading to their makers. */
static bool is_shared_sum(const dcls_program *p, const dcls_layer *layer)
{
    return layer->kind == &dcls_layer_add && !layer->wanted[0] && !layer->wanted[1] &&
           p->values[layer->inputs[0]].gradient_root == layer->output;
}

static sharing examine(const dcls_program *p, int l)
{
    const dcls_layer *sum = &p->layers[l];
    const int group = p->values[sum->output].gradient_group;
    sharing s = {{-1, -1}, -1, p->layer_count};
    mark_above(p, sum->output, true);
    for (int w = 0; w < p->layer_count; w++) {
        const dcls_layer *layer = &p->layers[w];
        for (int k = 0; k < layer->input_count && w != l; k++) {
            const dcls_train_value *value = &p->values[layer->inputs[k]];
            if (!layer->wanted[k]) continue;
            for (int term = 0; term < 2; term++)
                if (layer->inputs[k] == sum->inputs[term]) s.last[term] = w;
            if (value->gradient_group == group && !value->above) s.pending = w;
        }
        if (layer->gradient < 0 || s.expected < p->layer_count || is_shared_sum(p, layer)) continue;
        const dcls_train_value *read = &p->values[layer->gradient];
        if (read->gradient_group == group && !read->above) s.expected = w;
    }
    mark_above(p, sum->output, false);
    return s;
}

/* A sum's gradient is that of both terms: they use its memory instead of a copy where nobody overwrites what
 * somebody still reads. Only one of them may have other uses, which add to it: the way of the other term must
 * be past its last reader by then, and so must all else that has this memory. */
static void share_sum(dcls_program *p, int l)
{
    dcls_layer *sum = &p->layers[l];
    const int *in = sum->inputs;
    if (in[0] == in[1] || in[0] == 0 || in[1] == 0 || !sum->wanted[0] || !sum->wanted[1]) return;
    if (p->values[in[0]].gradient_root != in[0] || p->values[in[1]].gradient_root != in[1]) return;
    if (p->values[in[0]].floats != p->values[sum->output].floats ||
        p->values[in[1]].floats != p->values[sum->output].floats)
        return;
    const sharing s = examine(p, l);
    const int readers[2] = {first_reader(p, in[0]), first_reader(p, in[1])};
    if (s.last[0] >= 0 && s.last[1] >= 0) return;
    for (int k = 0; k < 2; k++) {
        if (s.last[k] >= 0 && (s.last[k] >= readers[1 - k] || s.last[k] >= s.expected)) return;
        if (s.pending >= 0 && s.pending >= readers[k]) return;
    }
    for (int k = 0; k < 2; k++) {
        p->values[in[k]].gradient_root = sum->output;
        p->values[in[k]].gradient_group = p->values[sum->output].gradient_group;
        sum->wanted[k] = false;
    }
}

/* Backward the last layer comes first: it sets a gradient, the others add to it. */
static void find_first_writers(dcls_program *p)
{
    for (int v = 0; v < p->value_count; v++)
        p->values[v].written = p->values[v].gradient_root != v; /* borrowed: holds something already */
    for (int l = p->layer_count - 1; l >= 0; l--)
        for (int k = 0; k < p->layers[l].input_count; k++) {
            if (!p->layers[l].wanted[k]) continue;
            dcls_train_value *value = &p->values[p->layers[l].inputs[k]];
            p->layers[l].adds[k] = value->written;
            value->written = true;
        }
    for (int v = 0; v < p->value_count; v++) {
        int root = v;
        while (p->values[root].gradient_root != root)
            root = p->values[root].gradient_root;
        p->values[v].gradient_root = root;
    }
}

static void plan_gradients(dcls_program *p)
{
    find_wanted(p);
    for (int l = p->layer_count - 1; l >= 0; l--)
        if (p->layers[l].kind == &dcls_layer_add) share_sum(p, l);
    find_first_writers(p);
}

/* ---- create ---- */

static dcls_status find_shapes(dcls_context *ctx, dcls_program *p)
{
    dcls_program_use *use = &p->use;
    if (use->ndim == 0) {
        if (p->model->input_ndim != 4)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "training takes networks for pictures");
        *use = (dcls_program_use){4,
                                  {1, p->model->input_shape[1], p->options.height, p->options.width},
                                  use->given,
                                  use->by_input,
                                  use->taken};
        if (use->shape[1] == DCLS_ANY) use->shape[1] = 3;
    }
    use->shape[0] = 1;
    dcls_shape *shapes = dcls_alloc(ctx, (size_t)p->value_count, sizeof *shapes);
    if (shapes == NULL) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_model_infer(ctx, p->model, use->ndim, use->shape, shapes);
    for (int v = 0; v < p->value_count && status == DCLS_OK; v++) {
        p->values[v].shape = shapes[v];
        if (!dcls_shape_count(shapes[v].ndim, shapes[v].size, &p->values[v].floats))
            status = dcls_fail(ctx, DCLS_ERR_LIMIT, "the network's activations are too large");
    }
    free(shapes);
    return status;
}

/* Two layers with one parameter, in whatever place; the halves of a batch norm count once. */
static dcls_status find_shared(dcls_context *ctx, dcls_program *p)
{
    const dcls_parameter *first = p->parameters->items;
    const dcls_layer **owner = dcls_alloc_zero(ctx, p->parameters->count, sizeof *owner);
    if (owner == NULL) return DCLS_ERR_MEMORY;
    for (int l = 0; l < p->layer_count; l++) {
        const dcls_layer *layer = &p->layers[l];
        const dcls_parameter *const parts[] = {layer->weight, layer->bias, layer->P, layer->SIG};
        for (size_t i = 0; i < sizeof parts / sizeof *parts && layer->kind != &dcls_layer_batch_stats; i++) {
            if (parts[i] == NULL) continue;
            const dcls_layer **at = &owner[parts[i] - first];
            p->shared = p->shared || (*at != NULL && *at != layer);
            *at = layer;
        }
    }
    free(owner);
    return DCLS_OK;
}

static dcls_status create_layers(dcls_context *ctx, dcls_program *p)
{
    for (int l = 0; l < p->layer_count; l++) {
        dcls_layer *layer = &p->layers[l];
        if (layer->kind->create == NULL) continue;
        const dcls_status status = layer->kind->create(ctx, p, layer);
        if (status != DCLS_OK && layer->node != NULL)
            return dcls_fail_within(ctx, status, "node '%s': ", layer->node->name);
        DCLS_TRY(status);
    }
    return DCLS_OK;
}

static void choose_lanes(dcls_program *p)
{
    int64_t lanes = p->batch / LANE_IMAGES;
    if (lanes < LANES_LEAST) lanes = LANES_LEAST;
    if (lanes > LANES_MOST) lanes = LANES_MOST;
    if (lanes > p->batch) lanes = p->batch;
    p->lanes = (int)lanes;
}

static int64_t largest_of(const dcls_program *p, const dcls_layer *layer)
{
    int64_t largest = 1;
    if (layer->output >= 0) largest = p->values[layer->output].floats;
    for (int i = 0; i < layer->input_count; i++)
        if (p->values[layer->inputs[i]].floats > largest) largest = p->values[layer->inputs[i]].floats;
    return largest;
}

static int64_t images_wanted(const dcls_program *p, const dcls_layer *layer)
{
    const dcls_node *node = layer->node;
    if (node == NULL || node->op != DCLS_OP_CONV || node->window.pad_mode != DCLS_PAD_ZEROS) return 1;
    const dcls_geometry g = dcls_program_geometry(p, layer);
    return p->amx.amx != NULL && dcls_conv_amx_suits(&g) ? 1 : dcls_conv_images_wanted(&g);
}

/* Phases of small values take more images at once, and so do those of convolutions that gain from it.
 * largest: [phases], zeros. */
static void set_chunks(dcls_program *p, int64_t *largest)
{
    const int64_t images = (p->batch + p->lanes - 1) / p->lanes;
    for (int l = 0; l < p->layer_count; l++) {
        int64_t *most = &largest[p->layers[l].phase];
        *most = dcls_max_i64(*most, largest_of(p, &p->layers[l]));
    }
    for (int phase = 0; phase < p->phase_count; phase++) /* a phase without layers is left alone */
        p->chunks[phase] =
            dcls_min_i64(images, dcls_max_i64(1, CHUNK_FLOATS / dcls_max_i64(1, largest[phase])));
    for (int l = 0; l < p->layer_count; l++) {
        const int phase = p->layers[l].phase;
        const int64_t most = dcls_min_i64(images, JOINED_FLOATS / largest[phase]);
        p->chunks[phase] =
            dcls_max_i64(p->chunks[phase], dcls_min_i64(most, images_wanted(p, &p->layers[l])));
    }
}

static dcls_status choose_chunks(dcls_context *ctx, dcls_program *p)
{
    p->chunks = dcls_alloc(ctx, (size_t)p->phase_count, sizeof *p->chunks);
    int64_t *largest = dcls_alloc_zero(ctx, (size_t)p->phase_count, sizeof *largest);
    const bool ready = p->chunks != NULL && largest != NULL;
    if (ready) set_chunks(p, largest);
    free(largest);
    return ready ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status build(dcls_context *ctx, dcls_program *p)
{
    const size_t nodes = p->model->node_count;
    p->output = p->model->output;
    if (!p->use.given) DCLS_TRY(dcls_find_logits(ctx, p->model, &p->output));
    p->value_count = (int)nodes + 1;
    p->values = dcls_alloc_zero(ctx, nodes + 1, sizeof *p->values);
    p->layers = dcls_alloc_zero(ctx, 2 * nodes + 1, sizeof *p->layers);
    p->losses = dcls_alloc_zero(ctx, (size_t)p->batch, sizeof *p->losses);
    p->added = dcls_alloc_zero(ctx, (size_t)p->batch, sizeof *p->added);
    p->correct = dcls_alloc_zero(ctx, (size_t)p->batch, sizeof *p->correct);
    bool *needed = dcls_alloc_zero(ctx, nodes, sizeof *needed);
    dcls_status status = DCLS_ERR_MEMORY;
    if (p->values && p->layers && p->losses && p->added && p->correct && needed) {
        mark_needed(p->model, p->output, needed);
        status = find_shapes(ctx, p);
    }
    if (status == DCLS_OK) status = add_layers(ctx, p, needed);
    free(needed);
    DCLS_TRY(status);
    plan_gradients(p);
    dcls_program_fuse(p);
    DCLS_TRY(find_shared(ctx, p));
    choose_lanes(p);
    DCLS_TRY(choose_chunks(ctx, p));
    DCLS_TRY(create_layers(ctx, p));
    return dcls_program_store(ctx, p);
}

dcls_status dcls_program_create(dcls_context *ctx, const dcls_model *model, dcls_parameters *parameters,
                                const dcls_trainer_options *options, const dcls_program_use *use,
                                dcls_program **out)
{
    *out = NULL;
    const bool sized = use != NULL && use->ndim > 0;
    if (options->batch < 1 || (!sized && (options->height < 1 || options->width < 1)))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "batch, height and width must be positive");
    dcls_program *p = dcls_alloc_zero(ctx, 1, sizeof *p);
    if (p == NULL) return DCLS_ERR_MEMORY;
    p->model = model;
    p->parameters = parameters;
    p->options = *options;
    if (use != NULL) p->use = *use;
    p->batch = options->batch;
    p->threads = dcls_context_threads(ctx);
    p->simd = dcls_simd_get(dcls_cpu_detect());
    if (options->precision == DCLS_PRECISION_BF16) /* floats of few images go faster by vectors */
        p->amx = (dcls_conv_how){.amx = dcls_amx_get_bf16(), .parts = 1, .threads = 1};
    dcls_status status = dcls_program_claim(ctx, p, p->use.taken);
    if (status == DCLS_OK) status = build(ctx, p);
    if (status == DCLS_OK)
        *out = p;
    else
        dcls_program_destroy(p);
    return status;
}

void dcls_program_destroy(dcls_program *program)
{
    if (program == NULL) return;
    for (int l = 0; l < program->layer_count; l++)
        if (program->layers[l].kind->destroy != NULL) program->layers[l].kind->destroy(&program->layers[l]);
    for (size_t b = 0; b < program->block_count; b++)
        free(program->blocks[b]);
    free(program->blocks);
    free(program->values);
    free(program->chunks);
    free(program->layers);
    free(program->losses);
    free(program->added);
    free(program->correct);
    free(program->workers);
    free(program->sums);
    free(program->seconds);
    free(program);
}

/* ---- for layers ---- */

dcls_extent dcls_program_extent(const dcls_program *program, int value)
{
    const dcls_shape *shape = &program->values[value].shape;
    return (dcls_extent){1, shape->size[1], program->values[value].floats / shape->size[1]};
}

dcls_geometry dcls_program_geometry(const dcls_program *program, const dcls_layer *layer)
{
    dcls_geometry g = dcls_node_geometry(layer->node, &program->values[layer->inputs[0]].shape,
                                         &program->values[layer->output].shape);
    g.batch = 1;
    return g;
}

void dcls_add_gradient(dcls_parameter *parameter, const float *sums)
{
    if (!dcls_trains(parameter)) return;
    for (size_t i = 0; i < parameter->count; i++)
        parameter->gradient[i] += sums[i];
}

dcls_rng dcls_visit_rng(const dcls_layer *layer, const dcls_visit *visit, int64_t image)
{
    const uint64_t number = (uint64_t)(layer - visit->program->layers);
    dcls_rng rng = dcls_rng_stream(visit->key, number);
    return dcls_rng_stream(dcls_rng_next(&rng), (uint64_t)image);
}
