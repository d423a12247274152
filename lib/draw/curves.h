/* A training run's log as numbers. */
#ifndef DCLS_DRAW_CURVES_H
#define DCLS_DRAW_CURVES_H

#include "base/mem.h"

#include "dcls_plot.h"

typedef enum dcls_curve_kind {
    DCLS_CURVE_LOSS,
    DCLS_CURVE_RIGHT, /* share of right answers, of pictures or pixels */
    DCLS_CURVE_RATE,
    DCLS_CURVE_VAL_LOSS,
    DCLS_CURVE_VAL_SCORE, /* top-1, or the mean IoU */
    DCLS_CURVE_KINDS
} dcls_curve_kind;

typedef struct dcls_curve {
    double (*points)[2]; /* step, value; finite */
    size_t count, capacity;
} dcls_curve;

typedef struct dcls_run_log {
    const char *name;
    dcls_curve curves[DCLS_CURVE_KINDS];
    bool segmentation;
    double batches;          /* steps of an epoch; 0: not known */
    double best, best_epoch; /* of the score; negative: none */
    double seconds;          /* so far; 0: not known */
} dcls_run_log;

/* A damaged line is DCLS_ERR_FORMAT, its number named; the last one may be cut short. Free with
 * dcls_run_log_free, in failure too. */
dcls_status dcls_run_log_read(dcls_context *ctx, const dcls_curves_source *source, dcls_run_log *out);
void dcls_run_log_free(dcls_run_log *log);

#endif
