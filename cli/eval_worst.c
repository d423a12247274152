/* The items that were answered worst, and pictures of them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dcls_plot.h"
#include "eval.h"
#include "numbers.h"
#include "output.h"
#include "stems.h"

#define WORST_SHOWN 20 /* where --worst-count does not say */

/* Segmentation: the share of wrong pixels; classification: the loss. NaN is worst of all. */
static double badness(const eval *e, const dcls_item_score *score)
{
    const double bad =
        e->task == DCLS_TASK_SEGMENTATION ? 1 - (double)score->correct / (double)score->targets : score->loss;
    return isnan(bad) ? (double)INFINITY : bad;
}

void eval_rank_item(eval *e, const dcls_evaluated *item)
{
    const size_t most = (size_t)(e->options->worst_count > 0 ? e->options->worst_count : WORST_SHOWN);
    if (e->options->worst == NULL || item->score.targets == 0) return;
    if (e->worst == NULL) e->worst = cli_alloc(most, sizeof *e->worst);
    const double bad = badness(e, &item->score);
    size_t place = e->worst_count;
    while (place > 0 && badness(e, &e->worst[place - 1].score) < bad)
        place--;
    if (place >= most) return;
    const size_t kept = e->worst_count < most ? e->worst_count : most - 1;
    memmove(e->worst + place + 1, e->worst + place, (kept - place) * sizeof *e->worst);
    e->worst[place] = (eval_rank){item->index, item->score};
    e->worst_count = kept + 1;
}

/* ---- pictures ---- */

typedef struct worst_job {
    eval *e;
    uint8_t palette[256 * 3];
    dcls_case *sheet; /* classification: [e->worst_count], pictures reduced and owned */
    size_t saved;
    int status;
} worst_job;

#define SHEET_SIDE 256 /* pixels of a picture that is kept for the sheet */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A label as part of a file's name. */
static void put_label(FILE *to, const eval *e, int64_t index)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._";
    char buffer[EVAL_LABEL_TEXT];
    const char *label = eval_label(e, index, buffer);
    for (int i = 0; i < 40 && label[i] != '\0'; i++)
        fputc((unsigned char)label[i] >= 0x80 || strchr(plain, label[i]) != NULL ? label[i] : '_', to);
}

/* "01-cat-as-dog-STEM.png", of masks "01-STEM.png": sorted by name, the worst come first. */
static char *path_of(const worst_job *job, const char *name, const dcls_case *item)
{
    const eval *e = job->e;
    const char *base = base_name(name), *dot = strrchr(base, '.');
    const int stem = dot != NULL && dot > base ? (int)(dot - base) : (int)strlen(base);
    char *path = NULL;
    size_t size = 0;
    FILE *to = cli_checked(open_memstream(&path, &size));
    fprintf(to, "%s/%0*zu-", e->options->worst, e->worst_count > 99 ? 3 : 2, job->saved + 1);
    if (e->task == DCLS_TASK_CLASSIFICATION) {
        put_label(to, e, item->target);
        fputs("-as-", to);
        put_label(to, e, item->answer);
        fputc('-', to);
    }
    fprintf(to, "%.*s.png", stem, base);
    if (fclose(to) != 0) cli_checked(NULL);
    return path;
}

/* At most SHEET_SIDE pixels a side, so that any number of photographs fits into memory. */
static dcls_status reduce(dcls_context *ctx, const dcls_image *image, dcls_image **out)
{
    const int64_t width = dcls_image_width(image), height = dcls_image_height(image);
    const int64_t longer = width > height ? width : height, step = (longer + SHEET_SIDE - 1) / SHEET_SIDE;
    const int64_t columns = (width + step - 1) / step, rows = (height + step - 1) / step;
    uint8_t *rgb = cli_alloc((size_t)(columns * rows), 3);
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++)
            memcpy(rgb + 3 * (y * columns + x), dcls_image_pixels(image) + 3 * (y * step * width + x * step),
                   3);
    const dcls_status status = dcls_image_create(ctx, columns, rows, rgb, out);
    free(rgb);
    return status;
}

static dcls_status add_to_sheet(worst_job *job, const dcls_case *shown)
{
    dcls_case *item = &job->sheet[job->saved];
    dcls_image *image;
    const dcls_status status = reduce(job->e->run->ctx, shown->image, &image);
    if (status != DCLS_OK) return status;
    *item = *shown;
    item->image = image;
    return DCLS_OK;
}

static bool save_case(void *arg, const dcls_evaluated *item)
{
    worst_job *job = arg;
    const eval *e = job->e;
    const char *name = dcls_dataset_item_name(e->set, item->index);
    dcls_sample sample;
    dcls_status status = dcls_dataset_load(e->run->ctx, e->set, item->index, &sample);
    if (status != DCLS_OK) {
        job->status = cli_fail(name, status, e->run->ctx);
        return false;
    }
    const dcls_case shown = {.name = name,
                             .image = sample.image,
                             .score = item->score,
                             .target = sample.label,
                             .answer = item->answer,
                             .confidence = item->confidence,
                             .mask = sample.mask,
                             .answers = item->answers};
    char *path = path_of(job, name, &shown);
    status = dcls_case_save(e->run->ctx, &shown, e->classes, job->palette, e->labels, path);
    if (status == DCLS_OK && job->sheet != NULL) status = add_to_sheet(job, &shown);
    if (status == DCLS_OK)
        job->saved++;
    else
        job->status = cli_fail(path, status, e->run->ctx);
    free(path);
    dcls_sample_free(&sample);
    return status == DCLS_OK;
}

static void save_sheet(worst_job *job)
{
    const eval *e = job->e;
    dcls_plot_options options = dcls_plot_options_default();
    char *path = cli_format("%s/worst.png", e->options->worst);
    char *title = cli_format("The %zu worst answers of %s", job->saved, cli_grouped(e->done).text);
    options.title = title;
    const dcls_status status =
        dcls_cases_save(e->run->ctx, job->sheet, job->saved, e->classes, e->labels, &options, path);
    if (status != DCLS_OK) job->status = cli_fail(path, status, e->run->ctx);
    free(title);
    free(path);
}

static void free_sheet(worst_job *job)
{
    for (size_t i = 0; job->sheet != NULL && i < job->saved; i++) {
        dcls_image *image;
        memcpy(&image, &job->sheet[i].image, sizeof image); /* ours, though others may not write to it */
        dcls_image_destroy(image);
    }
    free(job->sheet);
}

/* The worst once more, by themselves. */
static dcls_status answer_again(worst_job *job)
{
    const eval *e = job->e;
    dcls_metrics *metrics;
    int64_t *items = cli_alloc(e->worst_count, sizeof *items);
    for (size_t i = 0; i < e->worst_count; i++)
        items[i] = e->worst[i].index;
    dcls_evaluate_options options = e->evaluate;
    options.items = items;
    options.item_count = e->worst_count;
    options.answers = e->task == DCLS_TASK_SEGMENTATION;
    options.visit = save_case;
    options.arg = job;
    dcls_status status = dcls_metrics_create(e->run->ctx, e->classes, &metrics);
    if (status == DCLS_OK) {
        status = dcls_evaluate(e->run->ctx, e->model, e->set, &options, metrics);
        dcls_metrics_destroy(metrics);
    }
    free(items);
    return status;
}

int eval_save_worst(eval *e)
{
    worst_job job = {.e = e};
    if (e->worst_count == 0) return CLI_OK;
    for (size_t i = 0; i < 256; i++)
        dcls_model_color(e->model, i, job.palette + 3 * i);
    if (e->task == DCLS_TASK_CLASSIFICATION) job.sheet = cli_alloc(e->worst_count, sizeof *job.sheet);
    const dcls_status status = answer_again(&job);
    if (status != DCLS_OK && job.status == CLI_OK)
        job.status = cli_fail(e->options->worst, status, e->run->ctx);
    if (job.status == CLI_OK && job.sheet != NULL) save_sheet(&job);
    free_sheet(&job);
    if (job.status == CLI_OK) cli_verbose(e->run, "%zu pictures in %s", job.saved, e->options->worst);
    return job.status;
}
