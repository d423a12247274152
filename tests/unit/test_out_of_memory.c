/* Reading and writing weights, drawing, listing data sets when memory runs out: every single allocation fails
 * once. Each time the answer must be DCLS_ERR_MEMORY, and everything that was taken must have been given
 * back. */
#include "data_util.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>

#include "analysis/field.h"
#include "dcls_tools.h"
#include "draw/curves.h"
#include "formats/formats.h"
#include "train/optimizer.h"
#include "train/positions.h"
#include "train/recording.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_SANITIZER 1
#endif
#endif

/* Which allocation fails, how many there were, how many are not freed. The compiler thinks it knows what
 * malloc looks at, hence volatile. */
static volatile long fail_at = -1, seen, live;

#ifndef HAVE_SANITIZER
/* The program's own definitions take the place of the C library's, also for the libraries it uses. */
#define VISIBLE __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nmemb, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static int fails(void)
{
    if (fail_at < 0 || seen++ != fail_at) return 0;
    errno = ENOMEM;
    return 1;
}

static void *counted(void *memory)
{
    live += memory != NULL;
    return memory;
}

VISIBLE void *malloc(size_t size)
{
    return fails() ? NULL : counted(__libc_malloc(size));
}

VISIBLE void *calloc(size_t nmemb, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(nmemb, size));
}

VISIBLE void *realloc(void *ptr, size_t size)
{
    if (fails()) return NULL;
    void *memory = __libc_realloc(ptr, size);
    live += ptr == NULL && memory != NULL;
    return memory;
}

VISIBLE void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__libc_memalign(alignment, size));
}

VISIBLE void free(void *ptr)
{
    live -= ptr != NULL;
    __libc_free(ptr);
}
#endif

/* Sanitizers keep the allocator for themselves, valgrind parts of it. */
static void require_interposition(void)
{
    seen = 0;
    fail_at = LONG_MAX;
    void *volatile blocks[] = {malloc(8), calloc(1, 8), realloc(NULL, 8), aligned_alloc(8, 8)};
    fail_at = -1;
    for (size_t i = 0; i < 4; i++)
        free(blocks[i]);
    if (seen == 4) return;
    print_message("the allocator cannot be replaced here\n");
    skip();
}

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

/* ---- the torture ---- */

typedef dcls_status attempt_fn(dcls_context *ctx, void *arg);

static void torture(dcls_context *ctx, const char *what, attempt_fn *attempt, void *arg)
{
    dcls_status status = DCLS_ERR_MEMORY;
    long k = 0;
    for (; status != DCLS_OK && k < 10000; k++) {
        seen = live = 0;
        fail_at = k;
        status = attempt(ctx, arg);
        fail_at = -1;
        if (live != 0) fail_msg("%s: %ld blocks lost when allocation %ld failed", what, live, k);
        if (status != DCLS_OK) check_outcome(ctx, what, status, DCLS_ERR_MEMORY, "memory");
    }
    assert_int_equal(status, DCLS_OK);
    if (k < 4) fail_msg("%s: only %ld allocations were seen", what, k);
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
    const dcls_plot_source source = {.model = model};
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
    const dcls_plot_source source = {.model = job->model};
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
    DCLS_TRY(dcls_report_create_layers(ctx, model, NULL, NULL, 0, true, &report));
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

static dcls_status open_and_load(dcls_context *ctx, void *path)
{
    dcls_dataset *set;
    dcls_sample sample;
    DCLS_TRY(dcls_dataset_open(ctx, path, NULL, &set));
    dcls_status status = dcls_dataset_load(ctx, set, 1, &sample);
    if (status != DCLS_OK && (sample.image || sample.mask)) fail_msg("a sample in spite of failure");
    dcls_sample_free(&sample);
    dcls_dataset_destroy(set);
    return status;
}

static void test_data_sets(void **state)
{
    require_interposition();
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "folders/a/0.ppm", 3, 2, 0, 0);
    write_picture(&dir, "folders/b/c/1.ppm", 3, 2, 0, 0);
    write_picture(&dir, "pairs/images/0.ppm", 3, 2, 0, 0);
    write_picture(&dir, "pairs/images/1.ppm", 3, 2, 0, 0);
    write_mask(*state, &dir, "pairs/masks/0.png", 3, 2, 0);
    write_mask(*state, &dir, "pairs/masks/1.png", 3, 2, 0);
    write_cifar(&dir, "cifar/data_batch_1.bin", 2, 0);
    write_text(&dir, "cifar/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    static const char *const names[] = {"folders", "pairs", "cifar"};
    for (size_t i = 0; i < 3; i++) {
        char *path = strdup(temp_file(&dir, names[i]));
        torture(*state, names[i], open_and_load, path);
        free(path);
    }
    remove_dir(&dir);
}

/* ---- evaluation and training ---- */

typedef struct evaluation {
    const dcls_model *model;
    const dcls_dataset *set;
} evaluation;

static dcls_status evaluate(dcls_context *ctx, void *arg)
{
    const evaluation *e = arg;
    dcls_evaluate_options options = dcls_evaluate_options_default();
    dcls_metrics *metrics;
    options.flip = options.answers = true;
    DCLS_TRY(dcls_metrics_create(ctx, 3, &metrics));
    dcls_status status = dcls_evaluate(ctx, e->model, e->set, &options, metrics);
    dcls_metrics_destroy(metrics);
    return status;
}

/* A picture that could not be read is read once more, so that not every failure is one of the whole. */
static void torture_all(dcls_context *ctx, const char *what, attempt_fn *attempt, void *arg)
{
    long failures = 0;
    bool reached = true;
    for (long k = 0; reached; k++) {
        seen = live = 0;
        fail_at = k;
        dcls_status status = attempt(ctx, arg);
        fail_at = -1;
        reached = seen > k;
        if (live != 0) fail_msg("%s: %ld blocks lost when allocation %ld failed", what, live, k);
        if (status != DCLS_OK) check_outcome(ctx, what, status, DCLS_ERR_MEMORY, "memory");
        failures += status != DCLS_OK;
    }
    assert_in_range(failures, 20, 10000);
}

static void evaluate_with(dcls_context *ctx, const char *json, temp_dir *dir, const char *data)
{
    const dcls_dataset_options options = {.class_count = data[0] == 'p' ? 3 : 0, .ignore_index = -1};
    evaluation e;
    dcls_model *model;
    dcls_dataset *set;
    assert_ok(ctx, dcls_model_load_memory(ctx, json, strlen(json), &model));
    assert_ok(ctx, dcls_dataset_open(ctx, temp_file(dir, data), &options, &set));
    e = (evaluation){model, set};
    torture_all(ctx, data, evaluate, &e);
    dcls_dataset_destroy(set);
    dcls_model_destroy(model);
}

#define TENSOR(name, shape, data) "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data\":" data "}"
#define NETWORK(task, nodes, tensor)                                                                         \
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"" task                                   \
    "\",\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},\"nodes\":[" nodes "]},"             \
    "\"tensors\":{" tensor "}}"

static void test_evaluation(void **state)
{
    dcls_context *ctx = *state;
    require_interposition();
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "folders/a/0.ppm", 3, 2, 0, 0);
    write_picture(&dir, "folders/b/1.ppm", 4, 2, 0, 0);
    write_picture(&dir, "pairs/images/0.ppm", 3, 2, 0, 0);
    write_picture(&dir, "pairs/images/1.ppm", 4, 2, 0, 0);
    write_mask(ctx, &dir, "pairs/masks/0.png", 3, 2, 0);
    write_mask(ctx, &dir, "pairs/masks/1.png", 4, 2, 0);
    evaluate_with(ctx,
                  NETWORK("classification",
                          "{\"op\":\"global_avg_pool\",\"name\":\"m\",\"flatten\":true},"
                          "{\"op\":\"linear\",\"name\":\"l\",\"weight\":\"w\"}",
                          TENSOR("w", "[3,3]", "[1,0,0,0,1,0,0,0,1]")),
                  &dir, "folders");
    evaluate_with(ctx,
                  NETWORK("segmentation", "{\"op\":\"conv\",\"name\":\"c\",\"weight\":\"w\"}",
                          TENSOR("w", "[3,3,1,1]", "[1,0,0,0,1,0,0,0,1]")),
                  &dir, "pairs");
    remove_dir(&dir);
}

/* Layers that come to share positions, an optimiser's state stored and restored. */
static dcls_status prepare_training(dcls_context *ctx, void *arg)
{
    const dcls_model *model = arg;
    dcls_trainer_options options = dcls_trainer_options_default();
    dcls_model *shared, *copy = NULL;
    dcls_parameters parameters = {0};
    dcls_optimizer_state *optimizer = NULL;
    dcls_tensors *set = NULL;
    double loss;
    options.average = 0.5;
    dcls_status status = dcls_positions_share(ctx, model, &shared, NULL);
    if (status == DCLS_OK) status = dcls_model_writable_copy(ctx, shared, &copy);
    if (status == DCLS_OK) status = dcls_parameters_create(ctx, copy, NULL, 0, &parameters);
    if (status == DCLS_OK) status = dcls_positions_repel(ctx, &parameters, 1, 1, &loss);
    if (status == DCLS_OK) status = dcls_optimizer_create(ctx, &options, &parameters, &optimizer);
    if (status == DCLS_OK) status = dcls_optimizer_step(ctx, optimizer, 0.1, 1, NULL);
    if (status == DCLS_OK) status = dcls_tensors_create(ctx, "", &set);
    if (status == DCLS_OK) status = dcls_optimizer_store(ctx, optimizer, set);
    if (status == DCLS_OK) status = dcls_optimizer_restore(ctx, optimizer, set);
    dcls_tensors_destroy(set);
    dcls_optimizer_destroy(optimizer);
    dcls_parameters_free(&parameters);
    dcls_model_destroy(copy);
    dcls_model_destroy(shared);
    return status;
}

static void test_training(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    static const char two_layers[] =
        NETWORK("features",
                "{\"op\":\"dcls\",\"name\":\"a\",\"weight\":\"w\",\"P\":\"p\",\"version\":\"v1\","
                "\"dilated_kernel_size\":3,\"groups\":3},"
                "{\"op\":\"dcls\",\"name\":\"b\",\"weight\":\"v\",\"P\":\"q\",\"version\":\"v1\","
                "\"dilated_kernel_size\":3,\"groups\":3}",
                TENSOR("w", "[3,1,1]", "[1,2,3]") "," TENSOR("v", "[3,1,1]", "[1,2,3]") "," TENSOR(
                    "p", "[2,3,1,1]", "[0,1,0,0,1,0]") "," TENSOR("q", "[2,3,1,1]", "[0,1,0,0,1,0]"));
    require_interposition();
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    assert_ok(ctx, dcls_model_load_memory(ctx, two_layers, sizeof two_layers - 1, &model));
    torture(ctx, "training", prepare_training, model);
    dcls_model_destroy(model);
}

/* ---- runs ---- */

typedef struct run_job {
    const dcls_model *model;
    const char *path;
} run_job;

/* A run's log and its positions, written and read. */
static dcls_status keep_run(dcls_context *ctx, void *arg)
{
    static const char text[] = "{\"dcls\":\"0\",\"task\":\"segmentation\",\"batches\":2}\n"
                               "{\"step\":1,\"epoch\":0,\"loss\":2,\"accuracy\":0.5,\"rate\":1}\n"
                               "{\"step\":2,\"epoch\":1,\"val_loss\":1,\"val_miou\":0.25}\n{\"st";
    const run_job *job = arg;
    const dcls_curves_source source = {"log", text, sizeof text - 1};
    dcls_run_log log;
    dcls_recording *recording = NULL;
    float *rows = NULL;
    int64_t count = 0;
    dcls_status status = dcls_run_log_read(ctx, &source, &log);
    if (status == DCLS_OK && (log.best != 0.25 || log.best_epoch != 1)) fail_msg("another best score");
    if (status == DCLS_OK) status = dcls_recording_open(ctx, job->path, job->model, 0, &recording);
    if (status == DCLS_OK) status = dcls_recording_add(ctx, recording, job->model, 0);
    if (status == DCLS_OK) status = dcls_recording_add(ctx, recording, job->model, 7);
    if (status == DCLS_OK) status = dcls_recording_read(ctx, job->path, job->model, 5, &rows, &count);
    if (status == DCLS_OK && (count != 2 || rows[dcls_recording_columns(job->model)] != 7))
        fail_msg("%lld rows are read", (long long)count);
    free(rows);
    dcls_recording_close(recording);
    dcls_run_log_free(&log);
    return status;
}

/* A checkpoint and the network in it, with weights and metadata as they were. */
static dcls_status keep_checkpoint(dcls_context *ctx, void *arg)
{
    const run_job *job = arg;
    dcls_trainer_options options = dcls_trainer_options_default();
    dcls_trainer *trainer;
    dcls_tensors *set = NULL;
    dcls_model *stored = NULL;
    options.batch = options.height = options.width = 3;
    options.average = 0.5;
    const dcls_text texts[] = {{"from", "here"}};
    DCLS_TRY(dcls_trainer_create(ctx, job->model, &options, &trainer));
    dcls_status status = dcls_trainer_store(ctx, trainer, "note", &set);
    if (status == DCLS_OK) status = dcls_trainer_stored_model(ctx, set, &stored);
    if (status == DCLS_OK &&
        (stored->tensors->count != job->model->tensors->count || dcls_trainer_note(stored->tensors) != NULL ||
         strcmp(dcls_trainer_note(set), "note") != 0))
        fail_msg("what is stored is not the network alone");
    if (status == DCLS_OK) status = dcls_trainer_restore(ctx, trainer, set);
    if (status == DCLS_OK) status = dcls_trainer_save_model(ctx, trainer, true, texts, 1, job->path);
    dcls_model_destroy(stored);
    dcls_tensors_destroy(set);
    dcls_trainer_destroy(trainer);
    return status;
}

static void test_runs(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    static const char layer[] =
        NETWORK("segmentation",
                "{\"op\":\"dcls\",\"name\":\"a\",\"weight\":\"w\",\"P\":\"p\",\"version\":\"v1\","
                "\"dilated_kernel_size\":3,\"padding\":1,\"groups\":3}",
                TENSOR("w", "[3,1,1]", "[1,2,3]") "," TENSOR("p", "[2,3,1,1]", "[0,1,0,0,1,0]"));
    require_interposition();
    temp_dir t = make_temp_dir();
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    assert_ok(ctx, dcls_model_load_memory(ctx, layer, sizeof layer - 1, &model));
    run_job job = {model, temp_file(&t, "run.bin")};
    torture(ctx, "a run", keep_run, &job);
    torture(ctx, "a checkpoint", keep_checkpoint, &job);
    remove(t.file);
    rmdir(t.path);
    dcls_model_destroy(model);
}

/* ---- new networks and recipes ---- */

static dcls_status create(dcls_context *ctx, void *options)
{
    dcls_model *model = (dcls_model *)1;
    const dcls_status status = dcls_model_create(ctx, options, &model);
    if (status != DCLS_OK && model != NULL) fail_msg("a model in spite of failure");
    dcls_model_destroy(model);
    return status;
}

static dcls_status replace(dcls_context *ctx, void *model)
{
    const dcls_replace_options options = {.depthwise = 3, .version = "max", .sigma = 1};
    dcls_model *replaced = (dcls_model *)1;
    const dcls_status status = dcls_model_replace(ctx, model, &options, &replaced, NULL);
    if (status != DCLS_OK && replaced != NULL) fail_msg("a model in spite of failure");
    dcls_model_destroy(replaced);
    return status;
}

static dcls_status read_and_write(dcls_context *ctx, void *json)
{
    dcls_recipe *recipe;
    const char *text;
    DCLS_TRY(dcls_recipe_create(ctx, &recipe));
    dcls_status status = dcls_recipe_read(ctx, recipe, json, "folder");
    if (status == DCLS_OK) status = dcls_recipe_check(ctx, recipe);
    if (status == DCLS_OK) status = dcls_recipe_text(ctx, recipe, &text);
    dcls_recipe_destroy(recipe);
    return status;
}

static void test_new_networks(void **state)
{
    static const char *const dcls[] = {"dim=3", "depth=2", "kernel_count=2", "version=gauss",
                                       "drop_path=0.1"},
                             *const dense[] = {"dim=3", "depth=1", "kernel_count=0"},
                             *const stages[] = {"dims=2,3", "depths=1,1"}, *const labels[] = {"a", "b"};
    static const char graph[] =
        "{\"input\":{\"channels\":1,\"height\":\"any\",\"width\":\"any\"},\"nodes\":[{\"op\":\"dcls\","
        "\"weight\":\"d.weight\",\"P\":\"d.P\",\"version\":\"max\",\"dilated_kernel_size\":3,\"padding\":1,"
        "\"out_channels\":\"classes\",\"kernel_count\":2}]}";
    static char recipe[] =
        "{\"model\":{\"arch\":\"convmixer\",\"settings\":{\"dim\":3,\"depths\":[1,2]},\"labels\":[\"a\"]},"
        "\"data\":{\"train\":\"t\",\"classes\":[\"a\",\"b\",\"c\"]},\"loss\":{\"class_weights\":[1]}}";
    dcls_context *ctx = *state;
    require_interposition();
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    dcls_create_options options = {
        .arch = "convmixer", .classes = 2, .settings = dcls, .setting_count = 5, .labels = labels};
    torture(ctx, "a new ConvMixer", create, &options);
    options =
        (dcls_create_options){.arch = "convnext_dcls", .classes = 2, .settings = stages, .setting_count = 2};
    torture(ctx, "a new ConvNeXt", create, &options);
    options = (dcls_create_options){.arch_json = graph, .classes = 2};
    torture(ctx, "a described network", create, &options);
    options = (dcls_create_options){.arch = "convmixer", .classes = 2, .settings = dense, .setting_count = 3};
    dcls_model *model;
    assert_ok(ctx, dcls_model_create(ctx, &options, &model));
    torture(ctx, "replaced layers", replace, model);
    dcls_model_destroy(model);
    torture(ctx, "a recipe", read_and_write, recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CONTEXT_TEST(test_load),         CONTEXT_TEST(test_write),
                                       CONTEXT_TEST(test_onnx),         CONTEXT_TEST(test_plots),
                                       CONTEXT_TEST(test_comparisons),  CONTEXT_TEST(test_data_sets),
                                       CONTEXT_TEST(test_evaluation),   CONTEXT_TEST(test_training),
                                       CONTEXT_TEST(test_new_networks), CONTEXT_TEST(test_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
