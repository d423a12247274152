/* A picture and its mask become a tensor and targets, with or without random changes. */
#ifndef DCLS_TRAIN_AUGMENT_H
#define DCLS_TRAIN_AUGMENT_H

#include "base/rng.h"

#include "dcls_train.h"

/* A picture as it is stored. */
typedef struct dcls_view {
    int64_t width, height;
    const uint8_t *pixels; /* [height, width, 3] */
    const uint8_t *mask;   /* [height, width]; NULL for classification */
} dcls_view;

/* What happens to every picture; immutable. */
typedef struct dcls_pipeline {
    dcls_augment augment;
    dcls_preprocess preprocess;
    int64_t height, width; /* of the tensors; 0: as preprocess makes them */
    float value[3][256];   /* of a byte, by channel */
} dcls_pipeline;

/* Buffers of one thread, kept from picture to picture. All zero: empty. */
typedef struct dcls_scratch {
    uint8_t *gray, *box, *window, *spare;
    size_t gray_size, box_size, window_size, spare_size;
} dcls_scratch;

/* Checks the settings. */
dcls_status dcls_pipeline_init(dcls_context *ctx, const dcls_augment *augment,
                               const dcls_preprocess *preprocess, int64_t height, int64_t width,
                               dcls_pipeline *out);
/* Whether two pictures made from one item can differ. */
bool dcls_pipeline_is_random(const dcls_pipeline *pipeline);
/* Size of the tensor a picture becomes. */
dcls_status dcls_pipeline_size(dcls_context *ctx, const dcls_pipeline *pipeline, const dcls_view *view,
                               int64_t *height, int64_t *width);
/* tensor [channels, height, width]; target [height, width], not touched without a mask. Everything random is
 * drawn from rng. */
dcls_status dcls_pipeline_run(dcls_context *ctx, const dcls_pipeline *pipeline, const dcls_view *view,
                              dcls_rng *rng, dcls_scratch *scratch, float *tensor, int32_t *target);
void dcls_scratch_free(dcls_scratch *scratch);

/* ---- two pictures in one (augment_mix.c) ---- */

/* How another picture comes into one: everywhere, by its share, or alone in a box. */
typedef struct dcls_mix {
    bool cuts;
    float share; /* that stays of the picture, of all pixels or of their number */
    int64_t top, bottom, left, right;
} dcls_mix;

/* Share of the first of two mixed pictures: the larger of b and 1 - b, b from the beta distribution with both
 * parameters alpha > 0. Which picture comes first is as random as b is, so that nothing is lost by it. */
float dcls_mixup_share(dcls_rng *rng, double alpha);
/* By mixup or CutMix, each as often where both are asked for. */
dcls_mix dcls_mix_draw(const dcls_augment *augment, dcls_rng *rng, int64_t height, int64_t width);
/* Tensors [channels, height, width]. */
void dcls_mix_run(const dcls_mix *mix, int channels, int64_t height, int64_t width, const float *other,
                  float *tensor);
/* The targets [height, width] of segmentation, which go with the box. */
void dcls_mix_mask(const dcls_mix *mix, int64_t width, const int32_t *other, int32_t *target);

/* ---- colours (augment_color.c) ---- */

typedef struct dcls_jitter {
    double brightness, contrast, saturation; /* factors; 1: none */
    double hue;                              /* turn, -1/2 to 1/2; 0: none */
} dcls_jitter;

dcls_jitter dcls_jitter_draw(const dcls_augment *augment, dcls_rng *rng);
/* pixels [count, channels]; brightness, then contrast, saturation, hue, each as torchvision computes it on
 * uint8 tensors. Gray pixels (channels 1) have neither saturation nor hue. */
void dcls_jitter_run(const dcls_jitter *jitter, int channels, int64_t count, uint8_t *pixels);

/* ---- RandAugment (augment_rand.c) ---- */

enum { DCLS_RAND_MAGNITUDES = 30 /* torchvision's 31 bins, from 0 */ };

typedef struct dcls_rand_op {
    int kind;
    double amount;
} dcls_rand_op;

typedef struct dcls_pixels {
    int64_t width, height;
    int channels;
    bool nearest; /* of a mask: one channel, moved without interpolation, values kept */
    uint8_t outside[3];
    uint8_t *values; /* [height, width, channels] */
} dcls_pixels;

static inline size_t dcls_pixels_size(const dcls_pixels *p)
{
    return (size_t)(p->height * p->width * p->channels);
}

/* ops has room for augment->rand_ops. */
void dcls_rand_draw(const dcls_augment *augment, dcls_rng *rng, dcls_rand_op *ops);
/* Changes pixels in place; spare has room for as many bytes. */
void dcls_rand_run(const dcls_rand_op *ops, int64_t count, const dcls_pixels *pixels, uint8_t *spare);

#endif
