/*
 * The Lovász-softmax loss (Berman, Triki, Blaschko, arXiv 1705.08790), of one picture.
 *
 * Errors of a class are 1 - p where it should be, p elsewhere. Taken from the largest to the smallest, each
 * weighs as much as the class's Jaccard loss grows when its pixel is counted as wrong after those before it
 * (equation 9): the convex closure of 1 - IoU. The loss is the mean over the classes that the picture shows.
 * Past the last pixel that should be of the class nothing grows any more.
 */
#include "train/lovasz.h"

#include <string.h>

#include "train/dataset.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 3 };

/* What is sorted: an error that falls as its key rises, where it is, and whether the class should be there.
 */
typedef struct dcls_lovasz_entry entry;

static uint32_t key_of(float error)
{
    uint32_t bits; /* of floats that are not negative these rise with them */
    memcpy(&bits, &error, sizeof bits);
    return ~bits;
}

static float error_of(const entry *e)
{
    const uint32_t bits = ~e->key;
    float error;
    memcpy(&error, &bits, sizeof error);
    return error;
}

/* Radix sort from the lowest digit; pixels of equal errors keep their order. The result is in *sorted, which
 * is one of the two. */
static void sort(entry *entries, entry *spare, int64_t count, const entry **sorted)
{
    entry *from = entries, *to = spare;
    for (int pass = 0; pass < PASSES; pass++) {
        const int shift = pass * DIGIT_BITS;
        int64_t starts[DIGITS] = {0}, at = 0;
        for (int64_t i = 0; i < count; i++)
            starts[from[i].key >> shift & (DIGITS - 1)]++;
        for (int d = 0; d < DIGITS; d++) {
            const int64_t here = starts[d];
            starts[d] = at;
            at += here;
        }
        for (int64_t i = 0; i < count; i++)
            to[starts[from[i].key >> shift & (DIGITS - 1)]++] = from[i];
        entry *swap = from;
        from = to;
        to = swap;
    }
    *sorted = from;
}

/* Errors of class c at the pixels that count; *there of them should be of it. */
static int64_t gather(const float *probability, const int32_t *target, int64_t pixels, int64_t c,
                      entry *entries, int64_t *there)
{
    int64_t count = 0;
    *there = 0;
    for (int64_t i = 0; i < pixels; i++) {
        if (target[i] == DCLS_IGNORE) continue;
        const bool wanted = target[i] == c;
        const float p = probability[i] > 1 ? 1 : probability[i];
        entries[count++] = (entry){key_of(wanted ? 1 - p : p), (uint32_t)i << 1 | wanted};
        *there += wanted;
    }
    return count;
}

/* One class's loss; slope: by its probabilities, 0 where nothing is written. */
static double class_loss(const entry *sorted, int64_t count, int64_t there, float *slope)
{
    double loss = 0, before = 0;
    int64_t wanted = 0;
    for (int64_t i = 0; i < count && wanted < there; i++) {
        const bool hit = sorted[i].place & 1;
        wanted += hit;
        const double jaccard = 1 - (double)(there - wanted) / (double)(there + i + 1 - wanted);
        loss += (double)error_of(&sorted[i]) * (jaccard - before);
        slope[sorted[i].place >> 1] = (float)(hit ? before - jaccard : jaccard - before);
        before = jaccard;
    }
    return loss;
}

/* Slopes by probabilities become those by logits, times scale. */
static void through_softmax(const float *probability, int64_t classes, int64_t pixels, float scale,
                            float *slopes)
{
    for (int64_t i = 0; i < pixels; i++) {
        float mean = 0;
        for (int64_t c = 0; c < classes; c++)
            mean += slopes[c * pixels + i] * probability[c * pixels + i];
        for (int64_t c = 0; c < classes; c++) {
            float *s = &slopes[c * pixels + i];
            *s = scale * probability[c * pixels + i] * (*s - mean);
        }
    }
}

double dcls_lovasz(const float *probability, int64_t classes, int64_t pixels, const int32_t *target,
                   double scale, float *slopes, struct dcls_lovasz_entry *entries)
{
    double loss = 0;
    int64_t shown = 0;
    memset(slopes, 0, (size_t)(classes * pixels) * sizeof *slopes);
    for (int64_t c = 0; c < classes; c++) {
        int64_t there;
        const int64_t count = gather(probability + c * pixels, target, pixels, c, entries, &there);
        if (there == 0) continue;
        const entry *sorted;
        sort(entries, entries + pixels, count, &sorted);
        loss += class_loss(sorted, count, there, slopes + c * pixels);
        shown++;
    }
    if (shown == 0) return 0;
    through_softmax(probability, classes, pixels, (float)(scale / (double)shown), slopes);
    return loss * scale / (double)shown;
}
