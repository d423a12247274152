/* One input: its bytes become a picture or a batch of tensors, and each of these an answer. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "infer.h"
#include "inputs.h"
#include "numbers.h"
#include "output.h"
#include "shapes.h"
#include "stopwatch.h"

/* Where the results of one input go while it is worked on. */
struct work {
    infer_worker *worker;
    infer_result *result;
    FILE *text;
    const char *name, *stem;
};

/* An input that does not fit the network is a bad input, not wrong usage. */
static int input_exit(dcls_status status)
{
    return status == DCLS_ERR_ARGUMENT ? CLI_BAD_INPUT : cli_exit_of(status);
}

static bool fail(struct work *work, int status, char *error)
{
    work->result->status = status;
    work->result->error = error;
    return false;
}

static bool check(struct work *work, dcls_status status)
{
    if (status == DCLS_OK) return true;
    return fail(work, input_exit(status), cli_copy(dcls_context_message(work->worker->ctx)));
}

static void free_text(char **text)
{
    free(*text);
    *text = NULL;
}

void infer_result_free(infer_result *result)
{
    free_text(&result->text);
    free_text(&result->error);
    free(result->logits.data);
    result->logits = (infer_logits){0};
}

/* ---- one item ---- */

static bool all_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

static bool keep_logits(struct work *work, const infer_item *item)
{
    if (work->worker->infer->options->logits == NULL) return true;
    uint64_t limit = dcls_context_limit(work->worker->ctx, DCLS_LIMIT_MEMORY_BYTES);
    dcls_status status =
        infer_logits_add(&work->result->logits, item->ndim, item->shape, item->output, 1, limit);
    if (status == DCLS_OK) return true;
    return fail(work, CLI_LIMIT,
                cli_copy("--logits: this input's outputs take more memory than the limit allows"));
}

static bool give_answer(struct work *work, const infer_item *item)
{
    infer_answer answer;
    dcls_status status = infer_answer_make(work->worker, item, &answer);
    bool good = status == DCLS_OK && keep_logits(work, item);
    if (good)
        infer_print_item(work->worker, item, &answer, work->text);
    else if (status != DCLS_OK && answer.unwritten != NULL)
        fail(work, cli_exit_of(status),
             cli_format("%s: %s", answer.unwritten, dcls_context_message(work->worker->ctx)));
    else
        check(work, status);
    infer_answer_free(&answer);
    return good;
}

static void say_planned(const infer_worker *worker, const cached_plan *cached, double milliseconds)
{
    char shape[SHAPE_TEXT];
    shape_text(shape, cached->ndim, cached->shape);
    cli_verbose(worker->infer->run, "planned %s in %.1f ms: %s of buffers", shape, milliseconds,
                cli_bytes(dcls_plan_memory(cached->plan)).text);
}

static const cached_plan *find_plan(struct work *work, int ndim, const int64_t *shape)
{
    infer_worker *worker = work->worker;
    const cached_plan *cached;
    bool created;
    double start = cli_now();
    dcls_plan_options options = dcls_plan_options_default();
    options.algo = (dcls_algo)worker->infer->options->algo;
    options.precision = (dcls_precision)worker->infer->options->precision;
    dcls_status status = plan_cache_get(worker->ctx, &worker->plans, worker->infer->model, &options, ndim,
                                        shape, &cached, &created);
    if (!check(work, status)) return NULL;
    if (created) say_planned(worker, cached, 1e3 * (cli_now() - start));
    return cached;
}

/* An input that is alone gets all threads, several an even share each. */
static void share_threads(const infer_worker *worker, dcls_plan *plan)
{
    const int threads = dcls_context_threads(worker->ctx), sharing = atomic_load(worker->in_flight);
    dcls_plan_set_threads(plan, sharing > 1 ? (2 * threads + sharing) / (2 * sharing) : threads);
}

/* Runs one item [1, C, spatial..]; item has everything but the output. */
static bool run_item(struct work *work, const cached_plan *cached, const float *tensor, infer_item *item)
{
    double start = cli_now();
    share_threads(work->worker, cached->plan);
    if (!check(work, dcls_plan_run(work->worker->ctx, cached->plan, tensor, cached->output))) return false;
    item->milliseconds += 1e3 * (cli_now() - start);
    item->input = work->name;
    item->output = cached->output;
    item->size = cached->output_size;
    item->ndim = cached->output_ndim - 1;
    item->shape = cached->output_shape + 1;
    if (work->worker->infer->task == DCLS_TASK_SEGMENTATION &&
        (item->ndim != 3 || item->shape[0] > INFER_MAX_COLORS))
        return fail(
            work, CLI_BAD_INPUT,
            cli_format("a mask needs an output of at most %d classes x height x width", INFER_MAX_COLORS));
    if (!all_finite(item->output, item->size)) work->result->not_finite = true;
    return give_answer(work, item);
}

/* Sets the item's; the caller frees what is returned. */
static char *item_stem(const struct work *work, infer_item *item)
{
    char *own = NULL;
    if (work->stem != NULL && item->batched)
        own = stems_take_item(work->worker->infer->stems, work->stem, item->index);
    item->stem = own != NULL ? own : work->stem;
    return own;
}

/* ---- pictures ---- */

static bool run_picture(struct work *work, const dcls_image *image, int64_t index, bool batched)
{
    const infer_shared *infer = work->worker->infer;
    const dcls_preprocess *preprocess = dcls_model_preprocess(infer->model);
    infer_item item = {.image = image,
                       .index = index,
                       .batched = batched,
                       .width = dcls_image_width(image),
                       .height = dcls_image_height(image)};
    int64_t shape[4] = {1, preprocess->channels, 0, 0};
    if (infer->input_ndim != 4)
        return fail(
            work, CLI_BAD_INPUT,
            cli_format("this model takes tensors of %d axes (.npy), not pictures", infer->input_ndim));
    dcls_status status =
        dcls_preprocess_size(work->worker->ctx, preprocess, item.width, item.height, &shape[2], &shape[3]);
    if (!check(work, status)) return false;
    const cached_plan *cached = find_plan(work, 4, shape);
    if (cached == NULL) return false;

    double start = cli_now();
    float *tensor = malloc((size_t)(shape[1] * shape[2] * shape[3]) * sizeof *tensor); /* a plan takes it */
    if (tensor == NULL) return fail(work, CLI_LIMIT, cli_copy("out of memory"));
    bool good = check(work, dcls_preprocess_run(work->worker->ctx, preprocess, image, tensor));
    item.milliseconds = 1e3 * (cli_now() - start);
    char *stem = item_stem(work, &item);
    good = good && run_item(work, cached, tensor, &item);
    free(stem);
    free(tensor);
    return good;
}

static bool run_picture_bytes(struct work *work, const void *data, size_t size, int64_t index, bool batched)
{
    unsigned flags =
        work->worker->infer->options->no_exif ? DCLS_IMAGE_IGNORE_ORIENTATION : DCLS_IMAGE_DEFAULT;
    dcls_image *image;
    if (!check(work, dcls_image_load_memory(work->worker->ctx, data, size, flags, &image))) return false;
    bool good = run_picture(work, image, index, batched);
    dcls_image_destroy(image);
    return good;
}

/* On standard input pictures may follow each other. Files have one: what follows in them, such as the smaller
 * pictures of a camera, is part of it. */
static bool run_pictures(struct work *work, const uint8_t *data, size_t size)
{
    const bool stream = strcmp(work->name, "-") == 0;
    size_t extent = stream ? dcls_image_extent(data, size) : size;
    const bool batched = dcls_image_is_picture(data + extent, size - extent);
    for (int64_t index = 0; run_picture_bytes(work, data, extent, index, batched); index++) {
        data += extent;
        size -= extent;
        if (!dcls_image_is_picture(data, size)) return true;
        extent = dcls_image_extent(data, size);
    }
    return false;
}

/* ---- tensors ---- */

static bool check_tensor(struct work *work, const dcls_tensor *tensor)
{
    int ndim = work->worker->infer->input_ndim;
    char shape[SHAPE_TEXT];
    shape_text(shape, tensor->ndim, tensor->shape);
    if (tensor->dtype != DCLS_F32)
        return fail(
            work, CLI_BAD_INPUT,
            cli_format("a tensor of %s; the model takes F32 (float32)", dcls_dtype_name(tensor->dtype)));
    if (tensor->ndim != ndim)
        return fail(work, CLI_BAD_INPUT, cli_format("a tensor %s; the model takes %d axes", shape, ndim));
    if (tensor->shape[0] == 0)
        return fail(work, CLI_BAD_INPUT, cli_format("a tensor %s holds nothing", shape));
    return true;
}

static bool run_tensor_item(struct work *work, const cached_plan *cached, const dcls_tensor *tensor,
                            int64_t index)
{
    int64_t count = tensor->shape[0];
    size_t floats = tensor->nbytes / sizeof(float) / (size_t)count;
    const float *data = tensor->data;
    infer_item item = {.index = index,
                       .batched = count > 1,
                       .height = tensor->shape[2],
                       .width = tensor->ndim > 3 ? tensor->shape[3] : 1};
    char *stem = item_stem(work, &item);
    bool good = run_item(work, cached, data + (size_t)index * floats, &item);
    free(stem);
    return good;
}

/* Items of a batch run one after the other: the same plan serves all, and pictures of the same shape too. */
static bool run_tensor(struct work *work, const dcls_tensor *tensor)
{
    if (!check_tensor(work, tensor)) return false;
    int64_t shape[DCLS_MAX_DIMS];
    memcpy(shape, tensor->shape, sizeof shape);
    shape[0] = 1;
    const cached_plan *cached = find_plan(work, tensor->ndim, shape);
    if (cached == NULL) return false;
    for (int64_t i = 0; i < tensor->shape[0]; i++)
        if (!run_tensor_item(work, cached, tensor, i)) return false;
    return true;
}

static bool run_tensor_bytes(struct work *work, const void *data, size_t size)
{
    dcls_tensors *tensors;
    if (!check(work, dcls_tensors_load_memory(work->worker->ctx, data, size, &tensors))) return false;
    bool good = run_tensor(work, dcls_tensors_at(tensors, 0)); /* a .npy holds exactly one */
    dcls_tensors_destroy(tensors);
    return good;
}

/* ---- one input ---- */

/* Whether an answer, to this input or to another, may come to lie where it is. */
static bool is_in_the_way(const struct work *work)
{
    const infer_options *o = work->worker->infer->options;
    if (o->logits != NULL && cli_same_file(o->logits, work->name)) return true;
    if (o->output_dir == NULL || !cli_is_answer(work->name)) return false;
    const char *slash = strrchr(work->name, '/');
    char *beside = cli_format("%s/%s", o->output_dir, slash != NULL ? slash + 1 : work->name);
    const bool same = cli_same_file(beside, work->name);
    free(beside);
    return same;
}

static bool run_file(struct work *work)
{
    static const char npy_magic[] = "\x93NUMPY";
    void *data;
    size_t size;
    if (is_in_the_way(work))
        return fail(work, CLI_USAGE,
                    cli_copy("lies where answers are written and could be replaced: choose another place"));
    if (!check(work, dcls_file_load(work->worker->ctx, work->name, &data, &size))) return false;
    bool npy = size >= sizeof npy_magic - 1 && memcmp(data, npy_magic, sizeof npy_magic - 1) == 0;
    bool good = npy ? run_tensor_bytes(work, data, size) : run_pictures(work, data, size);
    free(data);
    return good;
}

void infer_input(infer_worker *worker, const char *name, const char *stem, infer_result *result)
{
    *result = (infer_result){0};
    struct work work = {worker, result, cli_checked(open_memstream(&result->text, &result->text_size)), name,
                        stem};
    bool good = run_file(&work);
    if (ferror(work.text) || fclose(work.text) != 0) cli_checked(NULL);
    if (!good) free_text(&result->text);
}
