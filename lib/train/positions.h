/* What the paper's training code does to positions beyond gradient descent: a loss that keeps elements apart,
 * and layers that learn one P together. */
#ifndef DCLS_TRAIN_POSITIONS_H
#define DCLS_TRAIN_POSITIONS_H

#include "train/parameters.h"

/* What spreads of new networks begin with; of max between the two, for |SIG| has no slope at 0, where the
 * package starts. */
#define DCLS_SPREAD_GAUSS     0.23
#define DCLS_SPREAD_MAX_LEAST 0.05
#define DCLS_SPREAD_MAX_MOST  0.25

/* The repulsive loss of the published training code: the mean over
 * unordered pairs of elements of a kernel of max(0, 1 - distance), over the kernels of a P, over P tensors of
 * more than one element; squared and times factor. *loss gets it, the gradients of the positions are added to
 * those of parameters. Elements in the same place do not push each other. The same bits for any number of
 * threads. */
dcls_status dcls_positions_repel(dcls_context *ctx, const dcls_parameters *parameters, double factor,
                                 int threads, double *loss);

/* A copy of the model whose DCLS layers of one stage name one P, the first layer's. A stage is the part of
 * layers' names up to "stages.N", "layerN" or "stageN", or where there is none as many layers as follow each
 * other; layers in it share if their windows, versions and shapes of P are equal. *shared (may be NULL) gets
 * the number of layers that gave up a P of their own. */
dcls_status dcls_positions_share(dcls_context *ctx, const dcls_model *model, dcls_model **out,
                                 int64_t *shared);

/* Floats [first, first + count) of a parameter of positions come back into the window, [-limit, limit] along
 * each index. With a nudge, of `nudge` cells, those of v1 leave whole numbers: the published v1 has no slope
 * there, so an element put on a cell, by a dilated kernel or at the edge of the window, would stay for ever.
 */
void dcls_positions_clamp(const dcls_parameter *p, size_t first, size_t count, double nudge);

#endif
