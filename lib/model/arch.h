/* Architectures: networks made of a state dict whose key names are known. Sizes come from the tensors'
 * shapes. */
#ifndef DCLS_MODEL_ARCH_H
#define DCLS_MODEL_ARCH_H

#include "dcls_tools.h"
#include "model/settings.h"

/* Builds a network node after node along the data. The first failure stays in status and makes all later
 * calls do nothing, so that an architecture reads as its modules do. */
typedef struct dcls_builder {
    dcls_context *ctx;
    dcls_draft *draft;
    dcls_tensors *tensors; /* the draft's */
    dcls_settings *settings;
    dcls_status status;
    const char *value; /* name of the value the next node takes */
    int64_t channels;  /* its channels */
    bool *expected;    /* per tensor: may be left over */
} dcls_builder;

typedef void dcls_arch_fn(dcls_builder *b);
dcls_arch_fn dcls_arch_convmixer, dcls_arch_convnext, dcls_arch_deeplabv3;

/* Fills draft by the named architecture. In expected [tensors] it marks tensors that may be left over. */
dcls_status dcls_arch_build(dcls_context *ctx, const char *arch, dcls_draft *draft, dcls_settings *settings,
                            bool *expected);

/* dcls_model_build whose tensors maker makes, unless it is NULL; tensors is then an empty set and arch_json
 * is given. */
dcls_status dcls_build_making(dcls_context *ctx, dcls_tensors *tensors, const dcls_build_options *options,
                              const dcls_maker *maker, dcls_model **out);

typedef enum dcls_act { DCLS_ACT_GELU, DCLS_ACT_GELU_TANH, DCLS_ACT_RELU } dcls_act;

/* The names below are printf formats for a module's path, which is the node's name and the prefix of its
 * tensors. */

/* A tensor by its key, NULL if there is none. */
const dcls_tensor *dcls_build_find(const dcls_builder *b, const char *fmt, ...) DCLS_PRINTF(2, 3);
/* The same; a failure if there is none. */
const dcls_tensor *dcls_build_tensor(dcls_builder *b, const char *fmt, ...) DCLS_PRINTF(2, 3);
/* Records a failure: what is wrong with the state dict. */
void dcls_build_fail(dcls_builder *b, const char *fmt, ...) DCLS_PRINTF(2, 3);

typedef struct dcls_conv_form {
    int stride, padding, dilation; /* 0: stride of the kernel's size, padding 0, dilation 1 */
    bool same;                     /* padding that keeps the size */
    const char *P, *SIG;           /* names of tensors shared with other layers, used in place of its own */
} dcls_conv_form;

/* A convolution, or a DCLS layer with padding floor(D / 2) where there is a P beside the weight. Groups
 * follow from the channels that come in. A weight [out, in] counts as a 1x1 convolution. */
void dcls_build_conv(dcls_builder *b, dcls_conv_form form, const char *fmt, ...) DCLS_PRINTF(3, 4);
void dcls_build_linear(dcls_builder *b, const char *fmt, ...) DCLS_PRINTF(2, 3);
/* Batch norm or layer norm with what tensors it has. */
void dcls_build_norm(dcls_builder *b, dcls_op op, double eps, const char *fmt, ...) DCLS_PRINTF(4, 5);
void dcls_build_layer_scale(dcls_builder *b, const char *fmt, ...) DCLS_PRINTF(2, 3);
void dcls_build_act(dcls_builder *b, dcls_act act, const char *fmt, ...) DCLS_PRINTF(3, 4);
/* An operation without tensors. NULL after a failure. */
dcls_draft_node *dcls_build_op(dcls_builder *b, dcls_op op, const char *fmt, ...) DCLS_PRINTF(3, 4);
/* dropout or drop_path with probability p; nothing at all where p is 0. */
void dcls_build_drop(dcls_builder *b, dcls_op op, double p, const char *fmt, ...) DCLS_PRINTF(4, 5);
/* An operation of two inputs: the current value and another. */
dcls_draft_node *dcls_build_join(dcls_builder *b, dcls_op op, const char *other, const char *fmt, ...)
    DCLS_PRINTF(4, 5);
/* Goes on from an earlier value. */
void dcls_build_from(dcls_builder *b, const char *value, int64_t channels);

#endif
