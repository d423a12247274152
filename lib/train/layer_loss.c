/* Cross entropy with label smoothing and class weights, as torch.nn.functional.cross_entropy averages it: the
 * sum over targets that count, over the sum of their weights; of mixed ones those of both, by their shares.
 * A share of it may give way to what teachers answer (distillation, arXiv 1503.02531), and to it may be added
 * the Lovász-softmax loss, its mean over the batch's pictures. The gradient is written on the way forward. */
#include <math.h>

#include "train/lovasz.h"
#include "train/program.h"

#define BLOCK 256 /* pixels whose probabilities are made at once */

/* What a pixel should be, as masses of classes: `share` of first, the rest of second, smoothed. */
typedef struct pixel {
    const float *x; /* logits and their gradient, `step` floats from class to class; dx holds probabilities */
    float *dx;
    int64_t step, classes;
    int32_t first, second;
    double share;
} pixel;

typedef struct terms {
    double smoothing, scale; /* scale: one over the sum of weights */
    const float *weights;
    double share, temperature, mean; /* of distillation; mean: one over the number of targets */
} terms;

static double weight_of(const terms *t, int64_t c)
{
    return t->weights != NULL ? (double)t->weights[c] : 1;
}

static int64_t largest(const pixel *p)
{
    int64_t best = 0;
    for (int64_t c = 1; c < p->classes; c++)
        if (p->x[c * p->step] > p->x[best * p->step]) best = c;
    return best;
}

static double mass_of(const pixel *p, const terms *t, int64_t c)
{
    double mass = t->smoothing / (double)p->classes;
    if (c == p->first) mass += (1 - t->smoothing) * p->share;
    if (c == p->second) mass += (1 - t->smoothing) * (1 - p->share);
    return mass * weight_of(t, c);
}

/* loss = sum over classes of mass (log of the sum of exponentials - x); d = probability times all mass -
 * mass, for the share that is not the teachers'. */
static double pixel_loss(const pixel *p, const terms *t, int64_t best)
{
    const double norm = (double)p->x[best * p->step] - log((double)p->dx[best * p->step]);
    double loss = 0, all = 0;
    for (int64_t c = 0; c < p->classes; c++) {
        const double mass = mass_of(p, t, c);
        if (mass == 0) continue;
        all += mass;
        loss += mass * (norm - (double)p->x[c * p->step]);
    }
    for (int64_t c = 0; c < p->classes; c++) {
        float *d = p->dx + c * p->step;
        *d = (float)((1 - t->share) * t->scale * ((double)*d * all - mass_of(p, t, c)));
    }
    return loss * t->scale;
}

/* T^2 KL(soft | softmax(x / T)), whose gradient is T (softmax(x / T) - soft), times the teachers' share. */
static double soft_loss(const pixel *p, const terms *t, const float *soft, int64_t best)
{
    const double T = t->temperature, factor = t->share * t->mean, top = (double)p->x[best * p->step];
    double sum = 0, divergence = 0;
    for (int64_t c = 0; c < p->classes; c++)
        sum += exp(((double)p->x[c * p->step] - top) / T);
    const double norm = log(fmax(sum, 1)); /* the largest alone adds 1 */
    for (int64_t c = 0; c < p->classes; c++) {
        const double logarithm = ((double)p->x[c * p->step] - top) / T - norm;
        const double wanted = (double)soft[c * p->step];
        const double excess = exp(logarithm) - wanted;
        if (wanted > 0) divergence += wanted * (log(wanted) - logarithm);
        divergence += excess; /* 0 over all classes, but for the rounding of soft, which T^2 would magnify */
        p->dx[c * p->step] += (float)(factor * T * excess);
    }
    return factor * T * T * divergence;
}

static void ignore(const pixel *p)
{
    for (int64_t c = 0; c < p->classes; c++)
        p->dx[c * p->step] = 0;
}

static terms terms_of(const dcls_program *p)
{
    return (terms){.smoothing = p->options.label_smoothing,
                   .scale = p->target_weight > 0 ? 1 / p->target_weight : 0,
                   .weights = p->options.class_weights,
                   .share = p->options.distill,
                   .temperature = p->options.temperature,
                   .mean = p->target_count > 0 ? 1 / (double)p->target_count : 0};
}

/* Cross entropy; *soft gets the teachers' part. */
static double image_loss(const dcls_visit *visit, int64_t n, const float *x, float *dx, dcls_extent e,
                         int64_t *correct, double *soft)
{
    const dcls_program *p = visit->program;
    const dcls_batch *batch = visit->batch;
    const terms t = terms_of(p);
    double loss = 0;
    *soft = 0;
    for (int64_t i = 0; i < e.pixels; i++) {
        if (i % BLOCK == 0)
            p->simd->softmax(x + i, dx + i, e.channels, e.pixels,
                             e.pixels - i < BLOCK ? e.pixels - i : BLOCK);
        const int64_t at = n * e.pixels + i;
        pixel one = {.x = x + i, .dx = dx + i, .step = e.pixels, .classes = e.channels, .share = 1};
        one.first = one.second = batch->target[at];
        if (one.first == DCLS_IGNORE) {
            ignore(&one);
            continue;
        }
        if (batch->mixed != NULL && batch->mixed[at] != DCLS_IGNORE) {
            one.second = batch->mixed[at];
            one.share = (double)batch->share[n];
        }
        const int64_t best = largest(&one);
        *correct += best == one.first;
        loss += pixel_loss(&one, &t, best);
        if (t.share > 0) *soft += soft_loss(&one, &t, batch->soft + n * e.channels * e.pixels + i, best);
    }
    return loss;
}

/* The Lovász loss of one image, whose gradient is left in the scratch; dx is used for probabilities. */
static double image_lovasz(const dcls_visit *visit, int64_t n, const float *x, float *dx, dcls_extent e)
{
    const dcls_program *p = visit->program;
    for (int64_t i = 0; i < e.pixels; i += BLOCK)
        p->simd->softmax(x + i, dx + i, e.channels, e.pixels, e.pixels - i < BLOCK ? e.pixels - i : BLOCK);
    float *entries = visit->scratch + (e.channels * e.pixels + 1) / 2 * 2;
    return dcls_lovasz(dx, e.channels, e.pixels, visit->batch->target + n * e.pixels,
                       p->options.lovasz / (double)p->batch, visit->scratch, (void *)entries);
}

static void loss_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_program *p = visit->program;
    const dcls_extent e = dcls_program_extent(p, layer->inputs[0]);
    const int64_t floats = e.channels * e.pixels;
    for (int64_t n = 0; n < visit->count; n++) {
        const int64_t image = visit->first + n;
        const float *x = dcls_visit_value(visit, layer->inputs[0]) + n * floats;
        float *dx = dcls_visit_gradient(visit, layer->inputs[0]) + n * floats;
        const double lovasz = p->options.lovasz > 0 ? image_lovasz(visit, image, x, dx, e) : 0;
        double soft;
        p->correct[image] = 0;
        const double hard = image_loss(visit, image, x, dx, e, &p->correct[image], &soft);
        p->added[image] = lovasz + soft - p->options.distill * hard;
        p->losses[image] = hard + p->added[image];
        for (int64_t i = 0; i < floats && p->options.lovasz > 0; i++)
            dx[i] += visit->scratch[i];
    }
}

static dcls_status loss_create(dcls_context *ctx, dcls_program *p, dcls_layer *layer)
{
    const dcls_extent e = dcls_program_extent(p, layer->inputs[0]);
    const double share = p->options.distill, temperature = p->options.temperature;
    if (!(share >= 0 && share <= 1))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "distill is %g, must be from 0 to 1", share);
    if (share > 0 && !(temperature > 0 && isfinite(temperature)))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "temperature is %g, must be above 0", temperature);
    if (p->options.lovasz == 0) return DCLS_OK;
    if (!(p->options.lovasz > 0 && isfinite(p->options.lovasz)))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "lovasz is %g, must be 0 or more", p->options.lovasz);
    if (e.pixels < 2)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "the Lovász loss (loss.lovasz) is one of segmentation, this network classifies");
    if (e.pixels > DCLS_LOVASZ_PIXELS)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "%lld pixels are too many for the Lovász loss (loss.lovasz)",
                         (long long)e.pixels);
    layer->scratch_floats = (size_t)((e.channels * e.pixels + 1) / 2 * 2) +
                            2 * (size_t)e.pixels * sizeof(struct dcls_lovasz_entry) / sizeof(float);
    return DCLS_OK;
}

const dcls_layer_type dcls_layer_loss = {.name = "loss", .create = loss_create, .forward = loss_forward};

/* The sum of the output times what is given, which is its gradient. */
static void given_forward(const dcls_layer *layer, const dcls_visit *visit)
{
    const dcls_program *p = visit->program;
    const int64_t floats = p->values[layer->inputs[0]].floats;
    const float *x = dcls_visit_value(visit, layer->inputs[0]);
    float *dx = dcls_visit_gradient(visit, layer->inputs[0]);
    for (int64_t n = 0; n < visit->count; n++) {
        double loss = 0;
        for (int64_t i = n * floats; i < (n + 1) * floats; i++) {
            dx[i] = p->use.given[visit->first * floats + i];
            loss += (double)x[i] * (double)dx[i];
        }
        p->losses[visit->first + n] = loss;
    }
}

const dcls_layer_type dcls_layer_given = {.name = "given gradient", .forward = given_forward};
