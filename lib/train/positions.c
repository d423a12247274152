#include "train/positions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "base/threads.h"
#include "model/rewrite.h"

/* ---- the window ---- */

/* Inwards from the edges; elsewhere to one side or the other, by turns. */
static float leave_whole(float x, float limit, float nudge, size_t index)
{
    if (x != rintf(x) || limit < 1) return x;
    return x >= limit || (x > -limit && index % 2 == 1) ? x - nudge : x + nudge;
}

/* The floats may reach from one index of P into the next. */
void dcls_positions_clamp(const dcls_parameter *p, size_t first, size_t count, double nudge)
{
    const size_t plane = (size_t)p->rows * (size_t)p->elements, end = first + count;
    const bool leave = p->stuck_when_whole && nudge > 0;
    for (size_t stop; first < end; first = stop) {
        const size_t j = first / plane;
        const float limit = p->limit[j];
        stop = (j + 1) * plane < end ? (j + 1) * plane : end;
        for (size_t i = first; i < stop; i++) {
            const float at = p->value[i], x = at > limit ? limit : at < -limit ? -limit : at; /* NaN stays */
            p->value[i] = leave ? leave_whole(x, limit, (float)nudge, i) : x;
        }
    }
}

/* ---- elements that keep apart ------------------------------------------------------------------------- */

#define BLOCK 64 /* kernels a thread works on at a time */

/* Kernels of one P. */
typedef struct block {
    const dcls_parameter *of;
    int64_t first, count;
    double overlap; /* sum over their pairs */
    double scale;   /* of the gradient of one pair */
} block;

/* max(0, 1 - distance) and the distance of two elements of a kernel, whose positions along an index are
 * `plane` floats from those along the next. */
static float pair_overlap(const float *a, const float *b, size_t plane, int ndim, float *distance)
{
    float squares = 0;
    for (int j = 0; j < ndim; j++) {
        const float d = a[(size_t)j * plane] - b[(size_t)j * plane];
        squares += d * d;
    }
    *distance = sqrtf(squares);
    return *distance < 1 ? 1 - *distance : 0;
}

static void measure_block(void *arg, int64_t item, int worker)
{
    block *part = (block *)arg + item;
    const dcls_parameter *p = part->of;
    const size_t plane = (size_t)p->rows * (size_t)p->elements;
    float distance;
    (void)worker;
    part->overlap = 0;
    for (int64_t row = part->first; row < part->first + part->count; row++) {
        const float *P = p->value + row * p->elements;
        for (int64_t a = 0; a < p->elements; a++)
            for (int64_t b = a + 1; b < p->elements; b++)
                part->overlap += (double)pair_overlap(P + a, P + b, plane, p->ndim, &distance);
    }
}

static void push_apart(const dcls_parameter *p, int64_t a, int64_t b, double scale)
{
    const size_t plane = (size_t)p->rows * (size_t)p->elements;
    float distance;
    if (pair_overlap(p->value + a, p->value + b, plane, p->ndim, &distance) <= 0 || distance <= 0) return;
    const float slope = (float)scale / distance;
    for (int j = 0; j < p->ndim; j++) {
        const size_t at = (size_t)j * plane;
        const float push = slope * (p->value[at + (size_t)b] - p->value[at + (size_t)a]);
        p->gradient[at + (size_t)a] += push;
        p->gradient[at + (size_t)b] -= push;
    }
}

static void push_block(void *arg, int64_t item, int worker)
{
    const block *part = (block *)arg + item;
    const int64_t elements = part->of->elements;
    (void)worker;
    for (int64_t row = part->first; row < part->first + part->count; row++)
        for (int64_t a = 0; a < elements; a++)
            for (int64_t b = a + 1; b < elements; b++)
                push_apart(part->of, row * elements + a, row * elements + b, part->scale);
}

static bool repels(const dcls_parameter *p)
{
    return p->role == DCLS_ROLE_POSITION && p->elements > 1 && p->rows > 0;
}

static size_t cut(const dcls_parameters *parameters, block *blocks)
{
    size_t count = 0;
    for (size_t i = 0; i < parameters->count; i++) {
        const dcls_parameter *p = &parameters->items[i];
        for (int64_t first = 0; repels(p) && first < p->rows; first += BLOCK, count++)
            if (blocks != NULL)
                blocks[count] = (block){
                    .of = p, .first = first, .count = p->rows - first < BLOCK ? p->rows - first : BLOCK};
    }
    return count;
}

/* Of one overlap in the mean over everything. */
static double share_of(const dcls_parameter *p, int64_t tensors)
{
    const double elements = (double)p->elements;
    return 2 / (elements * (elements - 1) * (double)p->rows * (double)tensors);
}

dcls_status dcls_positions_repel(dcls_context *ctx, const dcls_parameters *parameters, double factor,
                                 int threads, double *loss)
{
    const size_t count = cut(parameters, NULL);
    block *blocks = dcls_alloc(ctx, count, sizeof *blocks);
    int64_t tensors = 0;
    double mean = 0;
    if (blocks == NULL) return DCLS_ERR_MEMORY;
    cut(parameters, blocks);
    dcls_parallel_for(threads, (int64_t)count, measure_block, blocks);
    for (size_t i = 0; i < parameters->count; i++)
        tensors += repels(&parameters->items[i]);
    for (size_t i = 0; i < count; i++)
        mean += blocks[i].overlap * share_of(blocks[i].of, tensors);
    for (size_t i = 0; i < count; i++)
        blocks[i].scale = 2 * factor * mean * share_of(blocks[i].of, tensors);
    dcls_parallel_for(threads, (int64_t)count, push_block, blocks);
    *loss = factor * mean * mean;
    free(blocks);
    return DCLS_OK;
}

/* ---- layers that share positions ---------------------------------------------------------------------- */

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* Length of "stages.N", "layerN" or "stageN" at text when it is whole components of a path; 0: it is none. */
static size_t stage_length(const char *text)
{
    static const char *const words[] = {"stages.", "layer", "stage"};
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        const size_t word = strlen(words[w]);
        if (strncmp(text, words[w], word) != 0) continue;
        const size_t number = digits(text + word);
        if (number > 0 && (text[word + number] == '.' || text[word + number] == '\0')) return word + number;
    }
    return 0;
}

/* Length of the part of a name that says the stage; 0: it does not say. */
static size_t stage_of(const char *name)
{
    for (const char *part = name; part != NULL; part = strchr(part, '.')) {
        part += *part == '.';
        const size_t length = stage_length(part);
        if (length > 0) return (size_t)(part - name) + length;
    }
    return 0;
}

static bool fit_together(const dcls_node *a, const dcls_node *b)
{
    return a->version == b->version && a->layer == b->layer && a->flat_dim == b->flat_dim &&
           a->window.ndim == b->window.ndim &&
           memcmp(a->window.kernel, b->window.kernel, sizeof a->window.kernel) == 0 &&
           dcls_shape_equal(a->P->ndim, a->P->shape, b->P->ndim, b->P->shape);
}

/* The earlier layer whose P this one takes, or NULL. */
static const dcls_node *leader_of(const dcls_node *nodes, size_t at)
{
    const dcls_node *node = &nodes[at];
    const size_t stage = stage_of(node->name);
    const dcls_node *found = NULL;
    for (size_t i = at; i-- > 0;) {
        if (nodes[i].op != DCLS_OP_DCLS) continue;
        const bool fits = fit_together(node, &nodes[i]) && stage_of(nodes[i].name) == stage &&
                          strncmp(node->name, nodes[i].name, stage) == 0;
        if (fits) found = &nodes[i];
        if (stage == 0) break; /* the layer before or none: it has its leader's P already */
    }
    return found;
}

static bool is_used(const dcls_model *model, const dcls_node *nodes, const dcls_tensor *tensor)
{
    for (size_t i = 0; i < model->node_count; i++)
        for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++)
            if (dcls_node_tensor(&nodes[i], (dcls_slot)slot) == tensor) return true;
    return false;
}

/* All tensors but those P that no layer names any more. */
static dcls_status copy_used(dcls_context *ctx, const dcls_model *model, const dcls_node *nodes,
                             dcls_tensors *set)
{
    bool *leaves = dcls_alloc_zero(ctx, model->tensors->count, sizeof *leaves);
    if (leaves == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < model->node_count; i++)
        if (nodes[i].P != model->nodes[i].P && !is_used(model, nodes, model->nodes[i].P))
            leaves[model->nodes[i].P - model->tensors->items] = true;
    dcls_status status = dcls_copy_meta(ctx, model->tensors, NULL, set);
    for (size_t i = 0; i < model->tensors->count && status == DCLS_OK; i++)
        if (!leaves[i]) status = dcls_copy_tensor(ctx, set, &model->tensors->items[i]);
    free(leaves);
    return status;
}

static dcls_status rebuild(dcls_context *ctx, const dcls_model *model, dcls_node *nodes, dcls_model **out)
{
    dcls_tensors *set;
    DCLS_TRY(dcls_tensors_create(ctx, "", &set));
    const dcls_status status = copy_used(ctx, model, nodes, set);
    if (status == DCLS_OK) return dcls_rebuild_model(ctx, model, nodes, set, out);
    dcls_tensors_destroy(set);
    return status;
}

dcls_status dcls_positions_share(dcls_context *ctx, const dcls_model *model, dcls_model **out,
                                 int64_t *shared)
{
    *out = NULL;
    int64_t count = 0;
    dcls_node *nodes = dcls_alloc(ctx, model->node_count, sizeof *nodes);
    if (nodes == NULL) return DCLS_ERR_MEMORY;
    memcpy(nodes, model->nodes, model->node_count * sizeof *nodes);
    for (size_t i = 0; i < model->node_count; i++) {
        if (nodes[i].op != DCLS_OP_DCLS) continue;
        const dcls_node *leader = leader_of(nodes, i);
        if (leader == NULL || leader->P == nodes[i].P) continue;
        nodes[i].P = leader->P;
        count++;
    }
    const dcls_status status = rebuild(ctx, model, nodes, out);
    free(nodes);
    if (status == DCLS_OK && shared != NULL) *shared = count;
    return status;
}
