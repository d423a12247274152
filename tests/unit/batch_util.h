/* Batches of square colour pictures, for tests of training. */
#ifndef TEST_BATCH_UTIL_H
#define TEST_BATCH_UTIL_H

#include "dcls_train.h"

/* input [count, 3, side, side], target [count, target_pixels]. */
static inline dcls_batch square_batch(int64_t count, int64_t side, int64_t target_pixels, const float *input,
                                      const int32_t *target)
{
    return (dcls_batch){.count = count,
                        .channels = 3,
                        .height = side,
                        .width = side,
                        .target_pixels = target_pixels,
                        .input = input,
                        .target = target};
}

#endif
