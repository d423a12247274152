/* Answers as text, JSON lines and CSV. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "infer.h"
#include "numbers.h"
#include "output.h"
#include "shapes.h"

#define DEFAULT_SHOWN 5 /* classes in a line of text, values of a feature vector */

static size_t shown(const infer_shared *infer, size_t count)
{
    size_t limit = infer->options->top > 0 ? (size_t)infer->options->top : DEFAULT_SHOWN;
    return count < limit ? count : limit;
}

/* ---- text ---- */

static void put_printable(FILE *to, const char *text)
{
    char *safe = cli_printable(text);
    fputs(safe, to);
    free(safe);
}

static void text_classes(const infer_shared *infer, const infer_answer *answer, FILE *to)
{
    size_t count = shown(infer, answer->count);
    for (size_t i = 0; i < count; i++) {
        const infer_class *class = &answer->classes[i];
        const char *label = dcls_model_label(infer->model, (size_t) class->index);
        fputs(i > 0 ? "  " : " ", to);
        if (label != NULL)
            put_printable(to, label);
        else
            fprintf(to, "%" PRId64, class->index);
        fprintf(to, " %s", cli_percent(class->share).text);
    }
    if (answer->count > count && infer->task == DCLS_TASK_SEGMENTATION)
        fprintf(to, "  (%zu more)", answer->count - count);
}

static void text_features(const infer_shared *infer, const infer_item *item, FILE *to)
{
    char shape[SHAPE_TEXT];
    size_t count = shown(infer, item->size);
    shape_text(shape, item->ndim, item->shape);
    fprintf(to, " %s", shape);
    for (size_t i = 0; i < count; i++)
        fprintf(to, " %s", cli_real((double)item->output[i]).text);
    if (count < item->size) fputs(" ..", to);
}

static void print_text(const infer_shared *infer, const infer_item *item, const infer_answer *answer,
                       FILE *to)
{
    put_printable(to, item->input);
    if (item->batched) fprintf(to, "[%" PRId64 "]", item->index);
    fputc(':', to);
    if (infer->task == DCLS_TASK_FEATURES)
        text_features(infer, item, to);
    else
        text_classes(infer, answer, to);
    fputc('\n', to);
}

/* ---- JSON ---- */

static void json_classes(infer_worker *worker, const infer_answer *answer, const char *key, const char *share)
{
    dcls_json_writer *json = worker->json;
    dcls_json_write_open(json, key, '[');
    for (size_t i = 0; i < answer->count; i++) {
        const infer_class *class = &answer->classes[i];
        const char *label = dcls_model_label(worker->infer->model, (size_t) class->index);
        dcls_json_write_open(json, NULL, '{');
        dcls_json_write_int(json, "index", class->index);
        dcls_json_write_string(json, "label", label);
        dcls_json_write_float(json, share, (float)class->share);
        dcls_json_write_close(json, '}');
    }
    dcls_json_write_close(json, ']');
}

static void json_features(infer_worker *worker, const infer_item *item)
{
    dcls_json_write_open(worker->json, "shape", '[');
    for (int i = 0; i < item->ndim; i++)
        dcls_json_write_int(worker->json, NULL, item->shape[i]);
    dcls_json_write_close(worker->json, ']');
}

/* The bytes of a name that JSON text cannot hold faithfully. */
static char *base64(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = strlen(text);
    char *encoded = cli_alloc(4 * (length / 3 + 1) + 1, 1), *to = encoded;
    for (size_t i = 0; i < length; i += 3) {
        uint32_t bits = 0;
        for (size_t j = i; j < i + 3; j++)
            bits = bits << 8 | (j < length ? (unsigned char)text[j] : 0);
        for (int shift = 18; shift >= 0; shift -= 6)
            *to++ = digits[bits >> shift & 63];
    }
    for (size_t pad = (3 - length % 3) % 3; pad > 0; pad--)
        to[-(ptrdiff_t)pad] = '=';
    return encoded;
}

static void json_input(dcls_json_writer *json, const char *name)
{
    char *safe = cli_printable(name);
    dcls_json_write_string(json, "input", name);
    if (strcmp(safe, name) != 0) {
        char *encoded = base64(name);
        dcls_json_write_string(json, "input_base64", encoded);
        free(encoded);
    }
    free(safe);
}

static void print_json(infer_worker *worker, const infer_item *item, const infer_answer *answer, FILE *to)
{
    dcls_json_writer *json = worker->json;
    dcls_json_writer_reset(json);
    dcls_json_write_open(json, NULL, '{');
    json_input(json, item->input);
    if (item->batched) dcls_json_write_int(json, "item", item->index);
    dcls_json_write_string(json, "task", dcls_task_name(worker->infer->task));
    switch (worker->infer->task) {
    case DCLS_TASK_CLASSIFICATION: json_classes(worker, answer, "top", "prob"); break;
    case DCLS_TASK_SEGMENTATION:
        dcls_json_write_string(json, "mask", answer->mask);
        dcls_json_write_string(json, "overlay", answer->overlay);
        json_classes(worker, answer, "classes", "fraction");
        break;
    case DCLS_TASK_FEATURES: json_features(worker, item); break;
    }
    dcls_json_write_double(json, "ms", round(item->milliseconds * 1000) / 1000);
    dcls_json_write_close(json, '}');
    fputs(cli_checked_text(dcls_json_writer_text(json)), to);
}

/* ---- CSV ---- */

/* RFC 4180: quoted where it must be, quotes doubled. Names keep their bytes. */
static void csv_field(FILE *to, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text != '\0'; text++) {
        if (*text == '"') fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

static void csv_start(const infer_item *item, FILE *to)
{
    csv_field(to, item->input);
    fprintf(to, ",%" PRId64 ",", item->index);
}

static void csv_class(const infer_shared *infer, const infer_class *class, FILE *to)
{
    const char *label = dcls_model_label(infer->model, (size_t) class->index);
    fprintf(to, "%" PRId64 ",", class->index);
    csv_field(to, label != NULL ? label : "");
    fprintf(to, ",%.9g\n", class->share);
}

static void print_csv(const infer_shared *infer, const infer_item *item, const infer_answer *answer, FILE *to)
{
    for (size_t i = 0; i < answer->count; i++) {
        csv_start(item, to);
        if (infer->task == DCLS_TASK_CLASSIFICATION) fprintf(to, "%zu,", i + 1);
        csv_class(infer, &answer->classes[i], to);
    }
    if (infer->task != DCLS_TASK_FEATURES) return;
    size_t count = infer->options->top > 0 ? shown(infer, item->size) : item->size;
    for (size_t i = 0; i < count; i++) {
        csv_start(item, to);
        fprintf(to, "%zu,%.9g\n", i, (double)item->output[i]);
    }
}

void infer_print_header(const infer_shared *infer, FILE *to)
{
    static const char *const columns[] = {[DCLS_TASK_CLASSIFICATION] = "input,item,rank,index,label,prob",
                                          [DCLS_TASK_SEGMENTATION] = "input,item,index,label,fraction",
                                          [DCLS_TASK_FEATURES] = "input,item,index,value"};
    if (infer->options->format == INFER_CSV) fprintf(to, "%s\n", columns[infer->task]);
}

void infer_print_item(infer_worker *worker, const infer_item *item, const infer_answer *answer, FILE *to)
{
    switch ((infer_format)worker->infer->options->format) {
    case INFER_TEXT: print_text(worker->infer, item, answer, to); break;
    case INFER_JSON: print_json(worker, item, answer, to); break;
    case INFER_CSV: print_csv(worker->infer, item, answer, to); break;
    }
}
