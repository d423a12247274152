/* Metrics against numbers worked out by hand, and against definitions written out plainly. */
#include "format_util.h"
#include "numeric_util.h"

#include "dcls_train.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 2e-6;
}

/* Seven classes; logits are logarithms of probabilities, so that a softmax gives these back. */
static void test_classification_by_hand(void **state)
{
    dcls_context *ctx = *state;
    static const double probability[4][7] = {{0.5, 0.2, 0.1, 0.08, 0.06, 0.04, 0.02},
                                             {0.5, 0.2, 0.1, 0.08, 0.06, 0.04, 0.02},
                                             {0.02, 0.7, 0.05, 0.05, 0.06, 0.06, 0.06},
                                             {0.1, 0.6, 0.1, 0.1, 0.04, 0.03, 0.03}};
    static const int32_t target[] = {0, 5, 1, DCLS_IGNORE};
    float logits[4][7];
    dcls_metrics *metrics;
    dcls_item_score items[4];
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < 7; c++)
            logits[i][c] = (float)log(probability[i][c]) + 3.0f * (float)i;
    assert_ok(ctx, dcls_metrics_create(ctx, 7, &metrics));
    assert_int_equal(dcls_metrics_scores(metrics).count, 0);
    assert_true(dcls_metrics_scores(metrics).loss == 0 && isnan(dcls_metrics_iou(metrics, 3)));
    dcls_metrics_add(metrics, 4, 1, logits[0], target, items);
    const dcls_scores scores = dcls_metrics_scores(metrics);
    assert_int_equal(scores.count, 3);
    assert_true(near(scores.loss, -(log(0.5) + log(0.04) + log(0.7)) / 3));
    assert_true(near(scores.top1, 2.0 / 3) && near(scores.top5, 2.0 / 3));
    assert_true(near(scores.mean_class_accuracy, 2.0 / 3)); /* 1, 1, 0 */
    /* class 0: 1 of 2 (its own and the one taken for it), class 1: 1 of 1, class 5: 0 of 1 */
    assert_true(near(scores.mean_iou, 0.5));
    /* two answers of 0.5, one of them right: no error; one right answer of 0.7 */
    assert_true(near(scores.calibration_error, 0.3 / 3));
    assert_true(near(items[1].loss, -log(0.04)) && items[1].correct == 0 && items[1].targets == 1);
    assert_true(items[2].correct == 1 && items[3].targets == 0 && items[3].loss == 0);
    const int64_t *confusion = dcls_metrics_confusion(metrics);
    for (int i = 0; i < 49; i++)
        assert_int_equal(confusion[i], i == 0 || i == 5 * 7 || i == 7 + 1);
    assert_true(near(dcls_metrics_precision(metrics, 0), 0.5) && near(dcls_metrics_recall(metrics, 0), 1));
    assert_true(isnan(dcls_metrics_recall(metrics, 3)) && isnan(dcls_metrics_precision(metrics, 5)));
    dcls_metrics_destroy(metrics);
}

/* A map of 2 x 3 pixels, three classes, answers clear as day. */
static void test_segmentation_by_hand(void **state)
{
    dcls_context *ctx = *state;
    static const int answer[] = {0, 0, 1, 1, 2, 2};
    static const int32_t target[] = {0, 1, 1, 1, 255, 2};
    float logits[3][6] = {{0}};
    dcls_metrics *metrics;
    dcls_item_score item;
    for (int i = 0; i < 6; i++)
        logits[answer[i]][i] = 10;
    assert_ok(ctx, dcls_metrics_create(ctx, 3, &metrics));
    dcls_metrics_add(metrics, 1, 6, logits[0], target, &item);
    const dcls_scores scores = dcls_metrics_scores(metrics);
    const double sum = exp(10.0) + 2;
    assert_int_equal(scores.count, 5);
    assert_true(near(scores.top1, 0.8) && near(scores.top5, 1));
    assert_true(near(scores.loss, log(sum) - 8));
    assert_true(near(scores.mean_class_accuracy, (1 + 2.0 / 3 + 1) / 3));
    assert_true(near(dcls_metrics_iou(metrics, 0), 0.5) && near(dcls_metrics_iou(metrics, 1), 2.0 / 3) &&
                near(dcls_metrics_iou(metrics, 2), 1));
    assert_true(near(scores.mean_iou, (0.5 + 2.0 / 3 + 1) / 3));
    assert_true(near(scores.calibration_error, fabs(4 - 5 * exp(10.0) / sum) / 5));
    assert_true(item.correct == 4 && item.targets == 5 && near(item.loss, scores.loss));
    dcls_metrics_destroy(metrics);
}

/* ---- definitions ---------------------------------------------------------------------------------- */

typedef struct plain {
    double loss, top1, top5, calibration_error;
    int64_t count;
} plain;

static void judge(plain *p, double bins[15][3], const float *x, int64_t stride, int classes, int64_t target)
{
    if (target < 0 || target >= classes) return;
    double sum = 0;
    int answer = 0, before = 0;
    for (int c = 0; c < classes; c++) {
        sum += exp((double)x[c * stride]);
        if (x[c * stride] > x[answer * stride]) answer = c;
        before += x[c * stride] > x[target * stride];
    }
    const double confidence = exp((double)x[answer * stride]) / sum;
    int bin = 0;
    while (confidence > (bin + 1) / 15.0)
        bin++;
    p->count++;
    p->loss += log(sum) - (double)x[target * stride];
    p->top1 += answer == target;
    p->top5 += before < 5;
    bins[bin][0] += 1;
    bins[bin][1] += answer == target;
    bins[bin][2] += confidence;
}

static plain plainly(int64_t items, int64_t pixels, int classes, const float *x, const int32_t *target)
{
    plain p = {0};
    double bins[15][3] = {{0}};
    for (int64_t i = 0; i < items; i++)
        for (int64_t at = 0; at < pixels; at++)
            judge(&p, bins, x + i * classes * pixels + at, pixels, classes, target[i * pixels + at]);
    for (int b = 0; b < 15; b++)
        if (bins[b][0] > 0)
            p.calibration_error +=
                bins[b][0] / (double)p.count * fabs(bins[b][1] / bins[b][0] - bins[b][2] / bins[b][0]);
    p.loss /= (double)p.count;
    p.top1 /= (double)p.count;
    p.top5 /= (double)p.count;
    return p;
}

static void check_random(dcls_context *ctx, int64_t items, int64_t pixels, int classes)
{
    float *x = new_floats(items * pixels * classes);
    int32_t *target = calloc((size_t)(items * pixels), sizeof *target);
    dcls_metrics *metrics;
    assert_non_null(target);
    for (int64_t i = 0; i < items * pixels * classes; i++)
        x[i] *= 4;
    for (int64_t i = 0; i < items * pixels; i++)
        target[i] = (int32_t)random_int(-1, classes);
    target[0] = 0;
    assert_ok(ctx, dcls_metrics_create(ctx, classes, &metrics));
    dcls_metrics_add(metrics, items, pixels, x, target, NULL);
    const plain expected = plainly(items, pixels, classes, x, target);
    const dcls_scores scores = dcls_metrics_scores(metrics);
    assert_int_equal(scores.count, expected.count);
    assert_near(scores.loss, expected.loss, 1, "loss", pixels);
    assert_near(scores.top1, expected.top1, 1, "top1", pixels);
    assert_near(scores.top5, expected.top5, 1, "top5", pixels);
    assert_near(scores.calibration_error, expected.calibration_error, 1, "calibration", pixels);
    dcls_metrics_destroy(metrics);
    free(target);
    free(x);
}

static void test_definitions(void **state)
{
    static const int64_t pixels[] = {1, 2, 127, 128, 129, 300};
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++) {
        check_random(*state, 3, pixels[i], 11);
        check_random(*state, 1, pixels[i], 1);
        check_random(*state, 2, pixels[i], 130);
    }
}

/* A pixel beside others and an item of its own are counted alike, ties, infinities and NaN included. */
static void test_rows_and_maps(void **state)
{
    dcls_context *ctx = *state;
    enum { N = 40, CLASSES = 8 };
    float rows[N][CLASSES], map[CLASSES][N];
    int32_t target[N];
    dcls_metrics *by_row, *by_map;
    for (int i = 0; i < N; i++) {
        target[i] = (int32_t)random_int(0, CLASSES - 1);
        for (int c = 0; c < CLASSES; c++)
            rows[i][c] = (float)random_int(-2, 2);
    }
    rows[3][2] = -INFINITY;
    rows[4][target[4]] = -INFINITY;
    for (int special = 0; special < 2; special++) {
        if (special) rows[7][target[7]] = NAN;
        for (int i = 0; i < N; i++)
            for (int c = 0; c < CLASSES; c++)
                map[c][i] = rows[i][c];
        assert_ok(ctx, dcls_metrics_create(ctx, CLASSES, &by_row));
        assert_ok(ctx, dcls_metrics_create(ctx, CLASSES, &by_map));
        dcls_metrics_add(by_row, N, 1, rows[0], target, NULL);
        dcls_metrics_add(by_map, 1, N, map[0], target, NULL);
        const dcls_scores a = dcls_metrics_scores(by_row), b = dcls_metrics_scores(by_map);
        assert_true(a.count == b.count && a.top1 == b.top1 && a.top5 == b.top5 && a.mean_iou == b.mean_iou);
        assert_memory_equal(dcls_metrics_confusion(by_row), dcls_metrics_confusion(by_map),
                            CLASSES * CLASSES * sizeof(int64_t));
        if (special)
            assert_true(isnan(a.loss) && isnan(b.loss) && isnan(a.calibration_error) &&
                        isnan(b.calibration_error));
        else
            assert_true(isinf(a.loss) && isinf(b.loss) && near(a.calibration_error, b.calibration_error));
        dcls_metrics_destroy(by_row);
        dcls_metrics_destroy(by_map);
    }
}

static void test_bad_classes(void **state)
{
    dcls_context *ctx = *state;
    dcls_metrics *metrics;
    assert_int_equal(dcls_metrics_create(ctx, 0, &metrics), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_metrics_create(ctx, 1000000, &metrics), DCLS_ERR_LIMIT);
    assert_int_equal(dcls_metrics_create(ctx, INT64_MAX, &metrics), DCLS_ERR_LIMIT);
    assert_null(metrics);
    dcls_metrics_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_classification_by_hand),
        CONTEXT_TEST(test_segmentation_by_hand),
        CONTEXT_TEST(test_definitions),
        CONTEXT_TEST(test_rows_and_maps),
        CONTEXT_TEST(test_bad_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
