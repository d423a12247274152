/* Positions over the steps of a run: what the file holds. */
#ifndef DCLS_TRAIN_RECORDING_H
#define DCLS_TRAIN_RECORDING_H

#include "dcls_train.h"
#include "model/model.h"

/* Where the rows begin: a header of that size has room for any number of frames. */
#define DCLS_RECORDING_HEADER 128

/* The next distinct P tensor in order of nodes, from *node on, which begins at 0; NULL past the end. */
const dcls_tensor *dcls_recording_next(const dcls_model *model, size_t *node);
/* Numbers in it. */
int64_t dcls_recording_positions(const dcls_tensor *P);
/* Floats of a row. */
int64_t dcls_recording_columns(const dcls_model *model);

/* At most `most` rows of a recording of the model, evenly chosen, the first and the last among them. *rows is
 * [*count, columns], to be freed. */
dcls_status dcls_recording_read(dcls_context *ctx, const char *path, const dcls_model *model, int64_t most,
                                float **rows, int64_t *count);

#endif
