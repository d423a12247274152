/* Evaluation against answers worked out from the pictures themselves. */
#include <math.h>

#include "tests/unit/data_util.h"

#include "model_util.h"
#include "ops/ops.h"

/* ---- networks ------------------------------------------------------------------------------------ */

static void set_floats(const dcls_tensors *set, const char *name, const float *values, int count)
{
    const dcls_tensor *tensor = dcls_tensors_find(set, name);
    assert_int_equal(tensor->nbytes, (size_t)count * sizeof *values);
    memcpy((void *)(uintptr_t)tensor->data, values, tensor->nbytes);
}

/* The answer is linear in a picture's mean colour. */
static const float COLOR_WEIGHT[9] = {4, -3, 2, -2, 6, 1, 0, 1, -5}, COLOR_BIAS[3] = {0.1f, -0.2f, 0.3f};

static dcls_model *mean_color(dcls_context *ctx, bool softmax)
{
    char json[2000];
    snprintf(json, sizeof json,
             "{\"task\":\"classification\",\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},"
             "\"labels\":[\"cat\",\"dog\",\"emu\"],\"nodes\":["
             "{\"op\":\"global_avg_pool\",\"name\":\"pool\",\"flatten\":true},"
             "{\"op\":\"linear\",\"name\":\"head\",\"weight\":\"w\",\"bias\":\"b\"}%s]}",
             softmax ? ",{\"op\":\"softmax\",\"name\":\"soft\"}" : "");
    dcls_tensors *set = make_tensors(ctx, "w 3 3; b 3");
    dcls_model *model;
    set_floats(set, "w", COLOR_WEIGHT, 9);
    set_floats(set, "b", COLOR_BIAS, 3);
    assert_ok(ctx, dcls_model_from_json(ctx, set, json, &model));
    return model;
}

/* Three classes a pixel, from every second pixel's colour. */
static dcls_model *every_second(dcls_context *ctx)
{
    static const char json[] =
        "{\"task\":\"segmentation\",\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},"
        "\"nodes\":["
        "{\"op\":\"conv\",\"name\":\"head\",\"weight\":\"w\",\"bias\":\"b\",\"stride\":2}]}";
    static const float weight[9] = {60, -20, 0, 20, 40, 0, -40, -15, 0}, bias[3] = {-1, 0, 1.2f};
    dcls_tensors *set = make_tensors(ctx, "w 3 3 1 1; b 3");
    dcls_model *model;
    set_floats(set, "w", weight, 9);
    set_floats(set, "b", bias, 3);
    assert_ok(ctx, dcls_model_from_json(ctx, set, json, &model));
    return model;
}

static dcls_scores run(dcls_context *ctx, const dcls_model *model, const dcls_dataset *set,
                       const dcls_evaluate_options *options)
{
    dcls_metrics *metrics;
    int64_t classes;
    assert_ok(ctx, dcls_model_classes(ctx, model, &classes));
    assert_ok(ctx, dcls_metrics_create(ctx, classes, &metrics));
    assert_ok(ctx, dcls_evaluate(ctx, model, set, options, metrics));
    const dcls_scores scores = dcls_metrics_scores(metrics);
    dcls_metrics_destroy(metrics);
    return scores;
}

static void expect_near(double got, double expected, const char *what)
{
    if (!(fabs(got - expected) < 2e-6 * (1 + fabs(expected))))
        fail_msg("%s: %.9g, not %.9g", what, got, expected);
}

/* ---- classification ------------------------------------------------------------------------------- */

#define PICTURES 13

/* Pictures of three sizes; picture i has red i * 17 + column, blue 200 - i * 11. */
static temp_dir colored_pictures(void)
{
    static const char *const names[] = {"cat", "dog", "emu"};
    temp_dir dir = make_temp_dir();
    for (int i = 0; i < PICTURES; i++) {
        char name[64];
        snprintf(name, sizeof name, "set/%s/%02d.ppm", names[i * 3 / PICTURES], i);
        write_picture(&dir, name, 3 + i % 3, 4, i * 17, 200 - i * 11);
    }
    return dir;
}

/* Probabilities of one picture, in double. */
static void color_answer(int i, double probability[3])
{
    const int width = 3 + i % 3;
    const double mean[3] = {(i * 17 + (width - 1) / 2.0) / 255, 1.5 / 255, (200 - i * 11) / 255.0};
    double sum = 0;
    for (int c = 0; c < 3; c++) {
        double logit = (double)COLOR_BIAS[c];
        for (int k = 0; k < 3; k++)
            logit += (double)COLOR_WEIGHT[3 * c + k] * mean[k];
        sum += probability[c] = exp(logit);
    }
    for (int c = 0; c < 3; c++)
        probability[c] /= sum;
}

typedef struct visits {
    int64_t index[PICTURES];
    int count, stop;
} visits;

static bool check_visit(void *arg, const dcls_evaluated *item)
{
    visits *v = arg;
    double p[3];
    const int label = (int)item->index * 3 / PICTURES;
    color_answer((int)item->index, p);
    const int answer = p[0] > p[1] ? (p[0] > p[2] ? 0 : 2) : (p[1] > p[2] ? 1 : 2);
    assert_int_equal(item->answer, answer);
    assert_int_equal(item->score.correct, answer == label);
    expect_near(item->score.loss, -log(p[label]), "loss of a picture");
    expect_near(item->confidence, p[answer], "confidence");
    assert_null(item->answers);
    v->index[v->count++] = item->index;
    return v->count != v->stop;
}

static void classification(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = colored_pictures();
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    dcls_evaluate_options options = dcls_evaluate_options_default();
    double loss = 0, right = 0;
    for (int i = 0; i < PICTURES; i++) {
        double p[3];
        const int label = i * 3 / PICTURES;
        color_answer(i, p);
        loss -= log(p[label]) / PICTURES;
        right += p[label] >= p[0] && p[label] >= p[1] && p[label] >= p[2];
    }
    assert_true(right > 2 && right < PICTURES - 2);
    for (int softmax = 0; softmax < 2; softmax++)
        for (int64_t batch = 0; batch < 3; batch++) {
            dcls_model *model = mean_color(ctx, softmax);
            visits v = {0};
            options.batch = batch * 3; /* 0: the default */
            options.visit = check_visit;
            options.arg = &v;
            const dcls_scores scores = run(ctx, model, set, &options);
            expect_near(scores.loss, loss, "loss");
            expect_near(scores.top1, right / PICTURES, "accuracy");
            assert_int_equal(v.count, PICTURES);
            for (int i = 0; i < PICTURES; i++)
                assert_int_equal(v.index[i], i);
            dcls_model_destroy(model);
        }
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

static void chosen_items(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = colored_pictures();
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    dcls_model *model = mean_color(ctx, false);
    static const int64_t items[] = {7, 2, 2, 11};
    visits v = {.stop = 3};
    dcls_evaluate_options options = dcls_evaluate_options_default();
    options.items = items;
    options.item_count = 4;
    options.visit = check_visit;
    options.arg = &v;
    assert_int_equal(run(ctx, model, set, &options).count, 4); /* of one window: counted, not all shown */
    assert_int_equal(v.count, 3);
    assert_memory_equal(v.index, items, sizeof items[0] * 3);
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* Two pixels side by side, told apart: mirrored, the answer is another one. */
static void mirrored(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "set/cat/a.ppm", 2, 1, 100, 0);
    write_picture(&dir, "set/dog/b.ppm", 2, 1, 100, 0);
    static const char json[] =
        "{\"task\":\"classification\",\"input\":{\"channels\":3,\"height\":1,\"width\":2},\"nodes\":["
        "{\"op\":\"flatten\",\"name\":\"flat\"},{\"op\":\"linear\",\"name\":\"head\",\"weight\":\"w\"}]}";
    static const float weight[12] = {255, -255, 0, 0, 0, 0, -255, 255, 0, 0, 0, 0};
    dcls_tensors *tensors = make_tensors(ctx, "w 2 6");
    dcls_model *model;
    set_floats(tensors, "w", weight, 12);
    assert_ok(ctx, dcls_model_from_json(ctx, tensors, json, &model));
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    dcls_evaluate_options options = dcls_evaluate_options_default();
    /* red is 100, then 101: logits -1 and 1; mirrored 1 and -1 */
    const double p = 1 / (1 + exp(-2.0));
    expect_near(run(ctx, model, set, &options).loss, -(log(p) + log(1 - p)) / 2, "as it is");
    options.flip = true;
    expect_near(run(ctx, model, set, &options).loss, log(2.0), "with the mirror image");
    static const double twice[] = {1, 2};
    options.scales = twice;
    options.scale_count = 2;
    dcls_metrics *metrics;
    assert_ok(ctx, dcls_metrics_create(ctx, 2, &metrics));
    check_outcome(ctx, "fixed size", dcls_evaluate(ctx, model, set, &options, metrics), DCLS_ERR_ARGUMENT,
                  "a.ppm: ");
    dcls_metrics_destroy(metrics);
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* Constant colour: every scale says the same. */
static void scaled(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "set/cat/a.ppm", 1, 1, 90, 30);
    write_picture(&dir, "set/dog/b.ppm", 1, 1, 20, 130);
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    dcls_model *model = mean_color(ctx, false);
    static const double scales[] = {0.5, 1, 7};
    dcls_evaluate_options options = dcls_evaluate_options_default();
    const double once = run(ctx, model, set, &options).loss;
    options.scales = scales;
    options.scale_count = 3;
    options.flip = true;
    expect_near(run(ctx, model, set, &options).loss, once, "loss");
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* ---- segmentation --------------------------------------------------------------------------------- */

/* Pictures of 9 x 7 pixels; masks hold 0, 1, 2 and values that are no class. */
static temp_dir small_scenes(dcls_context *ctx, int count)
{
    temp_dir dir = make_temp_dir();
    for (int i = 0; i < count; i++) {
        char name[64];
        uint8_t palette[256 * 3] = {0}, mask[63];
        snprintf(name, sizeof name, "images/%d.ppm", i);
        write_picture(&dir, name, 9, 7, 3 * i, 0);
        for (int k = 0; k < 63; k++)
            mask[k] = (uint8_t)((k * 7 + i) % 5);
        snprintf(name, sizeof name, "masks/%d.png", i);
        assert_ok(ctx, dcls_mask_save(ctx, place(&dir, name), mask, 9, 7, palette, 256));
    }
    return dir;
}

typedef struct expected_maps {
    dcls_context *ctx;
    const dcls_model *model;
    const dcls_dataset *set;
    int64_t confusion[9], right, targets, visited;
} expected_maps;

/* By the library's own way from a network's output to a mask, which has tests of its own. */
static bool check_map(void *arg, const dcls_evaluated *item)
{
    expected_maps *e = arg;
    dcls_sample sample;
    float input[3 * 63], output[3 * 5 * 4];
    uint8_t mask[63];
    dcls_plan *plan;
    const int64_t shape[] = {1, 3, 7, 9};
    assert_ok(e->ctx, dcls_dataset_load(e->ctx, e->set, item->index, &sample));
    assert_ok(e->ctx, dcls_preprocess_run(e->ctx, dcls_model_preprocess(e->model), sample.image, input));
    assert_ok(e->ctx, dcls_plan_create(e->ctx, e->model, NULL, 4, shape, &plan));
    assert_int_equal(dcls_plan_output_count(plan), 3 * 4 * 5);
    assert_ok(e->ctx, dcls_plan_run(e->ctx, plan, input, output));
    assert_ok(e->ctx, dcls_mask_from_logits(e->ctx, output, 3, 4, 5, 7, 9, mask));
    assert_memory_equal(mask, item->answers, sizeof mask);
    for (int k = 0; k < 63; k++) {
        if (sample.mask[k] > 2) continue;
        e->confusion[3 * sample.mask[k] + mask[k]]++;
        e->right += sample.mask[k] == mask[k];
        e->targets++;
    }
    e->visited++;
    dcls_plan_destroy(plan);
    dcls_sample_free(&sample);
    return true;
}

static void segmentation(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = small_scenes(ctx, 19);
    dcls_dataset_options how = dcls_dataset_options_default();
    how.class_count = 3;
    dcls_dataset *set = open_set(ctx, dir.path, &how);
    dcls_model *model = every_second(ctx);
    expected_maps expected = {.ctx = ctx, .model = model, .set = set};
    dcls_evaluate_options options = dcls_evaluate_options_default();
    options.batch = 5;
    options.answers = true;
    options.visit = check_map;
    options.arg = &expected;
    dcls_metrics *metrics;
    assert_ok(ctx, dcls_metrics_create(ctx, 3, &metrics));
    assert_ok(ctx, dcls_evaluate(ctx, model, set, &options, metrics));
    const dcls_scores scores = dcls_metrics_scores(metrics);
    assert_int_equal(expected.visited, 19);
    assert_memory_equal(dcls_metrics_confusion(metrics), expected.confusion, sizeof expected.confusion);
    assert_int_equal(scores.count, expected.targets);
    for (int c = 0; c < 9; c++)
        assert_true(expected.confusion[c] > 0);
    expect_near(scores.top1, (double)expected.right / (double)expected.targets, "pixel accuracy");
    dcls_metrics_destroy(metrics);
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* The same bits for any number of threads; a mirror image that is averaged in is turned back. */
static void threads_and_views(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = small_scenes(ctx, 21);
    dcls_dataset_options how = dcls_dataset_options_default();
    how.class_count = 3;
    dcls_dataset *set = open_set(ctx, dir.path, &how);
    dcls_model *model = every_second(ctx);
    static const double scales[] = {1, 1.5};
    dcls_evaluate_options options = dcls_evaluate_options_default();
    dcls_scores plain[2], several[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, dcls_context_set_threads(ctx, i == 0 ? 1 : 5));
        options.scale_count = 0;
        options.flip = false;
        plain[i] = run(ctx, model, set, &options);
        options.scales = scales;
        options.scale_count = 2;
        options.flip = true;
        several[i] = run(ctx, model, set, &options);
    }
    assert_memory_equal(&plain[0], &plain[1], sizeof plain[0]);
    assert_memory_equal(&several[0], &several[1], sizeof several[0]);
    assert_true(several[0].loss != plain[0].loss && fabs(several[0].loss - plain[0].loss) < 0.2);
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* ---- failures --------------------------------------------------------------------------------------- */

static void refusals(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = colored_pictures();
    dcls_model *labels = mean_color(ctx, false), *maps = every_second(ctx);
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    dcls_metrics *three, *four;
    static const double tiny[] = {1e-9};
    dcls_evaluate_options options = dcls_evaluate_options_default();
    assert_ok(ctx, dcls_metrics_create(ctx, 3, &three));
    assert_ok(ctx, dcls_metrics_create(ctx, 4, &four));
    check_outcome(ctx, "task", dcls_evaluate(ctx, maps, set, NULL, three), DCLS_ERR_ARGUMENT,
                  "the network makes masks, the data has folders of classes");
    check_outcome(ctx, "classes", dcls_evaluate(ctx, labels, set, NULL, four), DCLS_ERR_ARGUMENT,
                  "metrics of 4 classes for a network of 3");
    options.scales = tiny;
    options.scale_count = 1;
    check_outcome(ctx, "scale", dcls_evaluate(ctx, labels, set, &options, three), DCLS_ERR_ARGUMENT,
                  "a scale of 1e-09");
    static const int64_t beyond[] = {0, PICTURES};
    options = dcls_evaluate_options_default();
    options.items = beyond;
    options.item_count = 2;
    check_outcome(ctx, "items", dcls_evaluate(ctx, labels, set, &options, three), DCLS_ERR_ARGUMENT,
                  "there is no item 13 in a data set of 13");
    write_text(&dir, "set/dog/08.ppm", "P6 no picture");
    check_outcome(ctx, "picture", dcls_evaluate(ctx, labels, set, NULL, three), DCLS_ERR_FORMAT,
                  "/set/dog/08.ppm: ");
    write_picture(&dir, "set/yak/a.ppm", 2, 2, 0, 0);
    dcls_dataset_destroy(set);
    set = open_set(ctx, dir.path, NULL);
    check_outcome(ctx, "more classes", dcls_evaluate(ctx, labels, set, NULL, three), DCLS_ERR_ARGUMENT,
                  "the data has 4 classes, the network 3");
    dcls_metrics_destroy(three);
    dcls_metrics_destroy(four);
    dcls_model_destroy(labels);
    dcls_model_destroy(maps);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* ---- rows of a resize ------------------------------------------------------------------------------- */

static void resized_rows(void **state)
{
    (void)state;
    enum { PLANES = 3, H = 7, W = 300, OUT_H = 11, OUT_W = 531, ROWS = 4 };
    float *x = malloc(sizeof *x * PLANES * H * W), *y = malloc(sizeof *y * PLANES * OUT_H * OUT_W),
          *rows = malloc(sizeof *rows * PLANES * ROWS * OUT_W);
    for (int i = 0; i < PLANES * H * W; i++)
        x[i] = sinf((float)i);
    const dcls_resize_shape shape = {
        .planes = PLANES, .in = {1, H, W}, .out = {1, OUT_H, OUT_W}, .linear = true};
    dcls_resize_forward(&shape, x, y, 1);
    for (int first = 0; first + ROWS <= OUT_H; first++) {
        dcls_resize_rows(&shape, x, first, ROWS, rows);
        for (int p = 0; p < PLANES; p++)
            assert_memory_equal(rows + p * ROWS * OUT_W, y + (p * OUT_H + first) * OUT_W,
                                sizeof *rows * ROWS * OUT_W);
    }
    free(x);
    free(y);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(classification), CONTEXT_TEST(chosen_items),     CONTEXT_TEST(mirrored),
        CONTEXT_TEST(scaled),         CONTEXT_TEST(segmentation),     CONTEXT_TEST(threads_and_views),
        CONTEXT_TEST(refusals),       cmocka_unit_test(resized_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
