/*
 * The report of dcls plot -o X.html: one file, without a word from the network. Its parts are written as what
 * they are, page*.html, .css and .js beside this file, and put into the program when it is built; here the
 * data are added. Names from the model reach the page as JSON alone, with '<' escaped, and the scripts make
 * text of them. Should one get through all the same, the page's policy runs no script but ours, known by its
 * digest.
 */
#include "draw/html.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "draw/page_digests.h"

/* name bounds the files put together, as text. */
#define EMBED(name, content)                                                                                 \
    __asm__(".section .rodata\n"                                                                             \
            "    .hidden " #name "\n    .globl " #name "\n" #name ":\n" content "    .byte 0\n    .text\n"); \
    extern const char name[] __attribute__((visibility("hidden")))
#define CONTENT(path) "    .incbin \"lib/draw/" path "\"\n"

/* The scripts stand in the order in which the Makefile takes their digest. */
EMBED(dcls_page_html, CONTENT("page.html"));
EMBED(dcls_page_css, CONTENT("page.css"));
EMBED(dcls_page_js, CONTENT("page_base.js") CONTENT("page_window.js") CONTENT("page_main.js"));

/* ---- numbers ---- */

void dcls_html_rounded(dcls_html *h, double value, double steps)
{
    if (isfinite(value))
        dcls_json_double(&h->json, round(value * steps) / steps + 0.0);
    else
        dcls_json_null(&h->json);
}

void dcls_html_key_rounded(dcls_html *h, const char *key, double value, double steps)
{
    dcls_json_key(&h->json, key);
    dcls_html_rounded(h, value, steps);
}

void dcls_html_key_int(dcls_html *h, const char *key, int64_t value)
{
    dcls_json_key(&h->json, key);
    dcls_json_int(&h->json, value);
}

void dcls_html_key_string(dcls_html *h, const char *key, const char *value)
{
    dcls_json_key(&h->json, key);
    dcls_json_string(&h->json, value);
}

void dcls_html_key_begin(dcls_html *h, const char *key, char bracket)
{
    dcls_json_key(&h->json, key);
    dcls_json_begin(&h->json, bracket);
}

/* ---- facts and warnings ---- */

static void put_totals(dcls_html *h)
{
    int64_t weights = 0, positions = 0, spreads = 0, dense = 0, sparse = 0;
    for (size_t i = 0; i < dcls_report_count(h->report); i++) {
        const dcls_node_report *node = dcls_report_node(h->report, i);
        weights += node->weights;
        positions += node->positions;
        spreads += node->spreads;
        dense += node->macs_dense;
        sparse += node->macs_sparse;
    }
    dcls_html_key_int(h, "weights", weights);
    dcls_html_key_int(h, "positions", positions);
    dcls_html_key_int(h, "spreads", spreads);
    dcls_html_key_int(h, "dense", dense);
    dcls_html_key_int(h, "sparse", sparse);
    dcls_html_key_int(h, "live", (int64_t)dcls_report_peak_live(h->report));
    dcls_html_key_int(h, "plan", (int64_t)dcls_report_plan_memory(h->report));
}

static void put_facts(dcls_html *h)
{
    const dcls_plot_options *o = h->plot->options;
    const char *line;
    if (h->report) {
        dcls_html_key_begin(h, "facts", '{');
        dcls_html_key_string(h, "task", dcls_task_name(dcls_model_task(h->plot->source->model)));
        dcls_html_key_begin(h, "input", '[');
        for (int d = 1; d < o->ndim; d++)
            dcls_json_int(&h->json, o->shape[d]);
        dcls_json_end(&h->json, ']');
        put_totals(h);
        dcls_json_end(&h->json, '}');
    }
    dcls_html_key_begin(h, "warnings", '[');
    for (size_t i = 0; h->report && (line = dcls_report_warning(h->report, i)) != NULL; i++)
        dcls_json_string(&h->json, line);
    dcls_json_end(&h->json, ']');
}

/* ---- colours ---- */

/* Of a dark page: every colour's lightness mirrored, which keeps the distances between them. */
static void darken(dcls_colormap *map)
{
    const double mirror = 1.18; /* almost white and almost the page's dark change places */
    for (int i = 0; i < DCLS_COLORMAP_COLORS; i++) {
        double rgb[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = map->rgb[i][c] / 255.0;
        dcls_oklab color = dcls_oklab_from_rgb(rgb);
        color.L = mirror - color.L;
        dcls_oklab_to_rgb(color, rgb);
        for (int c = 0; c < 3; c++)
            map->rgb[i][c] = (uint8_t)lround(rgb[c] * 255);
    }
}

static void put_colors(dcls_html *h, const char *key, const dcls_colormap *map, bool backwards)
{
    static const char digits[] = "0123456789abcdef";
    char text[DCLS_COLORMAP_COLORS * 6 + 1] = "", *at = text;
    for (int i = 0; i < DCLS_COLORMAP_COLORS; i++) {
        for (int c = 0; c < 3; c++) {
            uint8_t value = map->rgb[backwards ? DCLS_COLORMAP_COLORS - 1 - i : i][c];
            *at++ = digits[value >> 4];
            *at++ = digits[value & 15];
        }
    }
    dcls_html_key_string(h, key, text);
}

static void put_maps(dcls_html *h)
{
    dcls_colormap map;
    dcls_html_key_begin(h, "maps", '{');
    dcls_colormap_sequential(&map);
    put_colors(h, "sequential", &map, false);
    put_colors(h, "sequential_dark", &map, true);
    dcls_colormap_diverging(&map);
    put_colors(h, "diverging", &map, false);
    darken(&map);
    put_colors(h, "diverging_dark", &map, false);
    dcls_json_end(&h->json, '}');
}

/* ---- operations ---- */

static void put_sizes(dcls_html *h, const char *key, int count, const int64_t *sizes)
{
    dcls_html_key_begin(h, key, '[');
    for (int i = 0; i < count; i++)
        dcls_json_int(&h->json, sizes[i]);
    dcls_json_end(&h->json, ']');
}

static void put_node(dcls_html *h, const dcls_node_report *node)
{
    int spatial = h->plot->options->ndim - 2;
    dcls_json_begin(&h->json, '{');
    dcls_html_key_string(h, "name", node->name);
    dcls_html_key_string(h, "op", node->op);
    put_sizes(h, "shape", node->ndim > 0 ? node->ndim - 1 : 0, node->shape + 1);
    dcls_html_key_int(h, "weights", node->weights);
    dcls_html_key_int(h, "positions", node->positions);
    dcls_html_key_int(h, "spreads", node->spreads);
    dcls_html_key_int(h, "dense", node->macs_dense);
    dcls_html_key_int(h, "sparse", node->macs_sparse);
    dcls_html_key_string(h, "algorithm", node->algorithm);
    if (node->receptive_field[0] < 0)
        dcls_html_key_string(h, "field", NULL);
    else
        put_sizes(h, "field", spatial > 0 && node->receptive_field[0] > 0 ? spatial : 0,
                  node->receptive_field);
    dcls_json_end(&h->json, '}');
}

static dcls_status put_data(dcls_html *h)
{
    dcls_json_begin(&h->json, '{');
    dcls_html_key_string(h, "by", "dcls " DCLS_VERSION_STRING);
    put_facts(h);
    put_maps(h);
    DCLS_TRY(dcls_html_put_layers(h));
    dcls_html_key_begin(h, "nodes", '[');
    for (size_t i = 0; h->report && i < dcls_report_count(h->report); i++)
        put_node(h, dcls_report_node(h->report, i));
    dcls_json_end(&h->json, ']');
    dcls_json_end(&h->json, '}');
    return DCLS_OK;
}

/* ---- the file ---- */

/* Text as HTML or, with `<` as \u003c, as JSON in a script element: either cannot end what it stands in. */
static void write_escaped(dcls_output *out, const char *text, bool json)
{
    for (size_t plain; *text; text += plain) {
        plain = strcspn(text, json ? "<" : "<>&\"");
        dcls_output_write(out, text, plain);
        if (!text[plain]) return;
        if (json)
            dcls_output_printf(out, "\\u%04x", (unsigned)text[plain]);
        else
            dcls_output_printf(out, "&#%u;", (unsigned)text[plain]);
        plain++;
    }
}

static void write_text(dcls_output *out, const char *text)
{
    dcls_output_write(out, text, strlen(text));
}

static void write_page(dcls_output *out, const char *title, const char *json)
{
    static const char head[] =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; "
        "form-action 'none'; img-src data:; style-src '" DCLS_PAGE_CSS_DIGEST
        "'; script-src '" DCLS_PAGE_JS_DIGEST "'\">\n<link rel=\"icon\" href=\"data:,\">\n<title>";
    write_text(out, head);
    write_escaped(out, title, false);
    write_text(out, "</title>\n<style>");
    write_text(out, dcls_page_css);
    write_text(out, "</style>\n</head>\n<body>\n");
    write_text(out, dcls_page_html);
    write_text(out, "<script type=\"application/json\" id=\"data\">");
    write_escaped(out, json, true);
    write_text(out, "</script>\n<script>");
    write_text(out, dcls_page_js);
    write_text(out, "</script>\n</body>\n</html>\n");
}

static dcls_status save(dcls_html *h, const char *path)
{
    dcls_output *out;
    if (h->json.to->failed) return dcls_fail(h->plot->ctx, DCLS_ERR_MEMORY, "out of memory");
    DCLS_TRY(dcls_output_open(h->plot->ctx, path, &out));
    write_page(out, h->plot->options->title ? h->plot->options->title : "DCLS layers", h->json.to->data);
    return dcls_output_commit(h->plot->ctx, out);
}

dcls_status dcls_html_save(dcls_plot *plot, const char *path)
{
    const dcls_plot_options *o = plot->options;
    dcls_report *report = NULL;
    dcls_string text = {0};
    DCLS_TRY(dcls_plot_find_layers(plot));
    if (plot->source->model)
        DCLS_TRY(dcls_report_create(plot->ctx, plot->source->model, o->ndim, o->shape, &report));
    dcls_html h = {.plot = plot, .report = report, .json = {.to = &text, .compact = true}};
    dcls_status status = put_data(&h);
    if (status == DCLS_OK) status = save(&h, path);
    dcls_string_free(&text);
    dcls_report_destroy(report);
    return status;
}
