/* The input size a command works with, where a model leaves it open. */
#ifndef DCLS_CLI_INPUT_SHAPE_H
#define DCLS_CLI_INPUT_SHAPE_H

#include "cli.h"

typedef struct cli_input_shape {
    int ndim;
    int64_t shape[DCLS_MAX_DIMS]; /* [1, C, spatial..] */
    bool assumed;                 /* a size was neither the model's nor given */
} cli_input_shape;

/* Shape of one item: the model's own sizes, those of `given` ("224x224", NULL: none) where they are open,
 * else what preprocessing makes of pictures, else 224 a side. A usage error is reported as one of --input;
 * returns the exit status. */
int cli_input_choose(const cli *run, const dcls_model *model, const char *given, cli_input_shape *out);

/* Whether the network can run at all: with the sizes above, or, where it leaves them open, with another one
 * that is usual. Failure is reported with the node named; returns the exit status. */
int cli_input_check(const cli *run, const char *subject, const dcls_model *model);

#endif
