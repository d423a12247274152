/* Teachers: networks that answer the batches another one is trained with. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "dcls_train.h"
#include "model/model.h"
#include "simd/simd.h"
#include "train/logits.h"

#define PIECE_PIXELS 65536 /* of the pictures that run together: larger maps are faster one by one */

typedef struct network {
    dcls_plan *plan, *last; /* for a piece of a batch, and for what is left of it, or NULL */
    bool probabilities;     /* it ends in a softmax */
} network;

struct dcls_teacher {
    network *networks;
    size_t count;
    int64_t batch, channels, height, width;
    int64_t piece; /* pictures that run together */
    int64_t classes, pixels;
    double temperature;
    dcls_algo algo;
    dcls_precision precision;
    const dcls_simd *simd;
    int threads;
    float *logits, *probabilities; /* [piece, classes, pixels] */
    float *mean;                   /* [batch, classes, pixels] */
};

/* ---- what is checked before ------------------------------------------------------------------------ */

static bool same_input(const dcls_preprocess *a, const dcls_preprocess *b)
{
    const size_t channels = (size_t)a->channels;
    return a->channels == b->channels && memcmp(a->mean, b->mean, channels * sizeof *a->mean) == 0 &&
           memcmp(a->std, b->std, channels * sizeof *a->std) == 0;
}

/* How pictures are resized does not matter: batches are as they are. */
static dcls_status check(dcls_context *ctx, const dcls_teacher *t, const dcls_model *model,
                         const dcls_model *student)
{
    int64_t classes = 0;
    if (dcls_model_task(model) != dcls_model_task(student))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the teacher and the network to train have other tasks");
    if (!same_input(dcls_model_preprocess(model), dcls_model_preprocess(student)))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "the teacher makes tensors of pictures with another mean, std or number of channels "
                         "than the network to train, which 'model.preprocess' sets for a new one");
    DCLS_TRY(dcls_model_classes(ctx, model, &classes));
    if (classes == t->classes) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the teacher has %lld classes, the network to train %lld",
                     (long long)classes, (long long)t->classes);
}

static dcls_status check_output(dcls_context *ctx, const dcls_teacher *t, const dcls_plan *plan)
{
    int64_t out[DCLS_MAX_DIMS];
    const int ndim = dcls_plan_output_shape(plan, out);
    const bool map = t->pixels > 1;
    if (map ? ndim == 4 && out[2] == t->height && out[3] == t->width
            : dcls_plan_output_count(plan) == (size_t)(out[0] * t->classes))
        return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the teacher's answers have another size than what is learned");
}

static dcls_status make_plan(dcls_context *ctx, const dcls_teacher *t, const dcls_model *model, int64_t count,
                             dcls_plan **out)
{
    const int64_t in[] = {count, t->channels, t->height, t->width};
    dcls_plan_options options = dcls_plan_options_default();
    options.algo = t->algo;
    options.precision = t->precision;
    if (count == 0) return DCLS_OK;
    return dcls_plan_create(ctx, model, &options, 4, in, out);
}

static dcls_status make_network(dcls_context *ctx, const dcls_teacher *t, const dcls_model *model,
                                const dcls_model *student, network *n)
{
    DCLS_TRY(check(ctx, t, model, student));
    n->probabilities = dcls_ends_in_softmax(model);
    DCLS_TRY(make_plan(ctx, t, model, t->piece, &n->plan));
    DCLS_TRY(check_output(ctx, t, n->plan));
    return make_plan(ctx, t, model, t->batch % t->piece, &n->last);
}

static void drop_plans(dcls_teacher *t)
{
    for (size_t i = 0; i < t->count; i++) {
        dcls_plan_destroy(t->networks[i].plan);
        dcls_plan_destroy(t->networks[i].last);
        t->networks[i] = (network){0};
    }
}

/* All plans together, and the answers. */
static dcls_status check_memory(dcls_context *ctx, const dcls_teacher *t)
{
    const uint64_t limit = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    const uint64_t each = (uint64_t)(t->classes * t->pixels) * sizeof(float);
    uint64_t bytes = each * (uint64_t)(t->batch + 2 * t->piece);
    for (size_t i = 0; i < t->count; i++) {
        bytes += dcls_plan_memory(t->networks[i].plan);
        if (t->networks[i].last != NULL) bytes += dcls_plan_memory(t->networks[i].last);
    }
    if (bytes <= limit) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "the teachers take %.1f MB, more than the limit of %.1f MB",
                     (double)bytes / 1e6, (double)limit / 1e6);
}

static dcls_status make_networks(dcls_context *ctx, dcls_teacher *t, const dcls_model *const *models,
                                 const dcls_model *student, size_t *at)
{
    for (*at = 0; *at < t->count; ++*at)
        DCLS_TRY(make_network(ctx, t, models[*at], student, &t->networks[*at]));
    return check_memory(ctx, t);
}

static dcls_status reserve(dcls_context *ctx, dcls_teacher *t)
{
    const size_t each = (size_t)(t->classes * t->pixels);
    t->logits = dcls_alloc(ctx, (size_t)t->piece * each, sizeof *t->logits);
    t->probabilities = dcls_alloc(ctx, (size_t)t->piece * each, sizeof *t->probabilities);
    t->mean = dcls_alloc(ctx, (size_t)t->batch * each, sizeof *t->mean);
    return t->logits && t->probabilities && t->mean ? DCLS_OK : DCLS_ERR_MEMORY;
}

/* As many pictures together as help, fewer where memory does not reach for them. */
static dcls_status fit(dcls_context *ctx, dcls_teacher *t, const dcls_model *const *models,
                       const dcls_model *student, size_t *at)
{
    const int64_t pieces = PIECE_PIXELS / (t->height * t->width);
    t->piece = pieces < 1 ? 1 : pieces < t->batch ? pieces : t->batch;
    dcls_status status = make_networks(ctx, t, models, student, at);
    while ((status == DCLS_ERR_LIMIT || status == DCLS_ERR_MEMORY) && t->piece > 1) {
        drop_plans(t);
        t->piece /= 2;
        status = make_networks(ctx, t, models, student, at);
    }
    return status;
}

static dcls_status create(dcls_context *ctx, dcls_teacher *t, const dcls_model *const *models, size_t count,
                          const dcls_model *student, const dcls_trainer_options *options, size_t *at)
{
    *at = count;
    int64_t pixels, floats;
    if (count == 0 || options->batch < 1 || options->height < 1 || options->width < 1 ||
        !dcls_mul_i64(options->height, options->width, &pixels))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "no teacher, or a batch of no size");
    if (!(options->temperature > 0 && isfinite(options->temperature)))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "temperature is %g, must be above 0", options->temperature);
    t->networks = dcls_alloc_zero(ctx, count, sizeof *t->networks);
    if (t->networks == NULL) return DCLS_ERR_MEMORY;
    t->count = count;
    DCLS_TRY(dcls_model_classes(ctx, student, &t->classes));
    t->batch = options->batch;
    t->height = options->height;
    t->width = options->width;
    t->channels = dcls_model_preprocess(student)->channels;
    t->pixels = dcls_model_task(student) == DCLS_TASK_SEGMENTATION ? t->height * t->width : 1;
    t->temperature = options->temperature;
    t->algo = options->algo;
    t->precision = dcls_bf16_is_fast() ? options->precision : DCLS_PRECISION_FP32;
    t->simd = dcls_simd_get(dcls_cpu_detect());
    t->threads = dcls_context_threads(ctx);
    if (!dcls_mul_i64(t->classes, t->pixels, &floats) || !dcls_mul_i64(floats, 4 * t->batch, &floats))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the teachers' answers to a batch are too large");
    DCLS_TRY(fit(ctx, t, models, student, at));
    return reserve(ctx, t);
}

dcls_status dcls_teacher_create(dcls_context *ctx, const dcls_model *const *models, size_t count,
                                const dcls_model *student, const dcls_trainer_options *options,
                                dcls_teacher **out, size_t *failed)
{
    size_t at = count;
    *out = NULL;
    dcls_teacher *t = dcls_alloc_zero(ctx, 1, sizeof *t);
    if (failed != NULL) *failed = count;
    if (t == NULL) return DCLS_ERR_MEMORY;
    const dcls_status status = create(ctx, t, models, count, student, options, &at);
    if (failed != NULL) *failed = at;
    if (status == DCLS_OK)
        *out = t;
    else
        dcls_teacher_destroy(t);
    return status;
}

void dcls_teacher_destroy(dcls_teacher *teacher)
{
    if (teacher == NULL) return;
    drop_plans(teacher);
    free(teacher->networks);
    free(teacher->logits);
    free(teacher->probabilities);
    free(teacher->mean);
    free(teacher);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

/* One network's answers to a piece, on their way into the mean, some pixels of a picture at a time. */
typedef struct answers {
    const dcls_teacher *t;
    const network *from;
    float *mean;    /* of the piece */
    int64_t blocks; /* of a picture */
    atomic_bool broken;
} answers;

#define BLOCK ((int64_t)4096) /* pixels */

/* softmax(log(p) / T) is p^(1 / T), divided by its sum: probabilities are softened as logits are. */
static void soften(const answers *a, float *x, float *p, int64_t pixels)
{
    const dcls_teacher *t = a->t;
    const float scale = (float)(1 / t->temperature);
    for (int64_t c = 0; c < t->classes; c++)
        for (int64_t i = c * t->pixels; i < c * t->pixels + pixels; i++)
            x[i] = scale * (a->from->probabilities ? logf(x[i] < 1e-30F ? 1e-30F : x[i]) : x[i]);
    t->simd->softmax(x, p, t->classes, t->pixels, pixels);
}

static void take(void *arg, int64_t item, int worker)
{
    (void)worker;
    answers *a = arg;
    const dcls_teacher *t = a->t;
    const int64_t image = item / a->blocks, first = item % a->blocks * BLOCK;
    const int64_t pixels = t->pixels - first < BLOCK ? t->pixels - first : BLOCK;
    const int64_t at = image * t->classes * t->pixels + first;
    const float part = 1.0F / (float)t->count;
    float sum = 0;
    soften(a, t->logits + at, t->probabilities + at, pixels);
    for (int64_t c = 0; c < t->classes; c++)
        for (int64_t i = at + c * t->pixels; i < at + c * t->pixels + pixels; i++) {
            a->mean[i] += part * t->probabilities[i];
            sum += t->probabilities[i];
        }
    if (!isfinite(sum)) atomic_store(&a->broken, true);
}

static dcls_status run_piece(dcls_context *ctx, const dcls_teacher *t, const float *input, int64_t count,
                             float *mean)
{
    for (size_t i = 0; i < t->count; i++) {
        const network *n = &t->networks[i];
        answers a = {.t = t, .from = n, .mean = mean, .blocks = (t->pixels + BLOCK - 1) / BLOCK};
        DCLS_TRY(dcls_plan_run(ctx, count == t->piece ? n->plan : n->last, input, t->logits));
        dcls_parallel_for(t->threads, count * a.blocks, take, &a);
        if (atomic_load(&a.broken))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "answers of teacher %zu are no numbers", i + 1);
    }
    return DCLS_OK;
}

dcls_status dcls_teacher_run(dcls_context *ctx, dcls_teacher *teacher, const dcls_batch *batch,
                             const float **out)
{
    const dcls_teacher *t = teacher;
    const int64_t input = t->channels * t->height * t->width, output = t->classes * t->pixels;
    *out = NULL;
    if (batch->count != t->batch || batch->channels != t->channels || batch->height != t->height ||
        batch->width != t->width)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the teachers were made for batches of another size");
    memset(t->mean, 0, (size_t)(t->batch * output) * sizeof *t->mean);
    for (int64_t first = 0; first < t->batch; first += t->piece) {
        const int64_t left = t->batch - first;
        DCLS_TRY(run_piece(ctx, t, batch->input + first * input, left < t->piece ? left : t->piece,
                           t->mean + first * output));
    }
    *out = t->mean;
    return DCLS_OK;
}
