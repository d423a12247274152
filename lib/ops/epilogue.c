#include "ops/epilogue.h"

static bool is_identity(const dcls_epilogue *e)
{
    return !e->bias && e->activation == DCLS_ACT_NONE && !e->scale && !e->residual &&
           e->activation2 == DCLS_ACT_NONE;
}

void dcls_epilogue_apply(const dcls_simd *simd, const dcls_epilogue *e, int64_t channel, float *y,
                         const float *residual, int64_t n)
{
    if (is_identity(e)) return;
    float bias = e->bias ? e->bias[channel] : 0.0f;
    float scale = e->scale ? e->scale[channel] : 1.0f, shift = e->scale ? e->shift[channel] : 0.0f;
    simd->epilogue(y, residual, n, bias, e->activation, scale, shift, e->activation2);
}
