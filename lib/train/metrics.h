/* Metrics joined out of parts that threads counted. */
#ifndef DCLS_TRAIN_METRICS_H
#define DCLS_TRAIN_METRICS_H

#include "dcls_train.h"

int64_t dcls_metrics_classes(const dcls_metrics *metrics);

/* Adds what `from` counted, which then has counted nothing. Both have the same number of classes. */
void dcls_metrics_take(dcls_metrics *to, dcls_metrics *from);

#endif
