/* Accuracy of the vector functions in ulp, over every binade and the places where formulas change. */
#include "numeric_util.h"

#define PER_BINADE 600

typedef struct function {
    const char *name;
    void (*run)(const dcls_simd *simd, const float *x, float *y, int64_t n);
    long double (*reference)(long double x);
    double bound; /* ulp; half an ulp is the rounding of a perfect result. Measured over 4 million arguments:
                     gelu_tanh 2.6, sigmoid 2.3, exp 1.0. */
    double share; /* or an error below this times |x| */
} function;

static void run_gelu(const dcls_simd *simd, const float *x, float *y, int64_t n)
{
    simd->activate(DCLS_ACT_GELU, x, y, n);
}

static void run_gelu_tanh(const dcls_simd *simd, const float *x, float *y, int64_t n)
{
    simd->activate(DCLS_ACT_GELU_TANH, x, y, n);
}

static void run_sigmoid(const dcls_simd *simd, const float *x, float *y, int64_t n)
{
    simd->activate(DCLS_ACT_SIGMOID, x, y, n);
}

static void run_exp(const dcls_simd *simd, const float *x, float *y, int64_t n)
{
    simd->exp_sum(x, y, n, 0.0f);
}

static long double gelu(long double x)
{
    return reference_activation(DCLS_ACT_GELU, x);
}

static long double gelu_tanh(long double x)
{
    return reference_activation(DCLS_ACT_GELU_TANH, x);
}

static long double sigmoid(long double x)
{
    return reference_activation(DCLS_ACT_SIGMOID, x);
}

static const function functions[] = {
    {"gelu", run_gelu, gelu, 1, 3e-7},
    {"gelu_tanh", run_gelu_tanh, gelu_tanh, 3, 0},
    {"sigmoid", run_sigmoid, sigmoid, 2.5, 0},
    {"exp", run_exp, expl, 1.5, 0},
};

/* Worst error of f over n arguments; says which. */
static double worst_error(const dcls_simd *simd, const function *f, const float *x, int64_t n, float *at)
{
    float *y = new_floats(n);
    double worst = 0;
    f->run(simd, x, y, n);
    for (int64_t i = 0; i < n; i++) {
        const long double want = f->reference((long double)x[i]);
        double error = ulp_error(y[i], want);
        if (fabsl((long double)y[i] - want) <= f->share * fabsl((long double)x[i])) error = 0;
        if (error > worst) {
            worst = error;
            *at = x[i];
        }
    }
    free(y);
    return worst;
}

static void check_all(const dcls_simd *simd, const float *x, int64_t n)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const function *f = &functions[i];
        float at = 0;
        double worst = worst_error(simd, f, x, n, &at);
        if (worst > f->bound) fail_msg("%s(%a): %.3f ulp", f->name, (double)at, worst);
    }
}

static void test_binades(void **state)
{
    float x[PER_BINADE];
    for (uint32_t binade = 0; binade < 2 * 255; binade++) {
        for (int i = 0; i < PER_BINADE; i++) {
            uint32_t mantissa = i == 0 ? 0 : i == 1 ? 0x7fffff : random_bits() & 0x7fffff;
            uint32_t bits = (binade << 23) | mantissa;
            if (binade >= 255) bits = ((binade - 255) << 23) | mantissa | 0x80000000u;
            memcpy(&x[i], &bits, sizeof bits);
        }
        check_all(simd_of(state), x, PER_BINADE);
    }
}

/* Where results are neither trivial nor lost, densely. */
static void test_working_range(void **state)
{
    enum { COUNT = 4096 };
    static float x[COUNT];
    for (int block = 0; block < 60; block++) {
        for (int i = 0; i < COUNT; i++)
            x[i] = random_float() * (block % 3 == 0 ? 15.0f : block % 3 == 1 ? 105.0f : 2.0f);
        check_all(simd_of(state), x, COUNT);
    }
}

static void test_special_values(void **state)
{
    const dcls_simd *simd = simd_of(state);
    const float x[6] = {NAN, -NAN, INFINITY, -INFINITY, 0.0f, -0.0f};
    const float expected[4][6] = {{NAN, NAN, INFINITY, 0, 0, -0.0f},
                                  {NAN, NAN, INFINITY, 0, 0, -0.0f},
                                  {NAN, NAN, 1, 0, 0.5f, 0.5f},
                                  {NAN, NAN, INFINITY, 0, 1, 1}};
    for (size_t f = 0; f < 4; f++) {
        float y[6];
        functions[f].run(simd, x, y, 6);
        for (int i = 0; i < 6; i++)
            if (!(isnan(y[i]) && isnan(expected[f][i])) && y[i] != expected[f][i])
                fail_msg("%s(%g) = %g", functions[f].name, (double)x[i], (double)y[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binades),
        cmocka_unit_test(test_working_range),
        cmocka_unit_test(test_special_values),
    };
    return run_at_every_level("vector math", tests, sizeof tests / sizeof *tests);
}
