/* Reading networks: what is refused and why, and chains as long as may be. */
#include "graph_util.h"

typedef struct bad_row {
    const char *json;
    dcls_status status;
    const char *part;
} bad_row;

static const bad_row BAD[] = {
    /* the text and what stands around the nodes */
    {"", DCLS_ERR_FORMAT, "the network's description"},
    {"[1]", DCLS_ERR_FORMAT, "'model' must be an object, not an array"},
    {"{\"model\":3}", DCLS_ERR_FORMAT, "'model' must be an object, not a number"},
    {"{\"nodes\":[" FIRST "]}", DCLS_ERR_FORMAT, "no 'input'"},
    {"{\"taks\":\"features\"}", DCLS_ERR_FORMAT, "unknown member 'taks' (did you mean 'task'?)"},
    {"{\"task\":\"detection\"}", DCLS_ERR_FORMAT, "'task' must be one of \"classification\""},
    {"{\"input\":{\"height\":3,\"width\":3}}", DCLS_ERR_FORMAT, "'channels' must be a whole number"},
    {"{\"input\":{\"channels\":3}}", DCLS_ERR_FORMAT, "'width' must be a whole number from 1 to"},
    {"{\"input\":{\"channels\":3,\"depth\":3,\"width\":3}}", DCLS_ERR_FORMAT, "a depth but no height"},
    {"{\"input\":{\"channels\":3,\"height\":0,\"width\":3}}", DCLS_ERR_FORMAT, "'height' must be"},
    {"{\"input\":{\"channels\":3,\"height\":2.5,\"width\":3}}", DCLS_ERR_FORMAT, "'height' must be"},
    {"{" INPUT "}", DCLS_ERR_FORMAT, "'nodes' must be an array, not nothing"},
    {MODEL "]}", DCLS_ERR_FORMAT, "the network has no nodes"},
    {MODEL FIRST "],\"output\":3}", DCLS_ERR_FORMAT, "'output' must be a node's name"},
    {MODEL FIRST "],\"output\":\"cc\"}", DCLS_ERR_FORMAT,
     "the output 'cc' does not exist (did you mean 'c'?)"},
    {MODEL FIRST "],\"output\":\"input\"}", DCLS_ERR_FORMAT, "the output is the network's input"},
    {MODEL FIRST "],\"labels\":[\"a\",3]}", DCLS_ERR_FORMAT, "label 1 is not a string"},
    {MODEL FIRST "],\"labels\":[\"a\",\"b\"]}", DCLS_ERR_FORMAT,
     "there are 2 labels, but the output 'c' has 4 channels"},
    {MODEL FIRST "],\"palette\":[[0,0,256]]}", DCLS_ERR_FORMAT, "colour 0 must be three numbers"},
    {MODEL FIRST "],\"palette\":[[0,0]]}", DCLS_ERR_FORMAT, "colour 0 must be three numbers"},
    {MODEL FIRST "],\"palette\":[]}", DCLS_ERR_FORMAT, "'palette' must be a list of 1 to 256"},
    {MODEL FIRST "],\"task\":\"classification\"}", DCLS_ERR_FORMAT,
     "task classification: the output 'c' has 4 dimensions, must be [N, classes]"},
    {MODEL FIRST ",{\"op\":\"flatten\"}],\"task\":\"segmentation\"}", DCLS_ERR_FORMAT, "[N, classes, height"},
    {"{\"input\":{\"channels\":257,\"height\":9,\"width\":9},\"task\":\"segmentation\",\"nodes\":[{\"op\":"
     "\"relu\"}]}",
     DCLS_ERR_LIMIT, "has 257 classes, a mask can hold 256"},
    {"{\"input\":{\"channels\":9,\"width\":9},\"task\":\"segmentation\",\"nodes\":[{\"op\":\"relu\"}]}",
     DCLS_ERR_FORMAT, "segmentation needs an input of height and width"},
    {MODEL FIRST "],\"preprocess\":{\"mean\":[1,2]}}", DCLS_ERR_FORMAT,
     "'mean' of 'preprocess' must be a number or"},
    {MODEL FIRST "],\"preprocess\":{\"std\":0}}", DCLS_ERR_FORMAT, "'std' of 'preprocess' is out of range"},
    {MODEL FIRST "],\"preprocess\":{\"filter\":\"cubic\"}}", DCLS_ERR_FORMAT, "'filter' must be one of"},
    {MODEL FIRST "],\"preprocess\":{\"resize\":{\"shorter\":3,\"width\":3}}}", DCLS_ERR_FORMAT,
     "must have either"},
    {MODEL FIRST "],\"preprocess\":{\"resize\":{\"height\":3}}}", DCLS_ERR_FORMAT, "'width' must be"},
    {MODEL FIRST "],\"preprocess\":{\"crop\":{\"height\":-3,\"width\":3}}}", DCLS_ERR_FORMAT,
     "'height' must be"},
    {MODEL FIRST "],\"preprocess\":{\"crop\":{\"height\":33,\"width\":32}}}", DCLS_ERR_FORMAT,
     "'preprocess' gives pictures of 33x32, which 'input' does not take"},
    {MODEL FIRST "],\"task\":\"segmentation\",\"preprocess\":{\"crop\":{\"height\":32,\"width\":32}}}",
     DCLS_ERR_FORMAT, "a segmentation model cannot crop"},
    {"{\"input\":{\"channels\":3,\"width\":9},\"preprocess\":{\"mean\":0}}", DCLS_ERR_FORMAT,
     "is for pictures"},

    /* nodes by themselves */
    {MODEL "3]}", DCLS_ERR_FORMAT, "node number 1 is a number"},
    {MODEL "{\"name\":\"x\"}]}", DCLS_ERR_FORMAT, "node 'x': 'op', the name of an operation, is missing"},
    {MODEL "{\"op\":\"relu\",\"name\":7}]}", DCLS_ERR_FORMAT, "'name' must be a string, not a number"},
    {MODEL "{\"op\":\"rleu\",\"name\":\"x\"}]}", DCLS_ERR_UNSUPPORTED,
     "node 'x': unknown op 'rleu' (did you mean 'relu'?): the ops are conv, dcls, linear, batch_norm"},
    {MODEL "{\"op\":\"relu\",\"name\":\"x\",\"alpha\":1}]}", DCLS_ERR_FORMAT,
     "node 'x' (relu): unknown attribute 'alpha': it has none"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"dilatoin\":1}]}", DCLS_ERR_FORMAT,
     "unknown attribute 'dilatoin' (did you mean 'dilation'?)"},
    {MODEL "{\"op\":\"relu\",\"name\":\"\"}]}", DCLS_ERR_FORMAT, "node number 1 has an empty name"},
    {MODEL "{\"op\":\"relu\",\"name\":\"input\"}]}", DCLS_ERR_FORMAT, "a node is named 'input'"},
    {MODEL FIRST "," FIRST "]}", DCLS_ERR_FORMAT, "two nodes are named 'c'"},
    {MODEL "{\"op\":\"relu\",\"name\":\"x\",\"inputs\":[\"inptu\"]}]}", DCLS_ERR_FORMAT,
     "node 'x' (relu): its input 'inptu' does not exist (did you mean 'input'?)"},
    {MODEL "{\"op\":\"relu\",\"name\":\"x\",\"inputs\":[]}]}", DCLS_ERR_FORMAT,
     "'inputs' must be a list of names"},
    {MODEL "{\"op\":\"relu\",\"name\":\"x\",\"inputs\":[1]}]}", DCLS_ERR_FORMAT,
     "'inputs' must be a list of names"},
    {MODEL "{\"op\":\"relu\",\"name\":\"x\",\"inputs\":[\"input\",\"input\"]}]}", DCLS_ERR_FORMAT,
     "node 'x' (relu): it has 2 inputs, can have 1"},
    {MODEL "{\"op\":\"add\",\"name\":\"x\"}]}", DCLS_ERR_FORMAT,
     "node 'x' (add): it has 1 input, must have 2"},

    /* nodes among each other */
    {MODEL "{\"op\":\"relu\",\"name\":\"x\",\"inputs\":\"x\"}]}", DCLS_ERR_FORMAT,
     "the nodes form a cycle: x -> x"},
    {MODEL
     "{\"op\":\"add\",\"name\":\"x\",\"inputs\":[\"input\",\"z\"]},"
     "{\"op\":\"relu\",\"name\":\"y\",\"inputs\":\"x\"},{\"op\":\"relu\",\"name\":\"z\",\"inputs\":\"y\"}]}",
     DCLS_ERR_FORMAT, "the nodes form a cycle: x -> y -> z -> x"},
    {MODEL FIRST
     ",{\"op\":\"relu\",\"name\":\"x\",\"inputs\":\"c\"},{\"op\":\"relu\",\"name\":\"y\",\"inputs\":\"c\"}]}",
     DCLS_ERR_FORMAT, "node 'x' (relu): its output is neither used nor the network's output 'y'"},
    {MODEL FIRST ",{\"op\":\"relu\",\"name\":\"x\"}],\"output\":\"c\"}", DCLS_ERR_FORMAT,
     "a network has one output"},
    {MODEL FIRST ",{\"op\":\"add\",\"name\":\"x\",\"inputs\":[\"c\",\"input\"]}]}", DCLS_ERR_FORMAT,
     "node 'x' (add): its inputs [any, 4, 30, any] and [any, 3, 32, any] differ"},
    {MODEL FIRST ",{\"op\":\"concat\",\"name\":\"x\",\"inputs\":[\"c\",\"input\"]}]}", DCLS_ERR_FORMAT,
     "node 'x' (concat): its inputs [any, 4, 30, any] and [any, 3, 32, any] differ in more than channels"},
    {MODEL "{\"op\":\"flatten\"},{\"op\":\"relu\"},{\"op\":\"max_pool\",\"name\":\"x\",\"kernel_size\":2}]}",
     DCLS_ERR_FORMAT, "node 'x' (max_pool): its input [any, any] has no spatial dimensions"},

    /* tensors */
    {MODEL "{\"op\":\"conv\",\"name\":\"x\"}]}", DCLS_ERR_FORMAT,
     "'weight', the name of a tensor, is missing"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":3}]}", DCLS_ERR_FORMAT,
     "'weight' must be the name of a tensor"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"wx\"}]}", DCLS_ERR_FORMAT,
     "its weight, tensor 'wx', does not exist (did you mean 'w'?)"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"bias\":\"n4\"}]}", DCLS_ERR_FORMAT,
     "'n4' is I64"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"bias\":\"v5\"}]}", DCLS_ERR_FORMAT,
     "tensor 'v5' is [5], must be [4]"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"lw\"}]}", DCLS_ERR_FORMAT,
     "tensor 'lw' is [10, 4], must be [out, in/groups, height, width]"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"e\"}]}", DCLS_ERR_FORMAT,
     "[4, 0, 3, 3]: it is empty"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"big\"}]}", DCLS_ERR_LIMIT, "kernel side of 1048577"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w1\"}]}", DCLS_ERR_FORMAT,
     "node 'x' (conv): its input has 3 channels, its tensors are for 4"},
    {MODEL "{\"op\":\"batch_norm\",\"name\":\"x\",\"weight\":\"v4\",\"running_mean\":\"v5\",\"running_var\":"
           "\"v5\"}]}",
     DCLS_ERR_FORMAT, "tensor 'v5' is [5], must be [4]"},
    {MODEL "{\"op\":\"batch_norm\",\"name\":\"x\",\"weight\":\"v4\"}]}", DCLS_ERR_FORMAT,
     "'running_mean', the name"},
    {MODEL "{\"op\":\"layer_norm\",\"name\":\"x\",\"weight\":\"v4\"}]}", DCLS_ERR_FORMAT, "has 3 channels"},
    {MODEL "{\"op\":\"layer_norm\",\"name\":\"x\",\"bias\":\"v4\"}]}", DCLS_ERR_FORMAT,
     "a bias but no weight"},
    {MODEL "{\"op\":\"layer_scale\",\"name\":\"x\",\"weight\":\"w1\"}]}", DCLS_ERR_FORMAT,
     "must be [channels]"},
    {MODEL "{\"op\":\"linear\",\"name\":\"x\",\"weight\":\"lw\"}]}", DCLS_ERR_FORMAT,
     "put a flatten before it"},
    {MODEL
     "{\"op\":\"global_avg_pool\",\"flatten\":true},{\"op\":\"linear\",\"name\":\"x\",\"weight\":\"lw\"}]}",
     DCLS_ERR_FORMAT, "its input has 3 features, its weight is for 4"},

    /* attributes */
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"stride\":0}]}", DCLS_ERR_FORMAT,
     "node 'x' (conv): attribute 'stride' is 0, must be 1 to 1048576"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"stride\":1.5}]}", DCLS_ERR_FORMAT,
     "must be a whole number"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"stride\":[1,1,1]}]}", DCLS_ERR_FORMAT,
     "attribute 'stride' has 3 values, must have 1 or 2"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"stride\":[1,1,1,1]}]}", DCLS_ERR_FORMAT,
     "a list of up to three"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"stride\":[]}]}", DCLS_ERR_FORMAT,
     "a list of up to three"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"padding\":2147483648}]}", DCLS_ERR_FORMAT,
     "is 2147483648"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"padding\":-1}]}", DCLS_ERR_FORMAT,
     "'padding' is -1"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"padding\":\"full\"}]}", DCLS_ERR_FORMAT,
     "or \"same\""},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"padding\":\"same\",\"stride\":2}]}",
     DCLS_ERR_FORMAT, "padding \"same\" needs stride 1, not 2"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"dilation\":1e300}]}", DCLS_ERR_FORMAT,
     "'dilation' is 1e300"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"dilation\":[1,true]}]}", DCLS_ERR_FORMAT,
     "'dilation' must be"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"groups\":0}]}", DCLS_ERR_FORMAT,
     "'groups' is 0"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"groups\":[1]}]}", DCLS_ERR_FORMAT,
     "'groups' must be a whole number"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"groups\":3}]}", DCLS_ERR_FORMAT,
     "3 groups do not divide its 4 output channels"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"padding_mode\":\"same\"}]}", DCLS_ERR_FORMAT,
     "attribute 'padding_mode' is 'same', must be one of 'zeros', 'reflect', 'replicate', 'circular'"},
    {MODEL "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"padding_mode\":2}]}", DCLS_ERR_FORMAT,
     "must be one of 'zeros'"},
    {MODEL "{\"op\":\"max_pool\",\"name\":\"x\"}]}", DCLS_ERR_FORMAT, "attribute 'kernel_size' is missing"},
    {MODEL "{\"op\":\"max_pool\",\"name\":\"x\",\"kernel_size\":3,\"padding\":2}]}", DCLS_ERR_FORMAT,
     "padding 2 is more than half of kernel_size 3"},
    {MODEL "{\"op\":\"max_pool\",\"name\":\"x\",\"kernel_size\":33}]}", DCLS_ERR_FORMAT,
     "its window of 33 is larger than the padded input of 32"},
    {MODEL "{\"op\":\"max_pool\",\"name\":\"x\",\"kernel_size\":3,\"ceil_mode\":1}]}", DCLS_ERR_FORMAT,
     "true or false"},
    {MODEL
     "{\"op\":\"batch_norm\",\"name\":\"x\",\"running_mean\":\"v4\",\"running_var\":\"v4\",\"eps\":-1}]}",
     DCLS_ERR_FORMAT, "'eps' is -1, must be 0 to 1"},
    {MODEL "{\"op\":\"gelu\",\"name\":\"x\",\"approximate\":\"erf\"}]}", DCLS_ERR_FORMAT,
     "must be one of 'none', 'tanh'"},
    {MODEL "{\"op\":\"resize\",\"name\":\"x\"}]}", DCLS_ERR_FORMAT,
     "needs one of 'size', 'scale' and a second input"},
    {MODEL "{\"op\":\"resize\",\"name\":\"x\",\"size\":9,\"scale\":2}]}", DCLS_ERR_FORMAT, "needs one of"},
    {MODEL "{\"op\":\"resize\",\"name\":\"x\",\"size\":9,\"align_corners\":true}]}", DCLS_ERR_FORMAT,
     "no meaning with mode"},
    {MODEL "{\"op\":\"resize\",\"name\":\"x\",\"scale\":0}]}", DCLS_ERR_FORMAT, "'scale' is 0"},
    {MODEL "{\"op\":\"resize\",\"name\":\"x\",\"scale\":[1,2,3]}]}", DCLS_ERR_FORMAT,
     "has 3 values, must have 1 or 2"},
    {MODEL "{\"op\":\"resize\",\"scale\":1048576},{\"op\":\"resize\",\"name\":\"x\",\"scale\":1048576}]}",
     DCLS_ERR_LIMIT, "node 'x' (resize): a value of shape [any, 3, 35184372088832, any] takes more than the"},
    {MODEL "{\"op\":\"resize\",\"name\":\"x\",\"size\":[1048576,1048576]}]}", DCLS_ERR_LIMIT,
     "more than the"},

    /* DCLS layers */
    {MODEL LAYER "\"version\":\"v1\",\"dilated_kernel_size\":3}]}", DCLS_ERR_FORMAT,
     "'P', the name of a tensor"},
    {MODEL LAYER "\"P\":\"P\",\"dilated_kernel_size\":3}]}", DCLS_ERR_FORMAT,
     "attribute 'version' is missing"},
    {MODEL LAYER "\"P\":\"P\",\"version\":\"v1\"}]}", DCLS_ERR_FORMAT, "'dilated_kernel_size' is missing"},
    {MODEL LAYER "\"P\":\"P\",\"version\":\"v2\",\"dilated_kernel_size\":3}]}", DCLS_ERR_FORMAT,
     "'v0', 'v1', 'max'"},
    {MODEL LAYER "\"P\":\"P\",\"version\":\"max\",\"dilated_kernel_size\":3}]}", DCLS_ERR_FORMAT,
     "max needs SIG"},
    {MODEL LAYER "\"P\":\"P\",\"SIG\":\"SIG\",\"version\":\"v0\",\"dilated_kernel_size\":3}]}",
     DCLS_ERR_FORMAT, "version must be max or gauss, not v0"},
    {MODEL LAYER "\"P\":\"P1\",\"version\":\"v1\",\"dilated_kernel_size\":3}]}", DCLS_ERR_FORMAT,
     "tensor 'P1' is [1, 4, 1, 5], must be [2, 4, 1, 5]"},
    {MODEL LAYER "\"P\":\"Ps\",\"SIG\":\"SIG\",\"version\":\"gauss\",\"dilated_kernel_size\":3}]}",
     DCLS_ERR_FORMAT, "P and SIG differ in rank: 3 and 4"},
    {MODEL LAYER SPREAD "\"dilated_kernel_size\":3,\"layer\":\"3_1d\"}]}", DCLS_ERR_FORMAT,
     "this layer kind is not for 2-D networks"},
    {MODEL LAYER SPREAD "\"dilated_kernel_size\":3,\"layer\":\"2_1d\"}]}", DCLS_ERR_FORMAT,
     "[out, in/groups, dense, K]"},
    {MODEL LAYER "\"P\":\"P1\",\"version\":\"v1\",\"dilated_kernel_size\":[3,3],\"layer\":\"2dK1d\"}]}",
     DCLS_ERR_FORMAT, "'dilated_kernel_size' has 2 values, must have 1 or 1"},
    {MODEL LAYER SPREAD "\"dilated_kernel_size\":3,\"flat_dim\":2}]}", DCLS_ERR_FORMAT, "'flat_dim' is 2"},
    {MODEL LAYER SPREAD "\"dilated_kernel_size\":3,\"dilation\":2}]}", DCLS_ERR_FORMAT,
     "unknown attribute 'dilation'"},
    {MODEL LAYER SPREAD "\"dilated_kernel_size\":1000000}]}", DCLS_ERR_LIMIT,
     "its dense kernels [4, 1, 1000000, 1000000] are larger than memory may be"},
};

static void refuses_bad_networks(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        dcls_model *model = NULL;
        const dcls_status status = dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), BAD[i].json, &model);
        check_outcome(ctx, BAD[i].json, status, BAD[i].status, BAD[i].part);
        assert_null(model);
    }
}

/* A chain of count nodes, each naming the next as its input when backwards. The last takes the input, or the
 * first. */
static char *chain(int count, bool backwards, bool closed)
{
    dcls_string text = {0};
    dcls_string_puts(&text, MODEL);
    for (int i = 0; i < count; i++) {
        dcls_string_printf(&text, "%s{\"op\":\"relu\",\"name\":\"n%d\"", i > 0 ? "," : "", i);
        if (backwards && i + 1 < count) dcls_string_printf(&text, ",\"inputs\":\"n%d\"", i + 1);
        if (backwards && i + 1 == count)
            dcls_string_printf(&text, ",\"inputs\":\"%s\"", closed ? "n0" : "input");
        dcls_string_puts(&text, "}");
    }
    dcls_string_printf(&text, "],\"output\":\"n%d\"}", backwards ? 0 : count - 1);
    return text.data;
}

static void long_chains(void **state)
{
    dcls_context *ctx = *state;
    static const struct {
        int count;
        bool backwards, closed;
        dcls_status status;
        const char *part;
    } ROWS[] = {
        {DCLS_MAX_NODES, false, false, DCLS_OK, NULL},
        {DCLS_MAX_NODES, true, false, DCLS_OK, NULL},
        {DCLS_MAX_NODES, true, true, DCLS_ERR_FORMAT, "form a cycle: n0 -> n99999 -> n99998"},
        {DCLS_MAX_NODES + 1, false, false, DCLS_ERR_LIMIT, "more than the 100000 allowed"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        dcls_model *model = NULL;
        char *text = chain(ROWS[i].count, ROWS[i].backwards, ROWS[i].closed);
        const dcls_status status = dcls_model_from_json(ctx, make_tensors(ctx, ""), text, &model);
        check_outcome(ctx, "chain", status, ROWS[i].status, ROWS[i].part);
        dcls_model_destroy(model);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(refuses_bad_networks),
        CONTEXT_TEST(long_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
