/* Shapes of values: against windows counted one by one, and every way in which sizes do not fit. */
#include "model_util.h"

#define TENSORS "w 4 3 3 3; w1 2 3 1 1; k 3 1 5; P 2 3 1 5; lw 2 12"

static dcls_model *read_model(dcls_context *ctx, const char *input, const char *nodes)
{
    dcls_string json = {0};
    dcls_string_printf(&json, "{\"input\":{\"channels\":3,%s},\"nodes\":[%s]}", input, nodes);
    dcls_model *model = NULL;
    const dcls_status status = dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), json.data, &model);
    check_outcome(ctx, json.data, status, DCLS_OK, NULL);
    dcls_string_free(&json);
    return model;
}

/* Windows of a line one by one: they must lie within the padding. With ceil_mode one more may stick out
 * behind, by less than a stride, if it starts on the line or in the padding before it. */
static int64_t count_windows(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, int64_t before,
                             int64_t after, bool ceil_mode)
{
    int64_t count = 0;
    for (int64_t start = -before;; start += stride) {
        const int64_t beyond = start + dilation * (kernel - 1) - (size + after - 1);
        const bool partial = ceil_mode && beyond < stride && start < size;
        if (beyond > 0 && !partial) return count;
        count++;
    }
}

static void windows_of_every_size(void **state)
{
    dcls_context *ctx = *state;
    int compared = 0;
    for (int kernel = 1; kernel <= 4; kernel++)
        for (int stride = 1; stride <= 4; stride++)
            for (int dilation = 1; dilation <= 2; dilation++)
                for (int pad = 0; pad <= kernel / 2; pad++)
                    for (int ceil_mode = 0; ceil_mode < 2; ceil_mode++) {
                        char node[200];
                        snprintf(node, sizeof node,
                                 "{\"op\":\"max_pool\",\"kernel_size\":%d,\"stride\":%d,\"dilation\":%d,"
                                 "\"padding\":%d,\"ceil_mode\":%s}",
                                 kernel, stride, dilation, pad, ceil_mode ? "true" : "false");
                        dcls_model *model = read_model(ctx, "\"width\":\"any\"", node);
                        for (int64_t size = 1; size <= 13; size++) {
                            const int64_t input[] = {1, 3, size};
                            dcls_shape shapes[2];
                            const int64_t want =
                                count_windows(size, kernel, stride, dilation, pad, pad, ceil_mode);
                            const dcls_status status = dcls_model_infer(ctx, model, 3, input, shapes);
                            if (want == 0) {
                                check_outcome(ctx, node, status, DCLS_ERR_ARGUMENT,
                                              "larger than the padded input");
                                continue;
                            }
                            check_outcome(ctx, node, status, DCLS_OK, NULL);
                            if (shapes[1].size[2] != want)
                                fail_msg("%s: size %d gives %d, not %d", node, (int)size,
                                         (int)shapes[1].size[2], (int)want);
                            compared++;
                        }
                        dcls_model_destroy(model);
                    }
    assert_true(compared > 1000);
}

typedef struct row {
    const char *input; /* of the model, besides channels */
    const char *nodes;
    int64_t shape[6]; /* of the input, ended by 0 */
    dcls_status status;
    const char *outcome; /* the output's shape, or a part of the message */
} row;

#define ANY2  "\"height\":\"any\",\"width\":\"any\""
#define CONV  "{\"op\":\"conv\",\"name\":\"c\",\"weight\":\"w\"}"
#define LAYER "{\"op\":\"dcls\",\"name\":\"d\",\"weight\":\"k\",\"P\":\"P\",\"version\":\"v1\",\"groups\":3,"

static const row ROWS[] = {
    {ANY2, CONV, {2, 3, 5, 7}, DCLS_OK, "[2, 4, 3, 5]"},
    {ANY2, CONV, {2, 3, 5}, DCLS_ERR_ARGUMENT, "takes an input of shape [any, 3, any, any], not [2, 3, 5]"},
    {ANY2, CONV, {2, 4, 5, 5}, DCLS_ERR_ARGUMENT, "not [2, 4, 5, 5]"},
    {ANY2, CONV, {2, 3, -1, 5}, DCLS_ERR_ARGUMENT, "takes an input of shape"},
    {ANY2,
     CONV,
     {2, 3, 2, 5},
     DCLS_ERR_ARGUMENT,
     "node 'c' (conv): its window of 3 is larger than the padded input of 2"},
    {"\"height\":8,\"width\":\"any\"", CONV, {1, 3, 8, 5}, DCLS_OK, "[1, 4, 6, 3]"},
    {"\"height\":8,\"width\":\"any\"", CONV, {1, 3, 9, 5}, DCLS_ERR_ARGUMENT, "[any, 3, 8, any]"},
    {ANY2, CONV, {1, 3, INT64_C(1) << 40, INT64_C(1) << 40}, DCLS_ERR_LIMIT, "the input: a value of shape"},
    {ANY2, CONV, {1, 3, 40000, 40000}, DCLS_ERR_LIMIT, "takes more than the 8589934592 bytes"},
    {ANY2, CONV, {INT64_MAX, 3, INT64_MAX, INT64_MAX}, DCLS_ERR_LIMIT, "takes more than"},

    {ANY2,
     "{\"op\":\"conv\",\"weight\":\"w\",\"padding\":[5,0],\"padding_mode\":\"reflect\"}",
     {1, 3, 6, 6},
     DCLS_OK,
     "[1, 4, 14, 4]"},
    {ANY2,
     "{\"op\":\"conv\",\"weight\":\"w\",\"padding\":5,\"padding_mode\":\"reflect\"}",
     {1, 3, 6, 5},
     DCLS_ERR_ARGUMENT,
     "reflect padding 5 needs an input larger than itself, not 5"},
    {ANY2,
     "{\"op\":\"conv\",\"weight\":\"w\",\"padding\":5,\"padding_mode\":\"circular\"}",
     {1, 3, 5, 5},
     DCLS_OK,
     "[1, 4, 13, 13]"},
    {ANY2,
     "{\"op\":\"conv\",\"weight\":\"w\",\"padding\":5,\"padding_mode\":\"circular\"}",
     {1, 3, 4, 5},
     DCLS_ERR_ARGUMENT,
     "circular padding 5 is more than the input's 4"},
    {ANY2,
     "{\"op\":\"conv\",\"weight\":\"w\",\"padding\":5,\"padding_mode\":\"replicate\"}",
     {1, 3, 1, 1},
     DCLS_OK,
     "[1, 4, 9, 9]"},
    {ANY2,
     "{\"op\":\"conv\",\"weight\":\"w\",\"padding\":\"same\",\"dilation\":[2,5]}",
     {1, 3, 9, 4},
     DCLS_OK,
     "[1, 4, 9, 4]"},
    {ANY2,
     LAYER "\"dilated_kernel_size\":[8,3],\"padding\":\"same\"}",
     {1, 3, 9, 4},
     DCLS_OK,
     "[1, 3, 9, 4]"},
    {ANY2,
     LAYER "\"dilated_kernel_size\":17,\"padding\":8,\"stride\":2}",
     {1, 3, 32, 33},
     DCLS_OK,
     "[1, 3, 16, 17]"},

    {ANY2,
     LAYER "\"dilated_kernel_size\":8,\"padding\":4},{\"op\":\"relu\"},{\"op\":\"add\",\"name\":\"a\","
           "\"inputs\":[\"relu.2\",\"input\"]}",
     {1, 3, 32, 32},
     DCLS_ERR_ARGUMENT,
     "node 'a' (add): its inputs [1, 3, 33, 33] and [1, 3, 32, 32] differ: at 'd' an even "
     "dilated_kernel_size 8 with "
     "padding 4 makes 33x33 of 32x32"},
    {ANY2,
     LAYER "\"dilated_kernel_size\":9,\"padding\":4},{\"op\":\"add\",\"inputs\":[\"input\",\"d\"]}",
     {1, 3, 8, 8},
     DCLS_OK,
     "[1, 3, 8, 8]"},
    {ANY2,
     LAYER "\"dilated_kernel_size\":9,\"padding\":3},{\"op\":\"mul\",\"inputs\":[\"input\",\"d\"]}",
     {1, 3, 8, 8},
     DCLS_ERR_ARGUMENT,
     "its inputs [1, 3, 8, 8] and [1, 3, 6, 6] differ"},
    {ANY2,
     "{\"op\":\"global_max_pool\",\"name\":\"g\"},{\"op\":\"mul\",\"inputs\":[\"input\",\"g\"]}",
     {2, 3, 8, 9},
     DCLS_OK,
     "[2, 3, 8, 9]"},
    {ANY2,
     "{\"op\":\"global_max_pool\",\"name\":\"g\"},{\"op\":\"mul\",\"inputs\":[\"g\",\"input\"]}",
     {2, 3, 8, 9},
     DCLS_OK,
     "[2, 3, 8, 9]"},
    {ANY2,
     CONV ",{\"op\":\"max_pool\",\"name\":\"m\",\"kernel_size\":3,\"stride\":1,\"inputs\":\"input\"},"
          "{\"op\":\"concat\",\"inputs\":[\"c\",\"m\",\"c\"]}",
     {1, 3, 9, 4},
     DCLS_OK,
     "[1, 11, 7, 2]"},
    {ANY2,
     CONV ",{\"op\":\"concat\",\"name\":\"x\",\"inputs\":[\"c\",\"input\"]}",
     {1, 3, 9, 4},
     DCLS_ERR_ARGUMENT,
     "node 'x' (concat): its inputs [1, 4, 7, 2] and [1, 3, 9, 4] differ in more than channels"},

    {ANY2, "{\"op\":\"flatten\"}", {2, 3, 4, 5}, DCLS_OK, "[2, 60]"},
    {ANY2,
     "{\"op\":\"flatten\"},{\"op\":\"linear\",\"name\":\"l\",\"weight\":\"lw\"}",
     {5, 3, 2, 2},
     DCLS_OK,
     "[5, 2]"},
    {ANY2,
     "{\"op\":\"flatten\"},{\"op\":\"linear\",\"name\":\"l\",\"weight\":\"lw\"}",
     {5, 3, 2, 3},
     DCLS_ERR_ARGUMENT,
     "node 'l' (linear): its input has 18 features, its weight is for 12"},
    {ANY2, "{\"op\":\"global_avg_pool\"}", {2, 3, 4, 5}, DCLS_OK, "[2, 3, 1, 1]"},
    {ANY2, "{\"op\":\"global_avg_pool\",\"flatten\":true}", {2, 3, 4, 5}, DCLS_OK, "[2, 3]"},
    {"\"depth\":\"any\"," ANY2, "{\"op\":\"global_avg_pool\"}", {2, 3, 4, 5, 6}, DCLS_OK, "[2, 3, 1, 1, 1]"},

    {ANY2, "{\"op\":\"resize\",\"size\":[3,9]}", {1, 3, 4, 5}, DCLS_OK, "[1, 3, 3, 9]"},
    {ANY2, "{\"op\":\"resize\",\"scale\":[1.5,0.3]}", {1, 3, 5, 10}, DCLS_OK, "[1, 3, 7, 3]"},
    {ANY2,
     "{\"op\":\"resize\",\"name\":\"r\",\"scale\":0.1}",
     {1, 3, 9, 10},
     DCLS_ERR_ARGUMENT,
     "node 'r' (resize): scale 0.1 of size 9 is out of range"},
    {ANY2, CONV ",{\"op\":\"resize\",\"inputs\":[\"c\",\"input\"]}", {1, 3, 9, 10}, DCLS_OK, "[1, 4, 9, 10]"},
    {ANY2,
     "{\"op\":\"resize\",\"scale\":1048576},{\"op\":\"resize\",\"name\":\"r\",\"scale\":1048576}",
     {1, 1, 1, 1},
     DCLS_ERR_ARGUMENT,
     "takes an input"},
    {ANY2,
     "{\"op\":\"resize\",\"name\":\"r\",\"scale\":1048576}",
     {1, 3, 9, 9},
     DCLS_ERR_LIMIT,
     "node 'r' (resize)"},
    {ANY2,
     "{\"op\":\"softmax\"},{\"op\":\"dropout\"},{\"op\":\"identity\"}",
     {7, 3, 1, 1},
     DCLS_OK,
     "[7, 3, 1, 1]"},
};

static void sizes_and_messages(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const row *r = &ROWS[i];
        dcls_model *model = read_model(ctx, r->input, r->nodes);
        int ndim = 0;
        while (ndim < 6 && r->shape[ndim] != 0)
            ndim++;
        dcls_shape shapes[8];
        const dcls_status status = dcls_model_infer(ctx, model, ndim, r->shape, shapes);
        check_outcome(ctx, r->nodes, status, r->status, r->status == DCLS_OK ? NULL : r->outcome);
        char text[DCLS_SHAPE_TEXT];
        if (r->status == DCLS_OK)
            assert_string_equal(
                dcls_shape_text(text, sizeof text, shapes[model->output].ndim, shapes[model->output].size),
                r->outcome);
        dcls_model_destroy(model);
    }
}

/* The memory limit bounds every value. */
static void obeys_the_limit(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model = read_model(ctx, ANY2, CONV);
    const int64_t input[] = {1, 3, 10, 10};
    dcls_shape shapes[2];
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 4 * 8 * 8 * sizeof(float) + 300);
    assert_ok(ctx, dcls_model_infer(ctx, model, 4, input, shapes));
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 3 * 10 * 10 * sizeof(float) - 1);
    check_outcome(ctx, "limit", dcls_model_infer(ctx, model, 4, input, shapes), DCLS_ERR_LIMIT, "the input");
    dcls_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(windows_of_every_size),
        CONTEXT_TEST(sizes_and_messages),
        CONTEXT_TEST(obeys_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
