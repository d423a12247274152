/* The figures `dcls inspect` prints: parameters, costs, receptive fields, and what DCLS layers learned. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/costs.h"
#include "analysis/report.h"
#include "plan/plan_internal.h"

#include "dcls_analysis.h"

/* Theoretical receptive field of a value along its spatial dimensions: `size` input pixels, `jump` input
 * pixels between neighbours. A global operation sees the whole input: size is infinite. It is no number
 * behind a resize whose factor is not known. */
typedef struct field {
    double size[3], jump[3];
} field;

typedef struct reporter {
    dcls_context *ctx;
    const dcls_model *model;
    dcls_report *report;
    const dcls_plan *plan; /* NULL when the model cannot take the input */
    size_t *owner;         /* per tensor of the model: the first node that names it */
} reporter;

dcls_status dcls_report_warn(dcls_context *ctx, dcls_report *report, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    DCLS_TRY(dcls_grow(ctx, &report->warnings, &report->warning_capacity, report->warning_count + 1,
                       sizeof *report->warnings));
    char *copy = dcls_arena_strdup(ctx, &report->arena, line);
    if (!copy) return DCLS_ERR_MEMORY;
    report->warnings[report->warning_count++] = copy;
    return DCLS_OK;
}

/* ---- parameters ---- */

static int64_t elements_of(const dcls_tensor *tensor)
{
    return (int64_t)(tensor->nbytes / dcls_dtype_size(tensor->dtype));
}

/* The first node that names the tensor: it is counted there. */
static const dcls_node *first_owner(const reporter *r, const dcls_tensor *tensor)
{
    return &r->model->nodes[r->owner[tensor - r->model->tensors->items]];
}

static bool find_owners(reporter *r)
{
    const dcls_model *model = r->model;
    r->owner = dcls_arena_alloc(r->ctx, &r->report->arena, model->tensors->count + 1, sizeof *r->owner);
    if (!r->owner) return false;
    for (size_t i = model->node_count; i-- > 0;) {
        for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
            const dcls_tensor *tensor = dcls_node_tensor(&model->nodes[i], (dcls_slot)slot);
            if (tensor) r->owner[tensor - model->tensors->items] = i;
        }
    }
    return true;
}

static int64_t count_once(const reporter *r, const dcls_node *node, const dcls_tensor *tensor)
{
    return tensor && first_owner(r, tensor) == node ? elements_of(tensor) : 0;
}

static void count_parameters(const reporter *r, const dcls_node *node, dcls_node_report *out)
{
    out->weights = count_once(r, node, node->weight) + count_once(r, node, node->bias);
    out->positions = count_once(r, node, node->P);
    out->spreads = count_once(r, node, node->SIG);
}

/* ---- costs and receptive fields ---- */

static void count_macs(const dcls_node *node, const dcls_shape *shape, dcls_node_report *out)
{
    out->macs_dense = dcls_cost_dense(node, shape);
    out->macs_sparse = out->has_layer ? dcls_cost_taps(shape, out->layer.taps) : out->macs_dense;
}

static double larger(double a, double b)
{
    const double most = fmax(a, b);
    return isnan(a + b) && !isinf(most) ? NAN : most;
}

static void fields_join(const dcls_node *node, const field *fields, field *out)
{
    *out = fields[node->inputs[0]];
    for (int k = 1; k < node->input_count; k++) {
        for (int d = 0; d < 3; d++) {
            out->size[d] = larger(out->size[d], fields[node->inputs[k]].size[d]);
            out->jump[d] = fmax(out->jump[d], fields[node->inputs[k]].jump[d]);
        }
    }
}

static void follow_resize(const reporter *r, const dcls_node *node, int value, field *out)
{
    const dcls_shape *shapes = r->plan ? r->plan->shapes : NULL;
    for (int d = 0; d < 3 && !shapes; d++) {
        const double scale = node->scale[d];
        if (scale > 0 && node->interpolation == DCLS_INTERP_LINEAR) out->size[d] += out->jump[d];
        if (scale > 0)
            out->jump[d] /= scale;
        else if (!isinf(out->size[d]))
            out->size[d] = NAN;
    }
    for (int d = 0; shapes && d + 2 < shapes[value].ndim && d < 3; d++) {
        if (node->interpolation == DCLS_INTERP_LINEAR) out->size[d] += out->jump[d];
        out->jump[d] *= (double)shapes[node->inputs[0]].size[2 + d] / (double)shapes[value].size[2 + d];
    }
}

/* After Araujo, Norris, Sim, "Computing receptive fields of convolutional neural networks", Distill 2019. */
static void follow_field(const reporter *r, const dcls_node *node, field *fields)
{
    int value = (int)(node - r->model->nodes) + 1;
    field *out = &fields[value];
    fields_join(node, fields, out);
    switch (node->op) {
    case DCLS_OP_CONV:
    case DCLS_OP_DCLS:
    case DCLS_OP_MAX_POOL:
    case DCLS_OP_AVG_POOL:
        for (int d = 0; d < node->window.ndim; d++) {
            out->size[d] += (double)((node->window.kernel[d] - 1) * node->window.dilation[d]) * out->jump[d];
            out->jump[d] *= (double)node->window.stride[d];
        }
        break;
    case DCLS_OP_LINEAR:
    case DCLS_OP_FLATTEN:
    case DCLS_OP_GLOBAL_AVG_POOL:
    case DCLS_OP_GLOBAL_MAX_POOL:
        for (int d = 0; d < 3; d++)
            out->size[d] = INFINITY;
        break;
    case DCLS_OP_RESIZE:
        *out = fields[node->inputs[0]];
        follow_resize(r, node, value, out);
        break;
    default: break;
    }
}

static void report_field(const field *f, int spatial, dcls_node_report *out)
{
    for (int d = 0; d < spatial && d < 3; d++)
        out->receptive_field[d] = isnan(f->size[d]) ? -1 : f->size[d] < 1e15 ? (int64_t)ceil(f->size[d]) : 0;
}

static dcls_status warn_about_even_window(const reporter *r, const dcls_node *node,
                                          const dcls_layer_report *layer)
{
    if (!layer->even_window || !r->plan) return DCLS_OK;
    int in = node->inputs[0], value = (int)(node - r->model->nodes) + 1;
    const dcls_shape *a = &r->plan->shapes[in], *b = &r->plan->shapes[value];
    for (int d = 0; d < node->window.ndim; d++) {
        if (node->window.stride[d] != 1 || a->size[2 + d] == b->size[2 + d]) continue;
        return dcls_report_warn(
            r->ctx, r->report,
            "layer '%s': an even dilated_kernel_size %lld with padding %lld makes %lld cells of %lld",
            node->name, (long long)node->window.kernel[d], (long long)node->window.pad_before[d],
            (long long)b->size[2 + d], (long long)a->size[2 + d]);
    }
    return DCLS_OK;
}

/* ---- the report ---- */

static void report_algorithms(const reporter *r)
{
    for (size_t i = 0; i < r->report->count; i++)
        r->report->nodes[i].algorithm = "";
    for (int s = 0; r->plan && s < r->plan->step_count; s++) {
        const dcls_step *step = &r->plan->steps[s];
        if (step->conv) r->report->nodes[step->head].algorithm = dcls_conv_algorithm(step->conv);
    }
}

static dcls_status report_node(const reporter *r, size_t i, field *fields)
{
    const dcls_node *node = &r->model->nodes[i];
    dcls_node_report *out = &r->report->nodes[i];
    out->op = dcls_op_name(node->op);
    out->name = node->name;
    count_parameters(r, node, out);
    if (node->op == DCLS_OP_DCLS) {
        const dcls_node *owner = first_owner(r, node->P);
        DCLS_TRY(dcls_report_layer(r->ctx, node, true, &out->layer));
        out->has_layer = true;
        out->layer.shared_with = owner == node ? NULL : owner->name;
        DCLS_TRY(dcls_report_warn_of_layer(r->ctx, r->report, node->name, &out->layer, true));
        DCLS_TRY(warn_about_even_window(r, node, &out->layer));
    }
    follow_field(r, node, fields);
    report_field(&fields[i + 1], r->model->input_ndim - 2, out);
    if (!r->plan) return DCLS_OK;
    const dcls_shape *shape = &r->plan->shapes[i + 1];
    out->ndim = shape->ndim;
    memcpy(out->shape, shape->size, sizeof out->shape);
    count_macs(node, shape, out);
    return DCLS_OK;
}

static dcls_status fill_report(reporter *r)
{
    dcls_report *report = r->report;
    report->count = r->model->node_count;
    report->nodes = dcls_arena_alloc(r->ctx, &report->arena, report->count, sizeof *report->nodes);
    field *fields = dcls_arena_alloc(r->ctx, &report->arena, report->count + 1, sizeof *fields);
    if (!report->nodes || !fields || !find_owners(r)) return DCLS_ERR_MEMORY;
    for (int d = 0; d < 3; d++)
        fields[0].size[d] = fields[0].jump[d] = 1;
    report_algorithms(r);
    for (size_t i = 0; i < report->count; i++)
        DCLS_TRY(report_node(r, i, fields));
    if (r->plan) {
        report->peak_live = r->plan->live_peak;
        report->plan_memory = dcls_plan_memory(r->plan);
    }
    return DCLS_OK;
}

dcls_status dcls_report_create(dcls_context *ctx, const dcls_model *model, int ndim, const int64_t *shape,
                               dcls_report **out)
{
    *out = NULL;
    dcls_report *report = dcls_alloc_zero(ctx, 1, sizeof *report);
    if (!report) return DCLS_ERR_MEMORY;
    reporter r = {.ctx = ctx, .model = model, .report = report};
    dcls_plan *plan = NULL;
    /* A network that cannot take this input is still worth looking at: the reason becomes a warning. */
    dcls_status status = dcls_plan_create(ctx, model, NULL, ndim, shape, &plan);
    r.plan = plan;
    if (status == DCLS_ERR_ARGUMENT || status == DCLS_ERR_LIMIT)
        status = dcls_report_warn(ctx, report, "%s", dcls_context_message(ctx));
    if (!status) status = fill_report(&r);
    if (!status) status = dcls_report_warn_of_numbers(ctx, report, model);
    dcls_plan_destroy(plan);
    if (status) {
        dcls_report_destroy(report);
        return status;
    }
    *out = report;
    return DCLS_OK;
}

void dcls_report_destroy(dcls_report *report)
{
    if (!report) return;
    free(report->warnings);
    dcls_arena_free(&report->arena);
    free(report);
}

size_t dcls_report_count(const dcls_report *report)
{
    return report->count;
}

const dcls_node_report *dcls_report_node(const dcls_report *report, size_t index)
{
    return &report->nodes[index];
}

size_t dcls_report_peak_live(const dcls_report *report)
{
    return report->peak_live;
}

size_t dcls_report_plan_memory(const dcls_report *report)
{
    return report->plan_memory;
}

const char *dcls_report_warning(const dcls_report *report, size_t index)
{
    return index < report->warning_count ? report->warnings[index] : NULL;
}
