/*
 * What the dcls commands need beyond dcls.h: building models out of state dicts, conversions, pictures of
 * results, text. The rules of dcls.h on errors, threads and ownership hold here too.
 */
#ifndef DCLS_TOOLS_H
#define DCLS_TOOLS_H

#include <dcls.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- building and saving models ---- */

typedef struct dcls_build_options {
    const char *arch; /* "convmixer", "convnext_dcls", "deeplabv3"; NULL: arch_json, else the file's own */
    const char *arch_json;       /* text of a JSON model file (its tensors, if any, are not used), or NULL */
    const char *const *settings; /* "KEY=VALUE" or "GLOB:KEY=VALUE" for layers whose name matches the glob */
    size_t setting_count;
    const char *preprocess; /* "imagenet", "imagenet-bicubic", "cifar10", "none"; NULL: the model's or none */
    const char *const *labels; /* class names, NULL: the model's own; with a count of 0 there are none */
    size_t label_count;
} dcls_build_options;

/* Makes a model of a state dict (or remakes one of a file that holds a network). The tensors are moved into
 * the model; they are gone in failure too. With an architecture, known by-products of training
 * (num_batches_tracked, auxiliary heads) are dropped and any other tensor that the network does not use is
 * DCLS_ERR_FORMAT; files that hold a network keep what they have. */
DCLS_API dcls_status dcls_model_build(dcls_context *ctx, dcls_tensors *tensors,
                                      const dcls_build_options *options, dcls_model **out);
/* Gives a model other class names, labels [count], which are copied; those it had live as long as it does.
 * Nobody else may use the model meanwhile. DCLS_ERR_FORMAT, and nothing is changed, unless there are as many
 * as its output has channels. */
DCLS_API dcls_status dcls_model_set_labels(dcls_context *ctx, dcls_model *model, const char *const *labels,
                                           size_t count);
/* True if the set carries a network. */
DCLS_API bool dcls_tensors_hold_model(const dcls_tensors *tensors);

/* Writes in the format of path's suffix (.bin .safetensors .json; .npy for a set of one tensor); "-" is
 * standard output, in the binary one. */
DCLS_API dcls_status dcls_model_save(dcls_context *ctx, const dcls_model *model, const char *path);
DCLS_API dcls_status dcls_tensors_save(dcls_context *ctx, const dcls_tensors *tensors, const char *path);

typedef struct dcls_onnx_options {
    bool preprocess; /* the input is then pixels, uint8 [N, height, width, channels], and mean and std are
                        part of the graph; resizing and cropping stay with the caller */
} dcls_onnx_options;

/* Writes the network as ONNX (opset 13, IR version 7), whole or not at all; options NULL means the defaults.
 * DCLS layers become plain convolutions. Input "input" and output "output"; the batch is open, as are sizes
 * the model leaves open. Metadata holds task, input, and as JSON labels, preprocess and palette, as
 * dcls-model(5) describes them. An operation without an exact ONNX form is DCLS_ERR_UNSUPPORTED, the node
 * named; more than 2 GiB is DCLS_ERR_LIMIT. */
DCLS_API dcls_status dcls_onnx_save(dcls_context *ctx, const dcls_model *model,
                                    const dcls_onnx_options *options, const char *path);

/* A .npy file of floats, written whole or not at all. A shape that cannot be is DCLS_ERR_ARGUMENT. */
DCLS_API dcls_status dcls_npy_save(dcls_context *ctx, const char *path, int ndim, const int64_t *shape,
                                   const float *data);

/* Checks a suffix before work begins: DCLS_ERR_ARGUMENT unless path can be written by dcls_model_save or
 * dcls_onnx_save (model true) or dcls_tensors_save (model false). */
DCLS_API dcls_status dcls_output_path_check(dcls_context *ctx, const char *path, bool model);

/* Every DCLS layer becomes the plain convolution with the constructed kernel (design equations of each
 * version). */
DCLS_API dcls_status dcls_model_to_dense(dcls_context *ctx, const dcls_model *model, dcls_model **out);
/* The same for a state dict: every group X.weight + X.P (+ X.SIG) becomes the dense X.weight. Settings give
 * `version` and `dilated_kernel_size` (one number or one per dimension), for all layers or by glob. */
DCLS_API dcls_status dcls_tensors_to_dense(dcls_context *ctx, const dcls_tensors *tensors,
                                           const char *const *settings, size_t setting_count,
                                           dcls_tensors **out);

/* ---- elements of kernels ---- */

/* What is to be done to the kernels of a network's layers, in this order. */
typedef struct dcls_sparse_options {
    const char *layers;   /* the layers whose name matches this glob; NULL: DCLS layers, and if fit depthwise
                             convolutions with a side of more than 3 */
    bool fix_unequal;     /* positions of unequal windows as if each D belonged to the axis it is meant for */
    bool fit;             /* fit new elements to the dense kernels; plain convolutions become DCLS layers */
    int64_t kernel_count; /* elements per kernel, or 0 with .. */
    double error;         /* .. the relative error to reach with as few as possible, per layer */
    const char *const *settings; /* "version=gauss" or "GLOB:version=gauss": of fitted layers (else their own,
                                    or v1). Sets of tensors without a network also take what
                                    dcls_tensors_to_dense takes */
    size_t setting_count;
    uint64_t seed;
    double effort; /* how long to search for each kernel: 1 is usual, 0 quick */
    double merge;  /* elements no further apart than this many cells become one; negative: not */
    double prune;  /* drop elements with |weight| below this share of the layer's largest; negative: not */
    bool round_positions; /* to whole cells, halves to even */
    /* Called now and then while kernels are fitted, by any thread but one at a time, or NULL. done: 0..1. */
    void (*progress)(void *arg, const char *layer, double done);
    void *progress_arg;
} dcls_sparse_options;

/* No step chosen; seed 0, effort 1. */
DCLS_API dcls_sparse_options dcls_sparse_options_default(void);

/* What became of one layer. Errors are relative, in the Frobenius norm over all kernels of the layer, against
 * the kernels before the step; negative where a step was not asked for. */
typedef struct dcls_layer_change {
    const char *layer, *version;
    int ndim; /* of the window */
    int64_t window[3];
    int64_t kernels;
    int64_t count_before, count_after;           /* K; 0: a dense kernel */
    int64_t parameters_before, parameters_after; /* weights, positions and spreads; of taps the values */
    int64_t elements; /* with a weight other than 0, of all kernels, before anything is merged or pruned */
    int64_t merged, pruned; /* how many of them are gone since */
    bool shares_positions;  /* with another layer, which is why K stays */
    double fix_error, fit_error, merge_error, prune_error, round_error;
    double error; /* of all steps together */
} dcls_layer_change;

typedef struct dcls_changes dcls_changes;
DCLS_API size_t dcls_changes_count(const dcls_changes *changes);
/* index < count. */
DCLS_API const dcls_layer_change *dcls_changes_at(const dcls_changes *changes, size_t index);
DCLS_API void dcls_changes_destroy(dcls_changes *changes);

/* The network with its kernels changed. Fitting gives every layer positions of its own; a step that would
 * change the number of elements of layers that share positions with others only sets weights to 0 (prune) or
 * is DCLS_ERR_UNSUPPORTED (merge). No layer that fits is DCLS_ERR_ARGUMENT. The result depends on the seed,
 * not on threads. Method: see lib/kernel/fit.h. */
DCLS_API dcls_status dcls_model_to_sparse(dcls_context *ctx, const dcls_model *model,
                                          const dcls_sparse_options *options, dcls_model **out,
                                          dcls_changes **changes);
/* The same for a state dict: X.weight of a layer without X.P is a dense kernel [out, in/groups, D..]. */
DCLS_API dcls_status dcls_tensors_to_sparse(dcls_context *ctx, const dcls_tensors *tensors,
                                            const dcls_sparse_options *options, dcls_tensors **out,
                                            dcls_changes **changes);

typedef struct dcls_taps_options {
    const char *layers; /* as above; NULL: as if fitting */
    double threshold; /* cells with |value| up to this share of the layer's largest are left out; 0: zeros */
    const char *const *settings; /* of DCLS layers, for sets without a network */
    size_t setting_count;
} dcls_taps_options;

/* The non-zero cells of kernels in place of the kernels: X.weight (X.P, X.SIG) become X.taps.index,
 * X.taps.value and X.taps.shape as dcls-model(5) describes them. The network's description is left out. model
 * or tensors: the other is NULL. */
DCLS_API dcls_status dcls_to_taps(dcls_context *ctx, const dcls_model *model, const dcls_tensors *tensors,
                                  const dcls_taps_options *options, dcls_tensors **out,
                                  dcls_changes **changes);

/* Models inside the program. name is "convmixer256-dcls-cifar10" and so on; NULL past the end. */
DCLS_API const char *dcls_builtin_name(size_t index);
/* DCLS_ERR_ARGUMENT with the list of names if there is no such model. name NULL is the default classifier. */
DCLS_API dcls_status dcls_builtin_load(dcls_context *ctx, const char *name, dcls_model **out);

/* ---- results as pictures ---- */

/* Class of largest logit per pixel, mask [out_height, out_width]: logits [classes, height, width] are resized
 * bilinearly first where sizes differ. classes <= 256. Ties go to the lower index; NaN counts as lowest. */
DCLS_API dcls_status dcls_mask_from_logits(dcls_context *ctx, const float *logits, int64_t classes,
                                           int64_t height, int64_t width, int64_t out_height,
                                           int64_t out_width, uint8_t *mask);
/* Colour of a class: the model's palette, else the Pascal VOC colours. */
DCLS_API void dcls_model_color(const dcls_model *model, size_t index, uint8_t rgb[3]);
/* A palette PNG whose pixel value is the class: mask [height, width], palette [colors, 3]. Here and below a
 * file appears whole or not at all, and path "-" is standard output. A class without a colour is
 * DCLS_ERR_ARGUMENT. */
DCLS_API dcls_status dcls_mask_save(dcls_context *ctx, const char *path, const uint8_t *mask, int64_t width,
                                    int64_t height, const uint8_t *palette, int colors);

/* The classes of a mask: the pixels of a palette or gray PNG of up to 8 bits as they are stored, whatever
 * their colours. *mask is [*height, *width], the caller's: free(). Other kinds are DCLS_ERR_UNSUPPORTED. */
DCLS_API dcls_status dcls_mask_load(dcls_context *ctx, const char *path, uint8_t **mask, int64_t *width,
                                    int64_t *height);

typedef struct dcls_overlay_options {
    double alpha;           /* opacity of the class colours, 0..1 */
    const uint8_t *palette; /* [colors, 3] */
    int colors;
    const char *const *labels; /* [colors], NULL: indices */
} dcls_overlay_options;

/* The picture with the mask, of its size, blended over it, below it a legend of the classes present and their
 * shares. */
DCLS_API dcls_status dcls_overlay_save(dcls_context *ctx, const char *path, const dcls_image *image,
                                       const uint8_t *mask, const dcls_overlay_options *options);

/* ---- text ---- */

/* JSON as the commands print it. With indent 0 every value at depth 0 is one line without spaces between its
 * parts. Inside an object every value has a key, elsewhere the key is NULL; brackets are one of { [ to open
 * and the same one's other half to close. Invalid UTF-8 becomes U+FFFD; NaN, infinities and integers beyond
 * 2^53 are written as strings, a string of NULL as null. Where memory is short nothing fails until the text
 * is asked for. */
typedef struct dcls_json_writer dcls_json_writer;
DCLS_API dcls_status dcls_json_writer_create(dcls_context *ctx, int indent, dcls_json_writer **out);
DCLS_API void dcls_json_writer_destroy(dcls_json_writer *writer);
DCLS_API void dcls_json_write_open(dcls_json_writer *writer, const char *key_or_null, char bracket);
DCLS_API void dcls_json_write_close(dcls_json_writer *writer, char bracket);
DCLS_API void dcls_json_write_string(dcls_json_writer *writer, const char *key_or_null,
                                     const char *value_or_null);
DCLS_API void dcls_json_write_int(dcls_json_writer *writer, const char *key_or_null, int64_t value);
DCLS_API void dcls_json_write_double(dcls_json_writer *writer, const char *key_or_null, double value);
DCLS_API void dcls_json_write_float(dcls_json_writer *writer, const char *key_or_null, float value);
DCLS_API void dcls_json_write_bool(dcls_json_writer *writer, const char *key_or_null, bool value);
/* A value that is JSON already. */
DCLS_API void dcls_json_write_raw(dcls_json_writer *writer, const char *key_or_null, const char *json);
/* The text so far, valid until the next call; NULL if memory ran out. dcls_json_writer_reset empties it. */
DCLS_API const char *dcls_json_writer_text(const dcls_json_writer *writer);
DCLS_API void dcls_json_writer_reset(dcls_json_writer *writer);

/* The whole content of a regular file, pipe or FIFO, followed by a NUL that *size does not count; path "-" is
 * standard input. At most DCLS_LIMIT_FILE_BYTES. *data is to be released with free(). */
DCLS_API dcls_status dcls_file_load(dcls_context *ctx, const char *path, void **data, size_t *size);
/* Writes a file whole or not at all; path "-" is standard output. */
DCLS_API dcls_status dcls_file_save(dcls_context *ctx, const char *path, const void *data, size_t size);

/* Copies text with control characters and invalid UTF-8 as \xNN: safe on a terminal. Always terminates
 * buffer. */
DCLS_API void dcls_printable(char *buffer, size_t size, const char *text);

#ifdef __cplusplus
}
#endif
#endif
