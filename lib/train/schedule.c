/* Learning rates by step. */
#include <math.h>

#include "dcls_train.h"

dcls_schedule dcls_schedule_default(void)
{
    return (dcls_schedule){.kind = DCLS_SCHEDULE_COSINE,
                           .rate = 0.01,
                           .power = 0.9,
                           .rise = 0.3,
                           .start_divisor = 25,
                           .end_divisor = 1e4};
}

/* From `from` to `to` along half a period of a cosine; at 0 to 1. */
static double along_cosine(double from, double to, double at)
{
    return to + (from - to) / 2 * (1 + cos(M_PI * at));
}

/* torch.optim.lr_scheduler.OneCycleLR with anneal_strategy "cos" and two phases: its first phase ends one
 * step before the share it is given. */
static double one_cycle(const dcls_schedule *s, double step)
{
    const double start = s->rate / s->start_divisor, end = start / s->end_divisor;
    const double top = s->rise * (double)s->steps - 1, last = (double)(s->steps - 1);
    if (step <= top && top > 0) return along_cosine(start, s->rate, step / top);
    return last > top ? along_cosine(s->rate, end, (step - top) / (last - top)) : s->rate;
}

double dcls_schedule_rate(const dcls_schedule *s, int64_t step)
{
    if (step < 0) step = 0;
    if (s->steps > 0 && step >= s->steps) step = s->steps - 1;
    if (s->kind == DCLS_SCHEDULE_ONE_CYCLE) return s->steps > 0 ? one_cycle(s, (double)step) : s->rate;
    if (step < s->warmup) return s->rate * (double)(step + 1) / (double)(s->warmup + 1);
    const int64_t rest = s->steps - s->warmup;
    const double at = rest > 0 ? (double)(step - s->warmup) / (double)rest : 0;
    switch (s->kind) {
    case DCLS_SCHEDULE_COSINE: return along_cosine(s->rate, s->floor, at);
    case DCLS_SCHEDULE_POLY: return s->floor + (s->rate - s->floor) * pow(1 - at, s->power);
    default: return s->rate;
    }
}
