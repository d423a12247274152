/* Distillation: what teachers answer, and the loss and gradients it makes. */
#include "batch_util.h"
#include "model_util.h"

#include <math.h>

#include "base/rng.h"
#include "train/program.h"

enum { BATCH = 6, SIDE = 5, PIXELS = SIDE * SIDE, CLASSES = 4, INPUTS = BATCH * 3 * PIXELS };
enum { OUTPUTS = BATCH * CLASSES * PIXELS };

#define HEAD                                                                                                 \
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"segmentation\",\"input\":{\"channels\""  \
    ":3,\"height\":5,\"width\":5},\"nodes\":[{\"op\":\"conv\",\"name\":\"head\",\"weight\":\"head.weight\"," \
    "\"bias\":\"head.bias\","                                                                                \
    "\"out_channels\":4,\"kernel_size\":1}"

static const char network[] = HEAD "]}}";
static const char with_softmax[] = HEAD ",{\"op\":\"softmax\",\"name\":\"p\"}]}}";
static const char for_classes[] =
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"classification\",\"input\":{\"channels\":"
    "3,\"height\":5,\"width\":5},\"nodes\":[{\"op\":\"global_avg_pool\",\"name\":\"pool\"},{\"op\":"
    "\"flatten\",\"name\":\"flat\"},"
    "{\"op\":\"linear\",\"name\":\"head\",\"weight\":\"head.weight\",\"bias\":\"head.bias\",\"out_channels\":"
    "4}]}}";

static const float class_weights[CLASSES] = {0.5f, 1, 2, 1};

typedef struct inputs {
    float pictures[INPUTS], soft[OUTPUTS];
    int32_t target[BATCH * PIXELS];
} inputs;

/* Every seventh target counts nowhere; what is wanted softly is a distribution, of some pixels a sharp one.
 */
static inputs make_inputs(void)
{
    inputs in;
    dcls_rng rng = {21};
    for (int i = 0; i < INPUTS; i++)
        in.pictures[i] = 2 * (float)dcls_rng_normal(&rng);
    for (int i = 0; i < BATCH * PIXELS; i++) {
        float *q = in.soft + i / PIXELS * CLASSES * PIXELS + i % PIXELS, sum = 0;
        in.target[i] = i % 7 == 3 ? DCLS_IGNORE : (int32_t)(dcls_rng_uniform(&rng) * CLASSES);
        for (int c = 0; c < CLASSES; c++)
            sum += q[c * PIXELS] = i % 5 == 0 ? (c == 2) : (float)dcls_rng_uniform(&rng);
        for (int c = 0; c < CLASSES; c++)
            q[c * PIXELS] /= sum;
    }
    return in;
}

static dcls_context *make_context(void)
{
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    return ctx;
}

static dcls_model *make_model(dcls_context *ctx, const char *json, uint64_t seed)
{
    dcls_model *model;
    assert_ok(ctx,
              dcls_model_create(
                  ctx, &(dcls_create_options){.arch_json = json, .classes = CLASSES, .seed = seed}, &model));
    return model;
}

static dcls_trainer_options make_options(void)
{
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = BATCH;
    options.height = options.width = SIDE;
    options.label_smoothing = 0.1;
    options.class_weights = class_weights;
    options.distill = 0.7;
    options.temperature = 3;
    return options;
}

static void logits_of(dcls_context *ctx, const dcls_model *model, const float *pictures, float *logits)
{
    const int64_t shape[] = {BATCH, 3, SIDE, SIDE};
    dcls_plan *plan;
    assert_ok(ctx, dcls_plan_create(ctx, model, NULL, 4, shape, &plan));
    assert_ok(ctx, dcls_plan_run(ctx, plan, pictures, logits));
    dcls_plan_destroy(plan);
}

/* ---- the loss --------------------------------------------------------------------------------------- */

static void log_softmax(const double *x, double temperature, double *out)
{
    double all = 0;
    for (int c = 0; c < CLASSES; c++)
        all += exp(x[c * PIXELS] / temperature);
    for (int c = 0; c < CLASSES; c++)
        out[c] = x[c * PIXELS] / temperature - log(all);
}

/* As the header of the library has it; *hard is the cross entropy. */
static double plain_loss(const inputs *in, const double *logits, double *hard)
{
    double sum = 0, weight = 0, divergence = 0, count = 0;
    for (int i = 0; i < BATCH * PIXELS; i++) {
        const int at = i / PIXELS * CLASSES * PIXELS + i % PIXELS, target = in->target[i];
        double plain[CLASSES], soft[CLASSES];
        if (target == DCLS_IGNORE) continue;
        log_softmax(logits + at, 1, plain);
        log_softmax(logits + at, 3, soft);
        weight += (double)class_weights[target];
        count++;
        for (int c = 0; c < CLASSES; c++) {
            const double q = (double)in->soft[at + c * PIXELS];
            sum -= (0.1 / CLASSES + (c == target ? 0.9 : 0)) * (double)class_weights[c] * plain[c];
            if (q > 0) divergence += q * (log(q) - soft[c]);
        }
    }
    *hard = sum / weight;
    return 0.3 * *hard + 0.7 * 9 * divergence / count;
}

static void assert_near(const char *what, double got, double want, double scale)
{
    if (!(fabs(got - want) <= 2e-5 * scale)) fail_msg("%s: %.8g, must be %.8g", what, got, want);
}

/* Slopes by logits from differences of the plain loss; those by weights and biases follow from them. */
static void test_loss(void **state)
{
    (void)state;
    static double logits[OUTPUTS], bias[CLASSES], weight[CLASSES][3];
    static float from_plan[OUTPUTS];
    const inputs in = make_inputs();
    dcls_context *ctx = make_context();
    dcls_model *model = make_model(ctx, network, 3);
    const dcls_trainer_options options = make_options();
    dcls_trainer *trainer;
    dcls_step_result result;
    double hard, ignored;
    logits_of(ctx, model, in.pictures, from_plan);
    for (int i = 0; i < OUTPUTS; i++)
        logits[i] = (double)from_plan[i];
    const double loss = plain_loss(&in, logits, &hard);
    for (int i = 0; i < OUTPUTS; i++) {
        const double step = 1e-5, x = logits[i];
        const int c = i / PIXELS % CLASSES, picture = i / PIXELS / CLASSES;
        logits[i] = x + step;
        double slope = plain_loss(&in, logits, &ignored);
        logits[i] = x - step;
        slope = (slope - plain_loss(&in, logits, &ignored)) / (2 * step);
        logits[i] = x;
        bias[c] += slope;
        for (int k = 0; k < 3; k++)
            weight[c][k] += slope * (double)in.pictures[(picture * 3 + k) * PIXELS + i % PIXELS];
    }
    assert_ok(ctx, dcls_trainer_create(ctx, model, &options, &trainer));
    dcls_batch batch = square_batch(BATCH, SIDE, PIXELS, in.pictures, in.target);
    assert_int_equal(dcls_trainer_gradients(ctx, trainer, &batch, &result), DCLS_ERR_ARGUMENT);
    batch.soft = in.soft;
    assert_ok(ctx, dcls_trainer_gradients(ctx, trainer, &batch, &result));
    assert_near("loss", result.loss, loss, loss);
    assert_near("cross entropy", result.loss - result.added, hard, hard);
    for (int c = 0; c < CLASSES; c++) {
        assert_near("bias", (double)dcls_trainer_gradient(trainer, "head.bias")[c], bias[c], 1);
        for (int k = 0; k < 3; k++)
            assert_near("weight", (double)dcls_trainer_gradient(trainer, "head.weight")[3 * c + k],
                        weight[c][k], 1);
    }
    dcls_trainer_destroy(trainer);
    dcls_model_destroy(model);
    dcls_context_destroy(ctx);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

static void test_answers(void **state)
{
    (void)state;
    static float logits[2][OUTPUTS];
    const inputs in = make_inputs();
    dcls_context *ctx = make_context();
    dcls_model *student = make_model(ctx, network, 3), *teachers[3];
    teachers[0] = make_model(ctx, network, 4);
    teachers[1] = make_model(ctx, with_softmax, 5);
    teachers[2] = make_model(ctx, network, 5); /* what the softmax is of */
    const dcls_trainer_options options = make_options();
    const dcls_batch batch = square_batch(BATCH, SIDE, PIXELS, in.pictures, in.target);
    logits_of(ctx, teachers[0], in.pictures, logits[0]);
    logits_of(ctx, teachers[2], in.pictures, logits[1]);
    dcls_teacher *teacher;
    const float *soft;
    size_t failed = 0;
    assert_ok(ctx, dcls_teacher_create(ctx, (const dcls_model *const *)teachers, 2, student, &options,
                                       &teacher, &failed));
    assert_int_equal(failed, 2);
    assert_ok(ctx, dcls_teacher_run(ctx, teacher, &batch, &soft));
    for (int i = 0; i < OUTPUTS; i++) {
        const int c = i / PIXELS % CLASSES, first = i - c * PIXELS;
        double want = 0;
        for (int t = 0; t < 2; t++) {
            double sum = 0;
            for (int k = 0; k < CLASSES; k++)
                sum += exp((double)logits[t][first + k * PIXELS] / 3);
            want += exp((double)logits[t][i] / 3) / sum / 2;
        }
        assert_near("probability", (double)soft[i], want, 0.1);
    }
    /* Pictures in pieces, since memory is short, and a smaller one at the end: the same answers. */
    static float all[OUTPUTS];
    memcpy(all, soft, sizeof all);
    dcls_teacher_destroy(teacher);
    uint64_t limit = 20000;
    while (dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, limit),
           dcls_teacher_create(ctx, (const dcls_model *const *)teachers, 2, student, &options, &teacher,
                               NULL) != DCLS_OK)
        limit -= 10;
    for (; limit > 0; limit -= 50) {
        dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, limit);
        assert_ok(ctx, dcls_teacher_run(ctx, teacher, &batch, &soft));
        for (int i = 0; i < OUTPUTS; i++)
            assert_near("probability", (double)soft[i], (double)all[i], 0.01);
        dcls_teacher_destroy(teacher);
        const dcls_status status = dcls_teacher_create(ctx, (const dcls_model *const *)teachers, 2, student,
                                                       &options, &teacher, NULL);
        if (status == DCLS_OK) continue;
        assert_int_equal(status, DCLS_ERR_LIMIT);
        break;
    }
    assert_true(limit > 0);
    for (int i = 0; i < 3; i++)
        dcls_model_destroy(teachers[i]);
    dcls_model_destroy(student);
    dcls_context_destroy(ctx);
}

/* In bfloat16 where that is fast, which is near enough; elsewhere the bits of float. */
static void test_precision(void **state)
{
    (void)state;
    static float exact[OUTPUTS];
    const inputs in = make_inputs();
    dcls_context *ctx = make_context();
    dcls_model *student = make_model(ctx, network, 3), *model = make_model(ctx, network, 4);
    const dcls_model *models[] = {model};
    dcls_trainer_options options = make_options();
    const dcls_batch batch = square_batch(BATCH, SIDE, PIXELS, in.pictures, in.target);
    dcls_teacher *teacher;
    const float *soft;
    int others = 0;
    for (int run = 0; run < 2; run++) {
        options.precision = run == 0 ? DCLS_PRECISION_FP32 : DCLS_PRECISION_BF16;
        assert_ok(ctx, dcls_teacher_create(ctx, models, 1, student, &options, &teacher, NULL));
        assert_ok(ctx, dcls_teacher_run(ctx, teacher, &batch, &soft));
        for (int i = 0; run > 0 && i < OUTPUTS; i++) {
            if (!(fabsf(soft[i] - exact[i]) < 5e-3f))
                fail_msg("%g in bfloat16, %g in float", (double)soft[i], (double)exact[i]);
            others += soft[i] != exact[i];
        }
        memcpy(exact, soft, sizeof exact);
        dcls_teacher_destroy(teacher);
    }
    assert_int_equal(others > 0, dcls_bf16_is_fast());
    dcls_model_destroy(model);
    dcls_model_destroy(student);
    dcls_context_destroy(ctx);
}

/* A teacher that is the student has nothing to teach: rounding, which temperatures magnify, is no loss. */
static void test_nothing_to_learn(void **state)
{
    (void)state;
    const inputs in = make_inputs();
    dcls_context *ctx = make_context();
    dcls_model *model = make_model(ctx, network, 3);
    const dcls_model *models[] = {model};
    dcls_trainer_options options = make_options();
    options.distill = 1;
    options.temperature = 1000;
    dcls_teacher *teacher;
    dcls_trainer *trainer;
    dcls_step_result result;
    dcls_batch batch = square_batch(BATCH, SIDE, PIXELS, in.pictures, in.target);
    assert_ok(ctx, dcls_teacher_create(ctx, models, 1, model, &options, &teacher, NULL));
    assert_ok(ctx, dcls_teacher_run(ctx, teacher, &batch, &batch.soft));
    assert_ok(ctx, dcls_trainer_create(ctx, model, &options, &trainer));
    assert_ok(ctx, dcls_trainer_gradients(ctx, trainer, &batch, &result));
    if (!(fabs(result.loss) < 1e-6)) fail_msg("a loss of %g", result.loss);
    dcls_trainer_destroy(trainer);
    dcls_teacher_destroy(teacher);
    dcls_model_destroy(model);
    dcls_context_destroy(ctx);
}

static void refuse(dcls_context *ctx, const dcls_model *first, const dcls_model *other,
                   const dcls_model *student, dcls_trainer_options options, size_t failed_wanted)
{
    const dcls_model *models[] = {first, other};
    dcls_teacher *teacher;
    size_t failed = 99;
    assert_int_equal(dcls_teacher_create(ctx, models, 2, student, &options, &teacher, &failed),
                     DCLS_ERR_ARGUMENT);
    assert_null(teacher);
    assert_int_equal(failed, failed_wanted);
}

static void test_refused(void **state)
{
    (void)state;
    dcls_context *ctx = make_context();
    const inputs in = make_inputs();
    dcls_trainer_options options = make_options();
    dcls_model *student = make_model(ctx, network, 3), *other = make_model(ctx, for_classes, 4), *scaled,
               *more;
    dcls_create_options create = {
        .arch_json = network, .classes = CLASSES, .preprocess = "imagenet", .seed = 3};
    assert_ok(ctx, dcls_model_create(ctx, &create, &scaled));
    const char *five[] = {"head:out_channels=5"};
    create = (dcls_create_options){.arch_json = network, .settings = five, .setting_count = 1, .classes = 5};
    assert_ok(ctx, dcls_model_create(ctx, &create, &more));
    refuse(ctx, student, other, student, options, 1);
    refuse(ctx, student, scaled, student, options, 1);
    refuse(ctx, more, student, student, options, 0);

    dcls_teacher *teacher;
    const dcls_model *models[] = {student};
    assert_ok(ctx, dcls_teacher_create(ctx, models, 1, student, &options, &teacher, NULL));
    dcls_batch batch = square_batch(BATCH - 1, SIDE, PIXELS, in.pictures, in.target);
    const float *soft;
    assert_int_equal(dcls_teacher_run(ctx, teacher, &batch, &soft), DCLS_ERR_ARGUMENT);
    dcls_teacher_destroy(teacher);

    const double temperatures[] = {0, -1, NAN, INFINITY}, shares[] = {-0.1, 1.1, NAN};
    dcls_trainer *trainer;
    for (int i = 0; i < 4; i++) {
        options.temperature = temperatures[i];
        refuse(ctx, student, student, student, options, 2);
        assert_int_equal(dcls_trainer_create(ctx, student, &options, &trainer), DCLS_ERR_ARGUMENT);
    }
    options = make_options();
    for (int i = 0; i < 3; i++) {
        options.distill = shares[i];
        assert_int_equal(dcls_trainer_create(ctx, student, &options, &trainer), DCLS_ERR_ARGUMENT);
    }
    dcls_model_destroy(student);
    dcls_model_destroy(other);
    dcls_model_destroy(scaled);
    dcls_model_destroy(more);
    dcls_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss),      cmocka_unit_test(test_answers),
        cmocka_unit_test(test_precision), cmocka_unit_test(test_nothing_to_learn),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
