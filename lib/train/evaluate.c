#include "train/evaluate.h"
#include "train/logits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "model/draft.h"
#include "train/metrics.h"

#define BATCH         64
#define WINDOW_PIXELS (1 << 20) /* of the tensors of a window, about: what is in memory at a time */
#define BATCH_PIXELS  65536 /* of those that run together: larger maps are faster one by one, in the cache */
#define PLANS         8

/* A network made ready for `count` pictures of one size. */
typedef struct ready_plan {
    dcls_plan *plan; /* NULL: none */
    int64_t count, height, width, used;
} ready_plan;

/* Windows of items on their way through the network. */
typedef struct runner {
    dcls_evaluation e;
    dcls_context **contexts; /* [e.threads]: for reading */
    dcls_eval_item *items;   /* [window] */
    int64_t window, count;   /* items at most, and in the present one */
    ready_plan plans[PLANS];
    int64_t clock;
    float *input, *output;
    size_t input_capacity, output_capacity; /* floats */
} runner;

dcls_evaluate_options dcls_evaluate_options_default(void)
{
    return (dcls_evaluate_options){.batch = BATCH};
}

/* ---- what is checked before ------------------------------------------------------------------------ */

dcls_status dcls_model_classes(dcls_context *ctx, const dcls_model *model, int64_t *out)
{
    int64_t input[DCLS_MAX_DIMS];
    const int ndim = dcls_model_input_shape(model, input);
    dcls_shape *shapes = dcls_alloc(ctx, model->node_count + 1, sizeof *shapes);
    if (shapes == NULL) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_infer_open(ctx, model, DCLS_ERR_ARGUMENT, ndim, input, shapes);
    const int64_t classes = status == DCLS_OK ? shapes[model->output].size[1] : 0;
    free(shapes);
    DCLS_TRY(status);
    if (classes < 1) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the number of the network's outputs is open");
    *out = classes;
    return DCLS_OK;
}

static dcls_status check_scales(dcls_context *ctx, const dcls_evaluate_options *o, int views)
{
    for (size_t i = 0; i < o->scale_count; i++)
        if (!(o->scales[i] >= 0.01 && o->scales[i] <= 100))
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a scale of %g: it must be from 0.01 to 100",
                             o->scales[i]);
    if (views > DCLS_MAX_VIEWS)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%d ways to show a picture: at most %d", views,
                         DCLS_MAX_VIEWS);
    return DCLS_OK;
}

static dcls_status check_task(dcls_context *ctx, const dcls_model *model, const dcls_dataset *set)
{
    if (model->task == DCLS_TASK_FEATURES || model->input_ndim != 4)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "only networks that classify or segment pictures can be evaluated");
    if (model->task == dcls_dataset_task(set)) return DCLS_OK;
    const bool maps = model->task == DCLS_TASK_SEGMENTATION;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the network %s, the data has %s",
                     maps ? "makes masks" : "classifies pictures", maps ? "folders of classes" : "masks");
}

static dcls_status check_classes(dcls_context *ctx, const dcls_evaluation *e, const dcls_metrics *metrics)
{
    const size_t labelled = dcls_dataset_class_count(e->set);
    if (dcls_metrics_classes(metrics) != e->classes)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "metrics of %lld classes for a network of %lld",
                         (long long)dcls_metrics_classes(metrics), (long long)e->classes);
    if (labelled > (size_t)e->classes)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the data has %zu classes, the network %lld", labelled,
                         (long long)e->classes);
    if (e->model->task == DCLS_TASK_SEGMENTATION && e->classes > 256)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "%lld classes: a mask holds 256", (long long)e->classes);
    return DCLS_OK;
}

/* A crop would cut away what the mask shows. */
static dcls_status choose_preprocess(dcls_context *ctx, dcls_evaluation *e)
{
    const dcls_model *model = e->model;
    dcls_preprocess *p = &e->preprocess;
    *p = e->options->preprocess != NULL ? *e->options->preprocess : model->preprocess;
    if (model->task != DCLS_TASK_SEGMENTATION || (p->crop_height == 0 && p->crop_width == 0)) return DCLS_OK;
    if (model->input_shape[2] != DCLS_ANY || model->input_shape[3] != DCLS_ANY)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED,
                         "the network segments a crop of fixed size, which masks cannot be compared with");
    p->crop_height = p->crop_width = 0;
    return DCLS_OK;
}

static dcls_status check_items(dcls_context *ctx, const dcls_evaluation *e)
{
    const dcls_evaluate_options *o = e->options;
    const int64_t count = dcls_dataset_count(e->set);
    for (size_t i = 0; o->items != NULL && i < o->item_count; i++)
        if (o->items[i] < 0 || o->items[i] >= count)
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no item %lld in a data set of %lld",
                             (long long)o->items[i], (long long)count);
    return DCLS_OK;
}

static dcls_status prepare(dcls_context *ctx, const dcls_metrics *metrics, dcls_evaluation *e)
{
    const dcls_evaluate_options *o = e->options;
    e->views = (o->scale_count > 0 ? (int)o->scale_count : 1) * (o->flip ? 2 : 1);
    DCLS_TRY(check_scales(ctx, o, e->views));
    DCLS_TRY(check_task(ctx, e->model, e->set));
    DCLS_TRY(check_items(ctx, e));
    DCLS_TRY(dcls_model_classes(ctx, e->model, &e->classes));
    DCLS_TRY(check_classes(ctx, e, metrics));
    DCLS_TRY(choose_preprocess(ctx, e));
    e->threads = dcls_context_threads(ctx);
    e->simd = dcls_simd_get(dcls_cpu_detect());
    e->probabilities = dcls_ends_in_softmax(e->model);
    return DCLS_OK;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static int64_t scaled(int64_t size, double scale)
{
    const int64_t length = llround((double)size * scale);
    return length > 1 ? length : 1;
}

/* The preprocessing whose tensor has sides `scale` times as long. */
static dcls_preprocess preprocess_at(const dcls_preprocess *p, double scale, const dcls_image *image)
{
    dcls_preprocess at = *p;
    if (scale == 1) return at;
    const bool none = p->resize == DCLS_RESIZE_NONE;
    if (none) {
        at.resize = DCLS_RESIZE_EXACT;
        at.filter = DCLS_FILTER_BILINEAR;
    }
    at.resize_height = scaled(none ? dcls_image_height(image) : p->resize_height, scale);
    at.resize_width = scaled(none ? dcls_image_width(image) : p->resize_width, scale);
    if (p->crop_height > 0) at.crop_height = scaled(p->crop_height, scale);
    if (p->crop_width > 0) at.crop_width = scaled(p->crop_width, scale);
    return at;
}

static dcls_status make_view(dcls_context *ctx, const dcls_evaluation *e, const dcls_image *image,
                             double scale, struct dcls_eval_view *view)
{
    const dcls_preprocess p = preprocess_at(&e->preprocess, scale, image);
    DCLS_TRY(dcls_preprocess_size(ctx, &p, dcls_image_width(image), dcls_image_height(image), &view->height,
                                  &view->width));
    view->tensor = dcls_alloc(ctx, (size_t)(view->height * view->width), (size_t)p.channels * sizeof(float));
    return view->tensor != NULL ? dcls_preprocess_run(ctx, &p, image, view->tensor) : DCLS_ERR_MEMORY;
}

static dcls_status take_sample(dcls_context *ctx, const dcls_evaluation *e, dcls_sample *sample,
                               dcls_eval_item *item)
{
    const dcls_evaluate_options *o = e->options;
    item->label = sample->label;
    item->width = dcls_image_width(sample->image);
    item->height = dcls_image_height(sample->image);
    item->mask = sample->mask;
    sample->mask = NULL;
    const int each = o->flip ? 2 : 1;
    for (int v = 0; v < e->views; v += each) {
        DCLS_TRY(
            make_view(ctx, e, sample->image, o->scale_count > 0 ? o->scales[v / each] : 1, &item->views[v]));
        if (!o->flip) continue;
        item->views[v + 1] = item->views[v];
        item->views[v + 1].tensor = NULL; /* made when it is shown */
        item->views[v + 1].mirrored = true;
    }
    return DCLS_OK;
}

static void free_item(dcls_eval_item *item)
{
    for (int v = 0; v < DCLS_MAX_VIEWS; v++) {
        free(item->views[v].tensor);
        free(item->views[v].output);
    }
    free(item->mask);
    free(item->answers);
}

static dcls_status read_item(dcls_context *ctx, const dcls_evaluation *e, dcls_eval_item *item)
{
    dcls_sample sample;
    dcls_status status = dcls_dataset_load(ctx, e->set, item->index, &sample);
    if (status == DCLS_OK) {
        status = take_sample(ctx, e, &sample, item);
        dcls_sample_free(&sample);
    }
    if (status == DCLS_OK) return DCLS_OK;
    free_item(item);
    *item = (dcls_eval_item){.index = item->index};
    return dcls_fail_within(ctx, status, "%s: ", dcls_dataset_item_name(e->set, item->index));
}

static void read_task(void *arg, int64_t i, int worker)
{
    const runner *r = arg;
    (void)read_item(r->contexts[worker], &r->e, &r->items[i]);
}

/* The first picture that could not be read is read once more, for the message. */
static dcls_status read_window(dcls_context *ctx, runner *r)
{
    dcls_parallel_for(r->e.threads, r->count, read_task, r);
    for (int64_t i = 0; i < r->count; i++)
        if (r->items[i].views[0].tensor == NULL) DCLS_TRY(read_item(ctx, &r->e, &r->items[i]));
    return DCLS_OK;
}

/* ---- running ---------------------------------------------------------------------------------------- */

static dcls_status get_plan(dcls_context *ctx, runner *r, int64_t count, int64_t height, int64_t width,
                            dcls_plan **out)
{
    ready_plan *oldest = &r->plans[0];
    for (int i = 0; i < PLANS; i++) {
        ready_plan *p = &r->plans[i];
        if (p->plan != NULL && p->count == count && p->height == height && p->width == width) {
            p->used = ++r->clock;
            *out = p->plan;
            return DCLS_OK;
        }
        if (p->used < oldest->used) oldest = p;
    }
    dcls_plan_options options = dcls_plan_options_default();
    options.algo = r->e.options->algo;
    dcls_plan_destroy(oldest->plan);
    *oldest = (ready_plan){.count = count, .height = height, .width = width, .used = ++r->clock};
    const int64_t shape[] = {count, r->e.preprocess.channels, height, width};
    DCLS_TRY(dcls_plan_create(ctx, r->e.model, &options, 4, shape, &oldest->plan));
    *out = oldest->plan;
    return DCLS_OK;
}

static dcls_status reserve(dcls_context *ctx, float **array, size_t *capacity, size_t floats)
{
    if (floats <= *capacity) return DCLS_OK;
    free(*array);
    *capacity = 0;
    *array = dcls_alloc(ctx, floats, sizeof(float));
    if (*array == NULL) return DCLS_ERR_MEMORY;
    *capacity = floats;
    return DCLS_OK;
}

static void copy_mirrored(const float *from, float *to, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++, from += width, to += width)
        for (int64_t x = 0; x < width; x++)
            to[x] = from[width - 1 - x];
}

/* The input of one view; a mirrored one is made of the view before it. */
static void show(const dcls_evaluation *e, const dcls_eval_item *item, int v, float *to)
{
    const struct dcls_eval_view *view = &item->views[v];
    const int64_t rows = e->preprocess.channels * view->height;
    if (view->mirrored)
        copy_mirrored(item->views[v - 1].tensor, to, rows, view->width);
    else
        memcpy(to, view->tensor, (size_t)(rows * view->width) * sizeof *to);
}

static dcls_status take_outputs(dcls_context *ctx, const runner *r, const dcls_plan *plan, int v,
                                const int64_t *which, int64_t count)
{
    int64_t shape[DCLS_MAX_DIMS];
    const int ndim = dcls_plan_output_shape(plan, shape);
    const size_t floats = dcls_plan_output_count(plan) / (size_t)count;
    for (int64_t i = 0; i < count; i++) {
        struct dcls_eval_view *view = &r->items[which[i]].views[v];
        view->out_height = ndim == 4 ? shape[2] : 1;
        view->out_width = ndim == 4 ? shape[3] : 1;
        view->output = dcls_alloc(ctx, floats, sizeof *view->output);
        if (view->output == NULL) return DCLS_ERR_MEMORY;
        memcpy(view->output, r->output + (size_t)i * floats, floats * sizeof *view->output);
    }
    return DCLS_OK;
}

/* Pictures number `which`, all of one size, at once. */
static dcls_status run_batch(dcls_context *ctx, runner *r, int v, const int64_t *which, int64_t count)
{
    const struct dcls_eval_view *first = &r->items[which[0]].views[v];
    const size_t floats = (size_t)(r->e.preprocess.channels * first->height * first->width);
    dcls_plan *plan;
    const dcls_status status = get_plan(ctx, r, count, first->height, first->width, &plan);
    if (status != DCLS_OK)
        return dcls_fail_within(ctx, status,
                                "%s: ", dcls_dataset_item_name(r->e.set, r->items[which[0]].index));
    DCLS_TRY(reserve(ctx, &r->input, &r->input_capacity, (size_t)count * floats));
    DCLS_TRY(reserve(ctx, &r->output, &r->output_capacity, dcls_plan_output_count(plan)));
    for (int64_t i = 0; i < count; i++)
        show(&r->e, &r->items[which[i]], v, r->input + (size_t)i * floats);
    DCLS_TRY(dcls_plan_run(ctx, plan, r->input, r->output));
    return take_outputs(ctx, r, plan, v, which, count);
}

/* Few sizes of batches, so that plans are used again: as many as may be, else powers of four. */
static int64_t batch_of(const runner *r, const struct dcls_eval_view *view, int64_t left)
{
    const int64_t fit = BATCH_PIXELS / (view->height * view->width), most = fit < r->window ? fit : r->window;
    int64_t size = 1;
    if (left >= most) return most > 1 ? most : 1;
    while (4 * size <= left)
        size *= 4;
    return size;
}

/* One view of the window's items, those of one size together. */
static dcls_status run_view(dcls_context *ctx, runner *r, int v, int64_t *which)
{
    for (int64_t i = 0; i < r->count; i++) {
        const struct dcls_eval_view *view = &r->items[i].views[v];
        int64_t alike = 0;
        if (view->output != NULL) continue;
        for (int64_t k = i; k < r->count; k++) {
            const struct dcls_eval_view *other = &r->items[k].views[v];
            if (other->output == NULL && other->height == view->height && other->width == view->width)
                which[alike++] = k;
        }
        for (int64_t done = 0; done < alike;) {
            const int64_t count = batch_of(r, view, alike - done);
            DCLS_TRY(run_batch(ctx, r, v, which + done, count));
            done += count;
        }
    }
    return DCLS_OK;
}

static dcls_status run_window(dcls_context *ctx, runner *r)
{
    int64_t *which = dcls_alloc(ctx, (size_t)r->count, sizeof *which);
    dcls_status status = which != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    for (int v = 0; v < r->e.views && status == DCLS_OK; v++)
        status = run_view(ctx, r, v, which);
    free(which);
    return status;
}

/* ---- all windows ------------------------------------------------------------------------------------ */

static bool report(const runner *r)
{
    const dcls_evaluate_options *o = r->e.options;
    for (int64_t i = 0; i < r->count && o->visit != NULL; i++) {
        const dcls_eval_item *item = &r->items[i];
        const dcls_evaluated evaluated = {item->index, item->score, item->mask != NULL ? -1 : item->answer,
                                          item->confidence, item->answers};
        if (!o->visit(o->arg, &evaluated)) return false;
    }
    return true;
}

/* How many pictures like those of the present window are worked on together. */
static void choose_window(runner *r)
{
    int64_t pixels = 1;
    const int64_t most = r->e.options->batch > 0 ? r->e.options->batch : BATCH;
    for (int64_t i = 0; i < r->count; i++) {
        int64_t all = 0;
        for (int v = 0; v < r->e.views; v++)
            all += r->items[i].views[v].height * r->items[i].views[v].width;
        if (all > pixels) pixels = all;
    }
    r->window = WINDOW_PIXELS / pixels < most ? WINDOW_PIXELS / pixels : most;
    if (r->window < 1) r->window = 1;
}

static void clear_window(runner *r)
{
    for (int64_t i = 0; i < r->count; i++)
        free_item(&r->items[i]);
    r->count = 0;
}

static void name_window(runner *r, int64_t first, int64_t count)
{
    const dcls_evaluate_options *o = r->e.options;
    r->count = count;
    for (int64_t i = 0; i < count; i++)
        r->items[i] = (dcls_eval_item){.index = o->items != NULL ? o->items[first + i] : first + i};
}

/* The first picture tells how large windows should be. */
static dcls_status measure(dcls_context *ctx, runner *r)
{
    name_window(r, 0, 1);
    const dcls_status status = read_window(ctx, r);
    choose_window(r);
    clear_window(r);
    return status;
}

static dcls_status run_windows(dcls_context *ctx, runner *r, int64_t total, dcls_metrics *metrics)
{
    bool goes_on = true;
    DCLS_TRY(measure(ctx, r));
    for (int64_t first = 0, next; first < total && goes_on; first = next) {
        next = total - first < r->window ? total : first + r->window;
        name_window(r, first, next - first);
        dcls_status status = read_window(ctx, r);
        if (status == DCLS_OK) status = run_window(ctx, r);
        if (status == DCLS_OK) status = dcls_eval_count(ctx, &r->e, r->items, r->count, metrics);
        if (status == DCLS_OK) goes_on = report(r);
        if (status == DCLS_OK) choose_window(r);
        clear_window(r);
        DCLS_TRY(status);
    }
    return DCLS_OK;
}

static void free_runner(runner *r)
{
    dcls_contexts_destroy(r->contexts, r->e.threads);
    for (int i = 0; i < PLANS; i++)
        dcls_plan_destroy(r->plans[i].plan);
    free(r->items);
    free(r->input);
    free(r->output);
}

dcls_status dcls_evaluate(dcls_context *ctx, const dcls_model *model, const dcls_dataset *set,
                          const dcls_evaluate_options *options, dcls_metrics *metrics)
{
    const dcls_evaluate_options defaults = dcls_evaluate_options_default();
    const dcls_evaluate_options *o = options != NULL ? options : &defaults;
    runner r = {.e = {.model = model, .set = set, .options = o}};
    DCLS_TRY(prepare(ctx, metrics, &r.e));
    const int64_t total = o->items != NULL ? (int64_t)o->item_count : dcls_dataset_count(set);
    if (total == 0) return DCLS_OK;
    r.items = dcls_alloc(ctx, o->batch > BATCH ? (size_t)o->batch : BATCH, sizeof *r.items);
    dcls_status status =
        r.items != NULL ? dcls_contexts_create(ctx, r.e.threads, &r.contexts) : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = run_windows(ctx, &r, total, metrics);
    free_runner(&r);
    return status;
}
