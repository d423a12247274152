/* The layers of a network, or of a set of tensors without one, whose kernels are to be changed: chosen,
 * loaded and put back. */
#ifndef DCLS_MODEL_KERNEL_LAYERS_H
#define DCLS_MODEL_KERNEL_LAYERS_H

#include "dcls_tools.h"
#include "model/elements.h"
#include "model/layers.h"

/* A chosen layer. Whoever changes it sets node (op, version, layer, kernel_count) and elements. */
typedef struct dcls_kernel_layer {
    const dcls_node *from;
    dcls_node node;         /* as it will be; weight, P and SIG stay those of `from` */
    bool shares_positions;  /* another layer has the same P */
    bool own_positions;     /* P and SIG get names of the layer's own */
    dcls_elements elements; /* of DCLS layers */
    dcls_layer_change change;
} dcls_kernel_layer;

typedef struct dcls_kernel_layers {
    dcls_kernel_layer *items;
    size_t count;
    const dcls_model *model;     /* or NULL */
    const dcls_tensors *tensors; /* the model's, or those of a set without a network */
    dcls_layers found;           /* DCLS layers of the latter .. */
    dcls_node *plain;            /* .. and its convolutions */
    size_t plain_count;
    dcls_arena names;
} dcls_kernel_layers;

/* Chooses layers: those whose name matches glob; with NULL DCLS layers and, if plain, depthwise convolutions
 * with a side of more than 3. plain false leaves convolutions out even if they match. None is
 * DCLS_ERR_ARGUMENT. */
dcls_status dcls_kernel_layers_choose(dcls_context *ctx, const dcls_model *model, const dcls_tensors *tensors,
                                      const char *glob, bool plain, const char *const *settings,
                                      size_t setting_count, dcls_kernel_layers *out);
void dcls_kernel_layers_free(dcls_kernel_layers *layers);

/* The layer's kernel as it was: [out, in/groups, D..], to be freed. Values that are not finite are
 * DCLS_ERR_FORMAT. */
dcls_status dcls_kernel_layer_dense(dcls_context *ctx, const dcls_kernel_layer *layer, float **out);

/* Numbers of a dense kernel, and of elements. */
int64_t dcls_dense_parameters(const dcls_node *node);
int64_t dcls_element_parameters(const dcls_kernel *k);

/* "X" + suffix for a layer whose weight is "X.weight". */
const char *dcls_kernel_layer_name(dcls_context *ctx, dcls_kernel_layers *layers,
                                   const dcls_kernel_layer *layer, const char *suffix);

/* All tensors in order, those of chosen layers replaced by what put() adds in the weight's place. */
typedef dcls_status dcls_put_layer(dcls_context *ctx, void *arg, dcls_kernel_layers *layers,
                                   const dcls_kernel_layer *layer, dcls_tensors *set);
dcls_status dcls_kernel_layers_rewrite(dcls_context *ctx, dcls_kernel_layers *layers, dcls_put_layer *put,
                                       void *arg, dcls_tensors **out);

/* What was done, for the caller to keep. */
dcls_status dcls_changes_create(dcls_context *ctx, const dcls_kernel_layers *layers, dcls_changes **out);

/* |a - b| / |b|; 0 where both are 0. */
double dcls_relative_error(const float *a, const float *b, int64_t count);

#endif
