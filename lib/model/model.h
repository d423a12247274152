/*
 * A network: an acyclic graph of operations in execution order, and the tensors they use.
 *
 * Values are numbered: 0 is the network's input, i + 1 is the output of node i. Nodes refer only to earlier
 * values, so order of nodes is order of execution (the reader sorts). Everything here has been checked when a
 * model exists: attributes are in range, tensors exist with the shapes the attributes imply, so the layers
 * above need no checks of their own beyond those that depend on the input's size (dcls_model_infer does
 * them).
 */
#ifndef DCLS_MODEL_MODEL_H
#define DCLS_MODEL_MODEL_H

#include "base/text.h"
#include "formats/tensors.h"
#include "kernel/kernel.h"

typedef enum dcls_op {
    DCLS_OP_CONV,       /* weight [out, in/groups, kernel..], bias [out] or none */
    DCLS_OP_DCLS,       /* weight, P, SIG, bias: dilated convolution with learnable spacings */
    DCLS_OP_LINEAR,     /* weight [out, in], bias; over the last axis of [N, in] */
    DCLS_OP_BATCH_NORM, /* weight, bias, running_mean, running_var [C]; weight and bias may be absent */
    DCLS_OP_LAYER_NORM, /* weight, bias [C]: over axis 1 (channels first), per pixel */
    DCLS_OP_RELU,
    DCLS_OP_GELU, /* erf form, or tanh form with attribute approximate */
    DCLS_OP_SIGMOID,
    DCLS_OP_SOFTMAX, /* over axis 1 */
    DCLS_OP_MAX_POOL,
    DCLS_OP_AVG_POOL,        /* count_include_pad as in PyTorch, default true */
    DCLS_OP_GLOBAL_AVG_POOL, /* [N, C, spatial..] -> [N, C, 1..], or [N, C] with attribute flatten */
    DCLS_OP_GLOBAL_MAX_POOL,
    DCLS_OP_ADD, /* two inputs of one shape, or one of them a single pixel that repeats */
    DCLS_OP_MUL,
    DCLS_OP_LAYER_SCALE, /* weight [C] */
    DCLS_OP_CONCAT,      /* over axis 1 */
    DCLS_OP_FLATTEN,     /* [N, C, spatial..] -> [N, C * prod(spatial)] */
    DCLS_OP_RESIZE,      /* to size, by scale, or to the spatial size of a second input */
    DCLS_OP_DROPOUT,     /* identity when running; p is kept for training */
    DCLS_OP_DROP_PATH,   /* stochastic depth: identity when running */
    DCLS_OP_IDENTITY,
    DCLS_OP_COUNT
} dcls_op;

typedef enum dcls_pad_mode {
    DCLS_PAD_ZEROS,
    DCLS_PAD_REFLECT,
    DCLS_PAD_REPLICATE,
    DCLS_PAD_CIRCULAR
} dcls_pad_mode;
typedef enum dcls_interpolation { DCLS_INTERP_NEAREST, DCLS_INTERP_LINEAR } dcls_interpolation;
typedef enum dcls_layer_kind {
    DCLS_LAYER_FULL,
    DCLS_LAYER_2_1D,
    DCLS_LAYER_3_1D,
    DCLS_LAYER_2DK1D
} dcls_layer_kind;

#define DCLS_MAX_SPATIAL 3

/* Tensors a node may have, under the key names of PyTorch. */
typedef enum dcls_slot {
    DCLS_SLOT_WEIGHT,
    DCLS_SLOT_BIAS,
    DCLS_SLOT_P,
    DCLS_SLOT_SIG,
    DCLS_SLOT_RUNNING_MEAN,
    DCLS_SLOT_RUNNING_VAR,
    DCLS_SLOT_COUNT
} dcls_slot;

/* Window geometry of convolutions and pools; arrays hold ndim values, rows before columns. */
typedef struct dcls_window {
    int ndim;
    int64_t kernel[DCLS_MAX_SPATIAL]; /* dense size: D for DCLS */
    int64_t stride[DCLS_MAX_SPATIAL], dilation[DCLS_MAX_SPATIAL];
    int64_t pad_before[DCLS_MAX_SPATIAL],
        pad_after[DCLS_MAX_SPATIAL]; /* differ only for "same" with an even kernel */
    dcls_pad_mode pad_mode;
    bool ceil_mode, count_include_pad; /* pools */
} dcls_window;

typedef struct dcls_node {
    dcls_op op;
    const char *name;
    int input_count;
    int *inputs; /* values, each <= this node's index */

    /* tensors, NULL where absent */
    const dcls_tensor *weight, *bias, *P, *SIG, *running_mean, *running_var;

    int64_t in_channels, out_channels, groups; /* conv, dcls, linear */
    dcls_window window;                        /* conv, dcls, pools */

    /* DCLS layers */
    dcls_kernel_version version;
    dcls_layer_kind layer;
    int flat_dim;          /* 2dK1d */
    int64_t kernel_count;  /* K */
    bool shared_positions; /* one P for every output channel */

    float eps;        /* norms */
    bool approximate; /* gelu: tanh form */
    bool flatten;     /* global pools */
    double p;         /* dropout, drop_path */

    /* resize */
    dcls_interpolation interpolation;
    bool align_corners;
    int64_t size[DCLS_MAX_SPATIAL]; /* 0 where scale or the second input decides */
    double scale[DCLS_MAX_SPATIAL];
} dcls_node;

struct dcls_model {
    dcls_task task;
    int input_ndim;                     /* 3 to 5, as [N, C, spatial..] */
    int64_t input_shape[DCLS_MAX_DIMS]; /* DCLS_ANY where open */
    dcls_preprocess preprocess;
    char **labels;
    size_t label_count;
    uint8_t (*palette)[3];
    size_t palette_count;
    dcls_node *nodes;
    size_t node_count;
    int output;            /* the value that is the network's output */
    dcls_tensors *tensors; /* owned; nodes point into it */
    dcls_arena arena;      /* everything else */
};

const char *dcls_op_name(dcls_op op);
/* "weight", "bias", "P", .. */
const char *dcls_slot_name(dcls_slot slot);
/* NULL where the node has none. */
const dcls_tensor *dcls_node_tensor(const dcls_node *node, dcls_slot slot);

/* Makes a model of tensors whose metadata (or json, when not NULL) holds the network. Takes ownership of
 * tensors in success and failure. */
dcls_status dcls_model_from_json(dcls_context *ctx, dcls_tensors *tensors, const char *json,
                                 dcls_model **out);

/* The "model" object as JSON text. */
dcls_status dcls_model_to_json(dcls_context *ctx, const dcls_model *model, int indent, dcls_string *text);

/* Stores that text in the metadata of the model's tensors, so that they can be written as they are. */
dcls_status dcls_model_describe(dcls_context *ctx, dcls_model *model);

/* Shapes of all values for an input shape: shapes[0] is the input, shapes[i + 1] node i's output. Checks
 * everything that depends on sizes (kernel larger than the padded input, sizes that differ, overflow); the
 * node is named. */
typedef struct dcls_shape {
    int ndim;
    int64_t size[DCLS_MAX_DIMS];
} dcls_shape;
dcls_status dcls_model_infer(dcls_context *ctx, const dcls_model *model, int ndim, const int64_t *input,
                             dcls_shape *shapes /* [node_count + 1] */);

/* Learned numbers of a DCLS node as the kernel sees them; the pointers go into float data made by the caller
 * for tensors that are not F32. Fills all of *out but the pointers. */
void dcls_node_kernel(const dcls_node *node, dcls_kernel *out);

/* A tensor that training leaves in a state dict and a network does not need when it runs. */
bool dcls_is_byproduct(const char *name);

/* The dense kernel of a DCLS node: [out, in/groups, kernel..]. */
dcls_status dcls_node_construct(dcls_context *ctx, const dcls_node *node, float *dense);

#endif
