/* What all plots share: headings, text that fits, ticks, numbers and colour bars. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw/plot.h"

const dcls_color dcls_plot_ink = {0.13, 0.13, 0.13, 1}, dcls_plot_faint = {0.38, 0.38, 0.38, 1},
                 dcls_plot_paper = {1, 1, 1, 1}, dcls_plot_rule = {0, 0, 0, 0.45};

enum { TITLE = 15, LINE = 15 };

/* ---- text ---- */

/* Bytes of text, cut behind whole characters, that fit into width with the dots. */
static size_t fitting(dcls_canvas *canvas, char *copy, double size, double width)
{
    static const char dots[] = "\xe2\x80\xa6";
    size_t length = strlen(copy);
    while (length > 0 && dcls_canvas_text_width(canvas, copy, size) > width) {
        do
            length--;
        while (length > 0 && ((unsigned char)copy[length] & 0xc0) == 0x80);
        memcpy(copy + length, dots, sizeof dots);
    }
    return length;
}

enum { MOST_TEXT = 512 };

static void fit_text(dcls_plot *plot, const char *text, double size, double width, char copy[MOST_TEXT])
{
    size_t length = strnlen(text, MOST_TEXT - 4);
    memcpy(copy, text, length);
    copy[length] = 0;
    fitting(plot->canvas, copy, size, width);
}

void dcls_plot_text(dcls_plot *plot, double x, double y, double width, const char *text, double size,
                    dcls_color color, dcls_align align)
{
    char copy[MOST_TEXT];
    fit_text(plot, text, size, width, copy);
    dcls_canvas_text(plot->canvas, x, y, copy, &(dcls_text_style){size, color, align});
}

void dcls_plot_text_upwards(dcls_plot *plot, double x, double y, double width, const char *text, double size,
                            dcls_color color)
{
    char copy[MOST_TEXT];
    fit_text(plot, text, size, width, copy);
    dcls_canvas_text_upwards(plot->canvas, x, y, copy, &(dcls_text_style){size, color, DCLS_ALIGN_LEFT});
}

static const char *number_text(char buffer[DCLS_NUMBER_TEXT], double value, int digits)
{
    snprintf(buffer, DCLS_NUMBER_TEXT, "%.*g", digits, value == 0 ? 0 : value);
    char *comma = strchr(buffer, ','); /* of the caller's locale */
    if (comma) *comma = '.';
    return buffer;
}

const char *dcls_plot_number(char buffer[DCLS_NUMBER_TEXT], double value)
{
    return number_text(buffer, value, 3);
}

const char *dcls_plot_tick(char buffer[DCLS_NUMBER_TEXT], double tick)
{
    return number_text(buffer, tick, 7);
}

const char *dcls_plot_window_text(char buffer[DCLS_WINDOW_TEXT], const dcls_kernel *k)
{
    size_t used = 0;
    buffer[0] = 0;
    for (int d = 0; d < k->ndim && used < DCLS_WINDOW_TEXT; d++)
        used += (size_t)snprintf(buffer + used, DCLS_WINDOW_TEXT - used, "%s%lld", d ? "\xc3\x97" : "",
                                 (long long)k->size[d]);
    return buffer;
}

/* ---- the head of a page ---- */

/* Breaks text between words so that lines fit; draws them when `draw`. Returns how many there are. */
static int write_lines(dcls_plot *plot, const char *text, double y, bool draw)
{
    double width = plot->width - 2 * DCLS_PLOT_MARGIN;
    char line[512] = "";
    int lines = 0;
    while (*text) {
        size_t used = 0, taken = 0;
        for (size_t end = 0; text[end];) {
            size_t word = strcspn(text + end, " ");
            if (end + word >= sizeof line) break;
            memcpy(line, text, end + word);
            line[end + word] = 0;
            if (used > 0 && dcls_canvas_text_width(plot->canvas, line, DCLS_PLOT_TEXT) > width) break;
            used = end + word;
            end += word;
            while (text[end] == ' ')
                end++;
            taken = end;
        }
        if (taken == 0) break;
        memcpy(line, text, used);
        line[used] = 0;
        if (draw)
            dcls_canvas_text(plot->canvas, DCLS_PLOT_MARGIN, y + lines * LINE, line,
                             &(dcls_text_style){DCLS_PLOT_TEXT, dcls_plot_faint, DCLS_ALIGN_LEFT});
        lines++;
        text += taken;
    }
    return lines;
}

void dcls_plot_head(dcls_plot *plot)
{
    plot->top = DCLS_PLOT_MARGIN + TITLE + 5;
    plot->top += LINE * write_lines(plot, plot->subtitle, 0, false) + 14;
}

void dcls_plot_draw_head(dcls_plot *plot)
{
    double y = DCLS_PLOT_MARGIN + TITLE - 2;
    if (plot->options->title)
        dcls_plot_text(plot, DCLS_PLOT_MARGIN, y, plot->width - 2 * DCLS_PLOT_MARGIN, plot->options->title,
                       TITLE, dcls_plot_ink, DCLS_ALIGN_LEFT);
    write_lines(plot, plot->subtitle, y + 6 + LINE, true);
}

/* ---- axes ---- */

int dcls_ticks(double low, double high, int max_count, double ticks[DCLS_MAX_TICKS])
{
    if (max_count > DCLS_MAX_TICKS) max_count = DCLS_MAX_TICKS;
    if (!(high > low) || max_count < 1 || !isfinite(high - low)) return 0;
    double power = pow(10, floor(log10((high - low) / max_count)));
    static const double steps[] = {1, 2, 5, 10, 20, 50, 100};
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        double step = power * steps[s], slack = step * 1e-9;
        double first = ceil((low - slack) / step), last = floor((high + slack) / step);
        if (last - first + 1 > max_count) continue;
        int count = (int)(last - first + 1);
        for (int i = 0; i < count; i++)
            ticks[i] = (first + i) * step + 0.0; /* no -0 */
        return count;
    }
    return 0;
}

void dcls_plot_color_bar(dcls_plot *plot, dcls_box box, const dcls_colormap *map, int count,
                         const double *places, const char (*labels)[DCLS_NUMBER_TEXT])
{
    const dcls_text_style style = {DCLS_PLOT_SMALL, dcls_plot_ink, DCLS_ALIGN_CENTER};
    dcls_canvas_cells(plot->canvas, box, DCLS_COLORMAP_COLORS, 1, map->rgb[0]);
    dcls_canvas_frame_box(plot->canvas, box, 0.75, dcls_plot_rule);
    for (int i = 0; i < count; i++) {
        double x = box.x + places[i] * box.width, bottom = box.y + box.height;
        const double tick[2][2] = {{x, bottom}, {x, bottom + 3}};
        dcls_canvas_line(plot->canvas, tick, 2, 0.75, dcls_plot_ink);
        dcls_canvas_text(plot->canvas, x, bottom + 3 + DCLS_PLOT_SMALL, labels[i], &style);
    }
}

/* Offsets that get a tick: the outermost ones and the centre; a window of one cell has only that. */
static int cell_offsets(int64_t size, double cell, int64_t offsets[3])
{
    int64_t half = (size - 1) / 2;
    if (half == 0 || (double)half * cell < 14) {
        offsets[0] = 0;
        return 1;
    }
    offsets[0] = -half;
    offsets[1] = 0;
    offsets[2] = half;
    return 3;
}

static void offset_text(char buffer[DCLS_NUMBER_TEXT], int64_t offset)
{
    snprintf(buffer, DCLS_NUMBER_TEXT, "%s%lld", offset < 0 ? "\xe2\x88\x92" : "", llabs((long long)offset));
}

void dcls_plot_cell_ticks_below(dcls_plot *plot, double x, double y, double cell, int64_t size)
{
    int64_t offsets[3];
    int count = cell_offsets(size, cell, offsets);
    for (int i = 0; i < count; i++) {
        double at = x + ((double)(offsets[i] + size / 2) + 0.5) * cell;
        const double tick[2][2] = {{at, y}, {at, y + 3}};
        char text[DCLS_NUMBER_TEXT];
        offset_text(text, offsets[i]);
        dcls_canvas_line(plot->canvas, tick, 2, 0.75, dcls_plot_rule);
        dcls_canvas_text(plot->canvas, at, y + 3 + DCLS_PLOT_SMALL, text,
                         &(dcls_text_style){DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_CENTER});
    }
}

void dcls_plot_cell_ticks_left(dcls_plot *plot, double x, double y, double cell, int64_t size)
{
    int64_t offsets[3];
    int count = cell_offsets(size, cell, offsets);
    for (int i = 0; i < count; i++) {
        double at = y + ((double)(offsets[i] + size / 2) + 0.5) * cell;
        const double tick[2][2] = {{x - 3, at}, {x, at}};
        char text[DCLS_NUMBER_TEXT];
        offset_text(text, offsets[i]);
        dcls_canvas_line(plot->canvas, tick, 2, 0.75, dcls_plot_rule);
        dcls_canvas_text(plot->canvas, x - 5, at + 0.36 * DCLS_PLOT_SMALL, text,
                         &(dcls_text_style){DCLS_PLOT_SMALL, dcls_plot_faint, DCLS_ALIGN_RIGHT});
    }
}
