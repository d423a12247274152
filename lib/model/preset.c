/* Named ways to turn a picture into a network's input. */
#include "model/preset.h"

#include <string.h>

typedef struct preset {
    const char *name;
    dcls_preprocess preprocess;
} preset;

/* Mean and standard deviation of the training pictures, channels red, green, blue in 0..1. */
#define IMAGENET_MEAN                                                                                        \
    {                                                                                                        \
        0.485f, 0.456f, 0.406f                                                                               \
    }
#define IMAGENET_STD                                                                                         \
    {                                                                                                        \
        0.229f, 0.224f, 0.225f                                                                               \
    }
#define CIFAR10_MEAN                                                                                         \
    {                                                                                                        \
        0.4914f, 0.4822f, 0.4465f                                                                            \
    }
#define CIFAR10_STD                                                                                          \
    {                                                                                                        \
        0.2470f, 0.2435f, 0.2616f                                                                            \
    }

static const preset PRESETS[] = {
    {"imagenet",
     {DCLS_RESIZE_SHORTER, 256, 256, DCLS_FILTER_BILINEAR, 224, 224, 3, IMAGENET_MEAN, IMAGENET_STD}},
    {"imagenet-bicubic",
     {DCLS_RESIZE_SHORTER, 256, 256, DCLS_FILTER_BICUBIC, 224, 224, 3, IMAGENET_MEAN, IMAGENET_STD}},
    {"cifar10", {DCLS_RESIZE_SHORTER, 32, 32, DCLS_FILTER_BILINEAR, 32, 32, 3, CIFAR10_MEAN, CIFAR10_STD}},
};
#define PRESET_COUNT (sizeof PRESETS / sizeof PRESETS[0])

static void apply_none(dcls_model *model)
{
    model->preprocess = (dcls_preprocess){
        .filter = DCLS_FILTER_BILINEAR, .channels = (int)model->input_shape[1], .std = {1, 1, 1}};
}

static dcls_status apply(dcls_context *ctx, dcls_model *model, const preset *p)
{
    if (model->input_ndim != 4 || model->input_shape[1] != p->preprocess.channels)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "preprocessing '%s' is for pictures of 3 channels, the network's input is not",
                         p->name);
    model->preprocess = p->preprocess;
    if (model->task != DCLS_TASK_SEGMENTATION) return DCLS_OK;
    model->preprocess.resize = DCLS_RESIZE_NONE;
    model->preprocess.resize_height = model->preprocess.resize_width = 0;
    model->preprocess.crop_height = model->preprocess.crop_width = 0;
    return DCLS_OK;
}

dcls_status dcls_preset_apply(dcls_context *ctx, dcls_model *model, const char *name)
{
    if (strcmp(name, "none") == 0) {
        apply_none(model);
        return DCLS_OK;
    }
    for (size_t i = 0; i < PRESET_COUNT; i++)
        if (strcmp(PRESETS[i].name, name) == 0) return apply(ctx, model, &PRESETS[i]);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "unknown preprocessing '%s': there are %s, %s, %s and none",
                     name, PRESETS[0].name, PRESETS[1].name, PRESETS[2].name);
}
