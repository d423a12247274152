/* All that diff knows, as JSON. */
#include <math.h>

#include "diff.h"
#include "json_lists.h"
#include "output.h"

typedef dcls_json_writer writer;

static void write_side(writer *json, const char *key, const diff_side *side)
{
    const dcls_tensors *tensors = diff_tensors(side);
    dcls_json_write_open(json, key, '{');
    dcls_json_write_string(json, "file", side->name);
    dcls_json_write_string(json, "kind", side->model != NULL ? "model" : "tensors");
    dcls_json_write_string(json, "format", dcls_tensors_format(tensors));
    dcls_json_write_int(json, "tensor_count", (int64_t)dcls_tensors_count(tensors));
    dcls_json_write_close(json, '}');
}

static void write_change(writer *json, const dcls_compare_change *change)
{
    static const char *const kinds[] = {"added", "removed", "changed"};
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "change", kinds[change->kind]);
    dcls_json_write_string(json, "node", change->node);
    dcls_json_write_string(json, change->kind == DCLS_CHANGE_VALUE ? "attribute" : "op", change->attribute);
    if (change->kind == DCLS_CHANGE_VALUE) {
        dcls_json_write_raw(json, "a", change->a != NULL ? change->a : "null");
        dcls_json_write_raw(json, "b", change->b != NULL ? change->b : "null");
    }
    dcls_json_write_bool(json, "decides", change->decides);
    dcls_json_write_close(json, '}');
}

static void write_figures(writer *json, const dcls_compare_row *row)
{
    dcls_json_write_double(json, "atol", row->atol);
    dcls_json_write_double(json, "rtol", row->rtol);
    dcls_json_write_int(json, "count", row->count);
    dcls_json_write_int(json, "beyond", row->outside);
    dcls_json_write_int(json, "nan", row->nan);
    if (row->kind == DCLS_COMPARE_ELEMENTS) dcls_json_write_int(json, "moved", row->moved);
    if (row->kind == DCLS_COMPARE_KERNEL) {
        dcls_json_write_int(json, "elements_a", row->elements_a);
        dcls_json_write_int(json, "elements_b", row->elements_b);
    }
    dcls_json_write_double(json, "max_abs", row->max_abs);
    dcls_json_write_double(json, "mean_abs", row->mean_abs);
    dcls_json_write_double(json, "max_relative", row->max_relative);
    dcls_json_write_double(json, "relative", row->relative);
    if (row->result == DCLS_COMPARE_IDENTICAL) return;
    cli_json_sizes(json, "worst_at", row->ndim_b, row->worst);
    dcls_json_write_double(json, "worst_a", row->worst_a);
    dcls_json_write_double(json, "worst_b", row->worst_b);
}

static void write_row(writer *json, const dcls_compare_row *row)
{
    static const char *const kinds[] = {"values", "elements", "kernel"};
    static const char *const results[] = {"identical", "close", "different", "shape", "only_a", "only_b"};
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "name", row->name);
    dcls_json_write_string(json, "as", kinds[row->kind]);
    dcls_json_write_string(json, "result", results[row->result]);
    dcls_json_write_bool(json, "decides", row->decides);
    if (row->result != DCLS_COMPARE_ONLY_B) {
        dcls_json_write_string(json, "dtype_a", dcls_dtype_name(row->dtype_a));
        cli_json_sizes(json, "shape_a", row->ndim_a, row->shape_a);
    }
    if (row->result != DCLS_COMPARE_ONLY_A) {
        dcls_json_write_string(json, "dtype_b", dcls_dtype_name(row->dtype_b));
        cli_json_sizes(json, "shape_b", row->ndim_b, row->shape_b);
    }
    if (row->result < DCLS_COMPARE_SHAPE) write_figures(json, row);
    dcls_json_write_close(json, '}');
}

static void write_totals(writer *json, const dcls_comparison *result)
{
    const diff_totals sum = diff_sum(result);
    dcls_json_write_open(json, "totals", '{');
    dcls_json_write_int(json, "change_count", sum.changes);
    dcls_json_write_int(json, "tensor_count", sum.tensors);
    dcls_json_write_int(json, "identical", sum.identical);
    dcls_json_write_int(json, "close", sum.close);
    dcls_json_write_int(json, "different", sum.different);
    dcls_json_write_int(json, "shape", sum.shape);
    dcls_json_write_int(json, "only_a", sum.only_a);
    dcls_json_write_int(json, "only_b", sum.only_b);
    dcls_json_write_int(json, "dtypes", sum.types);
    dcls_json_write_close(json, '}');
}

int diff_print_json(const diff *it)
{
    const dcls_comparison *result = it->result;
    writer *json;
    dcls_status status = dcls_json_writer_create(it->run->ctx, 2, &json);
    if (status != DCLS_OK) return cli_fail("diff", status, it->run->ctx);
    dcls_json_write_open(json, NULL, '{');
    write_side(json, "a", &it->a);
    write_side(json, "b", &it->b);
    dcls_json_write_bool(json, "differs", dcls_comparison_differs(result));
    dcls_json_write_open(json, "changes", '[');
    for (size_t i = 0; i < dcls_comparison_change_count(result); i++)
        write_change(json, dcls_comparison_change(result, i));
    dcls_json_write_close(json, ']');
    dcls_json_write_open(json, "tensors", '[');
    for (size_t i = 0; i < dcls_comparison_row_count(result); i++)
        write_row(json, dcls_comparison_row(result, i));
    dcls_json_write_close(json, ']');
    write_totals(json, result);
    dcls_json_write_close(json, '}');
    const int exit_status = cli_print_json(json);
    dcls_json_writer_destroy(json);
    return exit_status;
}
