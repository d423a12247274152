/*
 * Comparing two models or sets of tensors, in parts:
 *
 *   compare.c            which tensors belong together; the rows of the result
 *   compare_layers.c     DCLS layers: elements as sets, kernels after construction
 *   compare_values.c     two tensors of one shape, value by value
 *   compare_structure.c  two networks, attribute by attribute
 *   match.c              which element is which
 */
#ifndef DCLS_ANALYSIS_COMPARE_H
#define DCLS_ANALYSIS_COMPARE_H

#include "dcls_analysis.h"
#include "model/layers.h"

struct dcls_comparison {
    dcls_compare_row *rows;
    size_t row_count, row_capacity;
    dcls_compare_change *changes;
    size_t change_count, change_capacity;
    bool strict;
    dcls_arena arena; /* names and values in text */
};

/* A DCLS layer of one side. Without a node (a state dict without settings) its window is not known. */
typedef struct dcls_compare_layer {
    const dcls_tensor *weight, *P, *SIG;
    const dcls_node *node;
} dcls_compare_layer;

typedef struct dcls_compare_side {
    const dcls_model *model; /* or NULL */
    const dcls_tensors *tensors;
    dcls_layers found;          /* where there is no model */
    dcls_compare_layer *layers; /* one per tensor: with weight set for weights of DCLS layers */
    const dcls_tensor **owner;  /* per tensor: the weight of the layer whose P or SIG it is, or NULL */
    bool *shown;                /* per tensor: there is a row that covers it */
} dcls_compare_side;

typedef struct dcls_comparer {
    dcls_context *ctx;
    const dcls_compare_options *options;
    dcls_compare_side a, b;
    dcls_comparison *out;
} dcls_comparer;

/* compare.c: a row of that name, which is kept; its tensors' types and shapes are filled in. NULL where
 * memory is short. */
dcls_compare_row *dcls_compare_add_row(dcls_comparer *c, const char *name, const dcls_tensor *a,
                                       const dcls_tensor *b);

/* compare_values.c: fills tolerance, figures and result of a row whose tensors have one shape. */
dcls_status dcls_compare_values(dcls_context *ctx, const dcls_compare_options *options, const dcls_tensor *a,
                                const dcls_tensor *b, dcls_compare_row *row);
/* The tolerance two types are compared with. */
void dcls_compare_tolerance(const dcls_compare_options *options, dcls_dtype a, dcls_dtype b, double *atol,
                            double *rtol);

/* compare_layers.c: adds the rows of a weight at least one of whose sides is a DCLS layer's. *done is false
 * where the two can only be compared as plain tensors. */
dcls_status dcls_compare_pair(dcls_comparer *c, const dcls_tensor *a, const dcls_tensor *b, bool *done);

/* compare_structure.c: adds the changes between two networks. */
dcls_status dcls_compare_structure(dcls_comparer *c);

#endif
