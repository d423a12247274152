/* What the tests of networks made of state dicts share: lists of a ConvMixer's keys and shapes, settings. */
#ifndef TESTS_ARCH_UTIL_H
#define TESTS_ARCH_UTIL_H

#include "model_util.h"

#define BN(prefix, c)                                                                                        \
    prefix ".weight " c "; " prefix ".bias " c "; " prefix ".running_mean " c "; " prefix ".running_var " c  \
           "; " prefix ".num_batches_tracked I64; "

#define MIXER_BLOCK(p)                                                                                       \
    p ".0.fn.0.weight 8 1 5; " p ".0.fn.0.P 2 8 1 5; " p ".0.fn.0.bias 8; " BN(p ".0.fn.2", "8") p           \
        ".1.weight 8 8 1 1; " p ".1.bias 8; " BN(p ".3", "8")
#define PLAIN_BLOCK(p)                                                                                       \
    p ".0.fn.0.weight 8 1 9 9; " p ".0.fn.0.bias 8; " BN(p ".0.fn.2", "8") p ".1.weight 8 8 1 1; " p         \
                                                                             ".1.bias 8; " BN(p ".3", "8")

#define MIXER_STEM "0.weight 8 3 7 4; 0.bias 8; " BN("2", "8")
#define MIXER      MIXER_STEM MIXER_BLOCK("3") MIXER_BLOCK("4") "7.weight 10 8; 7.bias 10; "
#define TIMM                                                                                                 \
    "stem.0.weight 8 3 2 2; stem.0.bias 8; " BN("stem.2", "8") PLAIN_BLOCK("blocks.0")                       \
        PLAIN_BLOCK("blocks.1") "head.weight 10 8; head.bias 10"

/* settings end with NULL, or are NULL. */
static inline dcls_status build_with(dcls_context *ctx, dcls_tensors *set, dcls_build_options options,
                                     const char *const *settings, dcls_model **out)
{
    options.settings = settings;
    while (settings != NULL && settings[options.setting_count] != NULL)
        options.setting_count++;
    return dcls_model_build(ctx, set, &options, out);
}

#endif
