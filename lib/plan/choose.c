/* The algorithm of a DCLS layer, chosen by what each would cost. */
#include <math.h>

#include "plan/plan_internal.h"

double dcls_mean_spread(const dcls_kernel *k)
{
    double spread = 0;
    const int64_t count = k->position_rows * k->count * k->ndim;
    for (int64_t i = 0; k->SIG && i < count; i++)
        spread += fabs((double)k->SIG[i]) / (double)count;
    return spread;
}

double dcls_element_support(const dcls_kernel *k, double mean_spread)
{
    double spread = mean_spread + (double)k->spread_offset, cells = 1;
    double width = k->version == DCLS_MAX ? 2 * spread : k->version == DCLS_GAUSS ? 11 * spread + 1 : 2;
    for (int d = 0; d < k->ndim; d++)
        cells *= fmin(width, (double)k->size[d]);
    return cells;
}

/* Interpolated columns serve every output of a group only if all its kernels have the same positions. */
bool dcls_can_interpolate(const dcls_node *node)
{
    bool one_row_per_window = node->layer == DCLS_LAYER_FULL || node->layer == DCLS_LAYER_2DK1D;
    return one_row_per_window && (node->shared_positions || node->groups == node->out_channels);
}

/* Cost per output pixel in multiply-adds at full speed; the divisors are the share of it each kind of work
 * reaches. */
dcls_algo dcls_choose_algorithm(const dcls_node *node, const dcls_kernel *k, double support)
{
    double windows = (double)(node->out_channels * (node->in_channels / node->groups));
    double cells = (double)k->rows * (double)dcls_kernel_cells(k) / windows;
    double elements = (double)k->rows * (double)k->count / windows;
    double taps = fmin(cells, elements * support);
    bool depthwise = node->in_channels == node->groups;
    double sparse = windows * taps / 0.4;
    double dense = windows * cells / (depthwise ? 0.4 : 0.8);
    dcls_algo best = sparse < dense || depthwise ? DCLS_ALGO_SPARSE : DCLS_ALGO_CONSTRUCT;
    if (!dcls_can_interpolate(node) || depthwise) return best;
    double columns = (double)node->in_channels * elements;
    double interpolated = columns * support / 0.2 + windows * elements / 0.8;
    return interpolated < fmin(sparse, dense) ? DCLS_ALGO_IM2COL : best;
}
