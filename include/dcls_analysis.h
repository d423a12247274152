/*
 * What models and kernels are, cost and differ in: reports, single layers before they exist, comparisons, the
 * time of every step of a plan. The rules of dcls.h on errors, threads and ownership hold here too.
 */
#ifndef DCLS_ANALYSIS_H
#define DCLS_ANALYSIS_H

#include <dcls_tools.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- reports ---- */

/* Whose layers are meant: a model's, or the groups X.weight + X.P (+ X.SIG) of a state dict, for which
 * settings give `version` and `dilated_kernel_size` as in dcls_tensors_to_dense. */
typedef struct dcls_layer_source {
    const dcls_model *model;     /* NULL: tensors */
    const dcls_tensors *tensors; /* NULL: model */
    const char *const *settings; /* for tensors */
    size_t setting_count;
} dcls_layer_source;

/* What one DCLS layer learned. Positions are in cells from the window's centre, in the order of P's first
 * axis. */
typedef struct dcls_layer_report {
    const char *layer;   /* "dcls", "2_1d", "3_1d", "2dK1d" */
    const char *version; /* "v0", "v1", "max", "gauss" */
    int ndim;            /* of positions */
    int64_t dilated_kernel_size[3];
    int window_ndim; /* of the dense kernel: more than ndim where positions have one dimension alone */
    int64_t window[3];
    int64_t kernel_count;
    int64_t elements;        /* weights that have a position */
    bool shared_positions;   /* one P for all output channels */
    const char *shared_with; /* first layer with the same P tensor, or NULL */
    double position_mean[3], position_std[3], position_min[3], position_max[3];
    int64_t implied_size[3]; /* a smaller D at whose clamp limit the positions end, as if it had been trained
                                with; 0: they do not */
    double spread_mean, spread_min, spread_max; /* of S = |SIG| + offset; 0 without SIG */
    int64_t clamped;                            /* elements with a coordinate at the clamp limit floor(D/2) */
    double mass_lost;   /* share of sum |w| whose coefficients fall outside the window, 0..1 */
    int64_t taps;       /* non-zero cells of all kernels */
    bool even_window;   /* an even D: "same" padding cannot keep the size */
    int64_t not_finite; /* elements with a NaN or infinite coordinate or spread */
} dcls_layer_report;

typedef struct dcls_node_report {
    const char *op, *name;
    int ndim;
    int64_t shape[DCLS_MAX_DIMS]; /* of its output; ndim is 0 where the network cannot take the input */
    /* Learned numbers; biases, norms count as weights; shared tensors count once. */
    int64_t weights, positions, spreads;
    int64_t macs_dense, macs_sparse; /* multiply-accumulates for the analysed input; equal without DCLS */
    int64_t receptive_field[3];      /* theoretical, in input pixels; 0: the whole input, -1: not known */
    const char *algorithm;           /* the plan's choice, "" where there is none */
    bool has_layer;
    dcls_layer_report layer;
} dcls_node_report;

typedef struct dcls_report dcls_report;

/* Analyses model for one input shape, whose open sizes must be given. A model that cannot take the input
 * gives a report without shapes and costs (ndim 0), with the reason among the warnings. */
DCLS_API dcls_status dcls_report_create(dcls_context *ctx, const dcls_model *model, int ndim,
                                        const int64_t *shape, dcls_report **out);
/* DCLS layers alone, without an input; of them those whose name matches one of the globs layers
 * [layer_count], if there are any. Nodes are the layers, without shapes and costs. Not taps: only what hints
 * at wrong settings is among the warnings, and taps are not counted, which takes as long as making the
 * kernels. A state dict without layers or with settings that do not fit is DCLS_ERR_ARGUMENT. */
DCLS_API dcls_status dcls_report_create_layers(dcls_context *ctx, const dcls_layer_source *source,
                                               const char *const *layers, size_t layer_count, bool taps,
                                               dcls_report **out);
DCLS_API void dcls_report_destroy(dcls_report *report);
DCLS_API size_t dcls_report_count(const dcls_report *report);
DCLS_API const dcls_node_report *dcls_report_node(const dcls_report *report, size_t index);
/* Bytes: largest sum of live activations (the liveness limit), and what the plan really takes. */
DCLS_API size_t dcls_report_peak_live(const dcls_report *report);
DCLS_API size_t dcls_report_plan_memory(const dcls_report *report);
/* Lines for a person: kernel mass lost, windows that positions do not fit, even windows in residuals, values
 * that are not finite. NULL past the end. */
DCLS_API const char *dcls_report_warning(const dcls_report *report, size_t index);

/* The shape of the network's output for an input of that shape, whose open sizes must be given. shape and
 * out_shape: [DCLS_MAX_DIMS] may be the same. An input that the network cannot take is DCLS_ERR_ARGUMENT, the
 * node named. */
DCLS_API dcls_status dcls_model_output_shape(dcls_context *ctx, const dcls_model *model, int ndim,
                                             const int64_t *shape, int *out_ndim, int64_t *out_shape);

typedef struct dcls_tensor_stats {
    double min, max, mean, std; /* over finite values; 0 when there are none */
    int64_t count, nan, inf, zero;
} dcls_tensor_stats;

DCLS_API dcls_status dcls_tensor_statistics(dcls_context *ctx, const dcls_tensor *tensor,
                                            dcls_tensor_stats *out);
/* Element index < number of elements, as double (I64 beyond 2^53 rounds). */
DCLS_API double dcls_tensor_value(const dcls_tensor *tensor, int64_t index);

/* ---- what a layer costs before there is one ---- */

/* A DCLS layer as its constructor is called. Arrays are per dimension, rows before columns. */
typedef struct dcls_layer_spec {
    const char *layer;   /* "2_1d", "3_1d", "2dK1d"; "dcls" or NULL: positions along all dimensions */
    const char *version; /* "v0", "v1", "max", "gauss" */
    int ndim;            /* 1 to 3 */
    int64_t dilated_kernel_size[3]; /* the whole window: dense sides, or 1, where positions do not go */
    int64_t kernel_count;
    int64_t in_channels, out_channels, groups;
    int64_t stride[3];
    int64_t padding[3]; /* DCLS_ANY: floor(D / 2) */
    int64_t input[3];   /* spatial size of the input */
    bool bias;
    bool shared_positions; /* one P for all output channels */
    double spread;         /* mean |SIG| of max and gauss; negative: what the package starts with */
    int64_t taps;          /* non-zero cells of all kernels where they are known; 0: estimated */
} dcls_layer_spec;

#define DCLS_MAX_REACHES 8

/* A classic kernel with the reach of the window: side[d] cells, dilation[d] apart. */
typedef struct dcls_reach {
    int64_t side[3], dilation[3];
} dcls_reach;

/* Counts that do not fit are INT64_MAX. */
typedef struct dcls_layer_facts {
    int64_t padding[3];      /* used */
    int64_t same_padding[3]; /* keeps the size at stride 1; DCLS_ANY: an even D, no padding does */
    int64_t output[3];
    int weight_ndim, position_ndim; /* weight [out, in/groups, K]; P and SIG [ndim, out, in/groups, K]; layers
                                       with dense sides have them before K, and 1 in place of ndim */
    int64_t weight_shape[DCLS_MAX_DIMS], position_shape[DCLS_MAX_DIMS];
    int position_axis; /* of layers whose positions have one dimension of several; else -1 */
    bool has_spread;
    int64_t weights, biases, positions, spreads; /* learned numbers */
    int64_t dense_weights;                       /* of the dense kernel */
    int reach_count;                             /* smallest side first */
    dcls_reach reach[DCLS_MAX_REACHES];
    int classic; /* the one of them with most cells, K at most, or the smallest; -1: there is none */
    int64_t classic_weights, classic_macs;
    double support;                                     /* cells an element spreads over, about */
    int64_t taps;                                       /* non-zero cells of all kernels, at most about */
    int64_t macs_dense, macs_im2col, macs_sparse;       /* of one input; im2col -1: it cannot be run so */
    int64_t dense_bytes, columns_bytes, taps_bytes;     /* kernels; all columns at once; cells and values */
    int64_t learned_bytes, classic_bytes, output_bytes; /* as F32 */
    const char *algorithm; /* what auto chooses: "construct", "im2col", "sparse" */
} dcls_layer_facts;

typedef struct dcls_explanation dcls_explanation;

/* What such a layer is and costs, by the formulas of dcls_report_create. DCLS_ERR_ARGUMENT for a layer that
 * cannot be. */
DCLS_API dcls_status dcls_explain(dcls_context *ctx, const dcls_layer_spec *spec, dcls_explanation **out);
DCLS_API void dcls_explanation_destroy(dcls_explanation *explanation);
DCLS_API const dcls_layer_facts *dcls_explanation_facts(const dcls_explanation *explanation);
/* Lines for a person about what surprises in such a layer. NULL past the end. */
DCLS_API const char *dcls_explanation_note(const dcls_explanation *explanation, size_t index);

/* The layer of that name in a model as a spec, for a model input of that shape; name NULL: the first DCLS
 * layer. Strings are static. DCLS_ERR_ARGUMENT where there is no such layer. *found is
 * the layer's name and *learned what it learned, whose strings belong to the model; both may be NULL. */
DCLS_API dcls_status dcls_layer_spec_of(dcls_context *ctx, const dcls_model *model, const char *name,
                                        int ndim, const int64_t *shape, dcls_layer_spec *out,
                                        const char **found, dcls_layer_report *learned);
/* The same for a state dict, with settings as in dcls_tensors_to_dense; *found is a tensor's name, of which
 * the layer's is the first *length bytes. The input has 56 cells a side, 1000 in 1-D, 28 in 3-D, stride is 1
 * and padding D // 2; a layer with one input channel to a kernel counts as depthwise. */
DCLS_API dcls_status dcls_layer_spec_of_tensors(dcls_context *ctx, const dcls_tensors *tensors,
                                                const char *const *settings, size_t setting_count,
                                                const char *name, dcls_layer_spec *out, const char **found,
                                                size_t *length, dcls_layer_report *learned);

/* ---- comparing ---- */

/* One side: a model, or the tensors of a file without a network. The other is NULL. */
typedef struct dcls_compare_source {
    const dcls_model *model;
    const dcls_tensors *tensors;
} dcls_compare_source;

typedef struct dcls_compare_options {
    double atol, rtol;           /* a and b agree when |a - b| <= atol + rtol |b|. Both negative: by type, as
                                    torch.testing.assert_close does (F32 1e-5 and 1.3e-6); one negative: it is 0 */
    bool equal_nan;              /* NaN agrees with NaN */
    bool strict;                 /* elements keep their index, tensors their type, layers their form */
    bool kernels;                /* DCLS layers by their constructed kernels alone */
    const char *const *settings; /* `version` and `dilated_kernel_size` of sides without a network, as in
                                    dcls_tensors_to_dense */
    size_t setting_count;
} dcls_compare_options;

/* By type, NaN differs, not strict. */
DCLS_API dcls_compare_options dcls_compare_options_default(void);

typedef enum dcls_compare_kind {
    DCLS_COMPARE_VALUES,   /* a tensor, value by value */
    DCLS_COMPARE_ELEMENTS, /* weight, P or SIG of a DCLS layer, elements matched as sets */
    DCLS_COMPARE_KERNEL    /* the dense kernels of a layer */
} dcls_compare_kind;

typedef enum dcls_compare_result {
    DCLS_COMPARE_IDENTICAL, /* the same values; the type may differ */
    DCLS_COMPARE_CLOSE,     /* within tolerance */
    DCLS_COMPARE_DIFFERENT,
    DCLS_COMPARE_SHAPE, /* unlike shapes: there are no figures */
    DCLS_COMPARE_ONLY_A,
    DCLS_COMPARE_ONLY_B
} dcls_compare_result;

typedef struct dcls_compare_row {
    const char *name; /* of the tensor; of the layer's weight for a kernel */
    dcls_compare_kind kind;
    dcls_compare_result result;
    bool decides; /* it decides whether the sides differ. Not so a kernel whose elements were compared, and
                    what training leaves behind (num_batches_tracked) and only one side has */
    dcls_dtype dtype_a, dtype_b;
    int ndim_a, ndim_b;
    int64_t shape_a[DCLS_MAX_DIMS], shape_b[DCLS_MAX_DIMS];
    double atol, rtol; /* what was allowed */
    int64_t count;     /* values compared */
    int64_t outside;   /* of them beyond tolerance */
    int64_t nan;       /* of those: one or both are NaN; the figures below leave them out */
    int64_t moved;     /* in the row of a layer's weight: elements that changed their index */
    int64_t elements_a,
        elements_b;      /* in the row of a kernel: of a window of each side; 0 for a plain convolution's */
    double max_abs;      /* largest |a - b| */
    double mean_abs;     /* mean |a - b| */
    double max_relative; /* largest |a - b| / |b| where b is not 0 */
    double relative;     /* |a - b| / |b|, Euclidean norms over the tensor; infinite where all b are 0 */
    int64_t worst[DCLS_MAX_DIMS]; /* index of the first NaN beyond tolerance, else of max_abs, in A's order */
    double worst_a, worst_b;      /* the values there */
} dcls_compare_row;

typedef enum dcls_compare_change_kind {
    DCLS_CHANGE_ADDED,   /* a node of B alone */
    DCLS_CHANGE_REMOVED, /* a node of A alone */
    DCLS_CHANGE_VALUE
} dcls_compare_change_kind;

/* A difference between two networks. */
typedef struct dcls_compare_change {
    dcls_compare_change_kind kind;
    const char *node;      /* NULL: the network itself */
    const char *attribute; /* such as "stride[0]"; the operation of a node that was added or removed */
    const char *a, *b;     /* values as JSON, NULL where there is none (the attribute has its default) */
    bool decides; /* not so the form of a layer whose kernels decide: DCLS or dense, version, elements */
} dcls_compare_change;

typedef struct dcls_comparison dcls_comparison;

/* Compares two sources; rows follow A's tensors, then those of B alone. Elements of a DCLS layer are matched
 * by position, spread and weight (an optimal assignment up to 256 elements), layers of unlike form or number
 * of elements by their dense kernels. The result keeps no pointer into the sources. Figures are the same bits
 * for any number of threads. DCLS_ERR_ARGUMENT for settings that no layer can use. */
DCLS_API dcls_status dcls_compare(dcls_context *ctx, const dcls_compare_source *a,
                                  const dcls_compare_source *b, const dcls_compare_options *options,
                                  dcls_comparison **out);
DCLS_API void dcls_comparison_destroy(dcls_comparison *comparison);
/* True if any row or change that decides is a difference. */
DCLS_API bool dcls_comparison_differs(const dcls_comparison *comparison);
DCLS_API size_t dcls_comparison_row_count(const dcls_comparison *comparison);
/* index < dcls_comparison_row_count(comparison) */
DCLS_API const dcls_compare_row *dcls_comparison_row(const dcls_comparison *comparison, size_t index);
DCLS_API size_t dcls_comparison_change_count(const dcls_comparison *comparison);
/* index < dcls_comparison_change_count(comparison) */
DCLS_API const dcls_compare_change *dcls_comparison_change(const dcls_comparison *comparison, size_t index);

/* ---- where the time goes ---- */

/* A step of a plan: one operation with what is fused behind it. Strings belong to the model or are static. */
typedef struct dcls_step_facts {
    const char *name, *last; /* first and last node it computes */
    const char *op;          /* of the first one */
    const char *algorithm;   /* of a convolution: "dense", "winograd", "sparse" ..; else "" */
    double macs; /* multiply-accumulates of one run as this algorithm does them; 0 for operations other than
                    convolutions and linear */
    int ndim;
    int64_t shape[DCLS_MAX_DIMS]; /* of its result */
    /* A DCLS layer's cost by dcls_algo as the plan predicts it, in multiply-accumulates at the speed of
     * dcls_peak_macs; infinite where the algorithm cannot run, 0 for other steps. That of DCLS_ALGO_AUTO is
     * the smallest of the others. */
    double predicted[4];
    dcls_algo algo; /* what a DCLS layer runs with */
} dcls_step_facts;

DCLS_API size_t dcls_plan_step_count(const dcls_plan *plan);
/* index < dcls_plan_step_count(plan) */
DCLS_API dcls_step_facts dcls_plan_step(const dcls_plan *plan, size_t index);
/* dcls_plan_run, and how long each step took: seconds [dcls_plan_step_count(plan)]. */
DCLS_API dcls_status dcls_plan_run_timed(dcls_context *ctx, dcls_plan *plan, const float *input,
                                         float *output, double *seconds);
/* Multiply-accumulates per second of vector instructions that do nothing else, on as many threads as ctx
 * has, measured now (takes a few milliseconds). */
DCLS_API double dcls_peak_macs(dcls_context *ctx);
/* The same for products in bfloat16, as plans of DCLS_PRECISION_BF16 compute them. */
DCLS_API double dcls_peak_bf16_macs(dcls_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
