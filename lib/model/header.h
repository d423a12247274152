/* What a model says besides its nodes: task, input, preprocessing, labels, palette. */
#ifndef DCLS_MODEL_HEADER_H
#define DCLS_MODEL_HEADER_H

#include "model/draft.h"

/* Refuses unknown members of the model object and reads all but "nodes" and "output". */
dcls_status dcls_header_read(dcls_context *ctx, dcls_draft *draft, const dcls_json *object);
/* Members of the model object in front of its nodes. */
void dcls_header_write(dcls_json_out *out, const dcls_model *model);
/* Values of three of them: an object, a list of names, a list of [red, green, blue]. */
void dcls_preprocess_write(dcls_json_out *out, const dcls_preprocess *preprocess);
void dcls_labels_write(dcls_json_out *out, const dcls_model *model);
void dcls_palette_write(dcls_json_out *out, const dcls_model *model);
/* Whether the input is a picture, so that preprocess means something. */
bool dcls_model_takes_pictures(const dcls_model *model);
/* What members say of each other: crop and input size, channels and mean, task and rank. */
dcls_status dcls_header_check(dcls_context *ctx, const dcls_model *model);

/* Copies labels into the model's arena, in place of those it has. */
dcls_status dcls_model_copy_labels(dcls_context *ctx, dcls_model *model, const char *const *labels,
                                   size_t count);

#endif
