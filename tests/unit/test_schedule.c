/* Learning rates against closed formulas and against what PyTorch 1.13's schedulers print. */
#include "format_util.h"

#include <math.h>

#include "dcls_train.h"

static void expect_near(double is, double want)
{
    if (!(fabs(is - want) <= 1e-12 + 1e-9 * fabs(want))) fail_msg("%.17g, not %.17g", is, want);
}

static void constant_with_warmup(void **state)
{
    (void)state;
    dcls_schedule s = dcls_schedule_default();
    s.kind = DCLS_SCHEDULE_CONSTANT;
    s.rate = 0.5;
    s.warmup = 4;
    s.steps = 10;
    const double want[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    for (int i = 0; i < 12; i++)
        expect_near(dcls_schedule_rate(&s, i), want[i]);
    s.steps = 0; /* without an end it has none */
    expect_near(dcls_schedule_rate(&s, 1000000), 0.5);
}

static void cosine_as_pytorch(void **state)
{
    (void)state;
    /* CosineAnnealingLR(SGD(lr=0.3), T_max=10, eta_min=0.01) */
    static const double WANT[] = {0.3,
                                  0.29290319486279726,
                                  0.27230746418436735,
                                  0.24022886158240858,
                                  0.19980746418436734,
                                  0.15499999999999997,
                                  0.11019253581563261,
                                  0.0697711384175914,
                                  0.03769253581563263,
                                  0.017096805137202735};
    dcls_schedule s = dcls_schedule_default();
    s.rate = 0.3;
    s.floor = 0.01;
    s.steps = 10;
    for (int i = 0; i < 10; i++)
        expect_near(dcls_schedule_rate(&s, i), WANT[i]);
    s.warmup = 3;
    s.steps = 13; /* the same behind a warm-up */
    expect_near(dcls_schedule_rate(&s, 0), 0.075);
    expect_near(dcls_schedule_rate(&s, 2), 0.225);
    for (int i = 0; i < 10; i++)
        expect_near(dcls_schedule_rate(&s, i + 3), WANT[i]);
}

/* OneCycleLR(SGD, max_lr=0.4, total_steps=.., pct_start=.., cycle_momentum=False) */
static void one_cycle_as_pytorch(void **state)
{
    (void)state;
    static const double TWENTY[] = {0.016000000000000014,
                                    0.05266873708001013,
                                    0.1486687370800101,
                                    0.2673312629199899,
                                    0.3633312629199899,
                                    0.4,
                                    0.39498560249403497,
                                    0.38019385280538953,
                                    0.35636647102842,
                                    0.3246982615799052,
                                    0.28677720071652035,
                                    0.24450480877451572,
                                    0.2000008,
                                    0.1554967912254843,
                                    0.11322439928347969,
                                    0.0753033384200948,
                                    0.04363512897158001,
                                    0.019807747194610516,
                                    0.005015997505965022,
                                    1.6e-06};
    static const double SEVEN[] = {0.016000000000000014,
                                   0.1486687370800101,
                                   0.3633312629199899,
                                   0.38019385280538953,
                                   0.24450480877451572,
                                   0.0753033384200948,
                                   1.6e-06};
    static const double THREE[] = {0.39776617418036475, 0.18505484106679002, 1.6e-06};
    static const struct {
        int steps;
        double rise;
        const double *want;
    } ROWS[] = {{20, 0.3, TWENTY}, {7, 0.5, SEVEN}, {3, 0.3, THREE}};
    for (size_t row = 0; row < 3; row++) {
        dcls_schedule s = dcls_schedule_default();
        s.kind = DCLS_SCHEDULE_ONE_CYCLE;
        s.rate = 0.4;
        s.rise = ROWS[row].rise;
        s.steps = ROWS[row].steps;
        for (int i = 0; i < ROWS[row].steps; i++)
            expect_near(dcls_schedule_rate(&s, i), ROWS[row].want[i]);
        expect_near(dcls_schedule_rate(&s, 1000), 1.6e-06);
    }
}

static void poly(void **state)
{
    (void)state;
    dcls_schedule s = dcls_schedule_default();
    s.kind = DCLS_SCHEDULE_POLY;
    s.rate = 0.02;
    s.steps = 100;
    expect_near(dcls_schedule_rate(&s, 0), 0.02);
    expect_near(dcls_schedule_rate(&s, 50), 0.02 * pow(0.5, 0.9));
    expect_near(dcls_schedule_rate(&s, 99), 0.02 * pow(0.01, 0.9));
    s.power = 2;
    s.floor = 0.001;
    s.warmup = 20;
    expect_near(dcls_schedule_rate(&s, 60), 0.001 + 0.019 * 0.25);
}

/* Whatever it is told, a rate is a number between nothing and the highest. */
static void always_a_rate(void **state)
{
    (void)state;
    static const int64_t STEPS[] = {0, 1, 2, 3, 10};
    static const double RISES[] = {0, 0.1, 0.5, 1};
    for (int kind = 0; kind <= DCLS_SCHEDULE_POLY; kind++)
        for (size_t n = 0; n < 5; n++)
            for (size_t r = 0; r < 4; r++)
                for (int64_t warmup = 0; warmup < 12; warmup += 4)
                    for (int64_t step = -1; step < 14; step++) {
                        dcls_schedule s = dcls_schedule_default();
                        s.kind = (dcls_schedule_kind)kind;
                        s.steps = STEPS[n];
                        s.rise = RISES[r];
                        s.warmup = warmup;
                        const double rate = dcls_schedule_rate(&s, step);
                        if (!(rate >= 0 && rate <= s.rate * (1 + 1e-12)))
                            fail_msg("kind %d, %d steps, rise %g, warm-up %d: %g at step %d", kind,
                                     (int)s.steps, s.rise, (int)warmup, rate, (int)step);
                    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_with_warmup), cmocka_unit_test(cosine_as_pytorch),
        cmocka_unit_test(one_cycle_as_pytorch), cmocka_unit_test(poly),
        cmocka_unit_test(always_a_rate),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
