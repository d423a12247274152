/* Vector kernels. One source, vec_template.inc, is compiled once per instruction set; a plan takes one table
 * when it is made. All pointers are to floats without alignment demands; n >= 0; in-place use (x == y) is
 * allowed where both are named. */
#ifndef DCLS_SIMD_SIMD_H
#define DCLS_SIMD_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

typedef enum dcls_activation {
    DCLS_ACT_NONE,
    DCLS_ACT_RELU,
    DCLS_ACT_GELU,      /* x/2 (1 + erf(x / sqrt 2)), float accuracy */
    DCLS_ACT_GELU_TANH, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    DCLS_ACT_SIGMOID
} dcls_activation;

/* C = A B, or C += A B with accumulate, row-major: B [k, n] and C [m, n] have rows ldb and ldc floats apart.
 * A [m, k] is packed: panels of DCLS_GEMM_ROWS rows (the last may have fewer), each [k, rows], follow each
 * other. transposed: A [m, k] is row-major, its rows lda floats apart, and B is [n, k]. Nothing behind the
 * last float of a row is touched. m, n >= 0, k >= 1. */
#define DCLS_GEMM_ROWS ((int64_t)12)
typedef struct dcls_gemm {
    int64_t m, n, k;
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    bool transposed, accumulate;
} dcls_gemm;

/* out[p, o] = activation(bias[o] + sum over j < k of in[p * in_stride + j * in_step] * w(j, o)) for p <
 * pixels and the DCLS_GEMM_PANEL outputs o of a panel; in_stride or in_step is 1; rows of out are out_stride
 * floats apart. The weights w of a panel are strips of DCLS_GEMM_STRIP outputs behind each other, [strip, k,
 * DCLS_GEMM_STRIP]: a strip is what the narrower vectors read at a time, and so it lies in one piece. bias
 * [DCLS_GEMM_PANEL]; NULL: neither bias nor activation. add: the sum is added to what is in out, without
 * bias. pixels, k >= 1. */
#define DCLS_GEMM_PANEL ((int64_t)32)
#define DCLS_GEMM_STRIP ((int64_t)16)
typedef struct dcls_gemm_pixels {
    int64_t pixels, k;
    const float *in;
    int64_t in_step, in_stride;
    const float *weight, *bias;
    dcls_activation activation;
    float *out;
    int64_t out_stride;
    bool add;
} dcls_gemm_pixels;

/* Matrix products by seven products of quarters in place of eight (Strassen, "Gaussian elimination is not
 * optimal", 1969, in the form of Winograd with 15 additions). Of C = A B, each cut in half both ways into 11,
 * 12, 21, 22, they are A11 B11, A12 B21, S4 B22, A22 T4, S1 T1, S2 T2, S3 T3 with S1 = A21 + A22, S2 = S1 -
 * A11, S3 = A11 - A21, S4 = A12 - S2 and T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = T2 - B21. */
#define DCLS_STRASSEN 7

/* The products of a panel of outputs in both halves, [DCLS_STRASSEN][pixels, DCLS_GEMM_PANEL], step floats
 * apart, whose outputs are to be scaled: factors of the upper and the lower half, [DCLS_GEMM_PANEL]. */
typedef struct dcls_strassen_products {
    int64_t pixels; /* of each half */
    const float *at;
    int64_t step;
    const float *scale[2];
} dcls_strassen_products;

/* From the products of one layer to the operands of the next: quarters become factor * activation(quarter +
 * bias), bias and factor [DCLS_GEMM_PANEL] of the upper and the lower half, and operands are written to `to`,
 * to_step floats apart, rows of DCLS_GEMM_PANEL to_stride floats apart. */
typedef struct dcls_strassen_between {
    dcls_strassen_products products;
    const float *bias[2], *factor[2];
    dcls_activation activation;
    float *to;
    int64_t to_step, to_stride;
} dcls_strassen_between;

/* One small plane of a depthwise convolution, windows of any size: for y < rows and x < width
 *     out[y * width + x] = sum over i < in_rows, j < in_width of in[i * in_width + j] * w(i, j, y, x)
 * where w is weight[(in_rows - 1 - i + y) * DCLS_PLANE_PITCH + in_width - 1 - j + x]: the window upside down.
 * weight [rows + in_rows - 1, DCLS_PLANE_PITCH]. rows, width and in_width are 1 .. DCLS_PLANE_SIDE, in_rows
 * is at least 1. */
#define DCLS_PLANE_SIDE  8
#define DCLS_PLANE_PITCH 16
typedef struct dcls_plane {
    const float *in;
    int64_t in_rows, in_width;
    const float *weight;
    float *out;
    int64_t rows, width;
} dcls_plane;

/* The end of a product: results in panels [rows, DCLS_GEMM_PANEL], x_stride floats apart, become `pixels`
 * floats of each row of an output, which lie stride floats apart: y = activation2(scale[row] * activation(x +
 * bias[row]) + shift[row] + residual) bias, scale with shift, residual (laid out like y, or y itself) may be
 * NULL. */
typedef struct dcls_finish {
    int64_t rows, pixels;
    const float *x;
    int64_t x_stride;
    float *y;
    const float *residual;
    int64_t stride;
    const float *bias, *scale, *shift;
    dcls_activation activation, activation2;
} dcls_finish;

/* Winograd's filtering of three taps: most outputs and points of one tile along one axis. Forms 1 to
 * DCLS_WINOGRAD_OUTPUTS have as many outputs, and two inputs and points more. Two further ones are for
 * outputs whose neighbours are padding: one input, point and output, and two inputs, three points, two
 * outputs. */
#define DCLS_WINOGRAD_OUTPUTS 4
#define DCLS_WINOGRAD_POINTS  (DCLS_WINOGRAD_OUTPUTS + 2)
#define DCLS_WINOGRAD_ALONE   4 /* added to the outputs of the further two */

#define DCLS_SIMD_CHAINS 12

typedef struct dcls_simd {
    const char *name; /* "scalar", "avx2", "avx512" */
    int width;        /* floats per vector */
    void (*activate)(dcls_activation activation, const float *x, float *y, int64_t n);
    /* y = activation2(scale * activation(y + bias) + shift + residual); residual may be NULL or y */
    void (*epilogue)(float *y, const float *residual, int64_t n, float bias, dcls_activation activation,
                     float scale, float shift, dcls_activation activation2);
    void (*finish)(const dcls_finish *finish);
    void (*add)(const float *a, const float *b, float *y, int64_t n);
    void (*mul)(const float *a, const float *b, float *y, int64_t n);
    void (*scale_shift)(const float *x, float *y, int64_t n, float scale, float shift);
    float (*sum)(const float *x, int64_t n); /* fixed order of additions: depends on n alone */
    float (*max)(const float *x, int64_t n); /* NaN if any is NaN; n >= 1 */
    /* y = exp(x - shift), returns the sum */
    float (*exp_sum)(const float *x, float *y, int64_t n, float shift);
    /* Sparse depthwise row kernel: for r < rows, i < n:
     *     y[r * y_stride + i] = sum over t < taps of value[t] * x[offset[t] + r * x_stride + i * step]
     * The caller guarantees that every address is inside the plane. step is 1 or 2 or more (stride). Taps
     * that follow each other with offsets x_stride apart (vertical neighbours) share loads: list them column
     * by column. */
#define DCLS_TAPS_RUN 5 /* most neighbours that are taken together */
    void (*taps_rows)(const float *x, int64_t x_stride, int64_t step, const int64_t *offset,
                      const float *value, int64_t taps, float *y, int64_t y_stride, int64_t rows, int64_t n);
    void (*plane)(const dcls_plane *plane);
    /* y[i] += value * x[i * step], i < n: borders and general sparse convolution */
    void (*axpy)(float value, const float *x, int64_t step, float *y, int64_t n);
    /* y[i] = the larger of y[i] and x[i * step], NaN if x[i * step] is, i < n */
    void (*larger)(const float *x, int64_t step, float *y, int64_t n);
    /* Max pool, windows 2x2 and 2 apart, of two rows of 2 n numbers, the second one stride further; NaN where
     * a window has any. */
    void (*max_halving)(const float *x, int64_t stride, float *y, int64_t n);
    /* Layer norm over channels for n pixels: x, y are [channels] rows `stride` floats apart. weight, bias
     * [channels] or NULL. */
    void (*layer_norm)(const float *x, float *y, int64_t channels, int64_t stride, int64_t n,
                       const float *weight, const float *bias, float eps);
    /* Softmax over channels for n pixels, laid out as above. */
    void (*softmax)(const float *x, float *y, int64_t channels, int64_t stride, int64_t n);
    /* rounds * DCLS_SIMD_CHAINS vector multiply-adds in as many independent chains: what the processor can do
     * at most. */
    float (*multiply_add)(int64_t rounds);
    /* Bits depend on k alone. */
    void (*gemm)(const dcls_gemm *gemm);
    void (*gemm_transposed)(const dcls_gemm *gemm);
    void (*gemm_pixels)(const dcls_gemm_pixels *gemm);
    /* Quarters of n floats, the first two times factor[0] and the others times factor[1], to the operands
     * B11, B21, B22, T4, T1, T2, T3, to_step floats apart; products to quarters [4][pixels, DCLS_GEMM_PANEL];
     * and both with an activation between. */
    void (*strassen_split)(const float *const quarters[4], const float factor[2], float *to, int64_t to_step,
                           int64_t n);
    void (*strassen_join)(const dcls_strassen_products *products, float *quarters);
    void (*strassen_between)(const dcls_strassen_between *between);
    /* n tiles along one axis: lines of inputs to lines of points, and these to outputs. Lines of in and out
     * do not overlap. */
    void (*winograd_forward)(int form, const float *const in[DCLS_WINOGRAD_POINTS],
                             float *const out[DCLS_WINOGRAD_POINTS], int64_t n);
    void (*winograd_inverse)(int form, const float *const in[DCLS_WINOGRAD_POINTS],
                             float *const out[DCLS_WINOGRAD_POINTS], int64_t n);
    /* Gradients of outputs to those at the points: the inverse, turned round. Forms 1 to
     * DCLS_WINOGRAD_OUTPUTS. */
    void (*winograd_gradient)(int form, const float *const in[DCLS_WINOGRAD_POINTS],
                              float *const out[DCLS_WINOGRAD_POINTS], int64_t n);
    /* n floats into rows of DCLS_GEMM_PANEL, the last one filled up with zeros, `stride` floats apart, and
     * back. By vectors: where rows lie far apart, a store of each float would wait for a line of memory. */
    void (*to_panels)(const float *x, int64_t n, float *rows, int64_t stride);
    void (*from_panels)(const float *rows, int64_t stride, float *x, int64_t n);
    /* A = U^T U in place: a [n, n], of which the upper triangle is read and overwritten by U. Zeros beside
     * the diagonal are made use of. False if A is not positive definite; a then holds nothing of use. */
    bool (*cholesky)(double *a, int64_t n);

    /* ---- training ---- */

    /* y = activation(x) and its derivative; y may be x. out: moments of y, see below */
    void (*activate_slope)(dcls_activation activation, const float *x, float *y, float *slope, int64_t n,
                           float shift, float out[2]);
    /* out[0] = sum of x - shift, out[1] = sum of its square */
    void (*moments)(const float *x, int64_t n, float shift, float out[2]);
    /* out[0] = sum of y, out[1] = sum of y (x - shift) */
    void (*sum_products)(const float *y, const float *x, int64_t n, float shift, float out[2]);
    /* z = a y + b x + c, or z += with add; z may be x or y */
    void (*combine)(const float *y, const float *x, float *z, int64_t n, float a, float b, float c, bool add);
    /* z = (a y + b x + c) s, or z += with add; returns the sum of what was written or added */
    float (*combine_product)(const float *y, const float *x, const float *s, float *z, int64_t n, float a,
                             float b, float c, bool add);
    /* z += a b */
    void (*add_product)(const float *a, const float *b, float *z, int64_t n);
    /* dx = dy where y > 0 and 0 elsewhere, or dx += with add; dx may be dy */
    void (*gate)(const float *y, const float *dy, float *dx, int64_t n, bool add);
    /* Its gradient: dy [n] is added where x is the first of the largest of its window. */
    void (*max_halving_backward)(const float *x, int64_t stride, const float *dy, float *dx, int64_t n);
    /* Backward of layer_norm, laid out as there: dx (or NULL) is written, or added to with add. Sums over
     * pixels for the gradients of weight and bias are added to [channels, width] vectors (or NULL), whose
     * lanes the caller adds up. dx may be dy. */
    void (*layer_norm_backward)(const float *x, const float *dy, float *dx, int64_t channels, int64_t stride,
                                int64_t n, const float *weight, float eps, bool add, float *weight_sums,
                                float *bias_sums);
    /* The gradient of taps_rows by its values: sum[t, lane] += y[r * y_stride + i] * x[offset[t] + r *
     * x_stride + i * step], over all r < rows and i < n, spread over the `width` lanes in any way: the caller
     * adds them up. Taps share loads as there. */
    void (*taps_dots)(const float *x, int64_t x_stride, int64_t step, const int64_t *offset, int64_t taps,
                      const float *y, int64_t y_stride, int64_t rows, int64_t n, float *sum);
    /* y[c * y_stride + r] = x[r * x_stride + c] for r < rows, c < columns */
    void (*transpose)(const float *x, int64_t x_stride, int64_t rows, int64_t columns, float *y,
                      int64_t y_stride);
    /* C += A B^T: A [m, k] and B [n, k] row-major, rows lda and ldb floats apart, not packed. k is not cut:
     * a few hundred at once keep panels in the cache. scratch: DCLS_GEMM_ROWS_SCRATCH(n, k) floats. */
    void (*gemm_rows)(const dcls_gemm *gemm, float *scratch);
#define DCLS_GEMM_ROWS_SCRATCH(n, k) (((n) + DCLS_GEMM_PANEL + DCLS_GEMM_ROWS) * (k))
} dcls_simd;

/* The table for a level, or for the highest level below it that was compiled in. Never NULL. */
const dcls_simd *dcls_simd_get(dcls_cpu_level level);

#endif
