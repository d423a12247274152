/*
 * What is known about a model, in parts:
 *
 *   report.c         parameters, costs, receptive fields; the result
 *   report_layers.c  what DCLS layers learned, and what is suspicious about it
 *   report_numbers.c numbers that are not finite
 */
#ifndef DCLS_ANALYSIS_REPORT_H
#define DCLS_ANALYSIS_REPORT_H

#include "model/model.h"

#include "dcls_analysis.h"

struct dcls_report {
    dcls_node_report *nodes;
    size_t count;
    size_t peak_live, plan_memory;
    char **warnings;
    size_t warning_count, warning_capacity;
    dcls_arena arena;
};

/* Adds a line for a person. */
dcls_status dcls_report_warn(dcls_context *ctx, dcls_report *report, const char *fmt, ...) DCLS_PRINTF(3, 4);

/* Fills what the layer's own tensors tell: all but shared_with, and taps only where they are to be counted,
 * which takes as long as making the kernels. */
dcls_status dcls_report_layer(dcls_context *ctx, const dcls_node *node, bool taps, dcls_layer_report *out);
/* Adds what is suspicious about the layer of that name; thorough: also what is only worth a thought. */
dcls_status dcls_report_warn_of_layer(dcls_context *ctx, dcls_report *report, const char *name,
                                      const dcls_layer_report *layer, bool thorough);
/* Of tensors with numbers that are not finite, positions and spreads aside. */
dcls_status dcls_report_warn_of_numbers(dcls_context *ctx, dcls_report *report, const dcls_model *model);

#endif
