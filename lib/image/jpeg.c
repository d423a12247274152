/* JPEG in: the one user of libjpeg. */
#include <stdio.h> /* jpeglib.h uses FILE and size_t, jerror.h macros of jpeglib.h */

#include <jpeglib.h>

#include <jerror.h>

#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"

/* Everything that must survive the longjmp out of libjpeg lives here, in the caller's frame. */
struct jpeg_job {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf leave;
    dcls_context *ctx;
    dcls_status status; /* the first failure, already recorded in ctx */
    int max_scans;
    dcls_image *image;
    uint8_t *cmyk_row;
};

static _Noreturn void leave(struct jpeg_job *job, dcls_status status)
{
    job->status = status;
    longjmp(job->leave, 1);
}

static dcls_status status_of(int code)
{
    switch (code) {
    case JERR_OUT_OF_MEMORY: return DCLS_ERR_MEMORY;
    case JERR_NO_BACKING_STORE: return DCLS_ERR_LIMIT;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_CONVERSION_NOTIMPL: return DCLS_ERR_UNSUPPORTED;
    default: return DCLS_ERR_FORMAT;
    }
}

static void on_error(j_common_ptr cinfo)
{
    struct jpeg_job *job = cinfo->client_data;
    char text[JMSG_LENGTH_MAX];
    dcls_status status = status_of(cinfo->err->msg_code);
    if (status == DCLS_ERR_MEMORY) leave(job, dcls_fail(job->ctx, status, "out of memory"));
    if (status == DCLS_ERR_LIMIT) leave(job, dcls_fail(job->ctx, status, "the JPEG needs too much memory"));
    cinfo->err->format_message(cinfo, text);
    leave(job, dcls_fail(job->ctx, status, "%s JPEG: %s",
                         status == DCLS_ERR_FORMAT ? "damaged" : "unsupported", text));
}

/* libjpeg goes on after damage with made-up pixels. Damage to the picture's own data must not pass for a
 * picture; oddities around it (stray bytes between segments, unknown revisions) are common and harmless. */
static void on_message(j_common_ptr cinfo, int level)
{
    struct jpeg_job *job = cinfo->client_data;
    char text[JMSG_LENGTH_MAX];
    if (level >= 0) return;
    switch (cinfo->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
        leave(job, dcls_fail(job->ctx, DCLS_ERR_FORMAT, "truncated JPEG: its data end too early"));
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
        cinfo->err->format_message(cinfo, text);
        leave(job, dcls_fail(job->ctx, DCLS_ERR_FORMAT, "damaged JPEG: %s", text));
    default: return;
    }
}

/* Each scan of a progressive file costs a pass over the whole picture, however few bytes it has. */
static void on_progress(j_common_ptr common)
{
    struct jpeg_job *job = common->client_data;
    if (job->cinfo.input_scan_number > job->max_scans) {
        leave(job, dcls_fail(job->ctx, DCLS_ERR_LIMIT, "the JPEG has more than %d scans", job->max_scans));
    }
}

/* Encoders write about 10 scans. Small pictures may have 100, large ones 20. */
static int scan_limit(uint64_t pixels)
{
    const uint64_t scan_pixels = UINT64_C(3000000000);
    uint64_t scans = scan_pixels / pixels;
    return scans > 100 ? 100 : scans < 20 ? 20 : (int)scans;
}

/* What libjpeg holds besides the picture: all coefficients of a file of several scans, else a few rows. */
static uint64_t decoder_bytes(struct jpeg_decompress_struct *cinfo)
{
    uint64_t width = cinfo->image_width, height = cinfo->image_height,
             components = (uint64_t)cinfo->num_components;
    uint64_t rows = width * components * 64;
    return jpeg_has_multiple_scans(cinfo) ? rows + width * height * components * sizeof(JCOEF) : rows;
}

/* (a * b) / 255, rounded. */
static uint8_t multiply_255(unsigned a, unsigned b)
{
    unsigned product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

/* Adobe's CMYK is stored inverted, so that each sample is the light that ink lets through. Rounded as Pillow
 * does: the share that ink takes away is computed from ink = 255 - stored and subtracted. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int64_t width)
{
    for (int64_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        unsigned light = cmyk[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(light - multiply_255(255u - cmyk[c], light));
    }
}

static void choose_output(struct jpeg_job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    switch (cinfo->num_components) {
    case 1:
    case 3: cinfo->out_color_space = JCS_RGB; return;
    case 4:
        cinfo->out_color_space = JCS_CMYK;
        job->cmyk_row = dcls_alloc(job->ctx, cinfo->image_width, 4);
        if (!job->cmyk_row) leave(job, DCLS_ERR_MEMORY);
        return;
    default:
        leave(job, dcls_fail(job->ctx, DCLS_ERR_UNSUPPORTED, "JPEG pictures of %d components are not read",
                             cinfo->num_components));
    }
}

static void read_rows(struct jpeg_job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    while (cinfo->output_scanline < cinfo->output_height) {
        uint8_t *to = job->image->pixels + (size_t)cinfo->output_scanline * cinfo->image_width * 3;
        JSAMPROW row = job->cmyk_row ? job->cmyk_row : to;
        jpeg_read_scanlines(cinfo, &row, 1);
        if (job->cmyk_row) cmyk_to_rgb(job->cmyk_row, to, cinfo->image_width);
    }
}

static void read_picture(struct jpeg_job *job, const uint8_t *data, size_t size)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    if (setjmp(job->leave)) return;
    jpeg_create_decompress(cinfo);
    job->progress.progress_monitor = on_progress;
    cinfo->progress = &job->progress;
    jpeg_mem_src(cinfo, data, size);
    jpeg_read_header(cinfo, TRUE);
    uint64_t extra = decoder_bytes(cinfo), limit = dcls_context_limit(job->ctx, DCLS_LIMIT_MEMORY_BYTES);
    dcls_status status = dcls_image_check_size(job->ctx, cinfo->image_width, cinfo->image_height, extra);
    if (status != DCLS_OK) leave(job, status);
    cinfo->mem->max_memory_to_use = limit < LONG_MAX ? (long)limit : LONG_MAX;
    job->max_scans = scan_limit((uint64_t)cinfo->image_width * cinfo->image_height);
    choose_output(job);
    status = dcls_image_new(job->ctx, cinfo->image_width, cinfo->image_height, &job->image);
    if (status != DCLS_OK) leave(job, status);
    jpeg_start_decompress(cinfo);
    read_rows(job);
    jpeg_finish_decompress(cinfo);
}

dcls_status dcls_jpeg_decode(dcls_context *ctx, const uint8_t *data, size_t size, dcls_image **out)
{
    struct jpeg_job job = {.ctx = ctx, .max_scans = INT_MAX};
    *out = NULL;
    job.cinfo.err = jpeg_std_error(&job.errors);
    job.cinfo.client_data = &job;
    job.errors.error_exit = on_error;
    job.errors.emit_message = on_message;
    read_picture(&job, data, size);
    jpeg_destroy_decompress(&job.cinfo);
    free(job.cmyk_row);
    if (job.status != DCLS_OK) {
        dcls_image_destroy(job.image);
        return job.status;
    }
    *out = job.image;
    return DCLS_OK;
}
