/* Reading networks: what is refused and why, what is accepted, and that writing gives the same network. */
#include "format_util.h"
#include "model_util.h"

#define TENSORS                                                                                              \
    "w 4 3 3 3; b 4; w1 4 4 1 1; dw 4 2 3 3; lw 10 4; lb 10; v4 4; v5 5; n4 I64 4; h4 F16 4; e 4 0 3 3; "    \
    "k 4 1 5; P 2 4 1 5; SIG 2 4 1 5; Ps 2 1 5; SIGs 2 1 5; P1 1 4 1 5; d 4 1 3 5; d1 1 4 1 3 5; c3 4 3 3; " \
    "big 1 1 1048577 1; m 6 3 2 2"

#define INPUT  "\"input\":{\"channels\":3,\"height\":32,\"width\":\"any\"}"
#define MODEL  "{" INPUT ",\"nodes\":["
#define FIRST  "{\"op\":\"conv\",\"name\":\"c\",\"weight\":\"w\"}"
#define LAYER  "{\"op\":\"dcls\",\"name\":\"d\",\"weight\":\"k\",\"groups\":4,"
#define SPREAD "\"version\":\"gauss\",\"SIG\":\"SIG\",\"P\":\"P\","

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

/* ---- what is accepted ---- */

static const char *const GOOD[] = {
    MODEL FIRST "]}",
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":" MODEL FIRST "]},\"tensors\":{}}",
    MODEL
    "{\"op\":\"conv\",\"weight\":\"w\",\"bias\":\"h4\",\"stride\":[2,1],\"padding\":[0,7],\"dilation\":3}]}",
    MODEL
    "{\"op\":\"conv\",\"weight\":\"w\",\"bias\":null,\"padding\":\"same\",\"padding_mode\":\"circular\"}]}",
    MODEL "{\"op\":\"conv\",\"weight\":\"m\",\"padding\":\"same\"}],\"output\":\"conv.1\"}",
    MODEL FIRST "," LAYER SPREAD "\"dilated_kernel_size\":[5,8],\"padding\":\"same\"}]}",
    MODEL FIRST
    "," LAYER
    "\"P\":\"Ps\",\"SIG\":\"SIGs\",\"version\":\"max\",\"dilated_kernel_size\":[5,9],\"stride\":2}]}",
    MODEL FIRST
    "," LAYER
    "\"P\":\"P1\",\"version\":\"v0\",\"dilated_kernel_size\":7,\"layer\":\"2dK1d\",\"flat_dim\":1}]}",
    MODEL FIRST ",{\"op\":\"dcls\",\"weight\":\"d\",\"P\":\"d1\",\"groups\":4,\"version\":\"v1\","
                "\"dilated_kernel_size\":9,\"layer\":\"2_1d\",\"padding\":[1,4]}]}",
    MODEL FIRST
    ",{\"op\":\"max_pool\",\"kernel_size\":[3,2],\"padding\":1,\"dilation\":2,\"ceil_mode\":true}]}",
    MODEL FIRST ",{\"op\":\"avg_pool\",\"kernel_size\":3,\"stride\":1,\"count_include_pad\":false}]}",
    MODEL FIRST
    ",{\"op\":\"global_avg_pool\",\"flatten\":true},{\"op\":\"linear\",\"weight\":\"lw\",\"bias\":\"lb\"},"
    "{\"op\":\"softmax\"}],\"task\":\"classification\",\"labels\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\","
    "\"\\u00e9\\n\\\"\",\"\",\"j\"]}",
    MODEL FIRST
    ",{\"op\":\"batch_norm\",\"running_mean\":\"v4\",\"running_var\":\"v4\",\"eps\":0.001},"
    "{\"op\":\"layer_norm\",\"eps\":1e-6},{\"op\":\"layer_scale\",\"weight\":\"v4\"},{\"op\":\"sigmoid\"},"
    "{\"op\":\"gelu\",\"approximate\":\"tanh\"},{\"op\":\"dropout\",\"p\":0.1},{\"op\":\"drop_path\"},"
    "{\"op\":\"identity\"},{\"op\":\"global_max_pool\",\"name\":\"g\"},{\"op\":\"mul\",\"inputs\":[\"c\","
    "\"g\"]}]}",
    MODEL FIRST
    ",{\"op\":\"resize\",\"mode\":\"linear\",\"align_corners\":true,\"inputs\":[\"c\",\"input\"]}],"
    "\"task\":\"segmentation\",\"preprocess\":{\"mean\":[0.1,0.2,0.3],\"std\":0.25,\"filter\":\"bicubic\"},"
    "\"palette\":[[1,2,3],[255,0,9]]}",
    MODEL FIRST ",{\"op\":\"resize\",\"scale\":[0.5,1.75]}],\"preprocess\":{\"resize\":{\"shorter\":40},"
                "\"crop\":{\"height\":32,\"width\":30}}}",
    MODEL FIRST
    ",{\"op\":\"resize\",\"size\":[7,9]}],\"preprocess\":{\"resize\":{\"height\":32,\"width\":31}}}",
    MODEL "{\"op\":\"add\",\"name\":\"z\",\"inputs\":[\"y\",\"x\"]},{\"op\":\"relu\",\"name\":\"y\","
          "\"inputs\":\"x\"},"
          "{\"op\":\"conv\",\"name\":\"x\",\"weight\":\"w\",\"inputs\":\"input\"}],\"output\":\"z\"}",
    "{\"input\":{\"channels\":3,\"width\":\"any\"},\"nodes\":[{\"op\":\"conv\",\"weight\":\"c3\"}]}",
    "{\"input\":{\"channels\":7,\"depth\":4,\"height\":\"any\",\"width\":5},\"nodes\":[{\"op\":\"relu\"}]}",
};

static void writes_what_it_read(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        dcls_model *model = NULL, *again = NULL;
        const dcls_status status = dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[i], &model);
        check_outcome(ctx, GOOD[i], status, DCLS_OK, NULL);
        char *first = model_text(ctx, model);
        assert_string_equal(first, dcls_tensors_meta(model->tensors, DCLS_META_MODEL));
        assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), first, &again));
        char *second = model_text(ctx, again);
        assert_string_equal(first, second);
        assert_int_equal(model->node_count, again->node_count);
        for (size_t k = 0; k < model->node_count; k++) {
            assert_memory_equal(&model->nodes[k].window, &again->nodes[k].window, sizeof(dcls_window));
            assert_int_equal(model->nodes[k].in_channels, again->nodes[k].in_channels);
            assert_true(model->nodes[k].eps == again->nodes[k].eps);
            assert_true(model->nodes[k].p == again->nodes[k].p);
        }
        assert_memory_equal(&model->preprocess, &again->preprocess, sizeof model->preprocess);
        free(first);
        free(second);
        dcls_model_destroy(model);
        dcls_model_destroy(again);
    }
}

static void reads_attributes(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[5], &model));
    const dcls_node *conv = &model->nodes[0], *dcls = &model->nodes[1];
    assert_int_equal(conv->op, DCLS_OP_CONV);
    assert_int_equal(conv->groups, 1);
    assert_int_equal(conv->window.kernel[1], 3);
    assert_null(conv->bias);
    assert_int_equal(dcls->version, DCLS_GAUSS);
    assert_int_equal(dcls->kernel_count, 5);
    assert_int_equal(dcls->in_channels, 4);
    assert_int_equal(dcls->out_channels, 4);
    assert_false(dcls->shared_positions);
    assert_int_equal(dcls->window.pad_before[1], 3); /* an even side: one more behind */
    assert_int_equal(dcls->window.pad_after[1], 4);
    assert_ptr_equal(dcls->P, dcls_tensors_find(dcls_model_tensors(model), "P"));
    dcls_model_destroy(model);

    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[7], &model));
    dcls = &model->nodes[1];
    assert_int_equal(dcls->window.kernel[0], 1);
    assert_int_equal(dcls->window.kernel[1], 7);
    dcls_kernel k;
    dcls_node_kernel(dcls, &k);
    assert_int_equal(k.ndim, 1);
    assert_int_equal(k.size[0], 7);
    assert_int_equal(k.rows, 4);
    dcls_model_destroy(model);

    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[9], &model));
    const dcls_window *pool = &model->nodes[1].window;
    assert_int_equal(pool->stride[0], 3); /* as the kernel */
    assert_int_equal(pool->stride[1], 2);
    assert_int_equal(pool->dilation[1], 2);
    assert_true(pool->ceil_mode);
    dcls_model_destroy(model);
}

static void answers_questions(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    int64_t shape[DCLS_MAX_DIMS];
    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[11], &model));
    assert_int_equal(dcls_model_task(model), DCLS_TASK_CLASSIFICATION);
    assert_string_equal(dcls_task_name(dcls_model_task(model)), "classification");
    assert_int_equal(dcls_model_input_shape(model, shape), 4);
    assert_int_equal(shape[0], DCLS_ANY);
    assert_int_equal(shape[1], 3);
    assert_int_equal(shape[2], 32);
    assert_int_equal(shape[3], DCLS_ANY);
    assert_int_equal(dcls_model_label_count(model), 10);
    assert_string_equal(dcls_model_label(model, 7), "\xc3\xa9\n\"");
    assert_null(dcls_model_label(model, 10));
    assert_true(dcls_tensors_hold_model(dcls_model_tensors(model)));
    dcls_model_destroy(model);

    uint8_t rgb[3];
    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[13], &model));
    dcls_model_color(model, 1, rgb);
    assert_memory_equal(rgb, ((uint8_t[]){255, 0, 9}), 3);
    dcls_model_color(model, 2, rgb); /* beyond the palette: Pascal VOC's */
    assert_memory_equal(rgb, ((uint8_t[]){0, 128, 0}), 3);
    const dcls_preprocess *p = dcls_model_preprocess(model);
    assert_int_equal(p->channels, 3);
    assert_int_equal(p->filter, DCLS_FILTER_BICUBIC);
    assert_true(p->mean[2] == 0.3f && p->std[0] == 0.25f && p->std[2] == 0.25f);
    dcls_model_destroy(model);

    assert_int_equal(dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), NULL, &model), DCLS_ERR_FORMAT);
    assert_non_null(strstr(dcls_context_message(ctx), "tensors without a network"));
    dcls_model_destroy(NULL);
}

static void orders_nodes(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[16], &model));
    static const char *const NAMES[] = {"x", "y", "z"};
    for (int i = 0; i < 3; i++)
        assert_string_equal(model->nodes[i].name, NAMES[i]);
    assert_int_equal(model->nodes[2].inputs[0], 2);
    assert_int_equal(model->nodes[2].inputs[1], 1);
    assert_int_equal(model->output, 3);
    dcls_model_destroy(model);
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

static void saves_and_loads(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    static const char *const SUFFIX[] = {"bin", "safetensors", "json"};
    dcls_model *model, *again;
    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, TENSORS), GOOD[5], &model));
    char *text = model_text(ctx, model);
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "m.%s", SUFFIX[i]);
        const char *path = temp_file(&dir, name);
        assert_ok(ctx, dcls_model_save(ctx, model, path));
        assert_ok(ctx, dcls_model_load_file(ctx, path, &again));
        char *same = model_text(ctx, again);
        assert_string_equal(text, same);
        assert_int_equal(dcls_tensors_count(again->tensors), dcls_tensors_count(model->tensors));
        free(same);
        dcls_model_destroy(again);
        unlink(path);
    }
    assert_int_equal(dcls_model_save(ctx, model, "m.npy"), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_output_path_check(ctx, "m.pth", false), DCLS_ERR_ARGUMENT);
    assert_ok(ctx, dcls_output_path_check(ctx, "m.npy", false));
    free(text);
    dcls_model_destroy(model);
    rmdir(dir.path);
}

/* The manual's example, which stands behind a comment that says so. */
static void reads_the_manual(void **state)
{
    dcls_context *ctx = *state;
    FILE *file = fopen("man/dcls-model.5", "r");
    if (file == NULL) skip();
    char line[1024];
    dcls_string json = {0};
    int part = 0; /* 1: found, 2: inside */
    while (fgets(line, sizeof line, file) != NULL && part < 3) {
        if (part == 2 && strncmp(line, ".Ed", 3) == 0) part = 3;
        if (part == 2) dcls_string_puts(&json, line);
        if (part == 1) part = 2;
        if (strstr(line, "A test reads this example") != NULL) part = 1;
    }
    fclose(file);
    assert_int_equal(part, 3);
    dcls_model *model;
    assert_ok(ctx, dcls_model_from_json(
                       ctx,
                       make_tensors(ctx, "stem.weight 16 3 2 2; stem.bias 16; spread.weight 16 1 5; "
                                         "spread.P 2 16 1 5; head.weight 2 16"),
                       json.data, &model));
    assert_int_equal(model->node_count, 6);
    assert_int_equal(model->preprocess.crop_height, 32);
    dcls_model_destroy(model);
    dcls_string_free(&json);
}

static void loads_from_memory(void **state)
{
    dcls_context *ctx = *state;
    static const char FILE_TEXT[] =
        "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"input\":{\"channels\":1,"
        "\"width\":9},\"nodes\":[{\"op\":\"conv\",\"weight\":\"t\"}]},\"tensors\":"
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,2],\"data\":[1,2]}}}";
    dcls_model *model;
    assert_ok(ctx, dcls_model_load_memory(ctx, FILE_TEXT, sizeof FILE_TEXT - 1, &model));
    assert_int_equal(model->nodes[0].window.kernel[0], 2);
    dcls_model_destroy(model);
    assert_int_equal(dcls_model_load_memory(ctx, FILE_TEXT, sizeof FILE_TEXT - 3, &model), DCLS_ERR_FORMAT);
    assert_null(model);
    assert_int_equal(dcls_model_load_file(ctx, "/nowhere/model.bin", &model), DCLS_ERR_IO);
    assert_null(model);
}

static void saves_an_array(void **state)
{
    dcls_context *ctx = *state;
    char path[] = "/tmp/dcls-array-XXXXXX.npy";
    const int fd = mkstemps(path, 4);
    assert_true(fd >= 0);
    close(fd);
    const float numbers[] = {1, -2, 0.5f, 3, 4, 5};
    assert_ok(ctx, dcls_npy_save(ctx, path, 2, (const int64_t[]){2, 3}, numbers));
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_load_file(ctx, path, &set));
    assert_memory_equal(dcls_tensors_at(set, 0)->data, numbers, sizeof numbers);
    assert_ok(ctx, dcls_tensors_save(ctx, set, path));
    dcls_tensors_destroy(set);
    unlink(path);
    assert_int_equal(dcls_npy_save(ctx, path, 9, (const int64_t[]){1}, numbers), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_npy_save(ctx, path, 2, (const int64_t[]){2, -3}, numbers), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_npy_save(ctx, path, 2, (const int64_t[]){INT64_MAX, 3}, numbers),
                     DCLS_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(refuses_bad_networks), CONTEXT_TEST(writes_what_it_read),
        CONTEXT_TEST(reads_attributes),     CONTEXT_TEST(answers_questions),
        CONTEXT_TEST(orders_nodes),         CONTEXT_TEST(long_chains),
        CONTEXT_TEST(saves_and_loads),      CONTEXT_TEST(reads_the_manual),
        CONTEXT_TEST(loads_from_memory),    CONTEXT_TEST(saves_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
