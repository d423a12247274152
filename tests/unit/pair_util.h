/* What the tests of convolutions by panels share, float and bfloat16: one convolution, or a pair with an
 * activation between. */
#ifndef TESTS_PAIR_UTIL_H
#define TESTS_PAIR_UTIL_H

#include "numeric_util.h"

#include "ops/conv.h"
#include "ops/conv_internal.h"

typedef struct problem {
    dcls_geometry g;
    int64_t hidden, cells; /* hidden 0: one convolution */
    dcls_activation activation;
    dcls_epilogue epilogue;
    float *in, *first, *first_bias, *second, *residual, *terms;
    int64_t in_floats, out_floats;
} problem;

UTIL problem make_problem(dcls_geometry g, int64_t hidden)
{
    problem p = {.g = g, .hidden = hidden, .cells = g.kernel[0] * g.kernel[1] * g.kernel[2]};
    const int64_t k = g.in_channels * p.cells, out = g.out_channels;
    p.in_floats = g.batch * g.in_channels * g.in[0] * g.in[1] * g.in[2];
    p.out_floats = g.batch * out * g.out[0] * g.out[1] * g.out[2];
    p.in = new_floats(p.in_floats);
    p.first = new_floats(hidden * k);
    p.first_bias = new_floats(hidden);
    p.second = new_floats(out * (hidden > 0 ? hidden : k));
    p.residual = new_floats(p.out_floats);
    p.terms = new_floats(3 * out);
    p.activation = (dcls_activation)random_int(0, 4);
    p.epilogue = (dcls_epilogue){.bias = p.terms,
                                 .scale = p.terms + out,
                                 .shift = p.terms + 2 * out,
                                 .residual = random_int(0, 1),
                                 .activation2 = random_int(0, 1) ? DCLS_ACT_RELU : DCLS_ACT_NONE};
    return p;
}

UTIL void free_problem(problem *p)
{
    free(p->in), free(p->first), free(p->first_bias), free(p->second), free(p->residual), free(p->terms);
}

/* A row of pixels under a window of one. */
UTIL dcls_geometry flat(int64_t batch, int64_t in, int64_t out, int64_t pixels)
{
    dcls_geometry g = {.batch = batch, .in_channels = in, .out_channels = out, .groups = 1};
    for (int d = 0; d < 3; d++)
        g.in[d] = g.out[d] = g.kernel[d] = g.stride[d] = g.dilation[d] = 1;
    g.in[2] = g.out[2] = pixels;
    return g;
}

UTIL dcls_conv_expansion expansion_of(const problem *p)
{
    return (dcls_conv_expansion){.channels = p->hidden,
                                 .weight = p->first,
                                 .bias = p->first_bias,
                                 .activation = p->activation,
                                 .even = true};
}

/* Runs with several numbers of threads, over the residual and beside it: the same bits each time. Destroys
 * conv. */
UTIL float *run_on_threads(dcls_conv *conv, const dcls_simd *simd, const problem *p)
{
    float *first = NULL;
    static const int threads[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        const size_t bytes = dcls_conv_workspace(conv, threads[i]);
        void *workspace = aligned_alloc(64, bytes > 0 ? bytes : 64);
        soil(workspace, bytes);
        float *out = i % 2 ? copy_floats(p->residual, p->out_floats) : new_floats(p->out_floats);
        dcls_conv_run(conv, simd, p->in, i % 2 ? out : p->residual, out, workspace, threads[i]);
        if (first) {
            assert_same_bits(first, out, p->out_floats, "threads");
            free(out);
        } else {
            first = out;
        }
        free(workspace);
    }
    dcls_conv_destroy(conv);
    return first;
}

#endif
