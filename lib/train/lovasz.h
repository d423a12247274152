/* The Lovász-softmax loss of one picture (Berman, Triki, Blaschko, arXiv 1705.08790). */
#ifndef DCLS_TRAIN_LOVASZ_H
#define DCLS_TRAIN_LOVASZ_H

#include <stdbool.h>
#include <stdint.h>

struct dcls_lovasz_entry {
    uint32_t key, place;
};

/* Most pixels of a picture: entries hold their places in 31 bits. */
#define DCLS_LOVASZ_PIXELS ((int64_t)INT32_MAX)

/* scale times the loss of probability [classes, pixels], 0 where no target counts; slopes [classes, pixels]:
 * its gradient by the logits whose softmax they are. entries [2 * pixels] are scratch. */
double dcls_lovasz(const float *probability, int64_t classes, int64_t pixels, const int32_t *target,
                   double scale, float *slopes, struct dcls_lovasz_entry *entries);

#endif
