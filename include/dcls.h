/*
 * libdcls: run neural networks that use dilated convolution with learnable spacings (DCLS).
 *
 * A DCLS kernel is a few weighted elements at learned, real-valued positions inside a large window
 * (arXiv 2112.03740). This library loads networks with such layers, plans them for one input shape and runs
 * them on a CPU. The shortest program is:
 *
 *     dcls_context_create(&ctx);
 *     dcls_model_load_file(ctx, "model.bin", &model);
 *     dcls_plan_create(ctx, model, NULL, 4, (const int64_t[]){1, 3, 32, 32}, &plan);
 *     dcls_plan_run(ctx, plan, input, output);
 *
 * Errors.  Every function that can fail returns a dcls_status; dcls_context_message() then holds one line
 * that says what is wrong. On failure out-parameters are set to NULL or left as they were; nothing is leaked.
 * The library never prints, exits or aborts.
 *
 * Threads.  There is no global state but a list of idle threads, kept for the next parallel loop: signals
 * but those of faults and profilers go to the program's own threads. A context
 * and a plan are each used by one thread at a time; a loaded model and a set of tensors are immutable through
 * this header and may be shared by any number of threads.
 *
 * Ownership.  X_create and X_load hand the caller an object to be released with X_destroy; destroying NULL
 * does nothing. Strings and tensor data returned by query functions belong to the object asked and live as
 * long as it does.
 *
 * Tensors are dense and row-major; activations are [N, C, spatial..]: batch, channels, then rows before
 * columns.
 */
#ifndef DCLS_H
#define DCLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DCLS_VERSION_MAJOR  0
#define DCLS_VERSION_MINOR  1
#define DCLS_VERSION_PATCH  0
#define DCLS_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define DCLS_API __attribute__((visibility("default")))
#else
#define DCLS_API
#endif

/* The version of the library that is running, such as "0.1.0". */
DCLS_API const char *dcls_version(void);

/* ---- status and context ---- */

typedef enum dcls_status {
    DCLS_OK = 0,
    DCLS_ERR_ARGUMENT,    /* the caller asked for something that cannot be: a wrong shape, name or setting */
    DCLS_ERR_FORMAT,      /* a file's content is damaged, contradictory or of another kind than needed */
    DCLS_ERR_UNSUPPORTED, /* valid, but not something this library does */
    DCLS_ERR_IO,          /* the operating system could not open, read or write */
    DCLS_ERR_LIMIT,       /* a stated limit would be exceeded */
    DCLS_ERR_MEMORY       /* out of memory, or a single piece of it over the limit */
} dcls_status;

/* A short fixed English name of a status: "ok", "bad format", .. Never NULL. */
DCLS_API const char *dcls_status_name(dcls_status status);

/* Where errors, limits and the number of threads are kept. One thread at a time. */
typedef struct dcls_context dcls_context;

/* *out is NULL when memory is short. */
DCLS_API dcls_status dcls_context_create(dcls_context **out);
DCLS_API void dcls_context_destroy(dcls_context *ctx);

/* One line without newline about the last failure in ctx; "" if nothing failed yet. Never names the file that
 * was being loaded: the caller knows it. Valid until the next failure in ctx. */
DCLS_API const char *dcls_context_message(const dcls_context *ctx);

/* Number of threads that plans made from ctx run with, and that making them and reading large files take, 1
 * to 1024; 0 asks for the default: the processors this process may use now (affinity and cgroup quota), as a
 * new context has it. Results are the same bits for any number. */
DCLS_API dcls_status dcls_context_set_threads(dcls_context *ctx, int threads);
DCLS_API int dcls_context_threads(const dcls_context *ctx);

typedef enum dcls_limit {
    DCLS_LIMIT_FILE_BYTES,   /* size of a file or of one of its parts; default 64 GiB */
    DCLS_LIMIT_JSON_BYTES,   /* size of a JSON text; default 256 MiB */
    DCLS_LIMIT_PIXELS,       /* pixels of one picture; default 178,956,970 */
    DCLS_LIMIT_MEMORY_BYTES, /* what one plan, one picture or any single piece of memory but a file's may
                                take; default 8 GiB */
    DCLS_LIMIT_COUNT
} dcls_limit;

DCLS_API void dcls_context_set_limit(dcls_context *ctx, dcls_limit limit, uint64_t value);
DCLS_API uint64_t dcls_context_limit(const dcls_context *ctx, dcls_limit limit);

/* ---- named tensors ---- */

typedef enum dcls_dtype {
    DCLS_F32,
    DCLS_F16,
    DCLS_BF16,
    DCLS_F64,
    DCLS_I64,
    DCLS_I32,
    DCLS_I16,
    DCLS_I8,
    DCLS_U8,
    DCLS_BOOL,
    DCLS_DTYPE_COUNT
} dcls_dtype;

/* "F32", "BF16", ..: the names safetensors uses. */
DCLS_API const char *dcls_dtype_name(dcls_dtype dtype);
/* Bytes of one element. */
DCLS_API size_t dcls_dtype_size(dcls_dtype dtype);

#define DCLS_MAX_DIMS 8

/* One tensor as seen from outside; data is row-major little-endian, 8-byte aligned or better, nbytes = size
 * of dtype times the product of shape[0..ndim). A scalar has ndim 0. data is not NULL even when nbytes is 0.
 */
typedef struct dcls_tensor {
    const char *name;
    dcls_dtype dtype;
    int ndim;
    int64_t shape[DCLS_MAX_DIMS];
    const void *data;
    size_t nbytes;
} dcls_tensor;

/* A set of named tensors with string metadata: the content of a weights file, whatever its format. */
typedef struct dcls_tensors dcls_tensors;

/* Reads safetensors, JSON models, PyTorch checkpoints (zip and pre-1.6) and .npy, recognised by content. A
 * .npy holds one tensor, named "array". A file of another kind is DCLS_ERR_FORMAT with a message that says
 * what it looks like. */
DCLS_API dcls_status dcls_tensors_load_file(dcls_context *ctx, const char *path, dcls_tensors **out);
/* One of several state dicts of a PyTorch checkpoint: the one under `key`, an entry of its outermost dict
 * such as "model_ema". dcls_tensors_load_file takes "model" before "state_dict" and averaged weights last. A
 * checkpoint without that key and a file of another kind are DCLS_ERR_ARGUMENT. */
DCLS_API dcls_status dcls_tensors_load_key(dcls_context *ctx, const char *path, const char *key,
                                           dcls_tensors **out);
/* Leaves the tensors of one module, such as "model" or "student.backbone", whose names begin with it and a
 * dot, and names them without both. DCLS_ERR_ARGUMENT if there are none or the set holds a network. On
 * failure the set is as it was. */
DCLS_API dcls_status dcls_tensors_take_module(dcls_context *ctx, dcls_tensors *tensors, const char *module);
/* Takes tensors out whose names match one of the shell patterns globs [count]. DCLS_ERR_ARGUMENT if nothing
 * matches one of them or the set holds a network. On failure the set is as it was. */
DCLS_API dcls_status dcls_tensors_drop(dcls_context *ctx, dcls_tensors *tensors, const char *const *globs,
                                       size_t count);
/* The same as load_file from memory; data may be freed after the call. */
DCLS_API dcls_status dcls_tensors_load_memory(dcls_context *ctx, const void *data, size_t size,
                                              dcls_tensors **out);
DCLS_API void dcls_tensors_destroy(dcls_tensors *tensors);

/* What the set was read from: "safetensors", "json", "pytorch zip", "pytorch legacy", "npy" or "" for a set
 * made in memory. */
DCLS_API const char *dcls_tensors_format(const dcls_tensors *tensors);
/* Where a checkpoint holds several state dicts and no key said which: a line for a person about the one that
 * was taken and the others. NULL otherwise. */
DCLS_API const char *dcls_tensors_choice(const dcls_tensors *tensors);
DCLS_API size_t dcls_tensors_count(const dcls_tensors *tensors);
/* index < count. */
DCLS_API const dcls_tensor *dcls_tensors_at(const dcls_tensors *tensors, size_t index);
/* NULL if there is no such tensor. */
DCLS_API const dcls_tensor *dcls_tensors_find(const dcls_tensors *tensors, const char *name);
/* Metadata strings of the file, in file order. NULL past the end. */
DCLS_API const char *dcls_tensors_meta_key(const dcls_tensors *tensors, size_t index);
DCLS_API const char *dcls_tensors_meta_value(const dcls_tensors *tensors, size_t index);

/* ---- models ---- */

/* A network with its weights. Immutable once loaded. */
typedef struct dcls_model dcls_model;

/* Loads a file that holds a network: a binary model (safetensors with "dcls.model" metadata) or a JSON model.
 * A bare state dict is DCLS_ERR_FORMAT: it needs an architecture, see dcls_model_from_tensors in
 * dcls_tools.h. */
DCLS_API dcls_status dcls_model_load_file(dcls_context *ctx, const char *path, dcls_model **out);
/* The same, but that weights in the binary format stay in the file, which is mapped: large models are there
 * sooner, and processes that use one file share its memory. While the model lives nobody may cut the file
 * short or write into it: the process would be ended by SIGBUS, or go on with other weights. Replacing it by
 * another file of its name, as dcls does, is harmless. JSON models and pipes are read as ever. */
DCLS_API dcls_status dcls_model_map_file(dcls_context *ctx, const char *path, dcls_model **out);
/* The same from memory; data may be freed after the call. */
DCLS_API dcls_status dcls_model_load_memory(dcls_context *ctx, const void *data, size_t size,
                                            dcls_model **out);
DCLS_API void dcls_model_destroy(dcls_model *model);

typedef enum dcls_task { DCLS_TASK_CLASSIFICATION, DCLS_TASK_SEGMENTATION, DCLS_TASK_FEATURES } dcls_task;

#define DCLS_ANY (-1) /* a size the model leaves open */

DCLS_API dcls_task dcls_model_task(const dcls_model *model);
/* "classification", "segmentation", "features". */
DCLS_API const char *dcls_task_name(dcls_task task);
/* The input as [N, C, spatial..] with DCLS_ANY where a size is open (N always is); returns its rank, 3 to 5.
 */
DCLS_API int dcls_model_input_shape(const dcls_model *model, int64_t shape[DCLS_MAX_DIMS]);
/* Number of class labels; 0 if the model has none. */
DCLS_API size_t dcls_model_label_count(const dcls_model *model);
/* NULL past the end. */
DCLS_API const char *dcls_model_label(const dcls_model *model, size_t index);
/* The tensors the model was loaded with. */
DCLS_API const dcls_tensors *dcls_model_tensors(const dcls_model *model);

/* ---- plans ---- */

/* A model made ready for one input shape: memory laid out, algorithms chosen, weights packed. Keeps its own
 * copy of what it needs except the model, which must outlive it. */
typedef struct dcls_plan dcls_plan;

/* How DCLS layers are run; each is described in dcls(1). All agree within float tolerance. */
typedef enum dcls_algo {
    DCLS_ALGO_AUTO,      /* chosen per layer from shapes and numbers of taps */
    DCLS_ALGO_CONSTRUCT, /* build the dense kernel once, convolve */
    DCLS_ALGO_IM2COL, /* gather interpolated columns at the positions, one GEMM; where positions allow it */
    DCLS_ALGO_SPARSE  /* a list of non-zero cells (taps), applied directly */
} dcls_algo;

/* What numbers convolutions multiply. */
typedef enum dcls_precision {
    DCLS_PRECISION_FP32,
    DCLS_PRECISION_BF16 /* Pointwise and full convolutions multiply numbers rounded to bfloat16 and sum in
                           float: fast where the processor has AVX512_BF16 or AMX, slower elsewhere. Sparse,
                           interpolated and grouped layers, norms and linear layers stay in float. */
} dcls_precision;

/* Whether this processor multiplies bfloat16 numbers faster than floats. Thread-safe. */
DCLS_API bool dcls_bf16_is_fast(void);

typedef struct dcls_plan_options {
    dcls_algo algo;    /* a forced algorithm falls back to construct for layers it cannot run */
    double tap_cutoff; /* gauss only: share of a kernel's sum of |w| that may be dropped with its smallest
                          taps, less than 1; 0 keeps every tap, negative asks for the default, 1e-6 */
    dcls_precision precision;
} dcls_plan_options;

/* Defaults: auto, default cut-off, fp32. */
DCLS_API dcls_plan_options dcls_plan_options_default(void);

/* shape is [N, C, spatial..], ndim its length. options NULL means the defaults. The number of threads is
 * taken from ctx now. Fails with DCLS_ERR_ARGUMENT when the model cannot take this shape (the node is named)
 * or an option is out of range, and with DCLS_ERR_LIMIT when the plan would need more memory than the limit
 * allows. */
DCLS_API dcls_status dcls_plan_create(dcls_context *ctx, const dcls_model *model,
                                      const dcls_plan_options *options, int ndim, const int64_t *shape,
                                      dcls_plan **out);
DCLS_API void dcls_plan_destroy(dcls_plan *plan);

/* How many threads runs use from now on: 1 to the number the plan was made for; others are the nearest of
 * these. Results stay the same bits. */
DCLS_API void dcls_plan_set_threads(dcls_plan *plan, int threads);

/* Shape of the output; returns its rank. Classification: [N, classes]; segmentation: [N, classes, H, W]. */
DCLS_API int dcls_plan_output_shape(const dcls_plan *plan, int64_t shape[DCLS_MAX_DIMS]);
/* Number of floats of the output. */
DCLS_API size_t dcls_plan_output_count(const dcls_plan *plan);
/* Bytes of activations and workspace the plan holds. */
DCLS_API size_t dcls_plan_memory(const dcls_plan *plan);

/* Runs the network. input: floats of the plan's input shape; output: room for floats of its output shape;
 * both are kept by the caller and must not overlap. Does not allocate. */
DCLS_API dcls_status dcls_plan_run(dcls_context *ctx, dcls_plan *plan, const float *input, float *output);

/* ---- pictures ---- */

/* A picture of 8-bit RGB pixels, rows from top to bottom. */
typedef struct dcls_image dcls_image;

typedef enum dcls_image_flags {
    DCLS_IMAGE_DEFAULT = 0,
    DCLS_IMAGE_IGNORE_ORIENTATION = 1 /* leave a JPEG's EXIF orientation unapplied */
} dcls_image_flags;

/* PNG (every colour type, depth and interlace), JPEG (baseline and progressive; EXIF orientation applied) and
 * binary or plain PPM/PGM/PBM, recognised by content. Pixels equal Pillow's convert("RGB"): alpha is dropped,
 * 16-bit samples keep their upper 8 bits, colour profiles and gamma are ignored. path "-" is standard input.
 * A truncated picture is an error. */
DCLS_API dcls_status dcls_image_load_file(dcls_context *ctx, const char *path, unsigned flags,
                                          dcls_image **out);
DCLS_API dcls_status dcls_image_load_memory(dcls_context *ctx, const void *data, size_t size, unsigned flags,
                                            dcls_image **out);
/* Whether bytes begin as those pictures do, and how many of them are the first picture's, which another may
 * follow, as frames do in a pipe; size where that cannot be told. Thread-safe. */
DCLS_API bool dcls_image_is_picture(const void *data, size_t size);
DCLS_API size_t dcls_image_extent(const void *data, size_t size);
/* A picture of the caller's pixels, which are copied: [height, width, 3]. */
DCLS_API dcls_status dcls_image_create(dcls_context *ctx, int64_t width, int64_t height, const uint8_t *rgb,
                                       dcls_image **out);
DCLS_API void dcls_image_destroy(dcls_image *image);
DCLS_API int64_t dcls_image_width(const dcls_image *image);
DCLS_API int64_t dcls_image_height(const dcls_image *image);
/* [height, width, 3]. */
DCLS_API const uint8_t *dcls_image_pixels(const dcls_image *image);

typedef enum dcls_filter { DCLS_FILTER_NEAREST, DCLS_FILTER_BILINEAR, DCLS_FILTER_BICUBIC } dcls_filter;

typedef enum dcls_resize_mode {
    DCLS_RESIZE_NONE,
    DCLS_RESIZE_SHORTER, /* shorter side becomes resize_height, the longer int(longer * size / shorter), as
                            torchvision */
    DCLS_RESIZE_EXACT    /* to resize_height x resize_width, whatever the aspect */
} dcls_resize_mode;

/* How a picture becomes a tensor: resize, centre crop, divide by 255, subtract mean, divide by std. */
typedef struct dcls_preprocess {
    dcls_resize_mode resize;
    int64_t resize_height, resize_width;
    dcls_filter filter;
    int64_t crop_height, crop_width; /* 0, 0: no crop; a picture smaller than the crop is padded with black as
                                        torchvision does */
    int channels;                    /* 3: RGB; 1: Pillow's convert("L") */
    float mean[3], std[3];
} dcls_preprocess;

/* What the model asks for. */
DCLS_API const dcls_preprocess *dcls_model_preprocess(const dcls_model *model);
/* Size of the tensor [1, channels, *height, *width] that a picture of that size gives. */
DCLS_API dcls_status dcls_preprocess_size(dcls_context *ctx, const dcls_preprocess *preprocess,
                                          int64_t image_width, int64_t image_height, int64_t *height,
                                          int64_t *width);
/* Writes the tensor [channels, height, width]; the resize equals Pillow's (antialiased, 8-bit fixed point
 * between passes). */
DCLS_API dcls_status dcls_preprocess_run(dcls_context *ctx, const dcls_preprocess *preprocess,
                                         const dcls_image *image, float *tensor);

#ifdef __cplusplus
}
#endif
#endif
