/* Data sets, evaluation, training and its files, new networks and recipes when memory runs out. */
#include "torture_util.h"

#include "dcls_recipe.h"
#include "draw/curves.h"
#include "train/optimizer.h"
#include "train/positions.h"
#include "train/recording.h"

/* ---- data sets ---- */

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
    static const char text[] = "{\"dcls_version\":\"0\",\"task\":\"segmentation\",\"steps_per_epoch\":2}\n"
                               "{\"step\":1,\"epoch\":0,\"loss\":2,\"top1\":0.5,\"rate\":1}\n"
                               "{\"step\":2,\"epoch\":1,\"val_loss\":1,\"val_mean_iou\":0.25}\n{\"st";
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
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_data_sets), CONTEXT_TEST(test_evaluation),   CONTEXT_TEST(test_training),
        CONTEXT_TEST(test_runs),      CONTEXT_TEST(test_new_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
