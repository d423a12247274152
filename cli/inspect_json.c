/* All that inspect knows, as JSON. */
#include <stdio.h>
#include <string.h>

#include "inspect.h"
#include "json_lists.h"
#include "output.h"

typedef dcls_json_writer writer;

/* ---- the file ---- */

static void write_metadata(writer *json, const dcls_tensors *tensors)
{
    dcls_json_write_open(json, "metadata", '{');
    for (size_t i = 0; dcls_tensors_meta_key(tensors, i) != NULL; i++)
        if (strcmp(dcls_tensors_meta_key(tensors, i), "dcls.model") != 0)
            dcls_json_write_string(json, dcls_tensors_meta_key(tensors, i),
                                   dcls_tensors_meta_value(tensors, i));
    dcls_json_write_close(json, '}');
}

static void write_tensor(writer *json, const dcls_tensor *tensor)
{
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "name", tensor->name);
    dcls_json_write_string(json, "dtype", dcls_dtype_name(tensor->dtype));
    cli_json_sizes(json, "shape", tensor->ndim, tensor->shape);
    dcls_json_write_int(json, "bytes", (int64_t)tensor->nbytes);
    dcls_json_write_close(json, '}');
}

static void write_file(writer *json, const inspection *it)
{
    dcls_json_write_string(json, "file", it->name);
    dcls_json_write_string(json, "kind", it->model != NULL ? "model" : "tensors");
    const char *format = dcls_tensors_format(it->tensors);
    dcls_json_write_string(json, "format", format[0] != '\0' ? format : NULL);
    cli_json_int_if(json, it->file_bytes >= 0, "bytes", it->file_bytes);
    write_metadata(json, it->tensors);
    dcls_json_write_open(json, "tensors", '[');
    for (size_t i = 0; i < dcls_tensors_count(it->tensors); i++)
        write_tensor(json, dcls_tensors_at(it->tensors, i));
    dcls_json_write_close(json, ']');
}

/* ---- the network ---- */

static void write_sides(writer *json, const char *key, bool there, int64_t height, int64_t width)
{
    if (!there) {
        dcls_json_write_string(json, key, NULL);
        return;
    }
    dcls_json_write_open(json, key, '{');
    dcls_json_write_int(json, "height", height);
    dcls_json_write_int(json, "width", width);
    dcls_json_write_close(json, '}');
}

/* As a JSON model has it. */
static void write_preprocess(writer *json, const dcls_preprocess *p)
{
    static const char *const filters[] = {"nearest", "bilinear", "bicubic"};
    dcls_json_write_open(json, "preprocess", '{');
    if (p->resize == DCLS_RESIZE_SHORTER) {
        dcls_json_write_open(json, "resize", '{');
        dcls_json_write_int(json, "shorter", p->resize_height);
        dcls_json_write_close(json, '}');
    } else {
        write_sides(json, "resize", p->resize == DCLS_RESIZE_EXACT, p->resize_height, p->resize_width);
    }
    dcls_json_write_string(json, "filter", filters[p->filter]);
    write_sides(json, "crop", p->crop_height > 0, p->crop_height, p->crop_width);
    cli_json_floats(json, "mean", p->channels, p->mean);
    cli_json_floats(json, "std", p->channels, p->std);
    dcls_json_write_close(json, '}');
}

static void write_model(writer *json, const dcls_model *model)
{
    int64_t shape[DCLS_MAX_DIMS];
    int ndim = dcls_model_input_shape(model, shape);
    dcls_json_write_string(json, "task", dcls_task_name(dcls_model_task(model)));
    cli_json_sizes(json, "input", ndim, shape);
    write_preprocess(json, dcls_model_preprocess(model));
    dcls_json_write_open(json, "labels", '[');
    for (size_t i = 0; i < dcls_model_label_count(model); i++)
        dcls_json_write_string(json, NULL, dcls_model_label(model, i));
    dcls_json_write_close(json, ']');
}

/* null where positions do not end at the limit of a smaller window. */
static void write_implied_size(writer *json, const dcls_layer_report *layer)
{
    dcls_json_write_open(json, "implied_size", '[');
    for (int d = 0; d < layer->ndim; d++)
        cli_json_int_if(json, layer->implied_size[d] > 0, NULL, layer->implied_size[d]);
    dcls_json_write_close(json, ']');
}

static void write_layer(writer *json, const dcls_layer_report *layer)
{
    dcls_json_write_open(json, "dcls", '{');
    dcls_json_write_string(json, "layer", layer->layer);
    dcls_json_write_string(json, "version", layer->version);
    cli_json_sizes(json, "dilated_kernel_size", layer->ndim, layer->dilated_kernel_size);
    cli_json_sizes(json, "window", layer->window_ndim, layer->window);
    dcls_json_write_int(json, "kernel_count", layer->kernel_count);
    dcls_json_write_int(json, "elements", layer->elements);
    dcls_json_write_bool(json, "shared_positions", layer->shared_positions);
    dcls_json_write_string(json, "shared_with", layer->shared_with);
    const bool finite = layer->elements > layer->not_finite, spreads = finite && layer->spread_max > 0;
    const struct {
        const char *key;
        const double *values;
    } positions[] = {{"position_mean", layer->position_mean},
                     {"position_std", layer->position_std},
                     {"position_min", layer->position_min},
                     {"position_max", layer->position_max}};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++)
        if (finite)
            cli_json_doubles(json, positions[i].key, layer->ndim, positions[i].values);
        else
            dcls_json_write_string(json, positions[i].key, NULL);
    write_implied_size(json, layer);
    cli_json_double_if(json, spreads, "spread_mean", layer->spread_mean);
    cli_json_double_if(json, spreads, "spread_min", layer->spread_min);
    cli_json_double_if(json, spreads, "spread_max", layer->spread_max);
    dcls_json_write_int(json, "clamped", layer->clamped);
    dcls_json_write_double(json, "mass_lost", layer->mass_lost);
    dcls_json_write_int(json, "taps", layer->taps);
    dcls_json_write_bool(json, "even_window", layer->even_window);
    dcls_json_write_int(json, "not_finite", layer->not_finite);
    dcls_json_write_close(json, '}');
}

static void write_learned(writer *json, bool known, const dcls_node_report *node)
{
    cli_json_int_if(json, known, "parameters", node->weights + node->positions + node->spreads);
    cli_json_int_if(json, known, "weights", node->weights);
    cli_json_int_if(json, known, "positions", node->positions);
    cli_json_int_if(json, known, "spreads", node->spreads);
}

static void write_shape(writer *json, bool known, const char *key, int ndim, const int64_t *shape)
{
    if (known)
        cli_json_sizes(json, key, ndim, shape);
    else
        dcls_json_write_string(json, key, NULL);
}

static void write_node(writer *json, const inspection *it, const dcls_node_report *node)
{
    const bool model = it->model != NULL, costs = inspect_knows_costs(it);
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "name", node->name);
    dcls_json_write_string(json, "op", node->op);
    write_shape(json, costs, "output_shape", node->ndim, node->shape);
    write_learned(json, model, node);
    cli_json_int_if(json, costs, "macs_dense", node->macs_dense);
    cli_json_int_if(json, costs, "macs_sparse", node->macs_sparse);
    write_shape(json, model && node->receptive_field[0] >= 0, "receptive_field", it->input.ndim - 2,
                node->receptive_field);
    dcls_json_write_string(json, "algorithm", node->algorithm[0] != '\0' ? node->algorithm : NULL);
    if (node->has_layer) write_layer(json, &node->layer);
    dcls_json_write_close(json, '}');
}

static void write_totals(writer *json, const inspection *it)
{
    const inspect_totals sum = inspect_sum(it->report);
    const bool costs = inspect_knows_costs(it);
    dcls_json_write_open(json, "totals", '{');
    dcls_json_write_int(json, "parameters", sum.weights + sum.positions + sum.spreads);
    dcls_json_write_int(json, "weights", sum.weights);
    dcls_json_write_int(json, "positions", sum.positions);
    dcls_json_write_int(json, "spreads", sum.spreads);
    cli_json_int_if(json, costs, "macs_dense", sum.macs_dense);
    cli_json_int_if(json, costs, "macs_sparse", sum.macs_sparse);
    cli_json_int_if(json, costs, "peak_live_bytes", (int64_t)dcls_report_peak_live(it->report));
    cli_json_int_if(json, costs, "plan_bytes", (int64_t)dcls_report_plan_memory(it->report));
    dcls_json_write_close(json, '}');
}

static void write_report(writer *json, const inspection *it)
{
    if (it->model != NULL) cli_json_sizes(json, "input_shape", it->input.ndim, it->input.shape);
    dcls_json_write_open(json, "nodes", '[');
    for (size_t i = 0; i < dcls_report_count(it->report); i++)
        write_node(json, it, dcls_report_node(it->report, i));
    dcls_json_write_close(json, ']');
    if (it->model != NULL) write_totals(json, it);
    dcls_json_write_open(json, "warnings", '[');
    for (size_t i = 0; dcls_report_warning(it->report, i) != NULL; i++)
        dcls_json_write_string(json, NULL, dcls_report_warning(it->report, i));
    dcls_json_write_close(json, ']');
}

int inspect_print_json(const inspection *it)
{
    writer *json;
    dcls_status status = dcls_json_writer_create(it->run->ctx, 2, &json);
    if (status != DCLS_OK) return cli_fail(it->name, status, it->run->ctx);
    dcls_json_write_open(json, NULL, '{');
    write_file(json, it);
    if (it->model != NULL) write_model(json, it->model);
    if (it->report != NULL) write_report(json, it);
    dcls_json_write_close(json, '}');
    int result = cli_print_json(json);
    dcls_json_writer_destroy(json);
    return result;
}
