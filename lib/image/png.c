/* PNG in and out: the one user of libpng, through its row interface. */
#include <png.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/image.h"

/* Everything that must survive libpng's longjmp lives here, in the caller's frame, and not in locals of the
 * function that calls setjmp: only those would lose their values. */
struct png_job {
    dcls_context *ctx;
    dcls_status status; /* the first failure, already recorded in ctx */
    const char *verb;
    char warning[64]; /* the last one */
    png_structp png;
    png_infop info;
    const uint8_t *data; /* reading */
    size_t size, position;
    dcls_image *image;
    uint8_t *indices; /* of a mask, [height, width] */
    int64_t width, height;
    dcls_output *output; /* writing: to a file, or .. */
    dcls_string *memory;
};

/* Of a bad header libpng warns of what is wrong with it, then fails with a message that says less. */
static void on_error(png_structp png, png_const_charp message)
{
    struct png_job *job = png_get_error_ptr(png);
    if (job->warning[0] && strcmp(message, "Invalid IHDR data") == 0) message = job->warning;
    if (job->status == DCLS_OK) {
        job->status = dcls_fail(job->ctx, DCLS_ERR_FORMAT, "%s PNG: %s", job->verb, message);
    }
    png_longjmp(png, 1);
}

/* libpng warns of ancillary chunks it cannot read and of other things that do not change the pixels. */
static void on_warning(png_structp png, png_const_charp message)
{
    struct png_job *job = png_get_error_ptr(png);
    snprintf(job->warning, sizeof job->warning, "%s", message);
}

/* libpng reports a failed allocation like any damaged file; this tells them apart. */
static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    struct png_job *job = png_get_mem_ptr(png);
    void *memory = malloc(size);
    if (!memory && job->status == DCLS_OK)
        job->status = dcls_fail(job->ctx, DCLS_ERR_MEMORY, "out of memory");
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    (void)png;
    free(memory);
}

static dcls_status out_of_memory(struct png_job *job)
{
    if (job->status != DCLS_OK) return job->status;
    return job->status = dcls_fail(job->ctx, DCLS_ERR_MEMORY, "out of memory");
}

/* ---- reading ---- */

static void on_read(png_structp png, png_bytep to, size_t count)
{
    struct png_job *job = png_get_io_ptr(png);
    if (count > job->size - job->position) {
        job->status =
            dcls_fail(job->ctx, DCLS_ERR_FORMAT, "truncated PNG: the file ends after %zu bytes", job->size);
        png_error(png, "truncated");
    }
    memcpy(to, job->data + job->position, count);
    job->position += count;
}

/* Gives up on what the job's status says. */
static void check(struct png_job *job, dcls_status status)
{
    if (status == DCLS_OK) return;
    job->status = status;
    png_error(job->png, "stopped");
}

/* Asks libpng for 8-bit RGB, or for one index a byte where there is a palette (see expand_palette). Upper
 * bytes of 16-bit samples and dropped alpha are what Pillow's convert("RGB") gives; 1, 2 and 4-bit gray is
 * spread over 0..255. */
static void set_transforms(struct png_job *job, int color_type, int bit_depth)
{
    png_structp png = job->png;
    if (bit_depth == 16) png_set_strip_16(png);
    if (color_type == PNG_COLOR_TYPE_PALETTE) {
        png_set_packing(png);
        return;
    }
    if (bit_depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (color_type & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(png);
    if (!(color_type & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
}

/* Replaces the indices at the front of each row by colours, from the right end so that none is overwritten
 * unread. libpng would do this too, but it makes up colours for indices beyond the palette. */
static void expand_palette(struct png_job *job)
{
    png_colorp palette = NULL;
    int colors = 0;
    png_get_PLTE(job->png, job->info, &palette, &colors);
    int64_t width = job->image->width;
    for (int64_t y = 0; y < job->image->height; y++) {
        uint8_t *row = job->image->pixels + y * width * 3;
        for (int64_t x = width - 1; x >= 0; x--) {
            int index = row[x];
            if (index >= colors) {
                check(job, dcls_fail(job->ctx, DCLS_ERR_FORMAT,
                                     "damaged PNG: a pixel has colour %d of a palette of %d", index, colors));
            }
            row[x * 3 + 0] = palette[index].red;
            row[x * 3 + 1] = palette[index].green;
            row[x * 3 + 2] = palette[index].blue;
        }
    }
}

static void read_picture(struct png_job *job)
{
    png_structp png = job->png;
    png_read_info(png, job->info);
    int64_t width = png_get_image_width(png, job->info), height = png_get_image_height(png, job->info);
    int color_type = png_get_color_type(png, job->info);
    /* libpng keeps the row, the one before and a filter buffer, at up to 8 bytes a pixel. */
    check(job, dcls_image_check_size(job->ctx, width, height, (uint64_t)width * 24));
    check(job, dcls_image_new(job->ctx, width, height, &job->image));
    set_transforms(job, color_type, png_get_bit_depth(png, job->info));
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, job->info);
    for (int pass = 0; pass < passes; pass++) {
        for (int64_t y = 0; y < height; y++)
            png_read_row(png, job->image->pixels + y * width * 3, NULL);
    }
    png_read_end(png, NULL);
    if (color_type == PNG_COLOR_TYPE_PALETTE) expand_palette(job);
}

static dcls_status check_mask_kind(struct png_job *job)
{
    int color_type = png_get_color_type(job->png, job->info);
    if (color_type != PNG_COLOR_TYPE_PALETTE && color_type != PNG_COLOR_TYPE_GRAY) {
        return dcls_fail(job->ctx, DCLS_ERR_UNSUPPORTED,
                         "a mask must have palette or gray pixels whose values are classes, these are %s",
                         color_type & PNG_COLOR_MASK_COLOR ? "colours" : "gray with alpha");
    }
    if (png_get_bit_depth(job->png, job->info) > 8) {
        return dcls_fail(job->ctx, DCLS_ERR_UNSUPPORTED, "a mask must have at most 8 bits a pixel, not 16");
    }
    return DCLS_OK;
}

static void read_indices(struct png_job *job)
{
    png_structp png = job->png;
    png_read_info(png, job->info);
    check(job, check_mask_kind(job));
    job->width = png_get_image_width(png, job->info);
    job->height = png_get_image_height(png, job->info);
    check(job, dcls_image_check_size(job->ctx, job->width, job->height, (uint64_t)job->width * 24));
    job->indices = dcls_alloc(job->ctx, (size_t)job->width, (size_t)job->height);
    if (!job->indices) check(job, DCLS_ERR_MEMORY);
    png_set_packing(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, job->info);
    for (int pass = 0; pass < passes; pass++) {
        for (int64_t y = 0; y < job->height; y++)
            png_read_row(png, job->indices + y * job->width, NULL);
    }
    png_read_end(png, NULL);
}

/* `read` takes the picture apart; whatever happens in it ends here. */
static void read_all(struct png_job *job, void (*read)(struct png_job *job))
{
    if (setjmp(png_jmpbuf(job->png))) return;
    job->info = png_create_info_struct(job->png);
    if (!job->info) {
        out_of_memory(job);
        return;
    }
    png_set_read_fn(job->png, job, on_read);
    /* The sides are ours to limit, as width * height; chunks that do not change the pixels are passed over
     * unread. */
    png_set_user_limits(job->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(job->png, 8000000);
    png_set_keep_unknown_chunks(job->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    read(job);
}

static dcls_status decode(struct png_job *job, void (*read)(struct png_job *job))
{
    job->png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, on_error, on_warning, job, on_malloc, on_free);
    if (!job->png) return out_of_memory(job);
    read_all(job, read);
    png_destroy_read_struct(&job->png, &job->info, NULL);
    return job->status;
}

dcls_status dcls_png_decode(dcls_context *ctx, const uint8_t *data, size_t size, dcls_image **out)
{
    struct png_job job = {.ctx = ctx, .verb = "damaged", .data = data, .size = size};
    *out = NULL;
    if (decode(&job, read_picture) != DCLS_OK) {
        dcls_image_destroy(job.image);
        return job.status;
    }
    *out = job.image;
    return DCLS_OK;
}

dcls_status dcls_png_decode_indices(dcls_context *ctx, const uint8_t *data, size_t size, uint8_t **out,
                                    int64_t *width, int64_t *height)
{
    struct png_job job = {.ctx = ctx, .verb = "damaged", .data = data, .size = size};
    *out = NULL;
    if (decode(&job, read_indices) != DCLS_OK) {
        free(job.indices);
        return job.status;
    }
    *out = job.indices;
    *width = job.width;
    *height = job.height;
    return DCLS_OK;
}

/* ---- writing ---- */

static void on_write(png_structp png, png_bytep data, size_t count)
{
    struct png_job *job = png_get_io_ptr(png);
    if (job->memory)
        dcls_string_append(job->memory, (const char *)data, count);
    else
        dcls_output_write(job->output, data, count);
}

/* Errors of dcls_output are remembered there until commit. */
static void on_flush(png_structp png)
{
    (void)png;
}

static void write_header(struct png_job *job, const dcls_png_source *source)
{
    int color_type = source->palette ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_RGB;
    png_set_IHDR(job->png, job->info, (png_uint_32)source->width, (png_uint_32)source->height, 8, color_type,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (source->palette) {
        png_color palette[256];
        for (int i = 0; i < source->colors; i++) {
            const uint8_t *rgb = source->palette + (size_t)i * 3;
            palette[i] = (png_color){rgb[0], rgb[1], rgb[2]};
        }
        png_set_PLTE(job->png, job->info, palette, source->colors);
    }
    png_write_info(job->png, job->info);
}

static void write_all(struct png_job *job, const dcls_png_source *source)
{
    if (setjmp(png_jmpbuf(job->png))) return;
    job->info = png_create_info_struct(job->png);
    if (!job->info) {
        out_of_memory(job);
        return;
    }
    png_set_user_limits(job->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_write_fn(job->png, job, on_write, on_flush);
    write_header(job, source);
    for (int64_t y = 0; y < source->height; y++)
        png_write_row(job->png, source->row(source->arg, y));
    png_write_end(job->png, job->info);
}

static dcls_status check_size(dcls_context *ctx, const dcls_png_source *source)
{
    if (source->width > 0 && source->height > 0 && source->width <= PNG_UINT_31_MAX &&
        source->height <= PNG_UINT_31_MAX)
        return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a PNG cannot be %lld x %lld pixels", (long long)source->width,
                     (long long)source->height);
}

static void encode(struct png_job *job, const dcls_png_source *source)
{
    job->png =
        png_create_write_struct_2(PNG_LIBPNG_VER_STRING, job, on_error, on_warning, job, on_malloc, on_free);
    if (job->png) {
        write_all(job, source);
        png_destroy_write_struct(&job->png, &job->info);
    } else {
        out_of_memory(job);
    }
}

dcls_status dcls_png_encode(dcls_context *ctx, const dcls_png_source *source, dcls_string *out)
{
    struct png_job job = {.ctx = ctx, .verb = "cannot write", .memory = out};
    *out = (dcls_string){0};
    DCLS_TRY(check_size(ctx, source));
    encode(&job, source);
    if (job.status == DCLS_OK && out->failed) out_of_memory(&job);
    return job.status;
}

dcls_status dcls_png_write(dcls_context *ctx, const char *path, const dcls_png_source *source)
{
    struct png_job job = {.ctx = ctx, .verb = "cannot write"};
    DCLS_TRY(check_size(ctx, source));
    DCLS_TRY(dcls_output_open(ctx, path, &job.output));
    encode(&job, source);
    if (job.status == DCLS_OK) return dcls_output_commit(ctx, job.output);
    dcls_output_abort(job.output);
    return job.status;
}
