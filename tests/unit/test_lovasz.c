/* The Lovász-softmax loss against its definition written out plainly, and its slopes against differences. */
#include "format_util.h"
#include "numeric_util.h"

#include "base/rng.h"
#include "dcls_train.h"
#include "train/lovasz.h"

enum { CLASSES = 4, PIXELS = 57, FLOATS = CLASSES * PIXELS };

static void softmax(const double *x, float *p)
{
    for (int i = 0; i < PIXELS; i++) {
        double sum = 0;
        for (int c = 0; c < CLASSES; c++)
            sum += exp(x[c * PIXELS + i]);
        for (int c = 0; c < CLASSES; c++)
            p[c * PIXELS + i] = (float)(exp(x[c * PIXELS + i]) / sum);
    }
}

/* Delta_Jc of a set of wrong pixels: its size over that of its union with the class. */
static double jaccard_loss(const bool *wrong, const int32_t *target, int c)
{
    int size = 0, all = 0;
    for (int i = 0; i < PIXELS; i++) {
        size += wrong[i];
        all += wrong[i] || target[i] == c;
    }
    return all > 0 ? (double)size / all : 0;
}

/* The Lovász extension of the Jaccard loss at the errors of class c: sets grow by the largest error left. */
static double plain_class(const double *x, const int32_t *target, int c)
{
    bool wrong[PIXELS] = {false};
    double loss = 0, before = 0;
    for (;;) {
        int next = -1;
        double largest = -1;
        for (int i = 0; i < PIXELS; i++) {
            if (wrong[i] || target[i] == DCLS_IGNORE) continue;
            double sum = 0;
            for (int k = 0; k < CLASSES; k++)
                sum += exp(x[k * PIXELS + i]);
            const double p = exp(x[c * PIXELS + i]) / sum, error = target[i] == c ? 1 - p : p;
            if (error > largest) next = i, largest = error;
        }
        if (next < 0) return loss;
        wrong[next] = true;
        const double now = jaccard_loss(wrong, target, c);
        loss += largest * (now - before);
        before = now;
    }
}

static double plain(const double *x, const int32_t *target)
{
    double loss = 0;
    int shown = 0;
    for (int c = 0; c < CLASSES; c++) {
        bool there = false;
        for (int i = 0; i < PIXELS; i++)
            there |= target[i] == c;
        if (!there) continue;
        loss += plain_class(x, target, c);
        shown++;
    }
    return shown > 0 ? loss / shown : 0;
}

static double run(const double *x, const int32_t *target, double scale, float *slopes)
{
    float p[FLOATS];
    struct dcls_lovasz_entry entries[2 * PIXELS];
    softmax(x, p);
    return dcls_lovasz(p, CLASSES, PIXELS, target, scale, slopes, entries);
}

/* Logits of every size; a class that is not shown when it is `absent`; some pixels that do not count. */
static void draw(dcls_rng *rng, int absent, double *x, int32_t *target)
{
    for (int i = 0; i < FLOATS; i++)
        x[i] = 3 * dcls_rng_normal(rng);
    for (int i = 0; i < PIXELS; i++) {
        const int c = (int)(dcls_rng_uniform(rng) * CLASSES);
        target[i] = c == absent || i % 9 == 4 ? DCLS_IGNORE : c;
    }
}

static void test_definition_and_slopes(void **state)
{
    (void)state;
    dcls_rng rng = dcls_rng_stream(5, 0);
    for (int round = 0; round < 6; round++) {
        double x[FLOATS];
        int32_t target[PIXELS];
        float slopes[FLOATS], unused[FLOATS];
        draw(&rng, round - 1, x, target);
        const double loss = run(x, target, 1, slopes);
        assert_true(loss > 0.05 && loss < 1);
        assert_true(fabs(loss - plain(x, target)) < 1e-6);
        assert_true(fabs(run(x, target, 2.5, unused) - 2.5 * loss) < 1e-6);
        for (int i = 0; i < FLOATS; i++) {
            const double h = 1e-5, middle = x[i];
            assert_true(fabs((double)unused[i] - 2.5 * (double)slopes[i]) < 1e-6);
            x[i] = middle + h;
            const double above = plain(x, target);
            x[i] = middle - h;
            const double below = plain(x, target);
            x[i] = middle;
            assert_true(fabs((above - below) / (2 * h) - (double)slopes[i]) < 1e-5);
            if (target[i % PIXELS] == DCLS_IGNORE) assert_true(slopes[i] == 0);
        }
    }
}

/* Of answers that leave no doubt it is 1 - IoU, here of 1 / 3 and 2 / 4; classes nowhere do not count. */
static void test_is_one_minus_iou(void **state)
{
    (void)state;
    double x[FLOATS] = {0};
    int32_t target[PIXELS];
    float slopes[FLOATS];
    static const int answers[] = {0, 1, 1, 1, 0}, wanted[] = {0, 0, 1, 1, 1};
    for (int i = 0; i < PIXELS; i++)
        target[i] = DCLS_IGNORE;
    assert_true(run(x, target, 1, slopes) == 0);
    for (int i = 0; i < FLOATS; i++)
        assert_true(slopes[i] == 0);
    for (int i = 0; i < 5; i++) {
        x[answers[i] * PIXELS + 10 * i] = 60;
        target[10 * i] = wanted[i];
    }
    assert_true(fabs(run(x, target, 1, slopes) - (2.0 / 3 + 2.0 / 4) / 2) < 1e-6);
}

/* Two pixels of two classes, the first of class 0, whose slopes by probabilities are wanted [class][pixel].
 */
static void check_pair(const float p[4], const double wanted[4])
{
    static const int32_t target[] = {0, 1};
    float slopes[4];
    struct dcls_lovasz_entry entries[4];
    (void)dcls_lovasz(p, 2, 2, target, 1, slopes, entries);
    for (int i = 0; i < 4; i++) {
        const int pixel = i % 2;
        const double mean = wanted[pixel] * (double)p[pixel] + wanted[2 + pixel] * (double)p[2 + pixel];
        assert_true(fabs((double)slopes[i] - (double)p[i] * (wanted[i] - mean) / 2) < 1e-6);
    }
}

/* The second pixel's error is the larger by a few units in the last place; an error of a probability that
 * rounding took above 1 is none. */
static void test_order_is_exact(void **state)
{
    (void)state;
    const float close = 0.25f + 0x1p-23f, above = 1 + 0x1p-23f;
    check_pair((const float[]){0.75f, close, 0.25f, 1 - close}, (const double[]){-0.5, 0.5, 0, -1});
    check_pair((const float[]){above, 0.25f, 0, 0.75f}, (const double[]){-0.5, 0.5, 0, -1});
}

/* Keys of all three digits put errors in order, equal ones too. */
static void test_many_pixels(void **state)
{
    (void)state;
    enum { MANY = 40000 };
    float *p = test_malloc(2 * MANY * sizeof *p), *slopes = test_malloc(2 * MANY * sizeof *slopes);
    int32_t *target = test_malloc(MANY * sizeof *target);
    struct dcls_lovasz_entry *entries = test_malloc(2 * MANY * sizeof *entries);
    /* Of class 0 every other pixel, p = k / MANY there and elsewhere: errors 1 - p and p in one order. */
    for (int i = 0; i < MANY; i++) {
        const int k = (int)((int64_t)i * 7919 % MANY); /* 7919 is prime */
        p[i] = (float)k / MANY;
        p[MANY + i] = 1 - p[i];
        target[i] = k < MANY / 2; /* class 0 where it is likely: errors of both classes 1/2 at most */
    }
    const double loss = dcls_lovasz(p, 2, MANY, target, 1, slopes, entries);
    /* In the limit: wrong sets of t of each class, t to 1/2 each, errors 1/2 - t; J = 2t / (1/2 + t), and
     * the integral of J over the error is 1 - log 2. */
    assert_true(fabs(loss - (1 - log(2.0))) < 1e-4);
    test_free(p);
    test_free(slopes);
    test_free(target);
    test_free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition_and_slopes),
        cmocka_unit_test(test_is_one_minus_iou),
        cmocka_unit_test(test_order_is_exact),
        cmocka_unit_test(test_many_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
