/* Sizes of a sliding-window operation. One and two spatial dimensions are the three-dimensional case with
 * leading dimensions of size 1, so every algorithm is written once. Activations are [batch, channels, in[0],
 * in[1], in[2]], row-major. */
#ifndef DCLS_OPS_GEOMETRY_H
#define DCLS_OPS_GEOMETRY_H

#include "base/mem.h"

typedef struct dcls_geometry {
    int64_t batch, in_channels, out_channels, groups;
    int64_t in[3], out[3];
    int64_t kernel[3], stride[3], dilation[3];
    int64_t pad[3]; /* zeros before the first cell; what lies after the last follows from out */
} dcls_geometry;

static inline int64_t dcls_volume(const int64_t size[3])
{
    return size[0] * size[1] * size[2];
}

#endif
