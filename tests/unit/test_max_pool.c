/* Max pooling finds the largest cell of every window, and its gradient goes to the first of them, whatever
 * the window: the usual one, 2x2 and 2 apart, has a way of its own. */
#include "numeric_util.h"

#include "base/cpu.h"
#include "ops/backward.h"

#define MOST 10000

/* By the definition, one window after the other. */
static void expected(const dcls_geometry *g, const float *x, const float *dy, float *y, float *dx)
{
    for (int64_t p = 0; p < g->batch * g->in_channels;
         p++, x += g->in[1] * g->in[2], dx += g->in[1] * g->in[2])
        for (int64_t o = 0; o < g->out[1] * g->out[2]; o++, dy++, y++) {
            int64_t best = -1;
            for (int64_t k = 0; k < g->kernel[1] * g->kernel[2]; k++) {
                const int64_t row = o / g->out[2] * g->stride[1] - g->pad[1] + k / g->kernel[2];
                const int64_t column = o % g->out[2] * g->stride[2] - g->pad[2] + k % g->kernel[2];
                if (row < 0 || row >= g->in[1] || column < 0 || column >= g->in[2]) continue;
                const int64_t cell = row * g->in[2] + column;
                if (best < 0 || x[cell] > x[best]) best = cell;
            }
            *y = best >= 0 ? x[best] : -INFINITY;
            if (best >= 0) dx[best] += *dy;
        }
}

static void check_windows(const dcls_simd *simd)
{
    static float x[MOST], dy[MOST], y[MOST], largest[MOST], got[MOST], want[MOST];
    random_state = 3;
    for (int round = 0; round < 400; round++) {
        dcls_geometry g = {.batch = random_int(1, 2), .groups = 1, .in_channels = random_int(1, 3)};
        const bool halving = round % 2 == 0;
        for (int d = 0; d < 3; d++) {
            g.kernel[d] = d == 0 ? 1 : halving ? 2 : random_int(1, 3);
            g.stride[d] = d == 0 ? 1 : halving ? 2 : random_int(1, 3);
            g.pad[d] = d > 0 && !halving && g.kernel[d] > 1 ? random_int(0, 1) : 0;
            g.in[d] = d == 0 ? 1 : random_int(g.kernel[d], 40);
            g.dilation[d] = 1;
            g.out[d] = (g.in[d] + 2 * g.pad[d] - g.kernel[d]) / g.stride[d] + 1;
            const bool more = g.out[d] * g.stride[d] - g.pad[d] < g.in[d]; /* ceil_mode */
            if (d > 0 && more && round % 4 < 2) g.out[d]++;
        }
        g.out_channels = g.in_channels;
        const int64_t planes = g.batch * g.in_channels, in = planes * dcls_volume(g.in);
        for (int64_t i = 0; i < in; i++) {
            x[i] = (float)random_int(-3, 3); /* with ties */
            got[i] = want[i] = (float)random_int(0, 5);
        }
        for (int64_t i = 0; i < planes * dcls_volume(g.out); i++)
            dy[i] = (float)random_int(-9, 9);
        expected(&g, x, dy, largest, want);
        dcls_max_pool_forward(simd, &g, x, y, random_int(1, 2));
        assert_memory_equal(y, largest, (size_t)(planes * dcls_volume(g.out)) * sizeof *y);
        dcls_max_pool_backward(simd, &g, x, dy, got);
        assert_memory_equal(got, want, (size_t)in * sizeof *got);
    }
}

static void test_windows(void **state)
{
    (void)state;
    for (int level = DCLS_CPU_SCALAR; level <= (int)highest_level(); level++)
        check_windows(dcls_simd_get((dcls_cpu_level)level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
