/* Densities as text: panels of Unicode blocks side by side. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "draw/plot.h"

/* A cell is two characters wide where panels stay small, so that it is about as wide as high; else one
 * character stands for two cells, one above the other. */
enum { CAPTION_LINES = 2, BAR_LINES = 4, WIDE_CELLS = 24, LEAST_WIDTH = 16, BETWEEN = 2 };

struct panel {
    dcls_string *lines;
    int count, width;
};

struct terminal {
    dcls_plot *plot;
    int columns;
    bool colors, failed;
    double largest;
    struct panel *panels;
};

/* ---- densities ---- */

/* What is shown of a layer: rows x columns, larger windows with neighbouring cells joined. */
struct map {
    double *density;
    int64_t rows, columns;
};

/* The first axis of a 3-D window is summed over. */
static dcls_status measure(struct terminal *t, const dcls_plot_layer *layer, struct map *map)
{
    const dcls_kernel *k = &layer->k;
    int64_t cells = dcls_kernel_cells(k), elements, columns = k->size[k->ndim - 1],
            rows = k->ndim > 1 ? k->size[k->ndim - 2] : 1;
    int64_t step = (columns + t->columns - 1) / t->columns;
    double *density = dcls_plot_alloc(t->plot, (size_t)cells, sizeof *density);
    map->columns = (columns + step - 1) / step;
    map->rows = (rows + step - 1) / step;
    map->density = dcls_plot_alloc(t->plot, (size_t)(map->rows * map->columns), sizeof *map->density);
    if (!density || !map->density) return DCLS_ERR_MEMORY;
    dcls_plot_density_of(layer, density, &elements);
    for (int64_t i = 0; i < cells; i++) {
        int64_t at = i % (rows * columns);
        map->density[at / columns / step * map->columns + at % columns / step] +=
            density[i] * (double)(map->rows * map->columns) / (double)(elements > 0 ? elements : 1);
    }
    for (int64_t i = 0; k->ndim > 1 && i < map->rows * map->columns; i++)
        t->largest = fmax(t->largest, map->density[i]);
    return DCLS_OK;
}

/* ---- characters ---- */

/* The nearest of the 6 x 6 x 6 colours of a 256-colour terminal, many are bright. */
static int palette_index(const uint8_t rgb[3])
{
    int index = 16;
    static const int weight[3] = {36, 6, 1};
    for (int c = 0; c < 3; c++) {
        int level = rgb[c] < 48 ? 0 : rgb[c] < 115 ? 1 : (rgb[c] - 35) / 40;
        index += weight[c] * level;
    }
    return index;
}

/* From dark to bright: empty cells of a dark terminal are dark. */
static int color_of(const struct terminal *t, double density)
{
    double place = t->largest > 0 ? sqrt(density / t->largest) : 0;
    return palette_index(dcls_colormap_at(&t->plot->sequential, 1 - place));
}

static const char *shade_of(const struct terminal *t, double density)
{
    static const char *const shades[] = {" ", "\xe2\x96\x91", "\xe2\x96\x92", "\xe2\x96\x93", "\xe2\x96\x88"};
    double place = t->largest > 0 ? sqrt(density / t->largest) : 0;
    return shades[(int)fmin(place * 5, 4)];
}

static void put_wide_line(const struct terminal *t, dcls_string *line, const double *density, int64_t columns)
{
    for (int64_t x = 0; x < columns; x++) {
        if (t->colors)
            dcls_string_printf(line, "\033[48;5;%dm  ", color_of(t, density[x]));
        else
            dcls_string_printf(line, "%s%s", shade_of(t, density[x]), shade_of(t, density[x]));
    }
    if (t->colors) dcls_string_puts(line, "\033[0m");
}

static void put_half_line(const struct terminal *t, dcls_string *line, const double *upper,
                          const double *lower, int64_t columns)
{
    if (!upper) return;
    for (int64_t x = 0; x < columns; x++) {
        double below = lower ? lower[x] : 0;
        if (t->colors && lower)
            dcls_string_printf(line, "\033[38;5;%dm\033[48;5;%dm\xe2\x96\x80", color_of(t, upper[x]),
                               color_of(t, below));
        else if (t->colors)
            dcls_string_printf(line, "\033[0m\033[38;5;%dm\xe2\x96\x80", color_of(t, upper[x]));
        else
            dcls_string_puts(line, shade_of(t, lower ? (upper[x] + below) / 2 : upper[x]));
    }
    if (t->colors) dcls_string_puts(line, "\033[0m");
}

/* Columns of eighths, BAR_LINES high. */
static void put_bars(dcls_string *lines, const struct map *map, int wide)
{
    static const char *const eighths[] = {" ",
                                          "\xe2\x96\x81",
                                          "\xe2\x96\x82",
                                          "\xe2\x96\x83",
                                          "\xe2\x96\x84",
                                          "\xe2\x96\x85",
                                          "\xe2\x96\x86",
                                          "\xe2\x96\x87",
                                          "\xe2\x96\x88"};
    double largest = 0;
    for (int64_t x = 0; x < map->columns; x++)
        largest = fmax(largest, map->density[x]);
    for (int64_t x = 0; x < map->columns; x++) {
        int height = largest > 0 ? (int)lround(map->density[x] / largest * 8 * BAR_LINES) : 0;
        for (int l = 0; l < BAR_LINES; l++) {
            int filled = height - 8 * (BAR_LINES - 1 - l);
            for (int i = 0; i < wide; i++)
                dcls_string_puts(&lines[l], eighths[filled < 0 ? 0 : filled > 8 ? 8 : filled]);
        }
    }
}

/* ---- panels ---- */

static int count_columns(const char *text)
{
    int columns = 0;
    for (; *text != '\0'; columns++) {
        const size_t length = dcls_utf8_length(text, strlen(text));
        text += length ? length : 1;
    }
    return columns;
}

/* Exactly `width` columns: cut, with two dots, or filled up with blanks. */
static void put_padded(dcls_string *line, const char *text, int width)
{
    const bool cut = width > 4 && count_columns(text) > width;
    int used = 0;
    while (*text && used < width - (cut ? 2 : 0)) {
        size_t length = dcls_utf8_length(text, strlen(text));
        dcls_string_append(line, text, length ? length : 1);
        text += length ? length : 1;
        used++;
    }
    dcls_string_printf(line, "%*s", width - used, cut ? ".." : "");
}

static void put_captions(struct panel *panel, const dcls_plot_layer *layer)
{
    char name[512], facts[256], window[DCLS_WINDOW_TEXT];
    dcls_escape_text(name, sizeof name, layer->name);
    snprintf(facts, sizeof facts, "%s %s", dcls_kernel_version_name(layer->k.version),
             dcls_plot_window_text(window, &layer->k));
    put_padded(&panel->lines[0], name, panel->width);
    put_padded(&panel->lines[1], facts, panel->width);
}

static dcls_status make_panel(struct terminal *t, const dcls_plot_layer *layer, const struct map *map,
                              struct panel *panel)
{
    bool bars = layer->k.ndim == 1;
    int wide = map->columns <= WIDE_CELLS && 2 * map->columns <= t->columns ? 2 : 1;
    int drawn = (int)map->columns * wide;
    int lines = bars ? BAR_LINES : wide == 2 ? (int)map->rows : (int)(map->rows + 1) / 2;
    panel->width = drawn < LEAST_WIDTH ? LEAST_WIDTH : drawn;
    if (panel->width > t->columns) panel->width = t->columns;
    panel->count = CAPTION_LINES + lines;
    panel->lines = dcls_plot_alloc(t->plot, (size_t)panel->count, sizeof *panel->lines);
    if (!panel->lines) return DCLS_ERR_MEMORY;
    put_captions(panel, layer);
    dcls_string *body = panel->lines + CAPTION_LINES;
    if (bars) put_bars(body, map, wide);
    for (int l = 0; l < lines; l++) {
        const double *row = map->density + (wide == 2 ? l : 2 * l) * map->columns;
        if (!bars && wide == 2) put_wide_line(t, &body[l], row, map->columns);
        if (!bars && wide == 1)
            put_half_line(t, &body[l], row, 2 * l + 1 < map->rows ? row + map->columns : NULL, map->columns);
        dcls_string_printf(&body[l], "%*s", panel->width - drawn, "");
    }
    return DCLS_OK;
}

/* ---- the text ---- */

static void put_row(struct terminal *t, dcls_string *out, size_t first, size_t end)
{
    int lines = 0;
    for (size_t i = first; i < end; i++)
        if (t->panels[i].count > lines) lines = t->panels[i].count;
    for (int l = 0; l < lines; l++) {
        size_t start = out->length;
        for (size_t i = first; i < end; i++) {
            const struct panel *panel = &t->panels[i];
            if (l < panel->count)
                dcls_string_append(out, panel->lines[l].data, panel->lines[l].length);
            else
                dcls_string_printf(out, "%*s", panel->width, "");
            if (i + 1 < end) dcls_string_printf(out, "%*s", BETWEEN, "");
        }
        while (out->length > start && out->data[out->length - 1] == ' ')
            out->data[--out->length] = 0;
        dcls_string_puts(out, "\n");
    }
}

static void put_scale(const struct terminal *t, dcls_string *out)
{
    char number[DCLS_NUMBER_TEXT];
    if (t->largest == 0) return;
    dcls_string_puts(out, "\n0 ");
    for (int i = 0; i < 10; i++) {
        double density = t->largest * (i + 0.5) * (i + 0.5) / 100;
        if (t->colors)
            dcls_string_printf(out, "\033[48;5;%dm ", color_of(t, density));
        else
            dcls_string_puts(out, shade_of(t, density));
    }
    dcls_string_printf(out, "%s %s times an even spread\n", t->colors ? "\033[0m" : "",
                       dcls_plot_number(number, t->largest));
}

static void put_rows(struct terminal *t, dcls_string *out)
{
    for (size_t first = 0; first < t->plot->layer_count;) {
        size_t end = first + 1;
        int width = t->panels[first].width;
        while (end < t->plot->layer_count && width + BETWEEN + t->panels[end].width <= t->columns)
            width += BETWEEN + t->panels[end++].width;
        if (first > 0) dcls_string_puts(out, "\n");
        put_row(t, out, first, end);
        first = end;
    }
    put_scale(t, out);
}

static dcls_status make_panels(struct terminal *t)
{
    dcls_plot *plot = t->plot;
    struct map *maps = dcls_plot_alloc(plot, plot->layer_count, sizeof *maps);
    t->panels = dcls_plot_alloc(plot, plot->layer_count, sizeof *t->panels);
    if (!maps || !t->panels) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < plot->layer_count; i++)
        DCLS_TRY(measure(t, &plot->layers[i], &maps[i]));
    for (size_t i = 0; i < plot->layer_count; i++)
        DCLS_TRY(make_panel(t, &plot->layers[i], &maps[i], &t->panels[i]));
    return DCLS_OK;
}

static void free_panels(struct terminal *t)
{
    for (size_t i = 0; t->panels && i < t->plot->layer_count; i++)
        for (int l = 0; l < t->panels[i].count; l++) {
            t->failed |= t->panels[i].lines[l].failed;
            dcls_string_free(&t->panels[i].lines[l]);
        }
}

dcls_status dcls_plot_terminal(dcls_context *ctx, const dcls_layer_source *source,
                               const dcls_plot_options *options, int columns, bool colors, char **text)
{
    dcls_plot plot = {.ctx = ctx, .source = source, .options = options};
    struct terminal t = {.plot = &plot, .columns = columns, .colors = colors};
    dcls_string out = {0};
    *text = NULL;
    if (columns < 1) return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a terminal has at least one column");
    dcls_colormap_sequential(&plot.sequential);
    dcls_status status = dcls_plot_find_layers(&plot);
    if (status == DCLS_OK) status = make_panels(&t);
    if (status == DCLS_OK) put_rows(&t, &out);
    free_panels(&t);
    dcls_arena_free(&plot.arena);
    if (status == DCLS_OK && (t.failed || out.failed))
        status = dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    if (status == DCLS_OK)
        *text = out.data;
    else
        dcls_string_free(&out);
    return status;
}
