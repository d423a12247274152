/* Plans whose steps are made side by side compute the same bits as those made one by one. */
#include "create_util.h"

enum { SIDE = 16, MOST_OUT = 4096 };

/* Pointwise convolutions, among them one layer with most of the weights, which is made on all threads. */
#define CONV(name, side, pad, out)                                                                           \
    "{\"op\":\"conv\",\"name\":\"" name "\",\"weight\":\"" name ".w\",\"bias\":\"" name ".b\","              \
    "\"kernel_size\":" side ",\"padding\":" pad ",\"out_channels\":" out                                     \
    "},{\"op\":\"sigmoid\",\"name\":\"" name ".s\"}"
#define DOMINATED                                                                                            \
    "{\"task\":\"segmentation\",\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},\"nodes\":"  \
    "[" CONV("a", "1", "0", "16") "," CONV("b", "1", "0", "24") "," CONV("c", "3", "1", "300") "," CONV(     \
        "d", "1", "0", "16") "," CONV("e", "3", "1", "20") "," CONV("f", "1", "0",                           \
                                                                    "12") "," CONV("g", "1", "0", "12") "]}"

static size_t run_on(dcls_context *ctx, const dcls_model *model, int threads, float *out)
{
    static float input[3 * SIDE * SIDE];
    dcls_plan *plan;
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = (float)(i * 37 % 101) / 50 - 1;
    assert_ok(ctx, dcls_context_set_threads(ctx, threads));
    assert_ok(ctx, dcls_plan_create(ctx, model, NULL, 4, (const int64_t[]){1, 3, SIDE, SIDE}, &plan));
    const size_t count = dcls_plan_output_count(plan);
    assert_in_range(count, 1, MOST_OUT);
    assert_ok(ctx, dcls_plan_run(ctx, plan, input, out));
    dcls_plan_destroy(plan);
    return count;
}

static void check(dcls_context *ctx, dcls_model *model)
{
    static float alone[MOST_OUT], together[MOST_OUT];
    const size_t count = run_on(ctx, model, 1, alone);
    for (int threads = 2; threads <= 5; threads++) {
        assert_int_equal(run_on(ctx, model, threads, together), count);
        assert_memory_equal(together, alone, count * sizeof *alone);
    }
    dcls_model_destroy(model);
}

static void many_steps(void **state)
{
    const char *const settings[] = {"dim=96", "depth=5", "dilated_kernel_size=7", NULL};
    dcls_model *model;
    assert_ok(*state, create_with(*state, (dcls_create_options){.arch = "convmixer", .classes = 9}, settings,
                                  &model));
    check(*state, model);
}

static void one_large_step(void **state)
{
    dcls_model *model;
    assert_ok(*state,
              dcls_model_create(*state, &(dcls_create_options){.arch_json = DOMINATED, .seed = 2}, &model));
    check(*state, model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CONTEXT_TEST(many_steps), CONTEXT_TEST(one_large_step)};
    return cmocka_run_group_tests_name("plan_threads", tests, NULL, NULL);
}
