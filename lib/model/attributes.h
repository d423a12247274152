/* What each operation takes: its inputs, tensors and attributes, with types, ranges and defaults. One table
 * serves the reader, the settings of the command line and the writer, so that they cannot disagree. */
#ifndef DCLS_MODEL_ATTRIBUTES_H
#define DCLS_MODEL_ATTRIBUTES_H

#include "base/tensor.h"
#include "formats/json.h"
#include "model/model.h"

typedef enum dcls_attr {
    DCLS_ATTR_DILATED_KERNEL_SIZE,
    DCLS_ATTR_VERSION,
    DCLS_ATTR_LAYER,
    DCLS_ATTR_FLAT_DIM,
    DCLS_ATTR_KERNEL_SIZE,
    DCLS_ATTR_STRIDE,
    DCLS_ATTR_PADDING,
    DCLS_ATTR_DILATION,
    DCLS_ATTR_GROUPS,
    DCLS_ATTR_PADDING_MODE,
    DCLS_ATTR_CEIL_MODE,
    DCLS_ATTR_COUNT_INCLUDE_PAD,
    DCLS_ATTR_EPS,
    DCLS_ATTR_APPROXIMATE,
    DCLS_ATTR_FLATTEN,
    DCLS_ATTR_PROBABILITY,
    DCLS_ATTR_MODE,
    DCLS_ATTR_ALIGN_CORNERS,
    DCLS_ATTR_SIZE,
    DCLS_ATTR_SCALE,
    DCLS_ATTR_OUT_CHANNELS,
    DCLS_ATTR_KERNEL_COUNT,
    DCLS_ATTR_SHARED_POSITIONS,
    DCLS_ATTR_COUNT
} dcls_attr;

typedef struct dcls_op_info {
    const char *name;
    int min_inputs, max_inputs;
    unsigned needs, may; /* bits of dcls_slot: tensors that must and that can be there */
    unsigned attributes; /* bits of dcls_attr */
    unsigned required;   /* attributes without a default */
    unsigned sizes;      /* attributes that say what shapes of tensors say too: needed where tensors are to be
                            made, checked where they are there, never written */
} dcls_op_info;

const dcls_op_info *dcls_op_describe(dcls_op op);
/* -1 if name is not one. */
int dcls_op_from_name(const char *name);
const char *dcls_attr_name(dcls_attr attr);
/* -1 if name is not one. */
int dcls_attr_from_name(const char *name);

/* A node on its way to being checked. Per-dimension attributes hold as many values as were given, one
 * standing for all dimensions; the checks spread them. */
typedef struct dcls_draft_node {
    dcls_node node;      /* input_count and the tensors are set by the checks */
    const char **inputs; /* names of values */
    int input_count;
    const char *tensor[DCLS_SLOT_COUNT]; /* names, NULL where absent */
    uint8_t given[DCLS_ATTR_COUNT];      /* how many values were given, 0: none */
} dcls_draft_node;

/* window.pad_before[0] before the checks: what keeps a size with stride 1, and floor(kernel / 2) on both
 * sides, the customary padding of DCLS layers. */
#define DCLS_PAD_SAME (-1)
#define DCLS_PAD_HALF (-2)

/* out_channels before the checks: as many as there are classes. */
#define DCLS_CLASSES (-1)

void dcls_node_set_tensor(dcls_node *node, dcls_slot slot, const dcls_tensor *tensor);

/* Puts every attribute at its default. */
void dcls_attr_defaults(dcls_node *node);
/* Sets an attribute from JSON, or from text such as "v1", "5,9", "true". The message names the attribute, not
 * the node. */
dcls_status dcls_attr_set_json(dcls_context *ctx, dcls_draft_node *node, dcls_attr attr,
                               const dcls_json *json);
dcls_status dcls_attr_set_text(dcls_context *ctx, dcls_draft_node *node, dcls_attr attr, const char *text);
/* Sets the same number for all dimensions. */
void dcls_attr_set_int(dcls_draft_node *node, dcls_attr attr, int64_t value);
/* Writes key and value unless the value is the default. */
void dcls_attr_write(dcls_json_out *out, const dcls_node *node, dcls_attr attr);

/* Names of all operations, or of an operation's attributes (with or without sizes), as "a, b, c". */
const char *dcls_op_list(char *buffer, size_t size);
const char *dcls_attr_list(char *buffer, size_t size, dcls_op op, bool sizes);

/* The name of the `count` names that is closest to a mistyped one, NULL if none is near. name_at gives NULL
 * for holes. */
const char *dcls_nearest(const char *name, size_t count, const char *(*name_at)(const void *of, size_t index),
                         const void *of);
/* " (did you mean 'X'?)" or "" into buffer. */
const char *dcls_hint(char *buffer, size_t size, const char *nearest);
#define DCLS_HINT_TEXT 160

#endif
