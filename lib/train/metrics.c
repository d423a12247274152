/* How good answers are: cross entropy, accuracy, confusion, intersection over union, calibration. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "simd/simd.h"
#include "train/metrics.h"

#define BINS  15
#define CHUNK 128 /* pixels looked at together */
#define TOP   5

typedef struct bin {
    int64_t count, correct;
    double confidence;
} bin;

struct dcls_metrics {
    const dcls_simd *simd;
    int64_t classes, count, correct, in_top;
    double loss;
    bin bins[BINS];
    int64_t *confusion;
    float *scratch; /* [classes, CHUNK] */
};

dcls_status dcls_metrics_create(dcls_context *ctx, int64_t classes, dcls_metrics **out)
{
    size_t cells = 0, bytes = 0;
    *out = NULL;
    if (classes < 1) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there must be at least one class");
    if (!dcls_mul_size((size_t)classes, (size_t)classes + CHUNK, &cells) ||
        !dcls_mul_size(cells, sizeof(int64_t), &bytes) ||
        bytes > dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "%lld classes are too many to count which is taken for which",
                         (long long)classes);
    dcls_metrics *metrics = dcls_alloc_zero(ctx, 1, sizeof *metrics);
    if (metrics == NULL) return DCLS_ERR_MEMORY;
    metrics->simd = dcls_simd_get(dcls_cpu_detect());
    metrics->classes = classes;
    metrics->confusion = dcls_alloc_zero(ctx, (size_t)classes * (size_t)classes, sizeof(int64_t));
    metrics->scratch = dcls_alloc(ctx, (size_t)classes * CHUNK, sizeof(float));
    if (metrics->confusion != NULL && metrics->scratch != NULL) {
        *out = metrics;
        return DCLS_OK;
    }
    dcls_metrics_destroy(metrics);
    return DCLS_ERR_MEMORY;
}

void dcls_metrics_destroy(dcls_metrics *metrics)
{
    if (metrics == NULL) return;
    free(metrics->confusion);
    free(metrics->scratch);
    free(metrics);
}

/* ---- one target --------------------------------------------------------------------------------------- */

/* What is known about the answer for one target. */
typedef struct verdict {
    int64_t target, answer;
    int rank;          /* classes before the target when the largest logit comes first */
    double loss;       /* cross entropy */
    double confidence; /* probability of the answer */
} verdict;

/* Bins (0, 1/15], (1/15, 2/15], .. as in Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural
 * networks", arXiv 1706.04599. NaN goes into the first and makes the result NaN. */
static int bin_of(double confidence)
{
    const int index = confidence > 0 ? (int)ceil(confidence * BINS) - 1 : 0;
    return index < 0 ? 0 : index < BINS ? index : BINS - 1;
}

static void count(dcls_metrics *metrics, const verdict *v, dcls_item_score *item)
{
    const bool correct = v->answer == v->target;
    bin *b = &metrics->bins[bin_of(v->confidence)];
    metrics->count++;
    metrics->correct += correct;
    metrics->in_top += v->rank < TOP;
    metrics->loss += v->loss;
    metrics->confusion[v->target * metrics->classes + v->answer]++;
    b->count++;
    b->correct += correct;
    b->confidence += v->confidence;
    item->targets++;
    item->correct += correct;
    item->loss += v->loss;
}

static bool counts(const dcls_metrics *metrics, int64_t target)
{
    return target >= 0 && target < metrics->classes;
}

/* ---- a classifier's answer: classes side by side ------------------------------------------------------ */

static void add_row(dcls_metrics *metrics, const float *x, int64_t target, dcls_item_score *item)
{
    if (!counts(metrics, target)) return;
    verdict v = {.target = target};
    const float largest = metrics->simd->max(x, metrics->classes), wanted = x[target];
    const float sum = metrics->simd->exp_sum(x, metrics->scratch, metrics->classes, largest);
    float best = -INFINITY;
    for (int64_t c = 0; c < metrics->classes; c++) {
        v.rank += x[c] > wanted || (c < target && x[c] == wanted);
        if (x[c] > best) best = x[v.answer = c];
    }
    if (isnan(wanted)) v.rank = TOP;
    v.confidence = 1 / (double)sum;
    v.loss = (double)largest - (double)wanted + log((double)sum);
    count(metrics, &v, item);
}

/* ---- a map of answers: pixels side by side ------------------------------------------------------------ */

/* Some pixels of an item: x is the first pixel's first logit, those of the next class are `stride` later. */
typedef struct chunk {
    const float *x;
    const int32_t *target;
    int64_t stride;
    int n;
    float largest[CHUNK], wanted[CHUNK]; /* logits */
    int32_t answer[CHUNK], rank[CHUNK];
} chunk;

static void find_answers(const dcls_metrics *metrics, chunk *part)
{
    for (int i = 0; i < part->n; i++) {
        part->largest[i] = -INFINITY;
        part->answer[i] = part->rank[i] = 0;
        part->wanted[i] =
            counts(metrics, part->target[i]) ? part->x[part->target[i] * part->stride + i] : NAN;
    }
    for (int32_t c = 0; c < metrics->classes; c++) {
        const float *x = part->x + c * part->stride;
        for (int i = 0; i < part->n; i++) {
            const bool above = x[i] > part->largest[i];
            part->largest[i] = above ? x[i] : part->largest[i];
            part->answer[i] = above ? c : part->answer[i];
        }
        for (int i = 0; i < part->n; i++)
            part->rank[i] +=
                (int)(x[i] > part->wanted[i]) | ((int)(x[i] == part->wanted[i]) & (int)(c < part->target[i]));
    }
}

static void add_chunk(dcls_metrics *metrics, chunk *part, dcls_item_score *item)
{
    float *probability = metrics->scratch;
    find_answers(metrics, part);
    for (int64_t c = 0; c < metrics->classes; c++)
        memcpy(probability + c * part->n, part->x + c * part->stride, (size_t)part->n * sizeof(float));
    metrics->simd->softmax(probability, probability, metrics->classes, part->n, part->n);
    for (int i = 0; i < part->n; i++) {
        if (!counts(metrics, part->target[i])) continue;
        const double confidence = (double)probability[part->answer[i] * part->n + i];
        count(metrics,
              &(verdict){.target = part->target[i],
                         .answer = part->answer[i],
                         .rank = isnan(part->wanted[i]) ? TOP : part->rank[i],
                         .loss = (double)part->largest[i] - (double)part->wanted[i] - log(confidence),
                         .confidence = confidence},
              item);
    }
}

static void add_map(dcls_metrics *metrics, int64_t pixels, const float *x, const int32_t *target,
                    dcls_item_score *item)
{
    for (int64_t first = 0; first < pixels; first += CHUNK) {
        chunk part = {.x = x + first,
                      .target = target + first,
                      .stride = pixels,
                      .n = (int)(pixels - first < CHUNK ? pixels - first : CHUNK)};
        add_chunk(metrics, &part, item);
    }
}

void dcls_metrics_add(dcls_metrics *metrics, int64_t items, int64_t pixels, const float *logits,
                      const int32_t *target, dcls_item_score *scores)
{
    for (int64_t i = 0; i < items; i++) {
        dcls_item_score score = {0};
        if (pixels == 1)
            add_row(metrics, logits + i * metrics->classes, target[i], &score);
        else
            add_map(metrics, pixels, logits + i * metrics->classes * pixels, target + i * pixels, &score);
        if (score.targets > 0) score.loss /= (double)score.targets;
        if (scores != NULL) scores[i] = score;
    }
}

int64_t dcls_metrics_classes(const dcls_metrics *metrics)
{
    return metrics->classes;
}

void dcls_metrics_take(dcls_metrics *to, dcls_metrics *from)
{
    to->count += from->count;
    to->correct += from->correct;
    to->in_top += from->in_top;
    to->loss += from->loss;
    for (int i = 0; i < BINS; i++) {
        to->bins[i].count += from->bins[i].count;
        to->bins[i].correct += from->bins[i].correct;
        to->bins[i].confidence += from->bins[i].confidence;
        from->bins[i] = (bin){0};
    }
    for (int64_t i = 0; i < to->classes * to->classes; i++) {
        to->confusion[i] += from->confusion[i];
        from->confusion[i] = 0;
    }
    from->count = from->correct = from->in_top = 0;
    from->loss = 0;
}

/* ---- results ------------------------------------------------------------------------------------------ */

/* Of one class: how often it was the target, the answer, and both. */
typedef struct tally {
    int64_t targets, answers, both;
} tally;

static tally tally_of(const dcls_metrics *metrics, int64_t index)
{
    tally t = {.both = metrics->confusion[index * metrics->classes + index]};
    for (int64_t c = 0; c < metrics->classes; c++) {
        t.targets += metrics->confusion[index * metrics->classes + c];
        t.answers += metrics->confusion[c * metrics->classes + index];
    }
    return t;
}

double dcls_metrics_iou(const dcls_metrics *metrics, int64_t index)
{
    const tally t = tally_of(metrics, index);
    const int64_t either = t.targets + t.answers - t.both;
    return either > 0 ? (double)t.both / (double)either : (double)NAN;
}

double dcls_metrics_recall(const dcls_metrics *metrics, int64_t index)
{
    const tally t = tally_of(metrics, index);
    return t.targets > 0 ? (double)t.both / (double)t.targets : (double)NAN;
}

double dcls_metrics_precision(const dcls_metrics *metrics, int64_t index)
{
    const tally t = tally_of(metrics, index);
    return t.answers > 0 ? (double)t.both / (double)t.answers : (double)NAN;
}

/* Over the classes for which there is a value. */
static double mean_over_classes(const dcls_metrics *metrics,
                                double (*value)(const dcls_metrics *metrics, int64_t index))
{
    double sum = 0;
    int64_t present = 0;
    for (int64_t c = 0; c < metrics->classes; c++) {
        const double one = value(metrics, c);
        if (isnan(one)) continue;
        sum += one;
        present++;
    }
    return present > 0 ? sum / (double)present : 0;
}

static double calibration_error(const dcls_metrics *metrics)
{
    double sum = 0;
    for (int i = 0; i < BINS; i++)
        sum += fabs((double)metrics->bins[i].correct - metrics->bins[i].confidence);
    return sum / (double)metrics->count;
}

dcls_scores dcls_metrics_scores(const dcls_metrics *metrics)
{
    dcls_scores scores = {.count = metrics->count};
    if (metrics->count == 0) return scores;
    scores.loss = metrics->loss / (double)metrics->count;
    scores.top1 = (double)metrics->correct / (double)metrics->count;
    scores.top5 = (double)metrics->in_top / (double)metrics->count;
    scores.mean_class_accuracy = mean_over_classes(metrics, dcls_metrics_recall);
    scores.mean_iou = mean_over_classes(metrics, dcls_metrics_iou);
    scores.calibration_error = calibration_error(metrics);
    return scores;
}

const int64_t *dcls_metrics_confusion(const dcls_metrics *metrics)
{
    return metrics->confusion;
}
