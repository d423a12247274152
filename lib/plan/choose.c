/* The algorithm of a DCLS layer, chosen by what each would cost. */
#include <math.h>
#include <stdlib.h>

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

static double windows_of(const dcls_node *node)
{
    return (double)(node->out_channels * (node->in_channels / node->groups));
}

double dcls_expected_taps(const dcls_node *node, const dcls_kernel *k, double support)
{
    double rows = (double)k->rows / windows_of(node);
    return rows * fmin((double)dcls_kernel_cells(k), (double)k->count * support);
}

/* Kernels spread evenly over the layer stand for all. */
#define SAMPLED_ROWS  8
#define SAMPLED_CELLS ((int64_t)1 << 20)

dcls_status dcls_sample_taps(dcls_context *ctx, const dcls_node *node, const dcls_kernel *k, double cutoff,
                             double *taps)
{
    int64_t cells = dcls_kernel_cells(k), rows = k->rows < SAMPLED_ROWS ? k->rows : SAMPLED_ROWS, found = 0;
    if (cells > SAMPLED_CELLS / SAMPLED_ROWS) {
        *taps = dcls_expected_taps(node, k, dcls_element_support(k, dcls_mean_spread(k)));
        return DCLS_OK;
    }
    float *dense = dcls_alloc(ctx, (size_t)(rows * cells), sizeof *dense);
    if (!dense) return DCLS_ERR_MEMORY;
    dcls_status status = DCLS_OK;
    for (int64_t r = 0; r < rows && !status; r++)
        status = dcls_kernel_construct_rows(ctx, k, k->rows * r / rows, 1, 1, dense + r * cells);
    dcls_taps sample = {0};
    if (!status) status = dcls_taps_from_dense(ctx, dense, rows, cells, cutoff, &sample);
    if (!status) found = sample.start[rows];
    dcls_taps_free(&sample);
    free(dense);
    *taps = (double)found / (double)rows * (double)k->rows / windows_of(node);
    return status;
}

/* Multiply-adds at full speed per output pixel, fitted to `dcls bench --tune` over
 * tests/bench/tune_models.py:
 *
 * - sparse: taps, and what begins and ends the list of a window;
 * - construct and im2col: products with `outputs` rows, and making each column they multiply, which for
 *   im2col is a sum over the cells of an element;
 * - depthwise layers run as sparse ones either way. Beside their few taps, what is read, copied and written
 *   for every pixel and begun anew for every row counts as well. */
#define SPARSE_SPEED    0.75
#define SPARSE_WINDOW   2.0
#define DEPTHWISE_SPEED 0.8
#define DEPTHWISE_PIXEL 30.0
#define DEPTHWISE_ROW   1000.0
#define ALL_CELLS_SPEED 0.95
#define CONSTRUCT_SPEED 0.85
#define AMX_SPEED       1.5 /* of float products in three parts */
#define COPIED_COLUMN   12.0
#define IM2COL_SPEED    0.8
#define SUMMED_COLUMN   8.0
#define SUMMED_CELL     0.7
#define SUMMED_PIXEL    130.0 /* of depthwise layers */
#define SUMMED_ROW      5500.0

void dcls_algorithm_costs(const dcls_node *node, const dcls_kernel *k, double support, double taps, bool amx,
                          double cost[DCLS_ALGO_COUNT])
{
    double windows = windows_of(node), channels = (double)node->in_channels, outputs = windows / channels;
    double cells = (double)k->rows * (double)dcls_kernel_cells(k) / windows;
    double elements = (double)k->rows * (double)k->count / windows;
    const bool by_amx = amx && node->groups == 1; /* most of what dcls_conv_amx_suits asks for */
    const double speed = by_amx ? AMX_SPEED : CONSTRUCT_SPEED;
    bool depthwise = node->in_channels == node->groups;
    cost[DCLS_ALGO_SPARSE] =
        depthwise ? windows * taps / DEPTHWISE_SPEED : windows * (taps + SPARSE_WINDOW) / SPARSE_SPEED;
    cost[DCLS_ALGO_CONSTRUCT] =
        depthwise ? windows * cells / ALL_CELLS_SPEED : channels * cells * (outputs / speed + COPIED_COLUMN);
    cost[DCLS_ALGO_IM2COL] = INFINITY;
    if (dcls_can_interpolate(node))
        cost[DCLS_ALGO_IM2COL] =
            channels * elements * (outputs / IM2COL_SPEED + SUMMED_COLUMN + SUMMED_CELL * support);
    cost[DCLS_ALGO_AUTO] = cost[DCLS_ALGO_SPARSE];
    for (int algo = DCLS_ALGO_CONSTRUCT; algo < DCLS_ALGO_COUNT; algo++)
        cost[DCLS_ALGO_AUTO] = fmin(cost[DCLS_ALGO_AUTO], cost[algo]);
}

void dcls_plane_costs(const dcls_node *node, double pixels, double rows, double cost[DCLS_ALGO_COUNT])
{
    const bool depthwise = node->in_channels == node->groups;
    const double windows = depthwise ? windows_of(node) : 0;
    const double sparse = windows * (DEPTHWISE_PIXEL * pixels + DEPTHWISE_ROW * rows);
    for (int algo = 0; algo < DCLS_ALGO_COUNT; algo++)
        cost[algo] *= pixels;
    cost[DCLS_ALGO_SPARSE] += sparse;
    cost[DCLS_ALGO_CONSTRUCT] += sparse;
    cost[DCLS_ALGO_IM2COL] += windows * (SUMMED_PIXEL * pixels + SUMMED_ROW * rows);
}

dcls_algo dcls_choose_algorithm(const dcls_node *node, const dcls_kernel *k, double support, double taps,
                                bool amx)
{
    double cost[DCLS_ALGO_COUNT];
    dcls_algorithm_costs(node, k, support, taps, amx, cost);
    if (node->in_channels == node->groups) return DCLS_ALGO_SPARSE;
    for (int algo = DCLS_ALGO_SPARSE; algo > DCLS_ALGO_AUTO; algo--)
        if (cost[algo] <= cost[DCLS_ALGO_AUTO]) return (dcls_algo)algo;
    return DCLS_ALGO_CONSTRUCT;
}
