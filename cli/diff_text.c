/* Differences for people. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "diff.h"
#include "numbers.h"
#include "output.h"
#include "shapes.h"
#include "table.h"

#define WIDE          110 /* columns of a terminal that shows everything */
#define LONGEST_VALUE 120 /* bytes of an attribute's value */

static void print_heading(const char *text)
{
    printf("\n%s%s%s\n", cli_bold(stdout), text, cli_plain(stdout));
}

static void print_side(const char *letter, const diff_side *side)
{
    const dcls_tensors *tensors = diff_tensors(side);
    const char *format = dcls_tensors_format(tensors);
    char *name = cli_printable(side->name);
    printf("%s  %s: ", letter, name);
    if (side->model != NULL)
        printf("%s model, ", dcls_task_name(dcls_model_task(side->model)));
    else if (format[0] != '\0')
        printf("%s, ", format);
    printf("%s\n", cli_counted((int64_t)dcls_tensors_count(tensors), "tensor").text);
    free(name);
}

/* ---- the networks ---- */

/* Bytes of a value that are shown, whole characters; all of it where it is short. */
static int shown_length(const char *value)
{
    size_t keep = strlen(value);
    if (keep <= LONGEST_VALUE) return (int)keep;
    for (keep = LONGEST_VALUE - 8; ((unsigned char)value[keep] & 0xc0) == 0x80;)
        keep++;
    return (int)keep;
}

static char *change_text(const dcls_compare_change *change)
{
    if (change->kind == DCLS_CHANGE_REMOVED) return cli_format("only in A (%s)", change->attribute);
    if (change->kind == DCLS_CHANGE_ADDED) return cli_format("only in B (%s)", change->attribute);
    const char *a = change->a != NULL ? change->a : "unset", *b = change->b != NULL ? change->b : "unset";
    const int shown_a = shown_length(a), shown_b = shown_length(b);
    return cli_format("%s: %.*s%s -> %.*s%s%s", change->attribute, shown_a, a,
                      a[shown_a] != '\0' ? " .." : "", shown_b, b, b[shown_b] != '\0' ? " .." : "",
                      change->decides ? "" : "  (compared by kernel)");
}

static void print_changes(const dcls_comparison *result)
{
    static const char *const titles[] = {"", "node", "A -> B", NULL};
    static const char *const signs[] = {"+", "-", "~"};
    const size_t count = dcls_comparison_change_count(result);
    if (count == 0) return;
    columns *table = columns_create(titles);
    for (size_t i = 0; i < count; i++) {
        const dcls_compare_change *change = dcls_comparison_change(result, i);
        char *text = change_text(change);
        columns_add(table, signs[change->kind]);
        columns_add(table, change->node != NULL ? change->node : "(network)");
        columns_add(table, text);
        free(text);
    }
    print_heading("Structure");
    columns_print(table, stdout, 2, cli_width());
    columns_destroy(table);
}

/* ---- tensors without a partner ---- */

static void add_shape(columns *table, bool there, int ndim, const int64_t *shape)
{
    char text[SHAPE_TEXT] = "-";
    if (there) shape_text(text, ndim, shape);
    columns_add(table, text);
}

static void print_unpaired(const dcls_comparison *result, bool all)
{
    static const char *const titles[] = {"tensor", "as", "in A", "in B", NULL};
    columns *table = columns_create(titles);
    bool any = false;
    for (size_t i = 0; i < dcls_comparison_row_count(result); i++) {
        const dcls_compare_row *row = dcls_comparison_row(result, i);
        if (row->result < DCLS_COMPARE_SHAPE || !(row->decides || all)) continue;
        any = true;
        columns_add(table, row->name);
        columns_add(table, row->kind == DCLS_COMPARE_KERNEL ? "kernel" : "");
        add_shape(table, row->result != DCLS_COMPARE_ONLY_B, row->ndim_a, row->shape_a);
        add_shape(table, row->result != DCLS_COMPARE_ONLY_A, row->ndim_b, row->shape_b);
    }
    if (any) {
        print_heading("Tensors without a partner of the same shape");
        columns_print(table, stdout, 2, cli_width());
    }
    columns_destroy(table);
}

/* ---- tensors ---- */

typedef struct listed {
    const dcls_compare_row *row;
    size_t place; /* in A */
} listed;

static double weight_of(const dcls_compare_row *row)
{
    return row->nan > 0 ? INFINITY : row->relative;
}

static int by_difference(const void *x, const void *y)
{
    const listed *a = x, *b = y;
    const double wa = weight_of(a->row), wb = weight_of(b->row);
    if (wa != wb) return wa > wb ? -1 : 1;
    if (a->row->max_abs != b->row->max_abs) return a->row->max_abs > b->row->max_abs ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static void add_made(columns *table, char *text)
{
    columns_add(table, text);
    free(text);
}

static void add_kind(columns *table, const dcls_compare_row *row)
{
    if (row->kind != DCLS_COMPARE_KERNEL)
        columns_add(table, row->kind == DCLS_COMPARE_ELEMENTS ? "elements" : "");
    else if (!row->decides)
        columns_add(table, "(kernel)");
    else if (row->elements_a == row->elements_b || row->elements_a == 0 || row->elements_b == 0)
        columns_add(table, "kernel");
    else
        add_made(table, cli_format("kernel, K %s -> %s", cli_grouped(row->elements_a).text,
                                   cli_grouped(row->elements_b).text));
}

/* Names of tensors are worth more than means. */
static bool is_narrow(void)
{
    return cli_width() > 0 && cli_width() < WIDE;
}

static void add_figures(columns *table, const dcls_compare_row *row)
{
    char index[SHAPE_TEXT];
    columns_add(table, cli_real(row->max_abs).text);
    columns_add(table, is_narrow() ? "" : cli_real(row->mean_abs).text);
    columns_add(table, cli_real(row->relative).text);
    shape_text(index, row->ndim_b, row->worst);
    add_made(table, cli_format("%s: %s -> %s", row->ndim_b > 0 ? index : "scalar",
                               cli_real(row->worst_a).text, cli_real(row->worst_b).text));
}

/* A few values are counted, many are a share. */
static void add_beyond(columns *table, const dcls_compare_row *row)
{
    if (row->outside < 10)
        columns_add(table, row->outside > 0 ? cli_grouped(row->outside).text : "");
    else
        columns_add(table, cli_percent((double)row->outside / (double)row->count).text);
}

static void add_row(columns *table, const dcls_compare_row *row)
{
    columns_add(table, row->name);
    add_kind(table, row);
    add_made(table, row->dtype_a == row->dtype_b
                        ? cli_copy("")
                        : cli_format("%s, %s", dcls_dtype_name(row->dtype_a), dcls_dtype_name(row->dtype_b)));
    add_beyond(table, row);
    columns_add(table, row->nan > 0 ? cli_grouped(row->nan).text : "");
    if (row->result == DCLS_COMPARE_IDENTICAL)
        for (int i = 0; i < 4; i++)
            columns_add(table, i == 3 || (i == 1 && is_narrow()) ? "" : "0");
    else
        add_figures(table, row);
}

static bool is_shown(const diff *it, const dcls_compare_row *row)
{
    if (row->result >= DCLS_COMPARE_SHAPE) return false;
    return it->options->all || row->result == DCLS_COMPARE_DIFFERENT ||
           (it->options->strict && row->dtype_a != row->dtype_b);
}

static void print_tensors(const diff *it)
{
    static const char *const titles[] = {"tensor",     "as",    "types",     ">beyond",          ">NaN",
                                         ">max |A-B|", ">mean", ">relative", "worst at: A -> B", NULL};
    const size_t count = dcls_comparison_row_count(it->result);
    listed *rows = cli_alloc(count + 1, sizeof *rows);
    size_t shown = 0;
    bool kernels = false;
    for (size_t i = 0; i < count; i++) {
        const dcls_compare_row *row = dcls_comparison_row(it->result, i);
        if (!is_shown(it, row)) continue;
        rows[shown++] = (listed){row, i};
        kernels = kernels || (row->kind == DCLS_COMPARE_KERNEL && !row->decides);
    }
    if (it->options->order == DIFF_BY_DIFFERENCE) qsort(rows, shown, sizeof *rows, by_difference);
    if (shown > 0) {
        columns *table = columns_create(titles);
        for (size_t i = 0; i < shown; i++)
            add_row(table, rows[i].row);
        print_heading(it->options->all ? "Tensors" : "Tensors that differ");
        columns_print(table, stdout, 2, cli_width());
        columns_destroy(table);
    }
    if (kernels) puts("  (kernel): what the elements' differences come to; it does not decide");
    free(rows);
}

/* ---- the sum of it ---- */

static void append(char **text, int64_t count, const char *noun, const char *what)
{
    if (count == 0) return;
    char *number = noun != NULL ? cli_copy(cli_counted(count, noun).text) : cli_copy(cli_grouped(count).text);
    char *longer = cli_format("%s%s%s %s", *text, (*text)[0] != '\0' ? ", " : "", number, what);
    free(number);
    free(*text);
    *text = longer;
}

static const char *verdict(const diff *it, const diff_totals *sum)
{
    if (dcls_comparison_differs(it->result)) return "differ";
    return sum->close > 0 ? "same within tolerance" : "same";
}

static bool has_unequal_values(const dcls_compare_row *row)
{
    return row->decides && (row->result == DCLS_COMPARE_CLOSE || row->result == DCLS_COMPARE_DIFFERENT);
}

/* One for all, or one for each type. */
static void print_tolerance(const dcls_comparison *result)
{
    const dcls_compare_row *first = NULL;
    bool one = true;
    for (size_t i = 0; i < dcls_comparison_row_count(result); i++) {
        const dcls_compare_row *row = dcls_comparison_row(result, i);
        if (!has_unequal_values(row)) continue;
        if (first == NULL) first = row;
        one = one && row->atol == first->atol && row->rtol == first->rtol;
    }
    if (first != NULL && one)
        printf("tolerance: |A-B| <= %s + %s |B|\n", cli_real(first->atol).text, cli_real(first->rtol).text);
    else if (first != NULL)
        printf("tolerance: by type, as torch.testing.assert_close; --json shows each\n");
}

static void print_worst(const char *what, const dcls_compare_row *row)
{
    if (row == NULL) return;
    char *name = cli_printable(row->name);
    if (row->nan > 0)
        printf("%s: %s in %s\n", what, cli_counted(row->nan, "NaN").text, name);
    else
        printf("%s: relative %s in %s\n", what, cli_real(row->relative).text, name);
    free(name);
}

static void print_sum(const diff *it)
{
    const diff_totals sum = diff_sum(it->result);
    char *text = cli_copy("");
    append(&text, sum.changes, "change", "of structure");
    append(&text, sum.only_a, NULL, "only in A");
    append(&text, sum.only_b, NULL, "only in B");
    append(&text, sum.shape, NULL, "of unlike shape");
    append(&text, sum.different, NULL, "beyond tolerance");
    append(&text, sum.close, NULL, "within tolerance");
    append(&text, sum.identical, NULL, "identical");
    append(&text, sum.types, NULL, "of another type");
    printf("%s%s%s (%s)%s%s\n", cli_bold(stdout), verdict(it, &sum), cli_plain(stdout),
           cli_counted(sum.tensors, "tensor").text, text[0] != '\0' ? ": " : "", text);
    free(text);
    if (sum.moved > 0)
        printf("moved: %s with another index%s\n", cli_counted(sum.moved, "element").text,
               dcls_comparison_differs(it->result) ? "" : ", which --strict says differ");
    print_worst("largest", sum.worst);
    print_worst("largest of kernels", sum.worst_kernel);
    print_tolerance(it->result);
}

static bool has_nan_pairs(const dcls_comparison *result)
{
    for (size_t i = 0; i < dcls_comparison_row_count(result); i++) {
        const dcls_compare_row *row = dcls_comparison_row(result, i);
        if (row->nan > 0 && isnan(row->worst_a) && isnan(row->worst_b)) return true;
    }
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* A layer that is DCLS on one side alone: its kernels could be compared if the window were known. */
static bool has_unknown_kernels(const dcls_comparison *result)
{
    bool positions = false, weights = false;
    for (size_t i = 0; i < dcls_comparison_row_count(result); i++) {
        const dcls_compare_row *row = dcls_comparison_row(result, i);
        positions = positions || (row->result > DCLS_COMPARE_SHAPE && ends_with(row->name, ".P"));
        weights = weights || (row->result == DCLS_COMPARE_SHAPE && row->kind == DCLS_COMPARE_VALUES &&
                              ends_with(row->name, ".weight"));
    }
    return positions && weights;
}

void diff_print_text(const diff *it)
{
    print_side("A", &it->a);
    print_side("B", &it->b);
    print_changes(it->result);
    print_unpaired(it->result, it->options->all);
    print_tensors(it);
    putchar('\n');
    print_sum(it);
    if (has_nan_pairs(it->result)) cli_note(it->run, "NaN is not equal to NaN; --equal-nan takes it to be");
    if (has_unknown_kernels(it->result) && it->options->settings.count == 0 && !it->options->strict)
        cli_note(it->run, "to compare the kernels of DCLS layers in a state dict: --set version=v1 --set "
                          "dilated_kernel_size=17, or what they are");
}
