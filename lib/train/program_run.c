/* One step: forward, loss, backward, gradients of parameters. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/threads.h"
#include "train/program.h"

#define PIECE ((int64_t)16384) /* floats summed over lanes by one task */

typedef struct run {
    dcls_context *ctx;
    dcls_program *program;
    const dcls_batch *batch;
    uint64_t key;
    int phase;
    bool backward, from_end;
    int broken; /* while looking for it: first layer whose result is not finite */
    bool looking;
} run;

/* ---- phases ---- */

static bool all_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static void look_at(run *r, int l, const dcls_visit *visit)
{
    const int out = r->program->layers[l].output;
    if (!r->looking || r->broken >= 0 || out < 0) return;
    if (!all_finite(dcls_visit_value(visit, out), r->program->values[out].floats * visit->count))
        r->broken = l;
}

typedef void layer_fn(const dcls_layer *layer, const dcls_visit *visit);

static void call(layer_fn *function, const dcls_layer *layer, const dcls_visit *visit, int way)
{
    const dcls_program *p = visit->program;
    if (p->seconds == NULL) {
        function(layer, visit);
        return;
    }
    const double start = dcls_now();
    function(layer, visit);
    p->seconds[(visit->worker * p->layer_count + (layer - p->layers)) * 2 + way] += dcls_now() - start;
}

static void visit_forward(run *r, const dcls_visit *visit)
{
    for (int l = 0; l < r->program->layer_count; l++) {
        const dcls_layer *layer = &r->program->layers[l];
        if (layer->phase != r->phase || layer->absorbed) continue;
        call(layer->kind->forward, layer, visit, 0);
        look_at(r, l, visit);
    }
}

static void visit_backward(const run *r, const dcls_visit *visit)
{
    const dcls_program *p = r->program;
    for (int l = 0; r->backward && l < p->layer_count; l++) /* else they have just run */
        if (p->layers[l].phase == r->phase && p->layers[l].again)
            call(p->layers[l].kind->forward, &p->layers[l], visit, 1);
    for (int l = p->layer_count - 1; l >= 0; l--) {
        const dcls_layer *layer = &p->layers[l];
        if (layer->phase == r->phase && !layer->absorbed && layer->kind->backward != NULL &&
            layer->gradient >= 0 && p->values[layer->gradient].wants_gradient)
            call(layer->kind->backward, layer, visit, 1);
    }
}

/* Every other phase goes through the batch from its end, where the caches still hold what the one before
 * left. */
static void run_lane(void *arg, int64_t item, int worker)
{
    run *r = arg;
    const dcls_program *p = r->program;
    const int64_t lane = r->from_end ? p->lanes - 1 - item : item;
    dcls_visit visit = {.program = p, .batch = r->batch, .key = r->key, .lane = (int)lane, .worker = worker};
    memcpy(&visit.input, &r->batch->input, sizeof visit.input);
    visit.local = p->workers + (size_t)worker * p->worker_floats;
    visit.scratch = visit.local + p->local_floats;
    const int64_t start = p->batch * lane / p->lanes, end = p->batch * (lane + 1) / p->lanes;
    const int64_t chunk = visit.chunk = p->chunks[r->phase], visits = (end - start + chunk - 1) / chunk;
    for (int64_t i = 0; i < visits; i++) {
        visit.first = start + (r->from_end ? visits - 1 - i : i) * chunk;
        visit.next = i + 1 < visits ? visit.first + (r->from_end ? -chunk : chunk) : -1;
        visit.count = end - visit.first < chunk ? end - visit.first : chunk;
        if (!r->backward) visit_forward(r, &visit);
        if (r->backward || (r->phase == p->phase_count - 1 && !r->looking)) visit_backward(r, &visit);
    }
}

/* The last phase goes back at once: the loss of an image is all its gradient needs. */
static void run_phases(run *r)
{
    dcls_program *p = r->program;
    for (int i = 0; i < p->phase_count; i++) {
        r->phase = r->backward ? p->phase_count - 1 - i : i;
        if (!r->backward || r->phase < p->phase_count - 1) {
            dcls_parallel_for(r->looking ? 1 : p->threads, p->lanes, run_lane, r);
            r->from_end = !r->from_end;
        }
        for (int l = 0; l < p->layer_count; l++) {
            dcls_layer *layer = &p->layers[l];
            if (layer->phase != r->phase) continue;
            if (!r->backward && layer->kind->settle != NULL) layer->kind->settle(p, layer);
            if (r->backward && layer->kind->settle_backward != NULL) layer->kind->settle_backward(p, layer);
        }
    }
}

/* ---- before ---- */

static dcls_status check_batch(dcls_context *ctx, const dcls_program *p, const dcls_batch *batch)
{
    const dcls_shape *in = &p->values[0].shape;
    const dcls_shape *out = &p->values[p->values[p->output].root].shape;
    const int64_t pixels = p->values[p->output].floats / out->size[1];
    if (p->use.given != NULL) return DCLS_OK;
    if (p->options.lovasz > 0 && batch->mixed != NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the Lovász loss (loss.lovasz) takes no mixed pictures");
    if (p->options.distill > 0 && batch->soft == NULL)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a batch without teachers' answers for distillation");
    if (batch->count == p->batch && batch->channels == in->size[1] && batch->height == in->size[2] &&
        batch->width == in->size[3] && batch->target_pixels == pixels)
        return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                     "a batch of %lld x [%lld, %lld, %lld] with %lld targets each does not fit: the network "
                     "was made for %lld x [%lld, %lld, %lld] with %lld",
                     (long long)batch->count, (long long)batch->channels, (long long)batch->height,
                     (long long)batch->width, (long long)batch->target_pixels, (long long)p->batch,
                     (long long)in->size[1], (long long)in->size[2], (long long)in->size[3],
                     (long long)pixels);
}

static double weight_of(const dcls_program *p, int32_t target)
{
    return p->options.class_weights ? (double)p->options.class_weights[target] : 1;
}

/* What is mixed in weighs by its share. */
static dcls_status weigh_targets(dcls_context *ctx, dcls_program *p, const dcls_batch *batch)
{
    const int64_t classes = p->values[p->values[p->output].root].shape.size[1];
    p->target_weight = 0;
    p->target_count = 0;
    if (p->use.given != NULL) return DCLS_OK;
    for (int64_t i = 0; i < batch->count * batch->target_pixels; i++) {
        const int32_t first = batch->target[i];
        int32_t second = batch->mixed != NULL ? batch->mixed[i] : first;
        if (second == DCLS_IGNORE) second = first;
        if (first == DCLS_IGNORE) continue;
        if (first < 0 || first >= classes || second < 0 || second >= classes)
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a target is class %d, the network has %lld",
                             (int)(first < 0 || first >= classes ? first : second), (long long)classes);
        p->target_count++;
        if (first == second) {
            p->target_weight += weight_of(p, first);
            continue;
        }
        const double share = (double)batch->share[i / batch->target_pixels];
        p->target_weight += share * weight_of(p, first) + (1 - share) * weight_of(p, second);
    }
    return DCLS_OK;
}

/* Layers by themselves, each on one thread with a context of its own; the failure of the first that fails. */
typedef dcls_status layer_task(dcls_context *ctx, dcls_program *p, dcls_layer *layer);

typedef struct layer_job {
    dcls_program *program;
    layer_task *task;
    dcls_context *contexts; /* one per layer */
    dcls_status *status;
} layer_job;

static void run_layer(void *arg, int64_t l, int worker)
{
    (void)worker;
    const layer_job *job = arg;
    job->status[l] = job->task(&job->contexts[l], job->program, &job->program->layers[l]);
}

static dcls_status for_layers(dcls_context *ctx, dcls_program *p, layer_task *task, int threads)
{
    const size_t count = (size_t)p->layer_count;
    layer_job job = {.program = p, .task = task};
    job.contexts = dcls_alloc(ctx, count, sizeof *job.contexts);
    job.status = dcls_alloc(ctx, count, sizeof *job.status);
    dcls_status status = job.contexts && job.status ? DCLS_OK : DCLS_ERR_MEMORY;
    for (size_t l = 0; l < count && status == DCLS_OK; l++) {
        job.contexts[l] = *ctx;
        job.contexts[l].threads = 1;
    }
    if (status == DCLS_OK) dcls_parallel_for(threads, p->layer_count, run_layer, &job);
    for (size_t l = 0; l < count && status == DCLS_OK; l++)
        if ((status = job.status[l]) != DCLS_OK) dcls_fail(ctx, status, "%s", job.contexts[l].message);
    free(job.contexts);
    free(job.status);
    return status;
}

/* Layers make ready what depends on the weights; memory grows with what they ask for. */
static dcls_status prepare_layer(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    if (layer->kind->prepare == NULL) return DCLS_OK;
    const dcls_status status = layer->kind->prepare(ctx, p, layer);
    return status == DCLS_OK ? DCLS_OK : dcls_fail_within(ctx, status, "node '%s': ", layer->node->name);
}

/* Memory of rows * floats in place of what was there. */
static dcls_status renew(dcls_context *ctx, dcls_program *p, float **memory, uint64_t *held, size_t rows,
                         size_t floats)
{
    size_t count, bytes;
    free(*memory);
    *memory = NULL;
    p->bytes -= *held;
    *held = 0;
    if (!dcls_mul_size(rows, floats, &count) || !dcls_mul_size(count, sizeof **memory, &bytes))
        bytes = SIZE_MAX;
    DCLS_TRY(dcls_program_claim(ctx, p, bytes));
    *held = bytes;
    *memory = dcls_alloc(ctx, count, sizeof **memory);
    return *memory != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

dcls_status dcls_program_prepare(dcls_context *ctx, dcls_program *p)
{
    size_t scratch = 0;
    uint64_t packed = 0;
    p->lane_floats = 0;
    DCLS_TRY(for_layers(ctx, p, prepare_layer, p->threads));
    for (int l = 0; l < p->layer_count; l++) {
        dcls_layer *layer = &p->layers[l];
        packed += layer->packed_bytes;
        layer->lane_offset = p->lane_floats;
        p->lane_floats += (layer->lane_floats + 15) / 16 * 16;
        if (layer->scratch_floats > scratch) scratch = layer->scratch_floats;
    }
    p->bytes -= p->packed_bytes;
    p->packed_bytes = 0;
    DCLS_TRY(dcls_program_claim(ctx, p, packed));
    p->packed_bytes = packed;
    scratch = (scratch + 15) / 16 * 16;
    if (p->workers == NULL || scratch > p->scratch_floats) {
        p->scratch_floats = scratch;
        p->worker_floats = (p->local_floats + scratch + 31) / 16 * 16 + dcls_floats_apart(p->threads);
        DCLS_TRY(renew(ctx, p, &p->workers, &p->worker_bytes, (size_t)p->threads, p->worker_floats));
    }
    if (p->sums == NULL || p->lane_floats > p->lane_capacity) {
        p->lane_capacity = p->lane_floats + p->lane_floats / 8 + 16;
        DCLS_TRY(renew(ctx, p, &p->sums, &p->sum_bytes, (size_t)p->lanes, p->lane_capacity));
    }
    return DCLS_OK;
}

static void clear_lane(void *arg, int64_t lane, int worker)
{
    (void)worker;
    const dcls_program *p = arg;
    memset(p->sums + (size_t)lane * p->lane_floats, 0, p->lane_floats * sizeof *p->sums);
}

/* ---- after ---- */

static void sum_piece(void *arg, int64_t piece, int worker)
{
    (void)worker;
    const dcls_program *p = arg;
    const int64_t all = (int64_t)p->lane_floats, first = piece * PIECE;
    const int64_t count = all - first < PIECE ? all - first : PIECE;
    for (int lane = 1; lane < p->lanes; lane++)
        p->simd->add(p->sums + first, p->sums + lane * all + first, p->sums + first, count);
}

static dcls_status finish_layer(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    if (layer->kind->finish == NULL || !layer->trains) return DCLS_OK;
    return layer->kind->finish(ctx, p, layer, p->sums + layer->lane_offset);
}

static dcls_status finish_layers(dcls_context *ctx, dcls_program *p)
{
    dcls_parallel_for(p->threads, ((int64_t)p->lane_floats + PIECE - 1) / PIECE, sum_piece, p);
    memset(p->parameters->gradients, 0, p->parameters->floats * sizeof(float));
    return for_layers(ctx, p, finish_layer, p->shared ? 1 : p->threads);
}

/* Runs forward once more and looks at every result. */
static dcls_status name_broken(run *r)
{
    r->backward = false;
    r->looking = true;
    r->broken = -1;
    run_phases(r);
    const char *name = r->broken >= 0 ? r->program->layers[r->broken].node->name : NULL;
    if (!all_finite(r->batch->input, r->program->batch * r->program->values[0].floats)) name = "input";
    return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "the loss is not finite; first in '%s'", name ? name : "loss");
}

static dcls_status check_gradients(dcls_context *ctx, const dcls_program *p)
{
    for (size_t i = 0; i < p->parameters->count; i++) {
        const dcls_parameter *parameter = &p->parameters->items[i];
        if (parameter->gradient != NULL && !all_finite(parameter->gradient, (int64_t)parameter->count))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "the gradient of '%s' is not finite", parameter->name);
    }
    return DCLS_OK;
}

dcls_status dcls_program_run(dcls_context *ctx, dcls_program *program, const dcls_batch *batch, uint64_t key,
                             dcls_step_result *result)
{
    run r = {.ctx = ctx, .program = program, .batch = batch, .key = key};
    *result = (dcls_step_result){0};
    DCLS_TRY(check_batch(ctx, program, batch));
    DCLS_TRY(weigh_targets(ctx, program, batch));
    DCLS_TRY(dcls_program_prepare(ctx, program));
    dcls_parallel_for(program->threads, program->lanes, clear_lane, program);
    run_phases(&r);
    for (int64_t n = 0; n < program->batch; n++) {
        result->loss += program->losses[n];
        result->added += program->added[n];
        result->correct += program->correct[n];
    }
    result->targets = program->target_count;
    if (!isfinite(result->loss)) return name_broken(&r);
    r.backward = true;
    run_phases(&r);
    DCLS_TRY(finish_layers(ctx, program));
    return check_gradients(ctx, program);
}

void dcls_program_commit(dcls_program *program)
{
    for (int l = 0; l < program->layer_count; l++)
        if (program->layers[l].kind->commit != NULL)
            program->layers[l].kind->commit(program, &program->layers[l]);
}

dcls_status dcls_program_times(dcls_context *ctx, dcls_program *program, double *seconds)
{
    const size_t each = 2 * (size_t)program->layer_count;
    if (program->seconds == NULL) {
        program->seconds = dcls_alloc_zero(ctx, (size_t)program->threads * each, sizeof *program->seconds);
        if (program->seconds == NULL) return DCLS_ERR_MEMORY;
    }
    for (size_t i = 0; seconds != NULL && i < each; i++) {
        seconds[i] = 0;
        for (int worker = 0; worker < program->threads; worker++)
            seconds[i] += program->seconds[(size_t)worker * each + i];
    }
    return DCLS_OK;
}
