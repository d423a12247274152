/* What the tests of new networks share: shapes, a run, moments of initial weights. */
#ifndef TESTS_CREATE_UTIL_H
#define TESTS_CREATE_UTIL_H

#include "model_util.h"

#include <math.h>

#include "dcls_train.h"

/* settings end with NULL, or are NULL. */
static inline dcls_status create_with(dcls_context *ctx, dcls_create_options options,
                                      const char *const *settings, dcls_model **out)
{
    options.settings = settings;
    while (settings != NULL && settings[options.setting_count] != NULL)
        options.setting_count++;
    return dcls_model_create(ctx, &options, out);
}

static inline void expect_shape(const dcls_model *model, const char *name, const char *want)
{
    const dcls_tensor *tensor = dcls_tensors_find(dcls_model_tensors(model), name);
    char text[DCLS_SHAPE_TEXT];
    if (tensor == NULL) {
        fail_msg("there is no tensor '%s'", name);
        return;
    }
    assert_int_equal(tensor->dtype, DCLS_F32);
    assert_string_equal(dcls_shape_text(text, sizeof text, tensor->ndim, tensor->shape), want);
}

static inline int64_t parameters(const dcls_model *model)
{
    int64_t sum = 0;
    const dcls_tensors *tensors = dcls_model_tensors(model);
    for (size_t i = 0; i < dcls_tensors_count(tensors); i++)
        if (strstr(dcls_tensors_at(tensors, i)->name, "running_") == NULL)
            sum += (int64_t)(dcls_tensors_at(tensors, i)->nbytes / sizeof(float));
    return sum;
}

/* Runs the network on a picture of one value and checks that the output is finite and has this shape. */
static inline void expect_run(dcls_context *ctx, const dcls_model *model, int64_t side, const char *want)
{
    const int64_t shape[] = {1, model->input_shape[1], side, side};
    const size_t count = (size_t)(shape[1] * side * side);
    float *input = malloc(count * sizeof *input);
    for (size_t i = 0; i < count; i++)
        input[i] = (float)(i % 7) - 3;
    dcls_plan *plan;
    assert_ok(ctx, dcls_plan_create(ctx, model, NULL, 4, shape, &plan));
    int64_t size[DCLS_MAX_DIMS];
    const int ndim = dcls_plan_output_shape(plan, size);
    char text[DCLS_SHAPE_TEXT];
    assert_string_equal(dcls_shape_text(text, sizeof text, ndim, size), want);
    int64_t outputs = 0;
    assert_true(dcls_shape_count(ndim, size, &outputs));
    float *output = malloc((size_t)outputs * sizeof *output);
    assert_ok(ctx, dcls_plan_run(ctx, plan, input, output));
    for (int64_t i = 0; i < outputs; i++)
        assert_true(isfinite(output[i]));
    free(input);
    free(output);
    dcls_plan_destroy(plan);
}

/* ---- statistics ---- */

typedef struct moments {
    double mean, deviation, least, most;
    size_t count;
} moments;

static inline moments moments_of(const dcls_model *model, const char *name)
{
    const dcls_tensor *tensor = dcls_tensors_find(dcls_model_tensors(model), name);
    if (tensor == NULL) {
        fail_msg("there is no tensor '%s'", name);
        return (moments){0};
    }
    const float *values = tensor->data;
    moments m = {.count = tensor->nbytes / sizeof(float), .least = INFINITY, .most = -INFINITY};
    for (size_t i = 0; i < m.count; i++) {
        m.mean += (double)values[i] / (double)m.count;
        m.least = fmin(m.least, (double)values[i]);
        m.most = fmax(m.most, (double)values[i]);
    }
    for (size_t i = 0; i < m.count; i++)
        m.deviation += ((double)values[i] - m.mean) * ((double)values[i] - m.mean) / (double)m.count;
    m.deviation = sqrt(m.deviation);
    return m;
}

/* Within five standard errors of what the distribution has; kurtosis at most 3. */
static inline void expect_moments(moments m, double mean, double deviation)
{
    const double error = 5 / sqrt((double)m.count);
    assert_true(fabs(m.mean - mean) <= error * deviation + 1e-9);
    assert_true(fabs(m.deviation - deviation) <= error * deviation + 1e-9);
}

static inline void expect_uniform(const dcls_model *model, const char *name, double bound)
{
    const moments m = moments_of(model, name);
    expect_moments(m, 0, bound / sqrt(3));
    assert_true(m.most <= bound && m.least >= -bound);
    assert_true(m.most > bound * (1 - 20.0 / (double)m.count));
}

static inline void expect_constant(const dcls_model *model, const char *name, double value)
{
    const moments m = moments_of(model, name);
    assert_true(m.least == (double)(float)value && m.most == (double)(float)value);
}

#endif
