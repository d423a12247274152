/* What the convolution algorithms share; nobody else includes this. */
#ifndef DCLS_OPS_CONV_INTERNAL_H
#define DCLS_OPS_CONV_INTERNAL_H

#include "ops/conv.h"
#include "ops/tiles.h"

/* One call of dcls_conv_run. */
typedef struct dcls_conv_pass {
    const dcls_conv *conv;
    const dcls_simd *simd;
    const float *in, *residual;
    float *out;
    float *shared;        /* conv->shared_floats floats of workspace */
    float *worker_memory; /* see dcls_conv_scratch */
    size_t scratch_step;  /* floats from one worker's scratch to the next one's */
    int64_t workers, images;
    bool in_place; /* residual is out: a result may be written only after the residual below it was read */
} dcls_conv_pass;

typedef struct dcls_conv_method {
    const char *name;
    /* Fills the shared workspace before the units run. May be NULL. */
    void (*prepare)(const dcls_conv_pass *pass, int threads);
    /* Computes one unit of work; scratch holds conv->scratch_floats floats, 64-byte aligned. */
    void (*run_unit)(const dcls_conv_pass *pass, int64_t unit, float *scratch);
    /* Does everything itself, on up to `threads` threads, in place of prepare and units; these then say alone
     * how many workers may need scratch. May be NULL. */
    void (*run)(const dcls_conv_pass *pass, int threads);
    /* Frees what the algorithm's own struct owns. */
    void (*release)(dcls_conv *conv);
} dcls_conv_method;

/* First member of every algorithm's struct. Units are independent and write disjoint outputs; results depend
 * on the geometry alone, not on how it is cut into units. */
struct dcls_conv {
    dcls_conv_method method;
    dcls_geometry g;
    dcls_epilogue epilogue;
    int64_t in_volume, out_volume;        /* floats of one channel */
    int64_t group;                        /* images of a unit at most; 0: one, and no others at run time */
    int64_t units, bundle;                /* a task runs `bundle` consecutive units */
    size_t shared_floats, scratch_floats; /* of workspace: once, and per worker */
    size_t packed_bytes;
    double macs; /* of one run */
};

/* The scratch_floats of a worker. */
static inline float *dcls_conv_scratch(const dcls_conv_pass *pass, int64_t worker)
{
    return pass->worker_memory + (size_t)worker * pass->scratch_step;
}

/* A convolution of a plane so small that products by pixel fill vectors better; g is checked. */
bool dcls_conv_prefers_pixels(const dcls_geometry *g);

/* A sparse depthwise convolution of small planes with so many taps that whole windows are faster than lists,
 * and the way to make it; g is checked and taps fit it. */
bool dcls_conv_prefers_plane(const dcls_geometry *g, const dcls_taps *taps);
dcls_status dcls_conv_create_plane(dcls_context *ctx, const dcls_geometry *g, const dcls_taps *taps,
                                   const dcls_epilogue *epilogue, dcls_conv **out);

/* A pointwise convolution; g is checked. */
dcls_status dcls_conv_create_pointwise(dcls_context *ctx, const dcls_geometry *g, const float *weight,
                                       const dcls_epilogue *epilogue, dcls_conv **out);

/* A convolution of 3x3 taps for which dcls_winograd_pays, with so many images at once. */
dcls_status dcls_conv_create_winograd(dcls_context *ctx, const dcls_geometry *g, int64_t images,
                                      const float *weight, const dcls_epilogue *epilogue, dcls_conv **out);

/* DCLS_ERR_ARGUMENT unless sizes are positive and channels divide by groups; DCLS_ERR_LIMIT unless every
 * offset and coordinate computed from g fits. The first step of create. */
dcls_status dcls_conv_check(dcls_context *ctx, const dcls_geometry *g);

/* `size` zeroed bytes that begin with a dcls_conv; NULL when memory is short. epilogue may be NULL. */
void *dcls_conv_allocate(dcls_context *ctx, size_t size, const dcls_conv_method *method,
                         const dcls_geometry *g, const dcls_epilogue *epilogue);

/* The end of create: hands conv over, or destroys it when status is a failure. Returns status. */
dcls_status dcls_conv_finish(dcls_conv *conv, dcls_status status, dcls_conv **out);

/* An array owned by conv and counted in its packed_bytes; NULL when memory is short. */
void *dcls_conv_pack(dcls_context *ctx, dcls_conv *conv, int64_t count, size_t size);

/* What run will do; macs: what a unit costs, in multiply-accumulates. */
typedef struct dcls_conv_work {
    int64_t units;
    double macs, total_macs; /* of a run, copies not counted */
    size_t shared_floats, scratch_floats;
} dcls_conv_work;

dcls_status dcls_conv_set_work(dcls_context *ctx, dcls_conv *conv, dcls_conv_work work);

/* Where n results of output plane `plane` (image * out_channels + channel) from `pixel` on must be computed:
 * in the output, or in scratch when the residual is still needed there. */
float *dcls_conv_target(const dcls_conv_pass *pass, int64_t plane, int64_t pixel, float *scratch);

/* The epilogue for n contiguous pixels computed at y, and their way into the output if they are not there. */
void dcls_conv_complete(const dcls_conv_pass *pass, int64_t plane, int64_t pixel, float *y, int64_t n);

/* The same by simd->finish, from results x in panels (see dcls_finish): `rows` planes from `plane` on. */
void dcls_conv_finish_rows(const dcls_conv_pass *pass, int64_t plane, int64_t rows, int64_t pixel,
                           int64_t pixels, const float *x, int64_t x_stride);

/* Where a cell of the window lies: output position y reads the input at y * stride + shift. The second is
 * false if it never reads anything but padding. */
void dcls_conv_cell(const dcls_geometry *g, int64_t cell, int64_t shift[3]);
bool dcls_conv_shift(const dcls_geometry *g, int64_t cell, int64_t shift[3]);

/* A tap on its way into a list for simd->taps_rows. Taps of one column whose rows follow each other have
 * offsets one x_stride apart. */
typedef struct dcls_conv_tap {
    int64_t column, row, offset;
    float value;
    int32_t cell; /* of the window, where the caller needs it again */
} dcls_conv_tap;

/* Twice the room for the taps of any `rows` rows that make one list: rows 0 .. rows - 1, the next ones and so
 * on. */
dcls_conv_tap *dcls_conv_tap_room(dcls_context *ctx, const dcls_taps *taps, int64_t rows);

/* n taps in the order for taps_rows and taps_dots, behind the taps themselves, which are sorted: column by
 * column, for these share the loads of vertical neighbours, and the longest runs of neighbours first, for
 * many equal runs in a row spare mispredicted branches. */
const dcls_conv_tap *dcls_conv_order_taps(dcls_conv_tap *taps, int64_t n);
/* The same, into a list. */
void dcls_conv_write_taps(dcls_conv_tap *taps, int64_t n, int64_t *offset, float *value);

#endif
