#include "table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "output.h"

#define MAX_COLUMNS 16
#define LEAST_FIRST 8 /* the first column is never shortened below this */

struct columns {
    const char *titles[MAX_COLUMNS];
    bool right[MAX_COLUMNS];
    int count;
    char **cells;
    size_t cell_count, capacity;
};

/* How a table is laid out for one printing. */
struct layout {
    int widths[MAX_COLUMNS]; /* 0: left out */
    int gap, indent;
};

columns *columns_create(const char *const *titles)
{
    columns *table = cli_alloc(1, sizeof *table);
    for (; titles[table->count] != NULL && table->count < MAX_COLUMNS; table->count++) {
        const char *title = titles[table->count];
        table->right[table->count] = title[0] == '>';
        table->titles[table->count] = title + (title[0] == '>');
    }
    return table;
}

void columns_destroy(columns *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void columns_add(columns *table, const char *text)
{
    if (table->cell_count == table->capacity) {
        table->capacity = table->capacity > 0 ? 2 * table->capacity : 64;
        table->cells = cli_resize(table->cells, table->capacity, sizeof *table->cells);
    }
    table->cells[table->cell_count++] = cli_printable(text);
}

/* Characters, taking each as one column wide: bytes that do not continue an UTF-8 sequence. */
static int text_width(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* Start of the character at column `at`. */
static const char *at_column(const char *text, int at)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0xc0) != 0x80 && at-- == 0) break;
    return text;
}

/* 0 for columns that hold nothing. */
static int column_width(const columns *table, int column)
{
    int width = 0;
    bool empty = true;
    for (size_t i = (size_t)column; i < table->cell_count; i += (size_t)table->count) {
        int cell = text_width(table->cells[i]);
        if (cell > width) width = cell;
        empty = empty && cell == 0;
    }
    int title = text_width(table->titles[column]);
    return empty ? 0 : width > title ? width : title;
}

static void print_cell(FILE *to, const char *text, int width, bool right, bool last)
{
    int have = text_width(text);
    if (have > width) { /* keep both ends: names of layers differ there */
        int tail = (width - 1) / 2, head = width - 1 - tail;
        const char *rest = at_column(text, have - tail);
        fprintf(to, "%.*s~%s", (int)(at_column(text, head) - text), text, rest);
    } else if (right) {
        fprintf(to, "%*s%s", width - have, "", text);
    } else {
        fprintf(to, "%s%*s", text, last ? 0 : width - have, "");
    }
}

static void print_row(const columns *table, FILE *to, const char *const *cells, const struct layout *layout)
{
    int last = table->count - 1;
    while (last > 0 && (layout->widths[last] == 0 || cells[last][0] == '\0'))
        last--;
    fprintf(to, "%*s", layout->indent, "");
    for (int i = 0; i <= last; i++) {
        if (layout->widths[i] == 0) continue;
        print_cell(to, cells[i], layout->widths[i], table->right[i], i == last);
        if (i < last) fprintf(to, "%*s", layout->gap, "");
    }
    fputc('\n', to);
}

/* Where the terminal is too narrow, columns move together first, then the first one is shortened. */
static struct layout lay_out(const columns *table, int indent, int width)
{
    struct layout layout = {.gap = 2, .indent = indent};
    int total = indent, shown = 0;
    for (int i = 0; i < table->count; i++) {
        layout.widths[i] = column_width(table, i);
        total += layout.widths[i];
        shown += layout.widths[i] > 0;
    }
    if (width == 0 || total + 2 * (shown - 1) <= width) return layout;
    layout.gap = 1;
    total += shown - 1;
    if (total > width) layout.widths[0] -= total - width;
    if (layout.widths[0] < LEAST_FIRST) layout.widths[0] = LEAST_FIRST;
    return layout;
}

void columns_print(const columns *table, FILE *to, int indent, int width)
{
    struct layout layout = lay_out(table, indent, width);
    fputs(cli_bold(to), to);
    print_row(table, to, table->titles, &layout);
    fputs(cli_plain(to), to);
    for (size_t i = 0; i + (size_t)table->count <= table->cell_count; i += (size_t)table->count)
        print_row(table, to, (const char *const *)table->cells + i, &layout);
}
