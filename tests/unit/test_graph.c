/* Reading networks: what is accepted, and that writing gives the same network. */
#include "graph_util.h"

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
        assert_ok(ctx, dcls_model_map_file(ctx, path, &again));
        assert_int_equal(again->tensors->mapping.mapped, i < 2); /* JSON is read */
        unlink(path);
        same = model_text(ctx, again);
        assert_string_equal(text, same);
        free(same);
        for (size_t k = 0; k < again->tensors->count; k++)
            assert_memory_equal(again->tensors->items[k].data, model->tensors->items[k].data,
                                again->tensors->items[k].nbytes);
        dcls_model_destroy(again);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(writes_what_it_read), CONTEXT_TEST(reads_attributes), CONTEXT_TEST(answers_questions),
        CONTEXT_TEST(orders_nodes),        CONTEXT_TEST(saves_and_loads),  CONTEXT_TEST(reads_the_manual),
        CONTEXT_TEST(loads_from_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
