/*
 * Inside a plan. Making one goes through four stages, each in a file of its own:
 *
 *   fuse.c    which nodes are computed together (a convolution with what follows it)
 *   lower*.c  every group becomes a step: algorithm chosen (choose.c), weights packed
 *   memory.c  which bytes of one arena each value occupies, from when it lives
 *   plan.c    the public functions; run walks the steps
 *   timing.c  the same with a clock
 */
#ifndef DCLS_PLAN_INTERNAL_H
#define DCLS_PLAN_INTERNAL_H

#include "base/tensor.h"
#include "base/threads.h"
#include "model/model.h"
#include "ops/conv.h"
#include "ops/ops.h"

#define DCLS_MAX_FOLDS  4
#define DCLS_ALGO_COUNT (DCLS_ALGO_SPARSE + 1)

/* Nodes computed by one step: a head and the nodes absorbed behind it, in this order:
 * head, folded affine nodes, activation, affine nodes, residual, activation2. */
typedef struct dcls_group {
    int head, tail;                           /* nodes; the step produces tail's value */
    int fold[DCLS_MAX_FOLDS], fold_count;     /* batch norms and layer scales that go into the weights */
    int affine[DCLS_MAX_FOLDS], affine_count; /* the same behind the activation */
    int residual;                             /* value that is added, or -1 */
    dcls_activation activation, activation2;
    int ahead; /* group of a pointwise convolution computed by the same step, which reads its input; or -1 */
    bool absorbed; /* is some other group's `ahead` and has no step of its own */
} dcls_group;

typedef struct dcls_step dcls_step;

/* Where a step's operands are in one run. */
typedef struct dcls_operands {
    const dcls_simd *simd;
    int threads;
    const float *const *in; /* [step->input_count] */
    const float *residual;
    float *out;
    void *workspace;
} dcls_operands;

struct dcls_step {
    void (*run)(const dcls_step *step, const dcls_operands *o);
    const dcls_node *node; /* the group's head */
    int head, tail;        /* nodes */
    int input_count;
    const int *inputs; /* values with storage of their own */
    int residual;      /* value, or -1 */
    int output;        /* value */
    bool in_place;     /* out may be the memory of inputs[0] (or of residual, for a convolution) */
    size_t workspace;  /* bytes */
    dcls_arena *arena; /* for what it needs besides, the plan's */

    /* What the operation needs; which fields are set depends on run. */
    dcls_conv *conv; /* owned */
    dcls_algo algo;
    double cost[DCLS_ALGO_COUNT]; /* DCLS layers: of one run, by algorithm, as dcls_algorithm_costs */
    dcls_geometry geometry;
    dcls_extent extent;
    dcls_resize_shape resize;
    dcls_activation activation;
    int64_t pad_before[3], pad_after[3], padded[3]; /* non-zero padding modes, and pools */
    dcls_border border;
    const float *weight, *bias; /* or scale and shift */
    const int64_t *channels;    /* concat */
    int64_t count;
};

/* Where a value lives. */
typedef enum dcls_place { DCLS_IN_ARENA, DCLS_IN_INPUT, DCLS_IN_OUTPUT, DCLS_UNUSED } dcls_place;
typedef struct dcls_storage {
    dcls_place place;
    size_t offset, bytes;
    int first, last; /* steps between which it must keep its content */
} dcls_storage;

struct dcls_plan {
    const dcls_model *model;
    const dcls_simd *simd;
    const dcls_bf16 *bf16;     /* or NULL: everything in float */
    const dcls_amx *amx;       /* or NULL: this processor has none */
    int threads, most_threads; /* of the next run; what memory was laid out for */
    bool keep_values;          /* every node is a step of its own and every value stays until the next run */
    dcls_plan_options options;
    int value_count;
    dcls_shape *shapes; /* [value_count] */
    int *root;          /* value -> the value whose storage it shares */
    dcls_group *groups;
    int group_count;
    int *group_of; /* node -> group, -1 for a node that only renames its input */
    dcls_step *steps;
    int step_count;
    dcls_storage *slots; /* per value; only roots are used */
    size_t arena_bytes, workspace_bytes, live_peak;
    _Atomic uint64_t packed_bytes; /* of convolutions made so far */
    unsigned char *memory;         /* arena, then workspace */
    const float **operand;         /* scratch of run: pointers to a step's inputs */
    dcls_arena arena;              /* everything small, and folded weights */
    dcls_arena *arenas;            /* [arena_count] the same of steps that were made side by side */
    int arena_count;
};

/* plan.c: a plan with keep_values, and where a value is after a run with that input and output. */
dcls_status dcls_plan_create_keeping(dcls_context *ctx, const dcls_model *model, int ndim,
                                     const int64_t *shape, dcls_plan **out);
const float *dcls_plan_value(const dcls_plan *plan, int value, const float *input, float *output);

/* fuse.c: fills root, groups, group_of. */
dcls_status dcls_plan_fuse(dcls_context *ctx, dcls_plan *plan);
/* lower.c: fills steps. */
dcls_status dcls_plan_lower(dcls_context *ctx, dcls_plan *plan);
/* lower_conv.c: convolutions, DCLS or not. */
dcls_status dcls_lower_conv(dcls_context *ctx, const dcls_plan *plan, const dcls_group *group,
                            dcls_step *step);
/* choose.c: mean of |SIG|, 0 without. */
double dcls_mean_spread(const dcls_kernel *k);
/* choose.c: cells one element spreads over, roughly: 2 per dimension for v0 and v1; max reaches S to both
 * sides, and gauss about 5.5 S before the cut-off. */
double dcls_element_support(const dcls_kernel *k, double mean_spread);
bool dcls_can_interpolate(const dcls_node *node);
/* choose.c: taps of one window of a convolution, from sizes alone, and from some of its kernels. */
double dcls_expected_taps(const dcls_node *node, const dcls_kernel *k, double support);
dcls_status dcls_sample_taps(dcls_context *ctx, const dcls_node *node, const dcls_kernel *k, double cutoff,
                             double *taps);
/* choose.c: what an output pixel costs, in multiply-adds at full speed; infinite where an algorithm cannot
 * run. Of k only sizes count; amx: dense convolutions may use it. */
void dcls_algorithm_costs(const dcls_node *node, const dcls_kernel *k, double support, double taps, bool amx,
                          double cost[DCLS_ALGO_COUNT]);
/* choose.c: from that to what so many pixels cost, which lie in so many rows. */
void dcls_plane_costs(const dcls_node *node, double pixels, double rows, double cost[DCLS_ALGO_COUNT]);
/* choose.c: what DCLS_ALGO_AUTO stands for. */
dcls_algo dcls_choose_algorithm(const dcls_node *node, const dcls_kernel *k, double support, double taps,
                                bool amx);
/* memory.c: fills slots and sizes. */
dcls_status dcls_plan_place(dcls_context *ctx, dcls_plan *plan);

/* plan.c: a run is its steps in order, then finish_run, which serves networks that return their input. */
void dcls_plan_run_step(dcls_plan *plan, int index, const float *input, float *output);
void dcls_plan_finish_run(const dcls_plan *plan, const float *input, float *output);

/* lower.c: a tensor's values as floats, in the model's memory or the arena's. NULL with the failure recorded.
 */
const float *dcls_plan_floats(dcls_context *ctx, dcls_arena *arena, const dcls_tensor *tensor);
/* lower.c: a batch norm or layer scale as y = scale x + shift; arrays of the arena. */
dcls_status dcls_plan_affine(dcls_context *ctx, dcls_arena *arena, const dcls_node *node, int64_t channels,
                             float **scale, float **shift);
/* lower.c: batch, channels and pixels of a value. */
dcls_extent dcls_plan_extent(const dcls_plan *plan, int value);

#endif
