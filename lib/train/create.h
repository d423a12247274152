/* Networks with fresh weights. A built-in architecture first lists its tensors, a description has them made
 * node by node; then the network is built as from a file, and what each node's tensors start with follows
 * from what they are to it. */
#ifndef DCLS_TRAIN_CREATE_H
#define DCLS_TRAIN_CREATE_H

#include "base/rng.h"
#include "dcls_train.h"
#include "model/arch.h"

/* The first failure stays in status and makes all later calls do nothing. */
typedef struct dcls_creation {
    dcls_context *ctx;
    const dcls_create_options *options;
    dcls_settings settings; /* the caller's; `used` marks those that go no further */
    dcls_tensors *tensors;
    uint64_t bytes;       /* of tensors so far */
    dcls_string defaults; /* settings of the architecture that the caller's come after, ended by '\n' each */
    dcls_status status;
} dcls_creation;

typedef void dcls_create_fn(dcls_creation *c);
dcls_create_fn dcls_create_convmixer, dcls_create_convnext, dcls_create_deeplabv3;

/* ---- settings ---- */

/* The value of a key for a layer, or of the whole network with layer NULL: what was said last, with a glob
 * before without. NULL if it was not. */
const dcls_setting *dcls_creation_find(dcls_creation *c, const char *key, const char *layer);
/* The same for keys that are also attributes of the network's layers and go on to them. */
const dcls_setting *dcls_creation_look(const dcls_creation *c, const char *key, const char *layer);
/* The same as a number within a range; fallback if it was not said. */
int64_t dcls_creation_int(dcls_creation *c, const char *key, const char *layer, int64_t min, int64_t max,
                          int64_t fallback);
double dcls_creation_number(dcls_creation *c, const char *key, const char *layer, double min, double max,
                            double fallback);
bool dcls_creation_flag(dcls_creation *c, const char *key, bool fallback);
/* The index of its value among choices, ended by NULL. */
int dcls_creation_choice(dcls_creation *c, const char *key, const char *layer, const char *const *choices,
                         int fallback);
/* Numbers from 1 to max with commas between them: how many, -1 if it is anything else or more than `most`. */
int dcls_setting_list(const dcls_setting *setting, int64_t max, int most, int64_t *values);
/* "3,3,9,3": fills at most `most` numbers, *count says how many; they stay as they are if it was not said. */
void dcls_creation_list(dcls_creation *c, const char *key, int64_t max, int most, int64_t *values,
                        int *count);
/* Settings the network cannot use are as if they were not said. */
void dcls_creation_ignore(dcls_creation *c, const char *key);
void dcls_creation_fail(dcls_creation *c, const char *fmt, ...) DCLS_PRINTF(2, 3);

/* ---- tensors: names are printf formats ---- */

typedef struct dcls_new_conv {
    int64_t out, in, groups, height, width; /* of a kernel that is not DCLS */
    int64_t kernel_count;                   /* 0: not a DCLS layer */
    bool no_bias;
    bool no_positions; /* P and SIG are those of another layer */
} dcls_new_conv;

/* NAME.weight [out, in/groups, ..] and, unless left out, NAME.bias; for a DCLS layer NAME.P and NAME.SIG too.
 */
void dcls_creation_conv(dcls_creation *c, dcls_new_conv conv, const char *fmt, ...) DCLS_PRINTF(3, 4);
/* NAME.weight [out, in] and NAME.bias [out]. */
void dcls_creation_linear(dcls_creation *c, int64_t out, int64_t in, const char *fmt, ...) DCLS_PRINTF(4, 5);
/* NAME.weight, NAME.bias and, for batch norm, NAME.running_mean, NAME.running_var. */
void dcls_creation_norm(dcls_creation *c, int64_t channels, bool moments, const char *fmt, ...)
    DCLS_PRINTF(4, 5);
void dcls_creation_tensor(dcls_creation *c, int ndim, const int64_t *shape, const char *fmt, ...)
    DCLS_PRINTF(4, 5);

/* ---- the parts of dcls_model_create ---- */

/* Builds the network of options->arch_json, whose convolutions say their sizes. */
dcls_status dcls_create_graph(dcls_creation *c, const dcls_build_options *build, dcls_model **out);
/* Fills the tensors of a network, all of them F32. Settings: init, position_sigma, spread,
 * norm_weight, layer_scale. */
dcls_status dcls_initialize(dcls_creation *c, dcls_model *model);
/* The same for one node, as without settings. */
dcls_status dcls_initialize_node(dcls_context *ctx, const dcls_model *model, const dcls_node *node,
                                 uint64_t seed);

/* ---- initial numbers, each tensor's from seed and its name alone ---- */

/* Values of a tensor of a network under construction: it belongs to its set and nobody else has seen it. */
float *dcls_created_values(const dcls_tensor *tensor);

dcls_rng dcls_tensor_rng(uint64_t seed, const char *name);
typedef struct dcls_position_sigma {
    double cells, share; /* standard deviation, and what share of the window's side comes to it */
} dcls_position_sigma;
/* P [ndim, .., K]: normal, clamped to +-floor(D_j / 2). k says ndim, size, position_rows, count. */
void dcls_draw_positions(dcls_rng *rng, const dcls_kernel *k, dcls_position_sigma sigma, float *P);

#endif
