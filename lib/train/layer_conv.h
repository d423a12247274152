/* Inside convolutions: what making them ready for a step (layer_conv_prepare.c) and running them
 * (layer_conv.c) share. */
#ifndef DCLS_TRAIN_LAYER_CONV_H
#define DCLS_TRAIN_LAYER_CONV_H

#include "ops/conv_backward.h"
#include "train/program.h"

typedef enum dcls_conv_way { DCLS_WAY_DENSE, DCLS_WAY_SPARSE, DCLS_WAY_INTERPOLATED } dcls_conv_way;

typedef struct dcls_conv_layer {
    dcls_conv_way way;
    dcls_geometry g; /* of a padded input, where padding is not with zeros */
    int64_t weights; /* of the dense kernel */
    dcls_kernel k;   /* DCLS: the parameters themselves */
    float cutoff;
    dcls_conv *forward, *turned;
    dcls_taps_backward *taps;
    float *dense; /* [weights] DCLS: the constructed kernel, in finish its gradient */

    /* interpolated */
    dcls_geometry elements; /* input -> one plane for every input channel and element */
    dcls_geometry mixing;   /* those -> output */
    dcls_conv *make_planes, *turned_mixing;
    float *ones;

    size_t dense_sums;                /* floats of sums of dense weights */
    bool by_amx;                      /* those are added up by p->amx, for the images of a visit at once .. */
    dcls_winograd_backward *winograd; /* .. or so, or NULL: image by image */
    dcls_conv_how how;

    /* other padding: every cell of the padded plane shows this cell of the plane */
    int32_t *shown;
    int64_t padded, plane;
} dcls_conv_layer;

/* Layout of scratch: padded input, its gradient, spread gradient, planes, their gradients, and last what one
 * convolution or product needs. */
typedef struct dcls_conv_scratch {
    float *input, *gradient, *spread, *planes, *plane_gradients, *work;
    size_t floats;
} dcls_conv_scratch;

/* base NULL: sizes alone. */
dcls_conv_scratch dcls_conv_layer_scratch(const dcls_conv_layer *c, float *base);
/* Every element as a window of its own with weight 1. */
dcls_kernel dcls_conv_single_elements(const dcls_conv_layer *c);
/* dcls_layer_type.prepare */
dcls_status dcls_conv_layer_prepare(dcls_context *ctx, const dcls_program *p, dcls_layer *layer);
/* Frees what prepare made. */
void dcls_conv_layer_forget(dcls_conv_layer *c);

#endif
