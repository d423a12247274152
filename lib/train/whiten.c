/* The first convolution's kernels as principal directions of the patches it sees, so that training begins
 * with inputs of equal variance that do not depend on each other: D. Page, "How to train your ResNet" (2019);
 * K. Jordan, arXiv 2404.00498, section 3.2. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/model.h"
#include "train/create.h"
#include "train/parameters.h"

enum {
    PICTURES = 2048,
    BATCH = 64,
    PATCHES = 1 << 18, /* of all pictures together, .. */
    WORK = 1 << 30,    /* .. and of products of their cells */
    MOST_CELLS = 512,  /* of a patch */
    SWEEPS = 60
};

#define LEAST_VARIANCE 5e-4 /* added to a direction's, or noise would be blown up */

typedef struct patches {
    int64_t channels, height, width;
    int64_t n;       /* channels * height * width */
    double *moments; /* [n, n] second ones, around 0: sums, the lower half; later the mean */
    int64_t count;
    float *cells; /* [n] */
} patches;

/* ---- second moments ---- */

static void add_patch(patches *p, const float *picture, int64_t rows, int64_t columns, int64_t y, int64_t x)
{
    float *cell = p->cells;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t row = 0; row < p->height; row++, cell += p->width)
            memcpy(cell, picture + (c * rows + y + row) * columns + x, (size_t)p->width * sizeof *cell);
    for (int64_t i = 0; i < p->n; i++) {
        double *sums = p->moments + i * p->n;
        for (int64_t j = 0; j <= i; j++)
            sums[j] += (double)p->cells[i] * (double)p->cells[j];
    }
    p->count++;
}

static void add_picture(patches *p, const float *picture, int64_t rows, int64_t columns, int64_t wanted)
{
    const int64_t high = rows - p->height + 1, wide = columns - p->width + 1, all = high * wide;
    const int64_t count = wanted < all ? wanted : all;
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = (int64_t)((double)all * ((double)i + 0.5) / (double)count);
        add_patch(p, picture, rows, columns, at / wide, at % wide);
    }
}

static dcls_status add_pictures(dcls_context *ctx, patches *p, dcls_loader *loader, int64_t pictures)
{
    const int64_t all = WORK / (p->n * p->n), each = (all < PATCHES ? all : PATCHES) / pictures;
    const int64_t wanted = each > 0 ? each : 1;
    for (int64_t done = 0; done < pictures;) {
        const dcls_batch *batch;
        DCLS_TRY(dcls_loader_next(ctx, loader, &batch));
        if (batch == NULL) break;
        if (batch->height < p->height || batch->width < p->width)
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "pictures are smaller than its kernel");
        const int64_t floats = batch->channels * batch->height * batch->width;
        for (int64_t i = 0; i < batch->count; i++)
            add_picture(p, batch->input + i * floats, batch->height, batch->width, wanted);
        done += batch->count;
    }
    return DCLS_OK;
}

/* ---- eigenvectors of a symmetric matrix: Jacobi's rotations ---- */

static void rotate(double *a, double *b, int64_t n, int64_t stride, double cosine, double sine)
{
    for (int64_t k = 0; k < n; k++) {
        const double x = a[k * stride], y = b[k * stride];
        a[k * stride] = cosine * x - sine * y;
        b[k * stride] = sine * x + cosine * y;
    }
}

/* a [n, n] becomes diagonal, rows of v (the identity at first) its eigenvectors. */
static void diagonalize(double *a, double *v, int64_t n)
{
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        double outside = 0, inside = 0;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = 0; q < n; q++)
                *(p == q ? &inside : &outside) += a[p * n + q] * a[p * n + q];
        if (outside <= 1e-24 * inside) return;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                if (a[p * n + q] == 0) continue;
                const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
                const double cosine = 1 / sqrt(t * t + 1), sine = t * cosine;
                rotate(a + p * n, a + q * n, n, 1, cosine, sine);
                rotate(a + p, a + q, n, n, cosine, sine);
                rotate(v + p * n, v + q * n, n, 1, cosine, sine);
            }
    }
}

/* ---- kernels ---- */

/* Of the eigenvalues, on the diagonal. */
static int64_t largest_at(const double *a, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (a[i * n + i] > a[best * n + best]) best = i;
    return best;
}

/* An eigenvector's sign is nobody's choice: the first cell that is not much smaller than the largest becomes
 * positive, whatever the rounding. */
static double sign_of(const double *direction, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(direction[i]));
    int64_t first = 0;
    while (fabs(direction[first]) < 0.6 * largest)
        first++;
    return direction[first] < 0 ? -1 : 1;
}

/* The first half of the kernels, and the same with the other sign. */
static void write_kernels(patches *p, const double *v, int64_t out, float *weight)
{
    for (int64_t o = 0; o < out / 2; o++, weight += p->n) {
        const int64_t k = largest_at(p->moments, p->n);
        const double *direction = v + k * p->n, variance = fmax(0, p->moments[k * p->n + k]);
        const double factor = sign_of(direction, p->n) / sqrt(variance + LEAST_VARIANCE);
        p->moments[k * p->n + k] = -1; /* taken */
        for (int64_t i = 0; i < p->n; i++) {
            weight[i] = (float)(factor * direction[i]);
            weight[out / 2 * p->n + i] = -weight[i];
        }
    }
}

static dcls_status whiten(dcls_context *ctx, const dcls_node *node, dcls_loader *loader, int64_t pictures)
{
    const dcls_window *w = &node->window;
    patches p = {.channels = node->in_channels, .height = w->kernel[0], .width = w->kernel[1]};
    p.n = p.channels * p.height * p.width;
    const size_t square = (size_t)(p.n * p.n);
    double *v = dcls_alloc_zero(ctx, square, sizeof *v);
    p.moments = dcls_alloc_zero(ctx, square, sizeof *p.moments);
    p.cells = dcls_alloc(ctx, (size_t)p.n, sizeof *p.cells);
    dcls_status status = v && p.moments && p.cells ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = add_pictures(ctx, &p, loader, pictures);
    if (status == DCLS_OK) {
        for (int64_t i = 0; i < p.n; i++) {
            v[i * p.n + i] = 1;
            for (int64_t j = 0; j <= i; j++)
                p.moments[i * p.n + j] = p.moments[j * p.n + i] = p.moments[i * p.n + j] / (double)p.count;
        }
        diagonalize(p.moments, v, p.n);
        write_kernels(&p, v, node->out_channels, dcls_created_values(node->weight));
        if (node->bias)
            memset(dcls_created_values(node->bias), 0, (size_t)node->out_channels * sizeof(float));
    }
    free(v);
    free(p.moments);
    free(p.cells);
    return status;
}

/* Whether another layer takes its weights or bias too. */
static bool is_shared(const dcls_model *model, const dcls_node *node)
{
    for (size_t i = 0; i < model->node_count; i++) {
        const dcls_node *other = &model->nodes[i];
        if (other != node && (other->weight == node->weight || (node->bias && other->bias == node->bias)))
            return true;
    }
    return false;
}

static dcls_status find_layer(dcls_context *ctx, const dcls_model *model, const char *layer,
                              const dcls_node **out)
{
    const dcls_node *node = NULL;
    for (size_t i = 0; i < model->node_count && node == NULL; i++)
        if (strcmp(model->nodes[i].name, layer) == 0) node = &model->nodes[i];
    *out = node;
    if (node == NULL) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no layer of that name");
    if (node->op != DCLS_OP_CONV || node->inputs[0] != 0 || node->groups != 1 || node->window.ndim != 2 ||
        node->window.dilation[0] != 1 || node->window.dilation[1] != 1)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "only an ordinary convolution of the network's input can be whitened");
    if (is_shared(model, node)) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "another layer has its weights");
    const int64_t cells = node->in_channels * node->window.kernel[0] * node->window.kernel[1];
    if (cells > MOST_CELLS)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "its kernels have %" PRId64 " cells, at most %d can be whitened", cells, MOST_CELLS);
    if (node->out_channels % 2 != 0 || node->out_channels / 2 > cells)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "it has %" PRId64
                         " kernels; two for each direction make an even number, at most %" PRId64,
                         node->out_channels, 2 * cells);
    return DCLS_OK;
}

static dcls_status whiten_copy(dcls_context *ctx, const dcls_model *model, const char *layer,
                               const dcls_dataset *set, const dcls_loader_options *like, dcls_model **out)
{
    const dcls_node *node;
    dcls_loader *loader;
    const int64_t count = dcls_dataset_count(set);
    DCLS_TRY(dcls_model_writable_copy(ctx, model, out));
    DCLS_TRY(find_layer(ctx, *out, layer, &node));
    dcls_loader_options options = *like;
    const dcls_augment *shape = &like->augment; /* what makes pictures as large as the batch's */
    options.augment = (dcls_augment){.scale_min = shape->scale_min,
                                     .scale_max = shape->scale_max,
                                     .area_min = shape->area_min,
                                     .area_max = shape->area_max,
                                     .crop_padding = shape->crop_padding};
    options.preprocess = *dcls_model_preprocess(model);
    if (options.batch > BATCH) options.batch = BATCH;
    if (options.batch > count) options.batch = count;
    options.ahead = 1;
    options.shuffle = true;
    options.drop_last = false;
    DCLS_TRY(dcls_loader_create(ctx, set, &options, &loader));
    const dcls_status status = whiten(ctx, node, loader, count < PICTURES ? count : PICTURES);
    dcls_loader_destroy(loader);
    return status;
}

dcls_status dcls_model_whiten(dcls_context *ctx, const dcls_model *model, const char *layer,
                              const dcls_dataset *set, const dcls_loader_options *like, dcls_model **out)
{
    *out = NULL;
    const dcls_status status = whiten_copy(ctx, model, layer, set, like, out);
    if (status == DCLS_OK) return DCLS_OK;
    dcls_model_destroy(*out);
    *out = NULL;
    return dcls_fail_within(ctx, status, "whitening '%s': ", layer);
}
