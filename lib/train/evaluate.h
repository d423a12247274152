/*
 * A network run over a data set, in parts:
 *
 *   evaluate.c           items -> batches -> outputs, window by window
 *   evaluate_answers.c   outputs of an item, one for each way it was shown -> metrics and answers
 */
#ifndef DCLS_TRAIN_EVALUATE_H
#define DCLS_TRAIN_EVALUATE_H

#include "dcls_train.h"
#include "model/model.h"
#include "simd/simd.h"

#define DCLS_MAX_VIEWS 32 /* ways to show one picture: scales, and mirrored or not */

/* One item between being read and being counted. */
typedef struct dcls_eval_item {
    int64_t index; /* of the data set */
    int64_t label;
    int64_t width, height; /* of the picture */
    uint8_t *mask;         /* [height, width], NULL for classification */
    struct dcls_eval_view {
        int64_t height, width; /* of the tensor, [channels, height, width] */
        float *tensor;
        int64_t out_height, out_width; /* 1 for classification */
        float *output;                 /* [classes, out_height, out_width] */
        bool mirrored;
    } views[DCLS_MAX_VIEWS];
    dcls_item_score score;
    int64_t answer;
    double confidence;
    uint8_t *answers; /* [height, width], where asked for */
} dcls_eval_item;

/* What stays the same for all items. */
typedef struct dcls_evaluation {
    const dcls_model *model;
    const dcls_dataset *set;
    const dcls_evaluate_options *options;
    dcls_preprocess preprocess;
    const dcls_simd *simd;
    int threads, views;
    int64_t classes;
    bool probabilities; /* the network ends in a softmax */
} dcls_evaluation;

/* Counts `count` items, whose views all have outputs, and fills score, answer, confidence and answers. */
dcls_status dcls_eval_count(dcls_context *ctx, const dcls_evaluation *e, dcls_eval_item *items, int64_t count,
                            dcls_metrics *metrics);

#endif
