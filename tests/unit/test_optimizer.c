/* Steps of the optimisers against PyTorch's own; what must not change; threads; checkpoints. */
#include "format_util.h"
#include "numeric_util.h"
#include "train/optimizer.h"

static dcls_context *ctx;

#define STEPS 10
#define ALL   20 /* floats of the four trained parameters */

/* What tests/golden/optimizer_steps.py prints. */
static const struct reference {
    double norm, value[ALL], average[ALL];
} references[] = {
    {5.413658142,
     {-0.033437971, 0.249547377,  0.156147763, -0.126364201, 0.598445356,  0.143619314,  0.328426123,
      -0.359117448, 0.878127337,  0.662674963, 0.538280427,  0.859875202,  -0.104579464, -1.608833909,
      -1.262116194, -0.117545389, 0.333220184, -0.592231929, -0.542185664, 0.030190794},
     {-0.069757157, 0.234557675,  0.143763922, -0.158992439, 0.641977853,  0.170643515, 0.256558693,
      -0.338520033, 0.792055574,  0.649191991, 0.408615118,  0.999486683,  0.028075894, -1.509016168,
      -1.237520479, -0.046044332, 0.305309411, -0.597901334, -0.441817860, -0.033928039}},
    {5.413658142,
     {0.035554860,  0.436893582,  -0.492195636, -0.137283355, 0.935820103,  0.773833692,  0.620064676,
      1.520188928,  1.000000000,  1.000000000,  0.146562904,  2.000000000,  -1.493533731, -2.000000000,
      -3.375217676, -2.065739632, 1.860382557,  -2.777282476, -2.106833696, 2.042129755},
     {-0.049816933, 0.219520896,  -0.464468825, -0.229934261, 0.954467565,  0.714139373,  0.512130027,
      1.301431396,  0.962388333,  0.988739227,  0.182291113,  1.996047949,  -1.192270509, -1.981936663,
      -2.983081035, -1.863881740, 1.680066361,  -2.393664945, -1.664955451, 1.825534624}},
    {5.413658142,
     {-0.056885492, 0.329138249,  0.054842435, -0.115209155, 0.642814517,  0.231347471,  0.297610253,
      -0.092446476, 1.000000000,  0.696275413, 0.400596052,  1.262955308,  -0.162438035, -1.908776283,
      -1.563901901, -0.298517436, 0.539572299, -0.906352401, -0.750392437, 0.267226368},
     {-0.094848397, 0.258964705,  0.051146345, -0.160331072, 0.670483830,  0.233951548,  0.248081539,
      -0.129758890, 0.944117008,  0.631970754, 0.369741873,  1.283879430,  -0.057983370, -1.818982523,
      -1.455425613, -0.244703335, 0.502505987, -0.826439708, -0.599422987, 0.197372672}},
    {5.413658142,
     {-0.144628122, -0.062871128, -0.026207494, -0.270539194, 0.633877516, 0.085425697, 0.171150923,
      -0.365832448, 0.497020304,  -0.112596601, 0.820083678,  0.719595730, 0.642977417, -1.380034924,
      -1.624112606, 0.170135990,  0.073258422,  -0.154306188, 0.011990815, 0.305684656},
     {-0.161345873, -0.092682707, -0.020553641, -0.287417813, 0.644870880, 0.075394145, 0.155901612,
      -0.391817974, 0.453004183,  -0.179647731, 0.828406406,  0.672521570, 0.699618604, -1.319176251,
      -1.553976101, 0.197263286,  0.046857065,  -0.104442201, 0.075051843, 0.266378388}},
    {5.413658142,
     {-0.182190448, -0.006723806, 0.018923745,  -0.320820600, 0.779545069,  0.083728857, 0.166339561,
      -0.388688505, 0.624949336,  -0.097737342, 0.687307656,  0.642445326,  0.599308908, -1.434267163,
      -1.648680687, 0.198000669,  0.107195705,  -0.198353916, -0.087041475, 0.257851243},
     {-0.199606924, -0.042358805, 0.019158171,  -0.337773741, 0.781676055,  0.078194087, 0.151071213,
      -0.411471209, 0.572036485,  -0.144401330, 0.701337079,  0.619317404,  0.647165600, -1.397006641,
      -1.575057098, 0.215337139,  0.088455533,  -0.151305417, -0.015926478, 0.220154205}},
};

/* ---- a set of parameters without a model -------------------------------------------------------- */

enum { WEIGHT, BIAS, POSITIONS, SPREADS, FROZEN, BUFFER, PARTS };

typedef struct fixture {
    dcls_parameter items[PARTS];
    dcls_tensor tensors[PARTS];
    dcls_parameters set;
    size_t most; /* floats of the trained ones together */
    float *value, *gradient, other[2][4], frozen_gradient[4];
} fixture;

static void describe(fixture *f, int part, const char *name, dcls_role role, float *value, float *gradient,
                     int64_t count)
{
    f->tensors[part] = (dcls_tensor){name, DCLS_F32, 1, {count}, value, (size_t)count * sizeof(float)};
    f->items[part] = (dcls_parameter){.name = name,
                                      .tensor = &f->tensors[part],
                                      .role = role,
                                      .count = (size_t)count,
                                      .value = value,
                                      .gradient = gradient};
}

/* counts: of the four that are trained. */
static fixture *make_fixture(const int64_t counts[4])
{
    static const char *const names[] = {"weight", "bias", "P", "SIG", "frozen", "running_mean"};
    static const dcls_role roles[] = {DCLS_ROLE_WEIGHT, DCLS_ROLE_OTHER, DCLS_ROLE_POSITION,
                                      DCLS_ROLE_SPREAD};
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    random_state = 1;
    for (int i = 0; i < 4; i++)
        f->most += (size_t)counts[i];
    f->value = new_floats((int64_t)f->most);
    f->gradient = new_floats((int64_t)f->most);
    size_t at = 0;
    for (int i = 0; i < 4; at += (size_t)counts[i++])
        describe(f, i, names[i], roles[i], f->value + at, f->gradient + at, counts[i]);
    for (int i = 0; i < 4; i++)
        f->frozen_gradient[i] = 1000;
    describe(f, FROZEN, names[FROZEN], DCLS_ROLE_WEIGHT, f->other[0], f->frozen_gradient, 4);
    describe(f, BUFFER, names[BUFFER], DCLS_ROLE_BUFFER, f->other[1], NULL, 4);
    f->items[FROZEN].frozen = true;
    dcls_parameter *P = &f->items[POSITIONS];
    P->ndim = 2;
    P->rows = 1;
    P->elements = counts[POSITIONS] / 2;
    P->limit[0] = 1;
    P->limit[1] = 2;
    f->set = (dcls_parameters){.items = f->items, .count = PARTS};
    return f;
}

static fixture *small_fixture(void)
{
    fixture *f = make_fixture((const int64_t[]){5, 3, 6, 6});
    random_state = 1; /* values as the script draws them */
    for (size_t i = 0; i < f->most; i++)
        f->value[i] = random_float();
    return f;
}

static void draw_gradients(fixture *f)
{
    for (size_t i = 0; i < f->most; i++)
        f->gradient[i] = 2 * random_float();
}

static void discard(fixture *f)
{
    free(f->value);
    free(f->gradient);
    free(f);
}

static dcls_trainer_options options_of(int which)
{
    dcls_trainer_options o = {
        .position_rate = 5, .spread_rate = 2, .average = 0.9, .weight_decay = 0.05, .eps = 1e-6};
    switch (which) {
    case 0: break;
    case 1: o.momentum = 0.9; break;
    case 2:
        o.momentum = 0.8;
        o.nesterov = true;
        o.clip_norm = 2;
        break;
    case 3:
        o.optimizer = DCLS_ADAMW;
        o.beta1 = 0.9;
        o.beta2 = 0.99;
        o.weight_decay = 0.3;
        break;
    default:
        o.optimizer = DCLS_ADAMW;
        o.beta1 = 0.8;
        o.beta2 = 0.999;
        o.eps = 1e-8;
        o.weight_decay = 0;
        o.clip_norm = 0.5;
    }
    return o;
}

#define METHODS ((int)(sizeof references / sizeof *references))

static dcls_optimizer_state *new_state(const fixture *f, int which)
{
    const dcls_trainer_options options = options_of(which);
    dcls_optimizer_state *state;
    assert_ok(ctx, dcls_optimizer_create(ctx, &options, &f->set, &state));
    return state;
}

static double rate_of(int step)
{
    return 0.1 * (1 - 0.05 * step);
}

static double step_once(fixture *f, dcls_optimizer_state *state, int step, int threads)
{
    double norm;
    draw_gradients(f);
    assert_ok(ctx, dcls_optimizer_step(ctx, state, rate_of(step), threads, &norm));
    return norm;
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void test_torch(void **unused)
{
    (void)unused;
    for (int which = 0; which < METHODS; which++) {
        const struct reference *expected = &references[which];
        fixture *f = small_fixture();
        dcls_optimizer_state *state = new_state(f, which);
        double norm = 0;
        for (int step = 0; step < STEPS; step++)
            norm = step_once(f, state, step, 2);
        assert_near(norm, expected->norm, norm, "norm", which);
        int64_t at = 0;
        for (int part = 0; part < 4; part++) {
            const float *average = dcls_optimizer_average(state, &f->items[part]);
            for (size_t i = 0; i < f->items[part].count; i++, at++) {
                assert_near((double)f->value[at], expected->value[at], 1, f->items[part].name, at);
                assert_near((double)average[i], expected->average[at], 1, "average", at);
            }
        }
        assert_int_equal(dcls_optimizer_steps(state), STEPS);
        dcls_optimizer_destroy(state);
        discard(f);
    }
}

/* Frozen values stay and do not count in the norm; buffers stay and are averaged. */
static void test_untouched(void **unused)
{
    (void)unused;
    fixture *f = small_fixture();
    for (int i = 0; i < 4; i++)
        f->other[0][i] = f->other[1][i] = (float)i;
    dcls_optimizer_state *state = new_state(f, 1);
    for (int i = 0; i < 4; i++)
        f->other[1][i] = (float)i + 10;
    double norm = step_once(f, state, 0, 1), sum = 0;
    for (size_t i = 0; i < f->most; i++)
        sum += (double)f->gradient[i] * (double)f->gradient[i];
    assert_near(norm, sqrt(sum), norm, "norm", 0);
    for (int i = 0; i < 4; i++) {
        assert_true(f->other[0][i] == (float)i && f->other[1][i] == (float)i + 10);
        assert_near((double)dcls_optimizer_average(state, &f->items[BUFFER])[i], i + 9, 10, "average", i);
    }
    assert_ptr_equal(dcls_optimizer_average(state, &f->items[FROZEN]), f->other[0]);
    dcls_optimizer_destroy(state);
    discard(f);
}

/* Enough floats for several pieces, one of which reaches over the border between two indices of P. */
static void test_threads(void **unused)
{
    (void)unused;
    for (int which = 0; which < METHODS; which++) {
        fixture *f[2];
        double norm[2];
        for (int i = 0; i < 2; i++) {
            f[i] = make_fixture((const int64_t[]){70001, 7, 2 * 20011, 2 * 10});
            dcls_optimizer_state *state = new_state(f[i], which);
            for (int step = 0; step < 3; step++)
                norm[i] = step_once(f[i], state, step, i == 0 ? 1 : 7);
            dcls_optimizer_destroy(state);
        }
        assert_memory_equal(&norm[0], &norm[1], sizeof norm[0]);
        assert_same_bits(f[0]->value, f[1]->value, (int64_t)f[0]->most, "value");
        const dcls_parameter *P = &f[0]->items[POSITIONS];
        int64_t clamped[2] = {0};
        for (size_t i = 0; i < P->count; i++) {
            const int j = i >= 20011;
            assert_true(fabsf(P->value[i]) <= P->limit[j]);
            clamped[j] += fabsf(P->value[i]) == P->limit[j];
        }
        if (which < 2) assert_true(clamped[0] > 0 && clamped[1] > 0);
        discard(f[0]);
        discard(f[1]);
    }
}

static void test_not_finite(void **unused)
{
    (void)unused;
    fixture *f = small_fixture();
    dcls_optimizer_state *state = new_state(f, 1);
    step_once(f, state, 0, 1);
    float *before = copy_floats(f->value, (int64_t)f->most);
    f->items[SPREADS].gradient[2] = NAN;
    assert_int_equal(dcls_optimizer_step(ctx, state, 0.1, 1, NULL), DCLS_ERR_FORMAT);
    assert_string_equal(dcls_context_message(ctx), "the gradient of 'SIG' is not finite");
    f->items[BIAS].gradient[0] = INFINITY;
    assert_int_equal(dcls_optimizer_step(ctx, state, 0.1, 1, NULL), DCLS_ERR_FORMAT);
    assert_string_equal(dcls_context_message(ctx), "the gradient of 'bias' is not finite");
    assert_int_equal(dcls_optimizer_step(ctx, state, NAN, 1, NULL), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_optimizer_step(ctx, state, -1, 1, NULL), DCLS_ERR_ARGUMENT);
    assert_same_bits(before, f->value, (int64_t)f->most, "value");
    assert_int_equal(dcls_optimizer_steps(state), 1);
    free(before);
    dcls_optimizer_destroy(state);
    discard(f);
}

/* Stored in the middle and restored into a fresh state: the same end. */
static void test_checkpoint(void **unused)
{
    (void)unused;
    for (int which = 0; which < METHODS; which++) {
        fixture *f = small_fixture(), *again = small_fixture();
        dcls_optimizer_state *state = new_state(f, which), *fresh = new_state(again, which);
        dcls_tensors *set;
        assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
        for (int step = 0; step < 4; step++)
            step_once(f, state, step, 1);
        assert_ok(ctx, dcls_optimizer_store(ctx, state, set));
        memcpy(again->value, f->value, f->most * sizeof *f->value);
        assert_ok(ctx, dcls_optimizer_restore(ctx, fresh, set));
        assert_int_equal(dcls_optimizer_steps(fresh), 4);
        const uint64_t draws = random_state;
        for (int step = 4; step < STEPS; step++)
            step_once(f, state, step, 1);
        random_state = draws;
        for (int step = 4; step < STEPS; step++)
            step_once(again, fresh, step, 1);
        assert_same_bits(f->value, again->value, (int64_t)f->most, "value");
        for (int part = 0; part < PARTS; part++)
            assert_same_bits(dcls_optimizer_average(state, &f->items[part]),
                             dcls_optimizer_average(fresh, &again->items[part]),
                             (int64_t)f->items[part].count, "average");
        dcls_tensors_destroy(set);
        dcls_optimizer_destroy(state);
        dcls_optimizer_destroy(fresh);
        discard(f);
        discard(again);
    }
}

/* A state of another method, of other shapes or without a count is refused whole. */
static void test_bad_checkpoint(void **unused)
{
    (void)unused;
    fixture *f = small_fixture(), *other = make_fixture((const int64_t[]){5, 4, 6, 6});
    dcls_optimizer_state *state = new_state(f, 1), *adamw = new_state(f, 3), *shapes = new_state(other, 1);
    dcls_tensors *set, *empty;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    assert_ok(ctx, dcls_tensors_create(ctx, "", &empty));
    step_once(other, shapes, 0, 1);
    assert_ok(ctx, dcls_optimizer_store(ctx, shapes, set));
    assert_int_equal(dcls_optimizer_restore(ctx, adamw, set), DCLS_ERR_FORMAT);
    assert_string_equal(dcls_context_message(ctx),
                        "the state of the optimiser lacks the tensor 'optimizer.first.weight'");
    assert_int_equal(dcls_optimizer_restore(ctx, state, set), DCLS_ERR_FORMAT);
    assert_string_equal(dcls_context_message(ctx),
                        "tensor 'optimizer.momentum.bias' is F32 [4], not F32 [3]");
    assert_int_equal(dcls_optimizer_restore(ctx, state, empty), DCLS_ERR_FORMAT);
    assert_int_equal(dcls_optimizer_steps(state), 0);
    /* the weight's momentum, which did fit, was not taken over */
    float *before = copy_floats(f->value, (int64_t)f->most);
    memset(f->gradient, 0, f->most * sizeof *f->gradient);
    assert_ok(ctx, dcls_optimizer_step(ctx, state, 0.5, 1, NULL));
    assert_same_bits(before + 5, f->value + 5, (int64_t)f->most - 5, "value");
    for (int i = 0; i < 5; i++)
        assert_near((double)f->value[i], (1 - 0.5 * 0.05) * (double)before[i], 1, "weight", i);
    free(before);
    dcls_tensors_destroy(set);
    dcls_tensors_destroy(empty);
    dcls_optimizer_destroy(state);
    dcls_optimizer_destroy(adamw);
    dcls_optimizer_destroy(shapes);
    discard(f);
    discard(other);
}

static void refuse(void (*spoil)(dcls_trainer_options *options))
{
    fixture *f = small_fixture();
    dcls_trainer_options options = options_of(2);
    dcls_optimizer_state *state;
    spoil(&options);
    assert_int_equal(dcls_optimizer_create(ctx, &options, &f->set, &state), DCLS_ERR_ARGUMENT);
    assert_null(state);
    discard(f);
}

/* Values after one step with a gradient of `gradient` everywhere. */
static fixture *after_step(dcls_trainer_options options, const char *const *rates, size_t count,
                           float gradient)
{
    fixture *f = small_fixture();
    dcls_optimizer_state *state;
    options.rates = rates;
    options.rate_count = count;
    options.clip_norm = 0;
    for (size_t i = 0; i < f->most; i++)
        f->gradient[i] = gradient;
    assert_ok(ctx, dcls_optimizer_create(ctx, &options, &f->set, &state));
    assert_ok(ctx, dcls_optimizer_step(ctx, state, 0.01, 1, NULL));
    dcls_optimizer_destroy(state);
    return f;
}

/* A factor moves a tensor so many times as far, takes the place of that of positions, and leaves the decay.
 */
static void test_rates(void **unused)
{
    (void)unused;
    static const char *const rates[] = {"*=7", "w*t=4", "P=5", "SIG=2", "bias=1"};
    for (int which = 0; which < METHODS; which++) {
        const dcls_trainer_options o = options_of(which);
        fixture *decayed = after_step(o, NULL, 0, 0), *both = after_step(o, rates, 5, 0);
        for (size_t i = 0; i < decayed->most; i++)
            assert_near((double)both->value[i], (double)decayed->value[i], 1, "decay", (int64_t)i);
        fixture *plain = after_step(o, NULL, 0, 0.3f), *moved = after_step(o, rates, 5, 0.3f);
        const size_t weights = decayed->items[0].count;
        for (size_t i = 0; i < weights; i++)
            assert_near((double)moved->value[i] - (double)decayed->value[i],
                        4 * ((double)plain->value[i] - (double)decayed->value[i]), 1, "weight", (int64_t)i);
        for (size_t i = weights; i < plain->most; i++)
            assert_near((double)moved->value[i], (double)plain->value[i], 1, "others", (int64_t)i);
        discard(decayed), discard(both), discard(plain), discard(moved);
    }
}

static void spoil_rates(dcls_trainer_options *o)
{
    static const char *const none[] = {"frozen=2"};
    o->rates = none;
    o->rate_count = 1;
}
static void spoil_factor(dcls_trainer_options *o)
{
    static const char *const zero[] = {"*=1e-300"};
    o->rates = zero;
    o->rate_count = 1;
}
static void spoil_decay(dcls_trainer_options *o)
{
    o->weight_decay = -1;
}
static void spoil_momentum(dcls_trainer_options *o)
{
    o->momentum = 1;
}
static void spoil_nesterov(dcls_trainer_options *o)
{
    o->momentum = 0;
}
static void spoil_average(dcls_trainer_options *o)
{
    o->average = NAN;
}
static void spoil_beta(dcls_trainer_options *o)
{
    o->optimizer = DCLS_ADAMW;
    o->beta2 = 1.5;
}
static void spoil_clip(dcls_trainer_options *o)
{
    o->clip_norm = INFINITY;
}

/* Less than a float holds is 0 as well. */
static void spoil_eps(dcls_trainer_options *o)
{
    o->optimizer = DCLS_ADAMW;
    o->eps = 1e-60;
}

static void test_bad_options(void **unused)
{
    (void)unused;
    refuse(spoil_decay);
    refuse(spoil_momentum);
    refuse(spoil_nesterov);
    refuse(spoil_average);
    refuse(spoil_beta);
    refuse(spoil_clip);
    refuse(spoil_eps);
    refuse(spoil_rates);
    refuse(spoil_factor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch),       cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_threads),     cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_checkpoint),  cmocka_unit_test(test_bad_checkpoint),
        cmocka_unit_test(test_bad_options), cmocka_unit_test(test_rates),
    };
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
