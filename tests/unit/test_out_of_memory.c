/* Weights read and written, networks exported, drawn and compared when memory runs out. */
#include "torture_util.h"

#include <dlfcn.h>

#include "analysis/field.h"
#include "dcls_plot.h"
#include "formats/formats.h"

/* ---- files to read ---- */

static dcls_tensors *make_set(dcls_context *ctx, size_t count)
{
    dcls_tensors *set;
    void *data;
    char name[32];
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    assert_ok(
        ctx, dcls_tensors_set_meta(ctx, set, DCLS_META_MODEL, "{\"nodes\": [{\"op\": \"relu\", \"n\": 1}]}"));
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, "key", "value"));
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "t%zu", i);
        assert_ok(ctx, dcls_tensors_add_new(ctx, set, name, DCLS_F16, 2, (const int64_t[]){1, 5}, &data));
        memset(data, (int)i, 10);
    }
    return set;
}

/* The path of a file of so many tensors; the caller frees it. Odd sizes: half of the tensors have to be
 * moved. */
static char *make_file(dcls_context *ctx, temp_dir *t, const char *name, size_t count)
{
    dcls_tensors *set = make_set(ctx, count);
    assert_ok(ctx, dcls_tensors_write(ctx, set, temp_file(t, name)));
    dcls_tensors_destroy(set);
    return strdup(t->file);
}

static dcls_status load(dcls_context *ctx, void *path)
{
    dcls_tensors *set = (dcls_tensors *)1;
    dcls_status status = dcls_tensors_load_file(ctx, path, &set);
    if (status == DCLS_OK)
        dcls_tensors_destroy(set);
    else if (set != NULL)
        fail_msg("a set in spite of failure");
    return status;
}

typedef struct write_job {
    const dcls_tensors *set;
    const char *path;
} write_job;

static dcls_status write_set(dcls_context *ctx, void *arg)
{
    const write_job *job = arg;
    return dcls_tensors_write(ctx, job->set, job->path);
}

static void test_load(void **state)
{
    static const struct {
        const char *name;
        size_t tensors;
    } files[] = {{"a.bin", 40}, {"b.bin", 1}, {"a.json", 20}, {"a.npy", 1}};
    require_interposition();
    temp_dir t = make_temp_dir();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = make_file(*state, &t, files[i].name, files[i].tensors);
        torture(*state, files[i].name, load, path);
        remove(path);
        free(path);
    }
    rmdir(t.path);
}

static void test_write(void **state)
{
    static const char *const names[] = {"a.bin", "a.json", "a.npy"};
    require_interposition();
    temp_dir t = make_temp_dir();
    for (size_t i = 0; i < 3; i++) {
        dcls_tensors *set = make_set(*state, i == 2 ? 1 : 40);
        write_job job = {set, temp_file(&t, names[i])};
        torture(*state, names[i], write_set, &job);
        remove(t.file);
        dcls_tensors_destroy(set);
    }
    rmdir(t.path);
}

static const char network[] =
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"input\":{\"channels\":1,\"height\":\"any\","
    "\"width\":5},"
    "\"labels\":[\"a\"],\"task\":\"classification\",\"nodes\":["
    "{\"op\":\"dcls\",\"name\":\"d\",\"weight\":\"w\",\"P\":\"P\",\"version\":\"v1\",\"dilated_kernel_size\":"
    "3,"
    "\"padding\":1,\"padding_mode\":\"circular\"},"
    "{\"op\":\"layer_norm\",\"weight\":\"h\"},{\"op\":\"gelu\"},{\"op\":\"resize\",\"scale\":1.5},"
    "{\"op\":\"global_avg_pool\",\"flatten\":true}]},\"tensors\":{"
    "\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1],\"data\":[1]},\"P\":{\"dtype\":\"F32\",\"shape\":[2,1,1,1],"
    "\"data\":[0,1]},"
    "\"h\":{\"dtype\":\"F16\",\"shape\":[1],\"data\":[1]}}}";

typedef struct export_job {
    const dcls_model *model;
    const char *path;
} export_job;

static dcls_status export_onnx(dcls_context *ctx, void *arg)
{
    const export_job *job = arg;
    return dcls_onnx_save(ctx, job->model, &(dcls_onnx_options){.preprocess = true}, job->path);
}

/* The library is open before, since a failure of dlopen does not say that memory was short. */
static void test_onnx(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    require_interposition();
    void *library = dlopen("libprotobuf-c.so.1", RTLD_NOW);
    assert_non_null(library);
    temp_dir t = make_temp_dir();
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    assert_ok(ctx, dcls_model_load_memory(ctx, network, sizeof network - 1, &model));
    export_job job = {model, temp_file(&t, "a.onnx")};
    torture(ctx, "a.onnx", export_onnx, &job);
    remove(t.file);
    rmdir(t.path);
    dcls_model_destroy(model);
    dlclose(library);
}

static dcls_status draw_terminal(dcls_context *ctx, void *model)
{
    const dcls_layer_source source = {.model = model};
    const dcls_plot_options options = dcls_plot_options_default();
    char *text;
    dcls_status status = dcls_plot_terminal(ctx, &source, &options, 40, true, &text);
    if (status != DCLS_OK && text) fail_msg("text in spite of failure");
    free(text);
    return status;
}

static dcls_status measure_field(dcls_context *ctx, void *model)
{
    const dcls_model *m = model;
    dcls_field field;
    double *share;
    int64_t count;
    DCLS_TRY(dcls_field_measure(ctx, m, (int)m->node_count - 1, 4, (int64_t[]){1, 1, 6, 5}, 2, 0, &field));
    dcls_status status = dcls_field_shares(ctx, &field, &share, &count);
    if (status == DCLS_OK) free(share);
    dcls_field_free(&field);
    return status;
}

static dcls_status write_report(dcls_context *ctx, void *arg)
{
    const export_job *job = arg;
    const dcls_layer_source source = {.model = job->model};
    dcls_plot_options options = dcls_plot_options_default();
    options.format = DCLS_PLOT_HTML;
    options.ndim = 4;
    memcpy(options.shape, ((int64_t[]){1, 1, 6, 5}), 4 * sizeof(int64_t));
    return dcls_plot_save(ctx, &source, &options, job->path);
}

static void test_plots(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    require_interposition();
    temp_dir t = make_temp_dir();
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    assert_ok(ctx, dcls_model_load_memory(ctx, network, sizeof network - 1, &model));
    torture(ctx, "densities as text", draw_terminal, model);
    torture(ctx, "a receptive field", measure_field, model);
    export_job job = {model, temp_file(&t, "r.html")};
    torture(ctx, "a report", write_report, &job);
    remove(t.file);
    rmdir(t.path);
    dcls_model_destroy(model);
}

/* The same network, another version, position and label. */
static char *other_network(void)
{
    static const char *const changes[][2] = {
        {"[0,1]}", "[1,0]}"}, {"\"v1\"", "\"v0\""}, {"[\"a\"]", "[\"b\"]"}, {"gelu", "relu"}};
    char *text = strdup(network);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *at = strstr(text, changes[i][0]);
        assert_non_null(at);
        memcpy(at, changes[i][1], strlen(changes[i][1]));
    }
    return text;
}

typedef struct compare_job {
    dcls_compare_source a, b;
    bool kernels;
} compare_job;

static dcls_status compare(dcls_context *ctx, void *arg)
{
    const compare_job *job = arg;
    dcls_compare_options options = dcls_compare_options_default();
    dcls_comparison *result;
    options.kernels = job->kernels;
    dcls_status status = dcls_compare(ctx, &job->a, &job->b, &options, &result);
    if (status == DCLS_OK && !dcls_comparison_differs(result)) fail_msg("no difference found");
    dcls_comparison_destroy(result);
    return status;
}

static dcls_status explain(dcls_context *ctx, void *model)
{
    dcls_layer_spec spec;
    dcls_explanation *result;
    DCLS_TRY(dcls_layer_spec_of(ctx, model, NULL, 4, (int64_t[]){1, 1, 6, 5}, &spec, NULL, NULL));
    dcls_status status = dcls_explain(ctx, &spec, &result);
    dcls_explanation_destroy(result);
    return status;
}

/* A model's layers, and the same tensors' without their network. */
static dcls_status report_layers(dcls_context *ctx, void *model)
{
    dcls_report *report;
    DCLS_TRY(dcls_report_create_layers(ctx, &(dcls_layer_source){.model = model}, NULL, 0, true, &report));
    dcls_report_destroy(report);
    return DCLS_OK;
}

static void test_comparisons(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *a, *b;
    require_interposition();
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    char *text = other_network();
    assert_ok(ctx, dcls_model_load_memory(ctx, network, sizeof network - 1, &a));
    assert_ok(ctx, dcls_model_load_memory(ctx, text, strlen(text), &b));
    compare_job job = {.a = {.model = a}, .b = {.model = b}};
    torture(ctx, "two models", compare, &job);
    job = (compare_job){.a = {.tensors = dcls_model_tensors(a)}, .b = {.tensors = dcls_model_tensors(b)}};
    torture(ctx, "two sets of tensors", compare, &job);
    job = (compare_job){.a = {.model = a}, .b = {.model = b}, .kernels = true};
    torture(ctx, "kernels", compare, &job);
    torture(ctx, "an explanation", explain, a);
    torture(ctx, "layers", report_layers, a);
    dcls_model_destroy(a);
    dcls_model_destroy(b);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_load),  CONTEXT_TEST(test_write),       CONTEXT_TEST(test_onnx),
        CONTEXT_TEST(test_plots), CONTEXT_TEST(test_comparisons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
