/* Numbers of tensors that are not finite: a network that has some answers nonsense, which no shape tells. */
#include <math.h>
#include <stdlib.h>

#include "analysis/report.h"
#include "base/tensor.h"

#define PIECE ((size_t)4096) /* numbers made floats at a time */

static int64_t count_not_finite(const dcls_tensor *tensor)
{
    const size_t size = dcls_dtype_size(tensor->dtype), all = tensor->nbytes / size;
    float numbers[PIECE];
    int64_t found = 0;
    for (size_t at = 0; at < all; at += PIECE) {
        const size_t n = all - at < PIECE ? all - at : PIECE;
        dcls_to_float(tensor->dtype, (const unsigned char *)tensor->data + at * size, numbers, n);
        for (size_t i = 0; i < n; i++)
            found += !isfinite(numbers[i]);
    }
    return found;
}

/* Positions and spreads have a warning of their layer. */
static bool is_told(const dcls_model *model, const dcls_tensor *tensor)
{
    for (size_t i = 0; i < model->node_count; i++)
        if (model->nodes[i].P == tensor || model->nodes[i].SIG == tensor) return true;
    return false;
}

dcls_status dcls_report_warn_of_numbers(dcls_context *ctx, dcls_report *report, const dcls_model *model)
{
    const dcls_tensors *tensors = model->tensors;
    for (size_t i = 0; i < tensors->count; i++) {
        const dcls_tensor *tensor = &tensors->items[i];
        if (!dcls_dtype_is_float(tensor->dtype)) continue;
        const int64_t found = count_not_finite(tensor);
        if (found == 0 || is_told(model, tensor)) continue;
        DCLS_TRY(dcls_report_warn(ctx, report, "tensor '%s': %lld number%s not finite", tensor->name,
                                  (long long)found, found == 1 ? " is" : "s are"));
    }
    return DCLS_OK;
}
