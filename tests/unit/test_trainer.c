/* Trainers as a whole: what is frozen, what is mixed, what a limit of memory counts, when elements begin to
 * keep apart. */
#include "batch_util.h"
#include "model_util.h"

#include <math.h>

#include "dcls_train.h"

#define BATCH   4
#define SIDE    5
#define CLASSES 3

#define MODEL(nodes)                                                                                         \
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"classification\",\"input\":{"            \
    "\"channels\":"                                                                                          \
    "3,\"height\":5,\"width\":5},\"nodes\":[" nodes "]}}"
#define POOL "{\"op\":\"global_avg_pool\",\"name\":\"pool\",\"flatten\":true},"
#define LINEAR                                                                                               \
    "{\"op\":\"linear\",\"name\":\"head\",\"weight\":\"average.weight\",\"bias\":\"b\",\"out_channels\":3}"
#define NORM                                                                                                 \
    "{\"op\":\"batch_norm\",\"name\":\"n\",\"weight\":\"n.w\",\"bias\":\"n.b\",\"running_mean\":\"n.m\","    \
    "\"running_var\":\"n.v\"},"
#define ELEMENTS                                                                                             \
    "{\"op\":\"dcls\",\"name\":\"e\",\"weight\":\"e.w\",\"P\":\"e.P\",\"version\":\"v1\",\"out_channels\":"  \
    "3,"                                                                                                     \
    "\"groups\":3,\"kernel_count\":4,\"dilated_kernel_size\":5,\"padding\":2},"

static dcls_context *ctx;
static float input[BATCH * 3 * SIDE * SIDE];
static const int32_t target[BATCH] = {0, 1, 2, 1}, mixed[BATCH] = {2, 2, DCLS_IGNORE, 1};
static const float share[BATCH] = {0.75f, 0.5f, 0.625f, 0.9f};

static dcls_batch make_batch(void)
{
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = sinf((float)i * 1.7f) + 0.3f * (float)(i % 7);
    return square_batch(BATCH, SIDE, 1, input, target);
}

static dcls_model *make_model(const char *json)
{
    dcls_model *model;
    assert_ok(ctx,
              dcls_model_create(ctx, &(dcls_create_options){.arch_json = json, .classes = CLASSES, .seed = 3},
                                &model));
    return model;
}

static dcls_trainer_options make_options(void)
{
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = BATCH;
    options.height = options.width = SIDE;
    return options;
}

static dcls_trainer *make_trainer(const char *json, const dcls_trainer_options *options)
{
    dcls_trainer *trainer;
    dcls_model *model = make_model(json);
    assert_ok(ctx, dcls_trainer_create(ctx, model, options, &trainer));
    dcls_model_destroy(model);
    return trainer;
}

static const float *values_of(dcls_trainer *trainer, const char *name)
{
    return dcls_tensors_find(dcls_model_tensors(dcls_trainer_model(trainer, false)), name)->data;
}

/* ---- targets ------------------------------------------------------------------------------------------ */

/* torch.nn.functional.cross_entropy's sum for one class, and what it divides by. */
static double cross_entropy(const double *logits, const float *weights, double smoothing, int32_t class)
{
    double sum = 0, loss = 0;
    for (int c = 0; c < CLASSES; c++)
        sum += exp(logits[c]);
    for (int c = 0; c < CLASSES; c++)
        loss += smoothing / CLASSES * (double)weights[c] * (log(sum) - logits[c]);
    return loss + (1 - smoothing) * (double)weights[class] * (log(sum) - logits[class]);
}

static void mixed_targets_with_class_weights(void **state)
{
    (void)state;
    static const float weights[CLASSES] = {0.25f, 2, 1};
    dcls_trainer_options options = make_options();
    options.class_weights = weights;
    options.label_smoothing = 0.1;
    dcls_trainer *trainer = make_trainer(MODEL(POOL LINEAR), &options);
    dcls_batch batch = make_batch();
    batch.mixed = mixed;
    batch.share = share;
    const float *w = values_of(trainer, "average.weight"), *bias = values_of(trainer, "b");
    double loss = 0, divisor = 0;
    for (int i = 0; i < BATCH; i++) {
        double logits[CLASSES];
        for (int o = 0; o < CLASSES; o++) {
            logits[o] = (double)bias[o];
            for (int k = 0; k < 3 * SIDE * SIDE; k++)
                logits[o] += (double)w[o * 3 + k / (SIDE * SIDE)] * (double)input[i * 3 * SIDE * SIDE + k] /
                             (SIDE * SIDE);
        }
        const int32_t other = mixed[i] == DCLS_IGNORE ? target[i] : mixed[i];
        const double own = (double)share[i];
        loss += own * cross_entropy(logits, weights, 0.1, target[i]) +
                (1 - own) * cross_entropy(logits, weights, 0.1, other);
        divisor += own * (double)weights[target[i]] + (1 - own) * (double)weights[other];
    }
    dcls_step_result result;
    assert_ok(ctx, dcls_trainer_gradients(ctx, trainer, &batch, &result));
    if (!(fabs(result.loss - loss / divisor) < 1e-6)) fail_msg("%.9g, not %.9g", result.loss, loss / divisor);

    static const int32_t beyond[BATCH] = {2, CLASSES, 0, 1};
    batch.mixed = beyond;
    assert_int_equal(dcls_trainer_gradients(ctx, trainer, &batch, &result), DCLS_ERR_ARGUMENT);
    assert_string_equal(dcls_context_message(ctx), "a target is class 3, the network has 3");
    dcls_trainer_destroy(trainer);
}

/* ---- freezing ------------------------------------------------------------------------------------------ */

static void nothing_to_learn(void **state)
{
    (void)state;
    static const char *const freeze[] = {"*"};
    dcls_trainer_options options = make_options();
    dcls_model *model = make_model(MODEL(NORM POOL LINEAR));
    dcls_trainer *trainer;
    options.freeze = freeze;
    options.freeze_count = 1;
    assert_int_equal(dcls_trainer_create(ctx, model, &options, &trainer), DCLS_ERR_ARGUMENT);
    assert_null(trainer);
    assert_non_null(strstr(dcls_context_message(ctx), "all tensors are frozen"));
    dcls_model_destroy(model);
}

/* Weights stay, statistics become those of the data. */
static void statistics_alone(void **state)
{
    (void)state;
    static const char *const freeze[] = {"*.w", "*.b", "b", "average.*"};
    dcls_trainer_options options = make_options();
    options.freeze = freeze;
    options.freeze_count = 4;
    dcls_trainer *trainer = make_trainer(MODEL(NORM POOL LINEAR), &options);
    const dcls_batch batch = make_batch();
    dcls_step_result result;
    float weight[9];
    memcpy(weight, values_of(trainer, "average.weight"), sizeof weight);
    assert_ok(ctx, dcls_trainer_step(ctx, trainer, &batch, 0.1, &result));
    double sum = 0;
    for (int i = 0; i < BATCH * SIDE * SIDE; i++)
        sum += (double)input[i / (SIDE * SIDE) * 3 * SIDE * SIDE + i % (SIDE * SIDE)];
    assert_true(fabs((double)values_of(trainer, "n.m")[0] - 0.1 * sum / (BATCH * SIDE * SIDE)) < 1e-6);
    assert_memory_equal(weight, values_of(trainer, "average.weight"), sizeof weight);
    assert_true(isfinite(result.loss) && result.gradient_norm == 0);
    dcls_trainer_destroy(trainer);
}

static void variance_alone_is_frozen(void **state)
{
    (void)state;
    static const char *const freeze[] = {"n.v"};
    dcls_trainer_options options = make_options();
    options.freeze = freeze;
    options.freeze_count = 1;
    dcls_trainer *trainer = make_trainer(MODEL(NORM POOL LINEAR), &options);
    const dcls_batch batch = make_batch();
    dcls_step_result result;
    assert_ok(ctx, dcls_trainer_step(ctx, trainer, &batch, 0.1, &result));
    for (int c = 0; c < 3; c++)
        assert_true(values_of(trainer, "n.v")[c] == 1 && values_of(trainer, "n.m")[c] != 0);
    dcls_trainer_destroy(trainer);
}

/* ---- memory -------------------------------------------------------------------------------------------- */

/* 0.26 million weights: 1 MiB, as much again for each array of the optimiser and each lane's sums, and for a
 * convolution's weights as they are packed for either direction. The activations of a batch are some 16 KiB.
 */
static void limit_counts_all(void **state)
{
    (void)state;
    static const char linear[] =
        MODEL(POOL "{\"op\":\"linear\",\"name\":\"a\",\"weight\":\"a.w\",\"out_channels\":512},"
                   "{\"op\":\"linear\",\"name\":\"c\",\"weight\":\"c.w\",\"out_channels\":512}," LINEAR);
    static const char conv[] = MODEL(
        "{\"op\":\"avg_pool\",\"name\":\"p\",\"kernel_size\":5},"
        "{\"op\":\"conv\",\"name\":\"a\",\"weight\":\"a.w\",\"out_channels\":512,\"kernel_size\":1},"
        "{\"op\":\"conv\",\"name\":\"c\",\"weight\":\"c.w\",\"out_channels\":512,\"kernel_size\":1}," POOL
            LINEAR);
    static const struct {
        const char *json;
        dcls_optimizer optimizer;
        double momentum, average;
        int arrays; /* weights, gradients, four lanes of sums, and .. */
    } rows[] = {{linear, DCLS_SGD, 0, 0, 6},
                {linear, DCLS_SGD, 0.9, 0, 7},
                {linear, DCLS_ADAMW, 0, 0, 8},
                {linear, DCLS_ADAMW, 0, 0.9, 11},
                {conv, DCLS_SGD, 0, 0, 8}};
    dcls_context *small;
    assert_int_equal(dcls_context_create(&small), DCLS_OK);
    dcls_context_set_threads(small, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int more = -1; more <= 1; more += 2) {
            dcls_trainer_options options = make_options();
            dcls_trainer *trainer;
            dcls_model *model = make_model(rows[i].json);
            options.optimizer = rows[i].optimizer;
            options.momentum = rows[i].momentum;
            options.average = rows[i].average;
            dcls_context_set_limit(small, DCLS_LIMIT_MEMORY_BYTES,
                                   ((uint64_t)rows[i].arrays << 20) +
                                       (uint64_t)(1 << 19) * (uint64_t)(1 + more));
            const dcls_status status = dcls_trainer_create(small, model, &options, &trainer);
            assert_int_equal(status, more > 0 ? DCLS_OK : DCLS_ERR_LIMIT);
            const dcls_batch batch = make_batch();
            dcls_step_result result;
            for (int step = 0; step < 4 && status == DCLS_OK; step++) /* which count nothing twice */
                assert_ok(small, dcls_trainer_step(small, trainer, &batch, 1e-4, &result));
            dcls_trainer_destroy(trainer);
            dcls_model_destroy(model);
        }
    dcls_context_destroy(small);
}

/* ---- elements that keep apart ---- */

static void repulsion_begins_later(void **state)
{
    (void)state;
    const dcls_batch batch = make_batch();
    dcls_trainer *trainers[3]; /* without, later, at once */
    for (int i = 0; i < 3; i++) {
        dcls_trainer_options options = make_options();
        options.repulsion = i > 0 ? 2 : 0;
        options.repulsion_after = i == 1 ? 3 : 0;
        trainers[i] = make_trainer(MODEL(ELEMENTS POOL LINEAR), &options);
    }
    for (int step = 0; step < 4; step++) {
        dcls_step_result results[3];
        for (int i = 0; i < 3; i++)
            assert_ok(ctx, dcls_trainer_step(ctx, trainers[i], &batch, 0.001, &results[i]));
        const float *without = values_of(trainers[0], "e.P"), *later = values_of(trainers[1], "e.P");
        int moved = 0;
        for (int i = 0; i < 2 * 3 * 4; i++)
            moved += without[i] != later[i];
        assert_int_equal(moved > 0, step >= 3);
        assert_true(step < 3 ? results[1].loss == results[0].loss : results[1].loss > results[0].loss);
        if (step == 0) assert_true(results[2].loss > results[0].loss);
    }
    for (int i = 0; i < 3; i++)
        dcls_trainer_destroy(trainers[i]);
}

/* ---- checkpoints ---- */

/* A network may have a tensor whose name is like those of averages. */
static void tensor_named_like_an_average(void **state)
{
    (void)state;
    const dcls_batch batch = make_batch();
    dcls_trainer_options options = make_options();
    options.average = 0.9;
    dcls_trainer *first = make_trainer(MODEL(POOL LINEAR), &options), *second;
    dcls_step_result result;
    dcls_tensors *set;
    dcls_model *model;
    assert_ok(ctx, dcls_trainer_step(ctx, first, &batch, 0.01, &result));
    assert_ok(ctx, dcls_trainer_store(ctx, first, "note", &set));
    assert_ok(ctx, dcls_trainer_stored_model(ctx, set, &model));
    assert_int_equal(dcls_tensors_count(dcls_model_tensors(model)), 2);
    assert_ok(ctx, dcls_trainer_create(ctx, model, &options, &second));
    assert_ok(ctx, dcls_trainer_restore(ctx, second, set));
    assert_ok(ctx, dcls_trainer_step(ctx, first, &batch, 0.01, &result));
    assert_ok(ctx, dcls_trainer_step(ctx, second, &batch, 0.01, &result));
    assert_memory_equal(values_of(first, "average.weight"), values_of(second, "average.weight"),
                        9 * sizeof(float));
    dcls_model_destroy(model);
    dcls_tensors_destroy(set);
    dcls_trainer_destroy(first);
    dcls_trainer_destroy(second);
}

static int create_context(void **state)
{
    (void)state;
    return dcls_context_create(&ctx) == DCLS_OK ? 0 : -1;
}

static int destroy_context(void **state)
{
    (void)state;
    dcls_context_destroy(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mixed_targets_with_class_weights),
                                       cmocka_unit_test(nothing_to_learn),
                                       cmocka_unit_test(statistics_alone),
                                       cmocka_unit_test(variance_alone_is_frozen),
                                       cmocka_unit_test(limit_counts_all),
                                       cmocka_unit_test(repulsion_begins_later),
                                       cmocka_unit_test(tensor_named_like_an_average)};
    return cmocka_run_group_tests(tests, create_context, destroy_context);
}
