/*
 * Forward and backward of a network over one batch: what a step of training computes.
 *
 * Nodes become layers in order of execution. A layer sees a few images at a time and treats each alone; only
 * the statistics of batch norms need all of them. So layers are run in phases: within a phase a worker takes
 * its images through one layer after the other while they are in the cache, and phases end where statistics
 * must be complete. Backward, the same phases run in reverse.
 *
 * The images of a batch are cut into lanes, whose number depends on the batch alone. One worker at a time
 * takes a whole lane, adding up gradients of parameters in memory of the lane; lanes are summed in order. The
 * result is the same bits for any number of threads.
 *
 *   program.c        nodes -> layers, phases, who writes which gradient
 *   program_store.c  memory of values and gradients
 *   program_run.c    a step
 *   layer_*.c        the kinds of layers
 */
#ifndef DCLS_TRAIN_PROGRAM_H
#define DCLS_TRAIN_PROGRAM_H

#include "base/rng.h"
#include "ops/conv.h"
#include "ops/ops.h"
#include "train/parameters.h"

#define DCLS_LAYER_INPUTS 16 /* of a concat; a chain of them takes more */

typedef struct dcls_program dcls_program;
typedef struct dcls_layer dcls_layer;

/* One worker at some images of a lane. */
typedef struct dcls_visit {
    const dcls_program *program;
    const dcls_batch *batch;
    uint64_t key;         /* of this step, for dropout */
    int64_t first, count; /* images */
    int64_t chunk;        /* most of them in this phase */
    int64_t next;         /* the first image of the lane's next visit; -1: none */
    int lane, worker;
    float *local;   /* values that live within a phase, for `count` images */
    float *scratch; /* of one layer at one image */
    float *input;   /* of the batch; never written */
} dcls_visit;

typedef struct dcls_layer_type {
    const char *name;
    bool keeps_input, keeps_output; /* their values are needed backward */
    bool cheap;                     /* what costs more to keep than to make again */

    /* Makes layer->state and says sizes. NULL: nothing to do; so for all that follow. */
    dcls_status (*create)(dcls_context *ctx, dcls_program *program, dcls_layer *layer);
    void (*destroy)(dcls_layer *layer);
    /* Before every step: what depends on the weights. May change lane_floats, scratch_floats and
     * packed_bytes. */
    dcls_status (*prepare)(dcls_context *ctx, const dcls_program *program, dcls_layer *layer);
    void (*forward)(const dcls_layer *layer, const dcls_visit *visit);
    /* Between two phases, once all images have gone forward, or backward. */
    void (*settle)(const dcls_program *program, dcls_layer *layer);
    void (*settle_backward)(const dcls_program *program, dcls_layer *layer);
    void (*backward)(const dcls_layer *layer, const dcls_visit *visit);
    /* Adds the lanes' sums, already added up, to the parameters' gradients. On any thread. */
    dcls_status (*finish)(dcls_context *ctx, const dcls_program *program, const dcls_layer *layer,
                          const float *sums);
    /* After a step that succeeded: running statistics. */
    void (*commit)(const dcls_program *program, dcls_layer *layer);
} dcls_layer_type;

struct dcls_layer {
    const dcls_layer_type *kind;
    const dcls_node *node; /* NULL for the loss */
    int input_count;
    int inputs[DCLS_LAYER_INPUTS];  /* values */
    int output;                     /* value, or -1 */
    int gradient;                   /* value whose gradient is read; -1: none */
    bool wanted[DCLS_LAYER_INPUTS]; /* inputs whose gradient it writes .. */
    bool adds[DCLS_LAYER_INPUTS];   /* .. or adds to what is there */
    bool trains;                    /* has parameters that are not frozen */
    int phase;
    dcls_parameter *weight, *bias, *P, *SIG, *running_mean, *running_var;
    dcls_layer *pair; /* the other half of a batch norm */
    /* Work that is done in passing, while its planes are in the cache (see program_fuse.c): */
    dcls_layer *statistics; /* of an activation: the batch norm behind it, whose statistics it takes */
    dcls_layer
        *activation;    /* of batch statistics: the activation ahead, through which they hand gradients on */
    dcls_layer *source; /* of an activation: the convolution ahead, the gradient of whose bias is its sum */
    int ahead[2]; /* of the same activation: values, or -1, that it calls for as the next visit begins with
                     them */
    bool bias_summed;          /* of a convolution: the activation behind does that */
    int residual;              /* of a batch norm: value it adds to its result, or -1 */
    dcls_layer *residual_norm; /* .. or NULL, or the norm that makes it: its input is read instead */
    bool absorbed;             /* a sum whose work a batch norm does */
    bool again;                /* runs before the way back too: its result is not kept */

    size_t lane_floats, lane_offset; /* sums of gradients, per lane */
    size_t scratch_floats;
    size_t saved_floats; /* per image, kept between forward and backward */
    size_t packed_bytes; /* held from one prepare to the next */
    float *saved;
    void *state; /* the kind's own */
};

typedef struct dcls_train_value {
    int root; /* the value it is another name of */
    dcls_shape shape;
    int64_t floats; /* of one image */
    bool wants_gradient;
    int gradient_root;  /* the value whose gradient's memory it uses: itself, or a sum it is a term of */
    int gradient_group; /* the last such sum */
    bool above;         /* while sums are looked at: the sum is a part of it */
    bool written;       /* while first writers are looked for */

    bool local, gradient_local; /* within a phase: at `offset` floats of a worker's memory, per image */
    int64_t offset, gradient_offset;
    float *memory, *gradient; /* else: for the whole batch */
} dcls_train_value;

/* What gradients are wanted of. Zeros: of the loss, by parameters. */
typedef struct dcls_program_use {
    int ndim;                     /* 0: pictures of options' height and width */
    int64_t shape[DCLS_MAX_DIMS]; /* [N, C, spatial..] of the input; N does not matter */
    const float *given;           /* [batch, output]: the loss is the sum of the output times this; or NULL */
    bool by_input;                /* the input's gradient too: values[0].gradient */
    uint64_t taken;               /* bytes that count against the limit of memory already */
} dcls_program_use;

struct dcls_program {
    const dcls_model *model;
    dcls_parameters *parameters;
    dcls_trainer_options options;
    dcls_program_use use;
    const dcls_simd *simd;
    dcls_conv_how amx; /* for products in bfloat16, of AMX or AVX512-BF16; or none */
    int threads;
    int64_t batch;
    int lanes;
    int64_t *chunks; /* [phase_count] most images of a visit */

    int value_count;
    dcls_train_value *values;
    dcls_layer *layers;
    int layer_count, phase_count;
    int output;  /* the value the loss is of: logits */
    bool shared; /* layers have parameters in common: their gradients are added one after the other */

    size_t local_floats, scratch_floats; /* per worker; local is for a phase's visits */
    float *workers;                      /* [threads, worker_floats]: local, scratch, and a distance */
    size_t worker_floats;
    size_t lane_floats, lane_capacity;
    float *sums; /* [lanes, lane_floats] */

    /* of the last run */
    double *losses, *added; /* [batch]; added: of losses, what is not cross entropy */
    int64_t *correct;
    double target_weight; /* all weights of targets that count .. */
    int64_t target_count; /* .. and how many there are */
    double *seconds;      /* NULL, or spent in layers so far: [threads, layers, 2], forward and backward */
    void **blocks;        /* memory of values and gradients */
    size_t block_count, block_capacity;
    uint64_t bytes; /* of all that grows with the batch or the network, against the limit of memory */
    uint64_t worker_bytes, sum_bytes, packed_bytes; /* parts of it */
};

/* model: a writable copy whose parameters these are; both, and use->given, must outlive the program. use may
 * be NULL. */
dcls_status dcls_program_create(dcls_context *ctx, const dcls_model *model, dcls_parameters *parameters,
                                const dcls_trainer_options *options, const dcls_program_use *use,
                                dcls_program **out);
void dcls_program_destroy(dcls_program *program);
/* Loss and gradients of a batch; nothing of the model changes. A loss that is not finite is DCLS_ERR_FORMAT,
 * the layer where it arose named. */
dcls_status dcls_program_run(dcls_context *ctx, dcls_program *program, const dcls_batch *batch, uint64_t key,
                             dcls_step_result *result);
/* What a run would do first: memory that the weights as they are need is taken. */
dcls_status dcls_program_prepare(dcls_context *ctx, dcls_program *program);
/* Running statistics take in those of the last run. */
void dcls_program_commit(dcls_program *program);

/* From now on runs take their times. seconds [layer_count, 2] of all workers together, NULL to begin. */
dcls_status dcls_program_times(dcls_context *ctx, dcls_program *program, double *seconds);

/* program_fuse.c: after gradients are planned. */
void dcls_program_fuse(dcls_program *program);
/* The layer that computes a value; NULL for the input. */
dcls_layer *dcls_program_maker(const dcls_program *program, int value);
/* program_store.c */
dcls_status dcls_program_store(dcls_context *ctx, dcls_program *program);
/* Counts so many bytes; DCLS_ERR_LIMIT where they are more than the limit leaves. */
dcls_status dcls_program_claim(dcls_context *ctx, dcls_program *program, uint64_t bytes);

/* ---- for layers ---- */

/* First image of `visit` of a value; images follow each other. */
float *dcls_visit_value(const dcls_visit *visit, int value);
float *dcls_visit_gradient(const dcls_visit *visit, int value);
/* As many images of a value that is kept, from the first of the next visit on; NULL if there are not. */
const float *dcls_visit_next(const dcls_visit *visit, int value);
/* What the layer keeps of the first image of visit. */
static inline float *dcls_visit_saved(const dcls_layer *layer, const dcls_visit *visit)
{
    return layer->saved + (size_t)visit->first * layer->saved_floats;
}
/* The layer's sums of the visit's lane. */
static inline float *dcls_visit_sums(const dcls_layer *layer, const dcls_visit *visit)
{
    return visit->program->sums + (size_t)visit->lane * visit->program->lane_floats + layer->lane_offset;
}
/* Random numbers of one image in one layer in one step. */
dcls_rng dcls_visit_rng(const dcls_layer *layer, const dcls_visit *visit, int64_t image);
/* Channels and pixels of a value; batch 1. */
dcls_extent dcls_program_extent(const dcls_program *program, int value);
/* Geometry of a node's window from its input to its output, batch 1. */
dcls_geometry dcls_program_geometry(const dcls_program *program, const dcls_layer *layer);
/* layer_norm.c: for the statistics of the visit's lane: a number near the mean of a channel, and the sums
 * of `count` values around it and of their squares. */
#define DCLS_STATS_BLOCK ((int64_t)4096) /* most values added up in float */
float dcls_batch_stats_near(const dcls_layer *layer, const dcls_visit *visit, int64_t channel);
void dcls_batch_stats_take(const dcls_layer *layer, const dcls_visit *visit, int64_t channel, int64_t count,
                           float near, const float sums[2]);
/* layer_conv.c: the sums for the gradient of the bias, of the visit's lane. */
float *dcls_conv_bias_sums(const dcls_layer *layer, const dcls_visit *visit);
/* gradient += sums, if the parameter trains. */
void dcls_add_gradient(dcls_parameter *parameter, const float *sums);
static inline bool dcls_trains(const dcls_parameter *parameter)
{
    return parameter != NULL && !parameter->frozen && parameter->gradient != NULL;
}

extern const dcls_layer_type dcls_layer_conv, dcls_layer_linear, dcls_layer_activation, dcls_layer_relu,
    dcls_layer_batch_stats, dcls_layer_batch_norm, dcls_layer_layer_norm, dcls_layer_scale, dcls_layer_add,
    dcls_layer_mul, dcls_layer_concat, dcls_layer_pool, dcls_layer_global_pool, dcls_layer_resize,
    dcls_layer_softmax, dcls_layer_dropout, dcls_layer_drop_path, dcls_layer_loss, dcls_layer_given;

#endif
