/* The elements of one layer as they are changed: rounded, merged, pruned. */
#ifndef DCLS_MODEL_ELEMENTS_H
#define DCLS_MODEL_ELEMENTS_H

#include "model/model.h"

typedef struct dcls_elements {
    dcls_kernel k; /* its pointers are the three below */
    float *weight, *P, *SIG;
} dcls_elements;

/* Copies of a DCLS node's elements; free with dcls_elements_free. */
dcls_status dcls_elements_load(dcls_context *ctx, const dcls_node *node, dcls_elements *out);
/* Room for k's elements, whose pointers are not looked at. */
dcls_status dcls_elements_create(dcls_context *ctx, const dcls_kernel *k, dcls_elements *out);
void dcls_elements_free(dcls_elements *elements);

/* Puts positions where they would be if every D_j belonged to the axis that index j addresses. */
void dcls_elements_recentre(dcls_elements *elements);
/* Whole cells, halves to even. */
void dcls_elements_round(dcls_elements *elements);
/* Elements of a window no further apart than distance cells become one: weights add up, position and spread
 * are means weighted by |weight|; the closest two first. Windows then differ in their number; see
 * dcls_elements_pack. */
void dcls_elements_merge(dcls_elements *elements, double distance);
/* Weights smaller than share times the layer's largest become 0. */
void dcls_elements_prune(dcls_elements *elements, double share);
/* Elements with a weight other than 0, all windows together. */
int64_t dcls_elements_used(const dcls_elements *elements);
/* Leaves out elements of weight 0, as far as all windows have them: K becomes the largest number left, at
 * least 1. In windows with fewer the last ones have weight 0. */
dcls_status dcls_elements_pack(dcls_context *ctx, dcls_elements *elements);

#endif
