/* DCLS layers made dense, in state dicts and in models. The kernels are compared with the published
 * package's. */
#include <math.h>

#include "formats/json.h"
#include "model_util.h"

/* ---- state dicts: the reference files are ones ---- */

typedef struct setting_list {
    char *items[400];
    size_t count;
} setting_list;

/* "CASE:KEY=VALUE" for what the case's description says of the kernel. */
static void add_settings(setting_list *list, const char *name, const dcls_json *facts)
{
    static const char *const KEYS[] = {"version", "dilated_kernel_size", "layer", "flat_dim"};
    for (size_t k = 0; k < sizeof KEYS / sizeof KEYS[0]; k++) {
        const dcls_json *value = dcls_json_find(facts, KEYS[k]);
        if (value == NULL) continue;
        dcls_string text = {0};
        dcls_string_printf(&text, "%s:%s=", name, KEYS[k]);
        int64_t number = 0;
        if (dcls_json_as_string(value) != NULL) dcls_string_puts(&text, dcls_json_as_string(value));
        if (dcls_json_as_int(value, &number)) dcls_string_printf(&text, "%d", (int)number);
        for (size_t i = 0; i < dcls_json_count(value); i++) {
            assert_true(dcls_json_as_int(dcls_json_at(value, i), &number));
            dcls_string_printf(&text, "%s%d", i > 0 ? "," : "", (int)number);
        }
        assert_true(list->count < sizeof list->items / sizeof list->items[0]);
        list->items[list->count++] = text.data;
    }
}

static const dcls_tensor *field_of(const dcls_tensors *set, const char *name, const char *field)
{
    char key[200];
    snprintf(key, sizeof key, "%s.%s", name, field);
    return dcls_tensors_find(set, key);
}

static bool expect_kernel(const char *name, const dcls_tensors *dense, const dcls_tensors *golden)
{
    const dcls_tensor *got = field_of(dense, name, "weight"), *want = field_of(golden, name, "K");
    assert_non_null(got);
    assert_null(field_of(dense, name, "P"));
    assert_null(field_of(dense, name, "SIG"));
    if (want == NULL) return false; /* cases of whole layers have outputs instead */
    if (!dcls_shape_equal(got->ndim, got->shape, want->ndim, want->shape))
        fail_msg("%s: another shape", name);
    const float *a = got->data, *b = want->data;
    for (size_t i = 0; i < want->nbytes / sizeof *a; i++)
        if (!(fabsf(a[i] - b[i]) <= 2e-6f))
            fail_msg("%s: cell %zu is %g, not %g", name, i, (double)a[i], (double)b[i]);
    return true;
}

static void compare_file(dcls_context *ctx, const char *path, size_t cases, size_t kernels)
{
    dcls_tensors *golden, *dense;
    setting_list list = {0};
    assert_ok(ctx, dcls_tensors_load_file(ctx, path, &golden));
    size_t count = 0;
    for (; dcls_tensors_meta_key(golden, count) != NULL; count++) {
        const char *text = dcls_tensors_meta_value(golden, count);
        dcls_json *facts;
        assert_ok(ctx, dcls_json_parse(ctx, text, strlen(text), &facts));
        add_settings(&list, dcls_tensors_meta_key(golden, count), facts);
        dcls_json_free(facts);
    }
    assert_int_equal(count, cases);
    assert_ok(ctx, dcls_tensors_to_dense(ctx, golden, (const char *const *)list.items, list.count, &dense));
    size_t compared = 0;
    for (size_t i = 0; i < count; i++)
        compared += expect_kernel(dcls_tensors_meta_key(golden, i), dense, golden) ? 1 : 0;
    assert_int_equal(compared, kernels);
    /* the rest is there, in order, as it was */
    assert_string_equal(dcls_tensors_at(dense, 0)->name, dcls_tensors_at(golden, 0)->name);
    for (size_t i = 0; i < dcls_tensors_count(golden); i++) {
        const dcls_tensor *a = dcls_tensors_at(golden, i), *b = dcls_tensors_find(dense, a->name);
        if (b == NULL || strstr(a->name, ".weight") != NULL) continue;
        assert_int_equal(a->nbytes, b->nbytes);
        assert_memory_equal(a->data, b->data, a->nbytes);
    }
    for (size_t i = 0; i < list.count; i++)
        free(list.items[i]);
    dcls_tensors_destroy(golden);
    dcls_tensors_destroy(dense);
}

static void published_kernels(void **state)
{
    const char *shared = getenv("DCLS_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/golden/dcls.safetensors", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip();
    compare_file(*state, path, 52, 32);
}

static void other_layer_kinds(void **state)
{
    static const char PATH[] = "tests/golden/extra.safetensors";
    if (access(PATH, R_OK) != 0) skip();
    compare_file(*state, PATH, 47, 47);
}

static void refuses_state_dicts(void **state)
{
    static const struct {
        const char *tensors;
        const char *settings[3];
        dcls_status status;
        const char *part;
    } ROWS[] = {
        {"a.weight 4 1 5; P 2 4 1 5", {NULL}, DCLS_ERR_ARGUMENT, "there is no DCLS layer"},
        {"a.P 2 4 1 5", {NULL}, DCLS_ERR_ARGUMENT, "there is no DCLS layer"},
        {"a.weight 4 1 5; a.P 2 4 1 5",
         {NULL},
         DCLS_ERR_ARGUMENT,
         "layer 'a': its tensors do not tell the version: set version=v0"},
        {"a.weight 4 1 5; a.P 2 4 1 5; a.SIG 2 4 1 5",
         {"dilated_kernel_size=3"},
         DCLS_ERR_ARGUMENT,
         "set version=max or version=gauss"},
        {"a.weight 4 1 5; a.P 2 4 1 5", {"version=v1"}, DCLS_ERR_ARGUMENT, "set dilated_kernel_size=N"},
        {"a.weight 4 1 5; a.P 2 4 1 6",
         {"version=v1", "dilated_kernel_size=3"},
         DCLS_ERR_FORMAT,
         "layer 'a': tensor 'a.P' is [2, 4, 1, 6], must be [2, 4, 1, 5]"},
        {"a.weight 4 1 5; a.P 5 4 1 5",
         {"version=v1", "dilated_kernel_size=3"},
         DCLS_ERR_FORMAT,
         "layer 'a': the first size of P, tensor 'a.P', must be 1 to 3"},
        {"a.weight 4 1 5; a.P", {"version=v1", "dilated_kernel_size=3"}, DCLS_ERR_FORMAT, "must be 1 to 3"},
        {"a.weight 4 5; a.P 2 4 5",
         {"version=v1", "dilated_kernel_size=3"},
         DCLS_ERR_FORMAT,
         "must be [out, in/groups, K]"},
        {"a.weight I64 4 1 5; a.P 2 4 1 5",
         {"version=v1", "dilated_kernel_size=3"},
         DCLS_ERR_FORMAT,
         "is I64"},
        {"a.weight 4 1 5; a.P 2 4 1 5",
         {"version=v1", "dilated_kernel_size=3,4,5"},
         DCLS_ERR_FORMAT,
         "has 3 values"},
        {"a.weight 4 1 5; a.P 2 4 1 5",
         {"version=v1", "dilated_kernel_size=900000"},
         DCLS_ERR_LIMIT,
         "larger than memory"},
        {"a.weight 4 1 5; a.P 2 4 1 5", {"b:version=v1"}, DCLS_ERR_ARGUMENT, "no layer's name matches 'b'"},
        {"a.weight 4 1 5; a.P 2 4 1 5", {"eps=1"}, DCLS_ERR_ARGUMENT, "none of the layers has 'eps'"},
    };
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        dcls_tensors *set = make_tensors(ctx, ROWS[i].tensors), *dense = NULL;
        size_t count = 0;
        while (count < 3 && ROWS[i].settings[count] != NULL)
            count++;
        const dcls_status status = dcls_tensors_to_dense(ctx, set, ROWS[i].settings, count, &dense);
        check_outcome(ctx, ROWS[i].tensors, status, ROWS[i].status, ROWS[i].part);
        assert_null(dense);
        dcls_tensors_destroy(set);
    }
}

/* ---- models ---- */

#define NETWORK(nodes)                                                                                       \
    "{\"input\":{\"channels\":2,\"height\":\"any\",\"width\":\"any\"},\"nodes\":[" nodes "]}"
#define LAYER(name, weight, P, more)                                                                         \
    "{\"op\":\"dcls\",\"name\":\"" name "\",\"weight\":\"" weight "\",\"P\":\"" P "\",\"groups\":2," more "}"
#define FIVE  "\"version\":\"v0\",\"dilated_kernel_size\":5,\"padding\":2"
#define SEVEN "\"version\":\"v0\",\"dilated_kernel_size\":7,\"padding\":3"

static dcls_model *read_network(dcls_context *ctx, const char *tensors, const char *json)
{
    dcls_model *model;
    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, tensors), json, &model));
    return model;
}

static float *numbers_of(dcls_model *model, const char *name)
{
    void *data;
    memcpy(&data, &dcls_tensors_find(model->tensors, name)->data, sizeof data);
    return data;
}

static void dense_model(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *dense,
        *model = read_network(
            ctx, "a 2 1 1; aP 2 2 1 1; b 2 1 1; bias 2; unused 3",
            NETWORK(LAYER("a", "a", "aP",
                          "\"version\":\"v0\",\"dilated_kernel_size\":[4,5],\"padding\":\"same\",\"bias\":"
                          "\"bias\"") "," LAYER("b", "b", "aP",
                                                "\"version\":\"v0\",\"dilated_kernel_size\":3,\"padding\":[1,"
                                                "1],\"stride\":2,\"padding_mode\":\"reflect\"")));
    float *a = numbers_of(model, "a"), *b = numbers_of(model, "b"), *P = numbers_of(model, "aP");
    a[0] = 3;
    a[1] = 5;
    b[1] = 7;
    P[0] = -1;   /* v0: the row of output 0; 4 rows have their centre at 2 */
    P[3] = 0.5f; /* the column of output 1 */
    assert_ok(ctx, dcls_model_to_dense(ctx, model, &dense));
    const dcls_tensor *weight = dcls_tensors_find(dense->tensors, "a");
    const int64_t want[] = {2, 1, 4, 5};
    assert_true(dcls_shape_equal(weight->ndim, weight->shape, 4, want));
    for (int i = 0; i < 40; i++) {
        const float cell = i == 1 * 5 + 2 ? 3.0f : i == 20 + 2 * 5 + 2 || i == 20 + 2 * 5 + 3 ? 2.5f : 0.0f;
        assert_true(((const float *)weight->data)[i] == cell);
    }
    const dcls_node *first = &dense->nodes[0], *second = &dense->nodes[1];
    assert_int_equal(first->op, DCLS_OP_CONV);
    assert_string_equal(first->name, "a");
    assert_int_equal(first->groups, 2);
    assert_int_equal(first->window.pad_before[0], 1);
    assert_int_equal(first->window.pad_after[0], 2);
    assert_non_null(first->bias);
    assert_int_equal(second->window.stride[1], 2);
    assert_int_equal(second->window.pad_mode, DCLS_PAD_REFLECT);
    assert_null(dcls_tensors_find(dense->tensors, "aP"));
    assert_non_null(dcls_tensors_find(dense->tensors, "unused"));
    const int64_t input[] = {1, 2, 9, 10};
    dcls_shape before[3], after[3];
    assert_ok(ctx, dcls_model_infer(ctx, model, 4, input, before));
    assert_ok(ctx, dcls_model_infer(ctx, dense, 4, input, after));
    assert_memory_equal(before, after, sizeof before);
    dcls_model_destroy(dense);
    dcls_model_destroy(model);
}

static void sixteen_bit_layers(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *dense,
        *model = read_network(ctx, "a F16 2 1 1; aP BF16 2 2 1 1", NETWORK(LAYER("a", "a", "aP", FIVE)));
    const uint16_t one_and_a_half = 0x3E00;
    memcpy(numbers_of(model, "a"), &one_and_a_half, sizeof one_and_a_half);
    assert_ok(ctx, dcls_model_to_dense(ctx, model, &dense));
    const dcls_tensor *weight = dcls_tensors_find(dense->tensors, "a");
    assert_int_equal(weight->dtype, DCLS_F32);
    assert_true(((const float *)weight->data)[12] == 1.5f);
    dcls_model_destroy(dense);
    dcls_model_destroy(model);
}

static void shared_tensors(void **state)
{
    dcls_context *ctx = *state;
    static const struct {
        const char *nodes;
        const char *part; /* of the message, NULL where it works */
    } ROWS[] = {
        /* one weight twice with one kernel; with two; as a plain weight too */
        {NETWORK(LAYER("x", "a", "aP", FIVE) "," LAYER("y", "a", "aP", FIVE)), NULL},
        {NETWORK(LAYER("x", "a", "aP", FIVE) "," LAYER("y", "a", "aP", SEVEN)),
         "layers 'x' and 'y' make different kernels of one weight 'a'"},
        {NETWORK(LAYER("x", "a", "aP", FIVE) "," LAYER("y", "a", "bP", FIVE)), "make different kernels"},
        {NETWORK(LAYER("x", "v", "vP", FIVE) ",{\"op\":\"layer_scale\",\"name\":\"s\",\"weight\":\"bias\"}"),
         NULL},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        dcls_model *dense = NULL,
                   *model = read_network(ctx, "a 2 1 1; aP 2 2 1 1; bP 2 2 1 1; v 2 1 1; vP 2 1 1; bias 2",
                                         ROWS[i].nodes);
        const dcls_status status = dcls_model_to_dense(ctx, model, &dense);
        check_outcome(ctx, ROWS[i].nodes, status, ROWS[i].part == NULL ? DCLS_OK : DCLS_ERR_UNSUPPORTED,
                      ROWS[i].part);
        dcls_model_destroy(dense);
        dcls_model_destroy(model);
    }

    /* 1-D: a tensor [1, 1, 1] can be a layer's weight, positions that are shared, and a plain weight */
    static const char LINE[] = "{\"input\":{\"channels\":1,\"width\":\"any\"},\"nodes\":[{\"op\":\"dcls\","
                               "\"name\":\"x\",\"weight\":\"a\","
                               "\"P\":\"p\",\"version\":\"v0\",\"dilated_kernel_size\":3},{\"op\":\"conv\","
                               "\"name\":\"y\",\"weight\":\"%s\"}]}";
    char json[sizeof LINE + 20];
    dcls_model *dense = NULL;
    snprintf(json, sizeof json, LINE, "a");
    dcls_model *model = read_network(ctx, "a 1 1 1; p 1 1 1", json);
    check_outcome(ctx, "weight in use", dcls_model_to_dense(ctx, model, &dense), DCLS_ERR_UNSUPPORTED,
                  "node 'y' uses the weight 'a' of a DCLS layer");
    dcls_model_destroy(model);

    snprintf(json, sizeof json, LINE, "p");
    model = read_network(ctx, "a 1 1 1; p 1 1 1", json);
    assert_ok(ctx, dcls_model_to_dense(ctx, model, &dense));
    assert_ptr_equal(dense->nodes[1].weight, dcls_tensors_find(dense->tensors, "p"));
    dcls_model_destroy(dense);
    dcls_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(published_kernels), CONTEXT_TEST(other_layer_kinds),  CONTEXT_TEST(refuses_state_dicts),
        CONTEXT_TEST(dense_model),       CONTEXT_TEST(sixteen_bit_layers), CONTEXT_TEST(shared_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
