/* Teachers: networks that answer the batches another one is trained with. */
#include <math.h>
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
    dcls_plan *plan;    /* for a piece of a batch */
    bool probabilities; /* it ends in a softmax */
} network;

struct dcls_teacher {
    network *networks;
    size_t count;
    int64_t batch, channels, height, width;
    int64_t piece; /* pictures that run together; a divisor of batch */
    int64_t classes, pixels;
    double temperature;
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
                         "than the network to train");
    DCLS_TRY(dcls_model_classes(ctx, model, &classes));
    if (classes == t->classes) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the teacher has %lld classes, the network to train %lld",
                     (long long)classes, (long long)t->classes);
}

/* A batch is cut into equal pieces, for all of which one plan will do. */
static int64_t piece_of(const dcls_teacher *t)
{
    const int64_t fit = PIECE_PIXELS / (t->height * t->width);
    int64_t piece = fit < t->batch ? fit : t->batch;
    while (piece > 1 && t->batch % piece != 0)
        piece--;
    return piece > 1 ? piece : 1;
}

static dcls_status make_network(dcls_context *ctx, const dcls_teacher *t, const dcls_model *model,
                                const dcls_model *student, dcls_algo algo, network *n)
{
    int64_t out[DCLS_MAX_DIMS];
    const int64_t in[] = {t->piece, t->channels, t->height, t->width};
    dcls_plan_options options = dcls_plan_options_default();
    options.algo = algo;
    DCLS_TRY(check(ctx, t, model, student));
    n->probabilities = dcls_ends_in_softmax(model);
    DCLS_TRY(dcls_plan_create(ctx, model, &options, 4, in, &n->plan));
    const int64_t pixels = dcls_plan_output_shape(n->plan, out) == 4 ? out[2] * out[3] : 1;
    const int64_t wanted = dcls_model_task(model) == DCLS_TASK_SEGMENTATION ? t->height * t->width : 1;
    if (pixels == wanted) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the teacher answers with %lld pixels in place of %lld",
                     (long long)pixels, (long long)wanted);
}

static dcls_status reserve(dcls_context *ctx, dcls_teacher *t)
{
    size_t each, floats;
    if (!dcls_mul_size((size_t)t->classes, (size_t)t->pixels, &each) ||
        !dcls_mul_size(each, (size_t)t->batch, &floats))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the teachers' answers to a batch are too large");
    t->logits = dcls_alloc(ctx, (size_t)t->piece * each, sizeof *t->logits);
    t->probabilities = dcls_alloc(ctx, (size_t)t->piece * each, sizeof *t->probabilities);
    t->mean = dcls_alloc(ctx, floats, sizeof *t->mean);
    return t->logits && t->probabilities && t->mean ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status create(dcls_context *ctx, dcls_teacher *t, const dcls_model *const *models, size_t count,
                          const dcls_model *student, const dcls_trainer_options *options, size_t *at)
{
    *at = count;
    int64_t pixels;
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
    t->piece = piece_of(t);
    t->temperature = options->temperature;
    t->simd = dcls_simd_get(dcls_cpu_detect());
    t->threads = dcls_context_threads(ctx);
    for (*at = 0; *at < count; ++*at)
        DCLS_TRY(make_network(ctx, t, models[*at], student, options->algo, &t->networks[*at]));
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
    for (size_t i = 0; i < teacher->count; i++)
        dcls_plan_destroy(teacher->networks[i].plan);
    free(teacher->networks);
    free(teacher->logits);
    free(teacher->probabilities);
    free(teacher->mean);
    free(teacher);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

/* One network's answers to a piece, on their way into the mean. */
typedef struct answers {
    const dcls_teacher *t;
    const network *from;
    float *mean; /* of the piece */
} answers;

/* softmax(log(p) / T) is p^(1 / T), divided by its sum: probabilities are softened as logits are. */
static void soften(const answers *a, float *x, float *p, size_t floats)
{
    const dcls_teacher *t = a->t;
    const float scale = (float)(1 / t->temperature);
    for (size_t i = 0; i < floats; i++)
        x[i] = scale * (a->from->probabilities ? logf(x[i] > 1e-30F ? x[i] : 1e-30F) : x[i]);
    t->simd->softmax(x, p, t->classes, t->pixels, t->pixels);
}

static void take(void *arg, int64_t image, int worker)
{
    (void)worker;
    const answers *a = arg;
    const dcls_teacher *t = a->t;
    const size_t floats = (size_t)(t->classes * t->pixels), at = (size_t)image * floats;
    const float part = 1.0F / (float)t->count;
    soften(a, t->logits + at, t->probabilities + at, floats);
    for (size_t i = 0; i < floats; i++)
        a->mean[at + i] += part * t->probabilities[at + i];
}

dcls_status dcls_teacher_run(dcls_context *ctx, dcls_teacher *teacher, const dcls_batch *batch,
                             const float **out)
{
    const dcls_teacher *t = teacher;
    const size_t input = (size_t)(t->channels * t->height * t->width);
    const size_t output = (size_t)(t->classes * t->pixels);
    *out = NULL;
    if (batch->count != t->batch || batch->channels != t->channels || batch->height != t->height ||
        batch->width != t->width)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the teachers were made for batches of another size");
    memset(t->mean, 0, (size_t)t->batch * output * sizeof *t->mean);
    for (int64_t first = 0; first < t->batch; first += t->piece)
        for (size_t i = 0; i < t->count; i++) {
            const size_t at = (size_t)first;
            answers a = {.t = t, .from = &t->networks[i], .mean = t->mean + at * output};
            DCLS_TRY(dcls_plan_run(ctx, a.from->plan, batch->input + at * input, t->logits));
            dcls_parallel_for(t->threads, t->piece, take, &a);
        }
    *out = t->mean;
    return DCLS_OK;
}
