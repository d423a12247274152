/* Named ways to turn a picture into a network's input. */
#ifndef DCLS_MODEL_PRESET_H
#define DCLS_MODEL_PRESET_H

#include "model/model.h"

/* Replaces the model's preprocessing. A segmentation model takes mean and std alone: its mask has to cover
 * the picture. */
dcls_status dcls_preset_apply(dcls_context *ctx, dcls_model *model, const char *name);

#endif
