/* Where the time of a run goes, step by step. */
#include <string.h>

#include "base/clock.h"
#include "dcls_analysis.h"
#include "plan/plan_internal.h"

size_t dcls_plan_step_count(const dcls_plan *plan)
{
    return (size_t)plan->step_count;
}

static const char *algorithm_of(const dcls_step *step)
{
    return step->conv ? dcls_conv_algorithm(step->conv) : "";
}

static double macs_of(const dcls_step *step)
{
    if (step->conv) return dcls_conv_macs(step->conv);
    const dcls_node *node = step->node;
    if (node->op != DCLS_OP_LINEAR) return 0;
    return (double)step->extent.batch * (double)node->in_channels * (double)node->out_channels;
}

dcls_step_facts dcls_plan_step(const dcls_plan *plan, size_t index)
{
    const dcls_step *step = &plan->steps[index];
    const dcls_shape *shape = &plan->shapes[step->tail + 1];
    dcls_step_facts facts = {.name = step->node->name,
                             .last = plan->model->nodes[step->tail].name,
                             .op = dcls_op_name(step->node->op),
                             .algorithm = algorithm_of(step),
                             .macs = macs_of(step),
                             .ndim = shape->ndim};
    for (int d = 0; d < shape->ndim; d++)
        facts.shape[d] = shape->size[d];
    memcpy(facts.predicted, step->cost, sizeof facts.predicted);
    facts.algo = step->algo;
    return facts;
}

dcls_status dcls_plan_run_timed(dcls_context *ctx, dcls_plan *plan, const float *input, float *output,
                                double *seconds)
{
    (void)ctx;
    double before = dcls_now();
    for (int s = 0; s < plan->step_count; s++) {
        dcls_plan_run_step(plan, s, input, output);
        const double after = dcls_now();
        seconds[s] = after - before;
        before = after;
    }
    dcls_plan_finish_run(plan, input, output);
    return DCLS_OK;
}

/* ---- what the processor could do ---- */

#define PEAK_ROUNDS  ((int64_t)1 << 16)
#define PEAK_REPEATS 20
#define PEAK_THREADS 1024

typedef struct peak_work {
    float (*multiply_add)(int64_t rounds);
    float sink[PEAK_THREADS]; /* keeps the sums from being left out */
} peak_work;

static void spin(void *arg, int64_t item, int worker)
{
    peak_work *work = arg;
    (void)worker;
    work->sink[item] += work->multiply_add(PEAK_ROUNDS);
}

/* macs: of one round. */
static double measure_peak(dcls_context *ctx, float (*multiply_add)(int64_t), double macs)
{
    peak_work work = {.multiply_add = multiply_add};
    int threads = dcls_context_threads(ctx);
    if (threads > PEAK_THREADS) threads = PEAK_THREADS;
    double best = 0;
    for (int repeat = 0; repeat < PEAK_REPEATS; repeat++) {
        const double before = dcls_now();
        dcls_parallel_for(threads, threads, spin, &work);
        const double seconds = dcls_now() - before, all = (double)threads * (double)PEAK_ROUNDS * macs;
        if (seconds > 0 && all / seconds > best) best = all / seconds;
    }
    return best;
}

double dcls_peak_macs(dcls_context *ctx)
{
    const dcls_simd *simd = dcls_simd_get(dcls_cpu_detect());
    return measure_peak(ctx, simd->multiply_add, (double)(DCLS_SIMD_CHAINS * simd->width));
}

bool dcls_bf16_is_fast(void)
{
    return dcls_amx_get() != NULL || dcls_cpu_has_bf16(dcls_cpu_detect());
}

double dcls_peak_bf16_macs(dcls_context *ctx)
{
    const dcls_cpu_level level = dcls_cpu_detect();
    const dcls_bf16 *bf16 = dcls_bf16_get(level, dcls_cpu_has_bf16(level));
    return measure_peak(ctx, bf16->multiply_add, (double)(2 * DCLS_SIMD_CHAINS * bf16->width));
}
