/*
 * Pictures as tensors. Whatever changes a picture's geometry is put together into one resampling of one part
 * of it (struct frame), which picture and mask then share:
 *
 *     a box of the picture -> resized -> a window of that -> its place in the tensor, perhaps mirrored
 */
#include "train/augment.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "image/preprocess.h"
#include "image/resize.h"
#include "train/dataset.h"

struct frame {
    int64_t left, top, width, height; /* the box, inside the picture */
    dcls_geometry to;
    bool mirrored;
    dcls_rand_op ops[DCLS_MAX_RAND_OPS];
};

/* ---- settings ---- */

static dcls_status bad(dcls_context *ctx, const char *what)
{
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "augment: %s", what);
}

static bool in_range(double x, double low, double high)
{
    return x >= low && x <= high; /* false for NaN */
}

static bool scales(const dcls_augment *a)
{
    return a->scale_min != 0 || a->scale_max != 0;
}

static bool cuts_area(const dcls_augment *a)
{
    return a->area_min != 0 || a->area_max != 0;
}

/* Whether the batch's size comes about by a random crop. */
static bool crops(const dcls_augment *a)
{
    return scales(a) || a->crop_padding > 0;
}

static dcls_status check_augment(dcls_context *ctx, const dcls_augment *a)
{
    if (scales(a) && !(in_range(a->scale_min, 0.01, 100) && in_range(a->scale_max, a->scale_min, 100)))
        return bad(ctx, "scale must be two factors in rising order, 0.01 to 100");
    if (cuts_area(a) && !(in_range(a->area_min, 1e-4, 1) && in_range(a->area_max, a->area_min, 1)))
        return bad(ctx, "area must be two shares in rising order, 0.0001 to 1");
    if (cuts_area(a) && crops(a)) return bad(ctx, "area goes neither with scale nor with crop padding");
    if (!in_range((double)a->crop_padding, 0, 1 << 20)) return bad(ctx, "crop padding is out of range");
    if (!in_range(a->brightness, 0, 100) || !in_range(a->contrast, 0, 100) ||
        !in_range(a->saturation, 0, 100))
        return bad(ctx, "brightness, contrast and saturation must be 0 to 100");
    if (!in_range(a->hue, 0, 0.5)) return bad(ctx, "hue must be 0 to 0.5");
    if (!in_range((double)a->rand_ops, 0, DCLS_MAX_RAND_OPS)) return bad(ctx, "rand_ops must be 0 to 16");
    if (!in_range(a->rand_magnitude, 0, DCLS_RAND_MAGNITUDES))
        return bad(ctx, "rand_magnitude must be 0 to 30");
    if (!in_range((double)a->cutout, 0, 1 << 20)) return bad(ctx, "the side of the cutout is out of range");
    if ((a->mixup != 0 && !in_range(a->mixup, 0.001, 1000)) ||
        (a->cutmix != 0 && !in_range(a->cutmix, 0.001, 1000)))
        return bad(ctx, "mixup and cutmix must be 0 or 0.001 to 1000");
    return DCLS_OK;
}

dcls_status dcls_pipeline_init(dcls_context *ctx, const dcls_augment *augment,
                               const dcls_preprocess *preprocess, int64_t height, int64_t width,
                               dcls_pipeline *out)
{
    dcls_geometry unused;
    DCLS_TRY(check_augment(ctx, augment));
    DCLS_TRY(dcls_preprocess_geometry(ctx, preprocess, 1, 1, &unused)); /* checks the settings */
    if (height < 0 || width < 0 || height > INT32_MAX || width > INT32_MAX || (height == 0) != (width == 0)) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a batch cannot be %" PRId64 " x %" PRId64 " pixels", width,
                         height);
    }
    if (height == 0 && (crops(augment) || cuts_area(augment)))
        return bad(ctx, "a random crop needs the size of the batch");
    *out = (dcls_pipeline){*augment, *preprocess, height, width, {{0}}};
    for (int c = 0; c < preprocess->channels; c++)
        dcls_preprocess_values(preprocess, c, out->value[c]);
    return DCLS_OK;
}

bool dcls_pipeline_is_random(const dcls_pipeline *pipeline)
{
    const dcls_augment *a = &pipeline->augment;
    return crops(a) || cuts_area(a) || a->flip || a->brightness > 0 || a->contrast > 0 || a->saturation > 0 ||
           a->hue > 0 || a->rand_ops > 0 || a->cutout > 0 || a->mixup > 0 || a->cutmix > 0;
}

void dcls_scratch_free(dcls_scratch *scratch)
{
    free(scratch->gray);
    free(scratch->box);
    free(scratch->window);
    free(scratch->spare);
    *scratch = (dcls_scratch){0};
}

/* ---- where pixels go ---- */

static int64_t below(dcls_rng *rng, int64_t n)
{
    return (int64_t)(dcls_rng_uniform(rng) * (double)n);
}

static double between(dcls_rng *rng, double low, double high)
{
    return low + dcls_rng_uniform(rng) * (high - low);
}

/* A window of `length` cells anywhere in the axis with `padding` cells before and after it; around an axis
 * shorter than the window, anywhere that takes in all of it. At least one cell of the axis is kept. */
static void crop_at_random(dcls_span *s, int64_t length, int64_t padding, dcls_rng *rng)
{
    int64_t a = -padding, b = s->resized + padding - length;
    int64_t low = a < b ? a : b, high = a < b ? b : a;
    int64_t at = low + below(rng, high - low + 1);
    if (at < 1 - length) at = 1 - length;
    if (at > s->resized - 1) at = s->resized - 1;
    s->start = at > 0 ? at : 0;
    s->before = at < 0 ? -at : 0;
    s->kept = s->resized - s->start;
    if (s->kept > length - s->before) s->kept = length - s->before;
    s->length = length;
}

static int64_t scaled(int64_t size, double factor)
{
    double wanted = nearbyint((double)size * factor);
    return wanted < 1 ? 1 : wanted > INT32_MAX ? INT32_MAX : (int64_t)wanted;
}

/* The picture as preprocess resizes it, scaled, cropped at random. */
static dcls_status crop_frame(dcls_context *ctx, const dcls_pipeline *pipeline, dcls_rng *rng,
                              struct frame *f)
{
    const dcls_augment *a = &pipeline->augment;
    dcls_preprocess whole = pipeline->preprocess;
    whole.crop_height = whole.crop_width = 0;
    DCLS_TRY(dcls_preprocess_geometry(ctx, &whole, f->width, f->height, &f->to));
    if (scales(a)) {
        double factor = exp(between(rng, log(a->scale_min), log(a->scale_max)));
        f->to.x.resized = scaled(f->to.x.resized, factor);
        f->to.y.resized = scaled(f->to.y.resized, factor);
    }
    crop_at_random(&f->to.y, pipeline->height, a->crop_padding, rng);
    crop_at_random(&f->to.x, pipeline->width, a->crop_padding, rng);
    return DCLS_OK;
}

static dcls_span whole_span(int64_t length)
{
    return (dcls_span){.resized = length, .kept = length, .length = length};
}

/* torchvision's RandomResizedCrop: ten tries for a box of the wanted area and aspect that lies in the
 * picture, then the largest one in the middle whose aspect is allowed. */
static void area_frame(const dcls_pipeline *pipeline, dcls_rng *rng, struct frame *f)
{
    const double low = log(3.0 / 4), high = log(4.0 / 3);
    int64_t width = f->width, height = f->height;
    f->to = (dcls_geometry){whole_span(pipeline->width), whole_span(pipeline->height)};
    for (int i = 0; i < 10; i++) {
        double area = (double)width * (double)height *
                      between(rng, pipeline->augment.area_min, pipeline->augment.area_max);
        double aspect = exp(between(rng, low, high));
        int64_t w = (int64_t)nearbyint(sqrt(area * aspect)), h = (int64_t)nearbyint(sqrt(area / aspect));
        if (w < 1 || h < 1 || w > width || h > height) continue;
        int64_t top = below(rng, height - h + 1);
        f->left = below(rng, width - w + 1);
        f->top = top;
        f->width = w;
        f->height = h;
        return;
    }
    double aspect = (double)width / (double)height;
    if (aspect < 3.0 / 4) f->height = (int64_t)nearbyint((double)width / (3.0 / 4));
    if (aspect > 4.0 / 3) f->width = (int64_t)nearbyint((double)height * (4.0 / 3));
    f->left = (width - f->width) / 2;
    f->top = (height - f->height) / 2;
}

static dcls_status make_frame(dcls_context *ctx, const dcls_pipeline *pipeline, const dcls_view *view,
                              dcls_rng *rng, struct frame *f)
{
    const dcls_augment *a = &pipeline->augment;
    *f = (struct frame){.width = view->width, .height = view->height};
    if (cuts_area(a)) {
        area_frame(pipeline, rng, f);
    } else if (crops(a)) {
        DCLS_TRY(crop_frame(ctx, pipeline, rng, f));
    } else {
        DCLS_TRY(dcls_preprocess_geometry(ctx, &pipeline->preprocess, view->width, view->height, &f->to));
    }
    f->mirrored = a->flip && dcls_rng_next(rng) >> 63;
    dcls_rand_draw(a, rng, f->ops);
    return DCLS_OK;
}

/* From where the batch is all of the shorter side to as the picture is. */
static void suggest_scale(const dcls_pipeline *pipeline, int64_t height, int64_t width, char *text,
                          size_t size)
{
    const double rows = (double)pipeline->height / (double)height,
                 columns = (double)pipeline->width / (double)width;
    const double low = ceil(100 * (rows > columns ? rows : columns) - 1e-9) / 100;
    snprintf(text, size, "--scale %.4g,%.4g", low, low > 1 ? low : 1);
}

static dcls_status check_size(dcls_context *ctx, const dcls_pipeline *pipeline, const dcls_view *view,
                              const struct frame *f)
{
    int64_t height = f->to.y.length, width = f->to.x.length;
    if (pipeline->height == 0 || (height == pipeline->height && width == pipeline->width)) return DCLS_OK;
    char cure[80] = "--area 0.2,1";
    if (view->mask != NULL) suggest_scale(pipeline, height, width, cure, sizeof cure);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                     "the picture comes out as %" PRId64 "x%" PRId64 " (rows first), the batch is %" PRId64
                     "x%" PRId64 ": %s takes random parts, --size %" PRId64 "x%" PRId64 " all of it",
                     height, width, pipeline->height, pipeline->width, cure, height, width);
}

dcls_status dcls_pipeline_size(dcls_context *ctx, const dcls_pipeline *pipeline, const dcls_view *view,
                               int64_t *height, int64_t *width)
{
    *height = pipeline->height;
    *width = pipeline->width;
    if (*height > 0) return DCLS_OK;
    return dcls_preprocess_size(ctx, &pipeline->preprocess, view->width, view->height, height, width);
}

/* ---- pixels ---- */

static dcls_status reserve(dcls_context *ctx, uint8_t **buffer, size_t *size, int64_t rows, int64_t bytes)
{
    size_t needed;
    if (!dcls_mul_size((size_t)rows, (size_t)bytes, &needed)) needed = SIZE_MAX;
    return dcls_grow(ctx, buffer, size, needed, 1);
}

/* The frame's window of pixels of `channels` bytes, into scratch->window. */
static dcls_status cut_window(dcls_context *ctx, const struct frame *f, const uint8_t *pixels,
                              int64_t row_width, int channels, dcls_filter filter, dcls_scratch *scratch)
{
    if (f->width != row_width || f->top != 0) {
        int64_t bytes = f->width * channels;
        DCLS_TRY(reserve(ctx, &scratch->box, &scratch->box_size, f->height, bytes));
        for (int64_t y = 0; y < f->height; y++) {
            memcpy(scratch->box + y * bytes, pixels + ((f->top + y) * row_width + f->left) * channels,
                   (size_t)bytes);
        }
        pixels = scratch->box;
    }
    const dcls_geometry *to = &f->to;
    DCLS_TRY(reserve(ctx, &scratch->window, &scratch->window_size, to->y.kept, to->x.kept * channels));
    const dcls_resize resize = {.pixels = pixels,
                                .from_width = f->width,
                                .from_height = f->height,
                                .channels = channels,
                                .width = to->x.resized,
                                .height = to->y.resized,
                                .left = to->x.start,
                                .top = to->y.start,
                                .window_width = to->x.kept,
                                .window_height = to->y.kept,
                                .filter = filter};
    return dcls_resize_run(ctx, &resize, scratch->window);
}

/* The byte that stands outside of pictures: around scaled ones the mean, elsewhere black as in preprocess. */
static uint8_t byte_outside(const dcls_pipeline *pipeline, int channel)
{
    if (!scales(&pipeline->augment)) return 0;
    const double mean = 255 * (double)pipeline->preprocess.mean[channel];
    return (uint8_t)nearbyint(mean < 0 ? 0 : mean > 255 ? 255 : mean);
}

/* RandAugment's operations on the window of the picture, or of the mask. */
static dcls_status rand_augment(dcls_context *ctx, const dcls_pipeline *pipeline, const struct frame *f,
                                bool mask, dcls_scratch *scratch)
{
    if (pipeline->augment.rand_ops == 0) return DCLS_OK;
    const dcls_geometry *to = &f->to;
    dcls_pixels pixels = {.width = to->x.kept,
                          .height = to->y.kept,
                          .channels = mask ? 1 : pipeline->preprocess.channels,
                          .nearest = mask,
                          .outside = {DCLS_IGNORED_PIXEL},
                          .values = scratch->window};
    for (int c = 0; c < pixels.channels && !mask; c++)
        pixels.outside[c] = byte_outside(pipeline, c);
    DCLS_TRY(reserve(ctx, &scratch->spare, &scratch->spare_size, to->y.kept, to->x.kept * pixels.channels));
    dcls_rand_run(f->ops, pipeline->augment.rand_ops, &pixels, scratch->spare);
    return DCLS_OK;
}

/* First column of the tensor that holds a pixel of the picture. */
static int64_t first_column(const struct frame *f)
{
    const dcls_span *x = &f->to.x;
    return f->mirrored ? x->length - x->before - x->kept : x->before;
}

static void fill(float *to, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = value;
}

/* A row of one channel: what is outside, then pixels, then outside again. */
static void write_row(const struct frame *f, const float *value, const uint8_t *from, int channels,
                      float outside, float *to)
{
    int64_t first = first_column(f), kept = f->to.x.kept;
    fill(to, first, outside);
    if (f->mirrored) {
        for (int64_t x = 0; x < kept; x++)
            to[first + x] = value[from[(kept - 1 - x) * channels]];
    } else {
        for (int64_t x = 0; x < kept; x++)
            to[first + x] = value[from[x * channels]];
    }
    fill(to + first + kept, f->to.x.length - first - kept, outside);
}

static void write_tensor(const dcls_pipeline *pipeline, const struct frame *f, const uint8_t *window,
                         float *tensor)
{
    const dcls_span *rows = &f->to.y;
    int channels = pipeline->preprocess.channels;
    int64_t width = f->to.x.length;
    for (int c = 0; c < channels; c++) {
        /* Around scaled pictures lies the mean, elsewhere black as in preprocess. */
        float outside = scales(&pipeline->augment) ? 0.0f : pipeline->value[c][0];
        for (int64_t y = 0; y < rows->length; y++, tensor += width) {
            int64_t from = y - rows->before;
            if (from < 0 || from >= rows->kept) {
                fill(tensor, width, outside);
            } else {
                write_row(f, pipeline->value[c], window + from * f->to.x.kept * channels + c, channels,
                          outside, tensor);
            }
        }
    }
}

static int32_t target_of(uint8_t pixel)
{
    return pixel == DCLS_IGNORED_PIXEL ? DCLS_IGNORE : pixel;
}

static void write_target(const struct frame *f, const uint8_t *window, int32_t *target)
{
    const dcls_span *rows = &f->to.y;
    int64_t width = f->to.x.length, kept = f->to.x.kept, first = first_column(f);
    for (int64_t i = 0; i < rows->length * width; i++)
        target[i] = DCLS_IGNORE;
    for (int64_t y = 0; y < rows->kept; y++) {
        const uint8_t *from = window + y * kept;
        int32_t *to = target + (rows->before + y) * width + first;
        for (int64_t x = 0; x < kept; x++)
            to[x] = target_of(from[f->mirrored ? kept - 1 - x : x]);
    }
}

/* DeVries and Taylor, arXiv 1708.04552: the square may hang over the edge. */
static void cut_out(const dcls_pipeline *pipeline, const struct frame *f, dcls_rng *rng, float *tensor)
{
    int64_t side = pipeline->augment.cutout, height = f->to.y.length, width = f->to.x.length;
    int64_t top = below(rng, height) - side / 2, left = below(rng, width) - side / 2;
    int64_t bottom = top + side < height ? top + side : height;
    int64_t right = left + side < width ? left + side : width;
    if (top < 0) top = 0;
    if (left < 0) left = 0;
    for (int c = 0; c < pipeline->preprocess.channels; c++, tensor += height * width) {
        for (int64_t y = top; y < bottom; y++)
            fill(tensor + y * width + left, right - left, 0);
    }
}

static dcls_status run_picture(dcls_context *ctx, const dcls_pipeline *pipeline, const dcls_view *view,
                               const struct frame *f, dcls_rng *rng, dcls_scratch *scratch, float *tensor)
{
    const dcls_augment *a = &pipeline->augment;
    int channels = pipeline->preprocess.channels;
    const uint8_t *pixels = view->pixels;
    if (channels == 1) {
        DCLS_TRY(reserve(ctx, &scratch->gray, &scratch->gray_size, view->height, view->width));
        dcls_rgb_to_gray(pixels, scratch->gray, (size_t)(view->width * view->height));
        pixels = scratch->gray;
    }
    DCLS_TRY(cut_window(ctx, f, pixels, view->width, channels, pipeline->preprocess.filter, scratch));
    DCLS_TRY(rand_augment(ctx, pipeline, f, false, scratch));
    if (a->brightness > 0 || a->contrast > 0 || a->saturation > 0 || a->hue > 0) {
        const dcls_jitter jitter = dcls_jitter_draw(a, rng);
        dcls_jitter_run(&jitter, channels, f->to.x.kept * f->to.y.kept, scratch->window);
    }
    write_tensor(pipeline, f, scratch->window, tensor);
    if (a->cutout > 0) cut_out(pipeline, f, rng, tensor);
    return DCLS_OK;
}

dcls_status dcls_pipeline_run(dcls_context *ctx, const dcls_pipeline *pipeline, const dcls_view *view,
                              dcls_rng *rng, dcls_scratch *scratch, float *tensor, int32_t *target)
{
    struct frame frame;
    DCLS_TRY(make_frame(ctx, pipeline, view, rng, &frame));
    DCLS_TRY(check_size(ctx, pipeline, view, &frame));
    DCLS_TRY(run_picture(ctx, pipeline, view, &frame, rng, scratch, tensor));
    if (!view->mask) return DCLS_OK;
    DCLS_TRY(cut_window(ctx, &frame, view->mask, view->width, 1, DCLS_FILTER_NEAREST, scratch));
    DCLS_TRY(rand_augment(ctx, pipeline, &frame, true, scratch));
    write_target(&frame, scratch->window, target);
    return DCLS_OK;
}
