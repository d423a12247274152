/* A picture becomes a tensor: torchvision's Resize, CenterCrop, ToTensor and Normalize, value for value. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "image/image.h"
#include "image/preprocess.h"
#include "image/resize.h"

static dcls_status bad_setting(dcls_context *ctx, const char *what)
{
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "preprocess: %s", what);
}

static dcls_status check_settings(dcls_context *ctx, const dcls_preprocess *p)
{
    const int64_t max = INT32_MAX;
    if (p->resize != DCLS_RESIZE_NONE && p->resize != DCLS_RESIZE_SHORTER && p->resize != DCLS_RESIZE_EXACT) {
        return bad_setting(ctx, "unknown way to resize");
    }
    if (p->resize != DCLS_RESIZE_NONE && (p->resize_height < 1 || p->resize_height > max)) {
        return bad_setting(ctx, "the size to resize to is out of range");
    }
    if (p->resize == DCLS_RESIZE_EXACT && (p->resize_width < 1 || p->resize_width > max)) {
        return bad_setting(ctx, "the width to resize to is out of range");
    }
    bool crop = p->crop_height != 0 || p->crop_width != 0;
    if (crop && (p->crop_height < 1 || p->crop_height > max || p->crop_width < 1 || p->crop_width > max)) {
        return bad_setting(ctx, "the size of the crop is out of range");
    }
    if (p->filter != DCLS_FILTER_NEAREST && p->filter != DCLS_FILTER_BILINEAR &&
        p->filter != DCLS_FILTER_BICUBIC) {
        return bad_setting(ctx, "unknown filter");
    }
    if (p->channels != 1 && p->channels != 3) return bad_setting(ctx, "channels must be 1 or 3");
    for (int c = 0; c < p->channels; c++) {
        if (!isfinite(p->mean[c]) || !isfinite(p->std[c]) || p->std[c] == 0) {
            return bad_setting(ctx, "mean and std must be finite, std not 0");
        }
    }
    return DCLS_OK;
}

/* Size after the resize. */
static void resized_size(const dcls_preprocess *p, dcls_geometry *g, int64_t width, int64_t height)
{
    g->x.resized = width;
    g->y.resized = height;
    if (p->resize == DCLS_RESIZE_EXACT) {
        g->x.resized = p->resize_width;
        g->y.resized = p->resize_height;
    } else if (p->resize == DCLS_RESIZE_SHORTER) {
        int64_t size = p->resize_height;
        g->x.resized = width <= height ? size : size * width / height;
        g->y.resized = width <= height ? size * height / width : size;
    }
}

/* torchvision's centre crop pads the smaller side with (crop - size) / 2, rounded down, before it, and cuts
 * round((size - crop) / 2) from the larger one, Python's round taking halves to the even number. */
static void crop_span(dcls_span *s, int64_t crop)
{
    *s = (dcls_span){.resized = s->resized, .kept = s->resized, .length = crop ? crop : s->resized};
    if (crop > s->resized) {
        s->before = (crop - s->resized) / 2;
    } else if (crop) {
        int64_t excess = s->resized - crop, half = excess / 2;
        s->start = half + (excess % 2 & half % 2);
        s->kept = crop;
    }
}

dcls_status dcls_preprocess_geometry(dcls_context *ctx, const dcls_preprocess *p, int64_t width,
                                     int64_t height, dcls_geometry *g)
{
    DCLS_TRY(check_settings(ctx, p));
    if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a picture cannot be %" PRId64 " x %" PRId64 " pixels",
                         width, height);
    }
    resized_size(p, g, width, height);
    if (g->x.resized > INT32_MAX || g->y.resized > INT32_MAX)
        return dcls_fail(ctx, DCLS_ERR_LIMIT,
                         "a picture resized to %" PRId64 " x %" PRId64 " pixels is too large", g->x.resized,
                         g->y.resized);
    crop_span(&g->x, p->crop_width);
    crop_span(&g->y, p->crop_height);
    uint64_t limit = dcls_context_limit(ctx, DCLS_LIMIT_PIXELS), pixels;
    if (__builtin_mul_overflow((uint64_t)g->x.length, (uint64_t)g->y.length, &pixels) || pixels > limit) {
        return dcls_fail(ctx, DCLS_ERR_LIMIT,
                         "the picture resized to %" PRId64 " x %" PRId64 " is over the limit of %" PRIu64
                         " pixels",
                         g->x.length, g->y.length, limit);
    }
    return DCLS_OK;
}

dcls_status dcls_preprocess_size(dcls_context *ctx, const dcls_preprocess *preprocess, int64_t image_width,
                                 int64_t image_height, int64_t *height, int64_t *width)
{
    dcls_geometry g = {0};
    DCLS_TRY(dcls_preprocess_geometry(ctx, preprocess, image_width, image_height, &g));
    *height = g.y.length;
    *width = g.x.length;
    return DCLS_OK;
}

void dcls_rgb_to_gray(const uint8_t *rgb, uint8_t *gray, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++, rgb += 3) {
        gray[i] = (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 0x8000u) >> 16);
    }
}

void dcls_preprocess_values(const dcls_preprocess *p, int channel, float value[256])
{
    for (int i = 0; i < 256; i++)
        value[i] = ((float)i / 255.0f - p->mean[channel]) / p->std[channel];
}

/* One channel of the tensor; window holds the kept bytes, the rest is black. */
static void write_channel(const dcls_preprocess *p, const dcls_geometry *g, const uint8_t *window, int c,
                          float *tensor)
{
    float value[256];
    dcls_preprocess_values(p, c, value);
    float *to = tensor + (size_t)c * (size_t)g->y.length * (size_t)g->x.length;
    for (int64_t y = 0; y < g->y.length; y++, to += g->x.length) {
        bool inside = y >= g->y.before && y < g->y.before + g->y.kept;
        int64_t first = inside ? g->x.before : g->x.length, last = inside ? first + g->x.kept : first;
        const uint8_t *from = window + (y - g->y.before) * g->x.kept * p->channels + c;
        for (int64_t x = 0; x < first; x++)
            to[x] = value[0];
        for (int64_t x = first; x < last; x++)
            to[x] = value[from[(x - first) * p->channels]];
        for (int64_t x = last; x < g->x.length; x++)
            to[x] = value[0];
    }
}

dcls_status dcls_preprocess_run(dcls_context *ctx, const dcls_preprocess *preprocess, const dcls_image *image,
                                float *tensor)
{
    dcls_geometry g = {0};
    DCLS_TRY(dcls_preprocess_geometry(ctx, preprocess, image->width, image->height, &g));
    size_t pixels = (size_t)image->width * (size_t)image->height;
    uint8_t *gray = NULL, *window = NULL;
    dcls_status status = DCLS_ERR_MEMORY;
    if (preprocess->channels == 1) {
        gray = dcls_alloc(ctx, pixels, 1);
        if (!gray) goto done;
        dcls_rgb_to_gray(image->pixels, gray, pixels);
    }
    window = dcls_alloc(ctx, (size_t)g.x.kept * (size_t)g.y.kept, (size_t)preprocess->channels);
    if (!window) goto done;
    const dcls_resize resize = {.pixels = gray ? gray : image->pixels,
                                .from_width = image->width,
                                .from_height = image->height,
                                .channels = preprocess->channels,
                                .width = g.x.resized,
                                .height = g.y.resized,
                                .left = g.x.start,
                                .top = g.y.start,
                                .window_width = g.x.kept,
                                .window_height = g.y.kept,
                                .filter = preprocess->filter};
    status = dcls_resize_run(ctx, &resize, window);
    for (int c = 0; status == DCLS_OK && c < preprocess->channels; c++) {
        write_channel(preprocess, &g, window, c, tensor);
    }
done:
    free(gray);
    free(window);
    return status;
}
