/* Public functions of plans. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan_internal.h"

dcls_plan_options dcls_plan_options_default(void)
{
    return (dcls_plan_options){.algo = DCLS_ALGO_AUTO, .tap_cutoff = -1};
}

static dcls_status check_options(dcls_context *ctx, const dcls_plan_options *o)
{
    if (o->algo != DCLS_ALGO_AUTO && o->algo != DCLS_ALGO_CONSTRUCT && o->algo != DCLS_ALGO_IM2COL &&
        o->algo != DCLS_ALGO_SPARSE)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "algorithm number %d does not exist", (int)o->algo);
    if (o->precision != DCLS_PRECISION_FP32 && o->precision != DCLS_PRECISION_BF16)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "precision number %d does not exist", (int)o->precision);
    if (!(o->tap_cutoff < 1)) /* NaN too */
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the share of taps to drop is %g, must be less than 1",
                         o->tap_cutoff);
    return DCLS_OK;
}

static dcls_status allocate_memory(dcls_context *ctx, dcls_plan *plan)
{
    size_t total;
    uint64_t limit = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    if (!dcls_add_size(plan->arena_bytes, plan->workspace_bytes, &total) || total > limit)
        return dcls_fail(
            ctx, DCLS_ERR_LIMIT, "running this input takes %.1f MB of activations, over the limit of %.1f MB",
            ((double)plan->arena_bytes + (double)plan->workspace_bytes) / 1e6, (double)limit / 1e6);
    plan->memory = dcls_alloc(ctx, total, 1);
    return plan->memory ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status make_plan(dcls_context *ctx, dcls_plan *plan, int ndim, const int64_t *shape)
{
    const dcls_model *model = plan->model;
    plan->shapes = dcls_arena_alloc(ctx, &plan->arena, model->node_count + 1, sizeof *plan->shapes);
    if (!plan->shapes) return DCLS_ERR_MEMORY;
    plan->value_count = (int)model->node_count + 1;
    DCLS_TRY(dcls_model_infer(ctx, model, ndim, shape, plan->shapes));
    DCLS_TRY(dcls_plan_fuse(ctx, plan));
    DCLS_TRY(dcls_plan_lower(ctx, plan));
    DCLS_TRY(dcls_plan_place(ctx, plan));
    int most_inputs = 1;
    for (int s = 0; s < plan->step_count; s++)
        if (plan->steps[s].input_count > most_inputs) most_inputs = plan->steps[s].input_count;
    plan->operand = dcls_arena_alloc(ctx, &plan->arena, (size_t)most_inputs, sizeof *plan->operand);
    if (!plan->operand) return DCLS_ERR_MEMORY;
    return allocate_memory(ctx, plan);
}

static dcls_status create_plan(dcls_context *ctx, const dcls_model *model, const dcls_plan_options *options,
                               bool keep_values, int ndim, const int64_t *shape, dcls_plan **out)
{
    *out = NULL;
    if (options) DCLS_TRY(check_options(ctx, options));
    dcls_plan *plan = dcls_alloc_zero(ctx, 1, sizeof *plan);
    if (!plan) return DCLS_ERR_MEMORY;
    plan->model = model;
    const dcls_cpu_level level = dcls_cpu_detect();
    plan->simd = dcls_simd_get(level);
    if (options && options->precision == DCLS_PRECISION_BF16)
        plan->bf16 = dcls_bf16_get(level, dcls_cpu_has_bf16(level));
    plan->amx = dcls_amx_get();
    plan->threads = plan->most_threads = dcls_context_threads(ctx);
    plan->keep_values = keep_values;
    plan->options = options ? *options : dcls_plan_options_default();
    dcls_status status = make_plan(ctx, plan, ndim, shape);
    if (status) {
        dcls_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return DCLS_OK;
}

dcls_status dcls_plan_create(dcls_context *ctx, const dcls_model *model, const dcls_plan_options *options,
                             int ndim, const int64_t *shape, dcls_plan **out)
{
    return create_plan(ctx, model, options, false, ndim, shape, out);
}

dcls_status dcls_plan_create_keeping(dcls_context *ctx, const dcls_model *model, int ndim,
                                     const int64_t *shape, dcls_plan **out)
{
    return create_plan(ctx, model, NULL, true, ndim, shape, out);
}

void dcls_plan_destroy(dcls_plan *plan)
{
    if (!plan) return;
    for (int s = 0; s < plan->step_count; s++)
        dcls_conv_destroy(plan->steps[s].conv);
    free(plan->memory);
    for (int i = 0; i < plan->arena_count; i++)
        dcls_arena_free(&plan->arenas[i]);
    dcls_arena_free(&plan->arena);
    free(plan);
}

void dcls_plan_set_threads(dcls_plan *plan, int threads)
{
    plan->threads = threads < 1 ? 1 : threads > plan->most_threads ? plan->most_threads : threads;
}

int dcls_plan_output_shape(const dcls_plan *plan, int64_t shape[DCLS_MAX_DIMS])
{
    const dcls_shape *output = &plan->shapes[plan->model->output];
    for (int d = 0; d < output->ndim; d++)
        shape[d] = output->size[d];
    return output->ndim;
}

size_t dcls_plan_output_count(const dcls_plan *plan)
{
    dcls_extent e = dcls_plan_extent(plan, plan->model->output);
    return (size_t)(e.batch * e.channels * e.pixels);
}

size_t dcls_plan_memory(const dcls_plan *plan)
{
    return plan->arena_bytes + plan->workspace_bytes;
}

static float *storage(const dcls_plan *plan, int value, float *output)
{
    const dcls_storage *slot = &plan->slots[value];
    return slot->place == DCLS_IN_OUTPUT ? output : (float *)(void *)(plan->memory + slot->offset);
}

static const float *readable(const dcls_plan *plan, int value, const float *input, float *output)
{
    return plan->slots[value].place == DCLS_IN_INPUT ? input : storage(plan, value, output);
}

const float *dcls_plan_value(const dcls_plan *plan, int value, const float *input, float *output)
{
    return readable(plan, plan->root[value], input, output);
}

void dcls_plan_run_step(dcls_plan *plan, int index, const float *input, float *output)
{
    const dcls_step *step = &plan->steps[index];
    for (int k = 0; k < step->input_count; k++)
        plan->operand[k] = readable(plan, step->inputs[k], input, output);
    const dcls_operands o = {.simd = plan->simd,
                             .threads = plan->threads,
                             .in = plan->operand,
                             .residual =
                                 step->residual >= 0 ? readable(plan, step->residual, input, output) : NULL,
                             .out = storage(plan, step->output, output),
                             .workspace = plan->memory + plan->arena_bytes};
    step->run(step, &o);
}

void dcls_plan_finish_run(const dcls_plan *plan, const float *input, float *output)
{
    if (plan->root[plan->model->output] == 0)
        memcpy(output, input, dcls_plan_output_count(plan) * sizeof *output);
}

dcls_status dcls_plan_run(dcls_context *ctx, dcls_plan *plan, const float *input, float *output)
{
    (void)ctx;
    for (int s = 0; s < plan->step_count; s++)
        dcls_plan_run_step(plan, s, input, output);
    dcls_plan_finish_run(plan, input, output);
    return DCLS_OK;
}
