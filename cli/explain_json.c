/* All that explain knows, as JSON. */
#include <string.h>

#include "explain.h"
#include "json_lists.h"
#include "output.h"

typedef dcls_json_writer writer;

static void write_spec(writer *json, const explained *it)
{
    const dcls_layer_spec *s = &it->spec;
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    if (it->model != NULL) {
        dcls_json_write_string(json, "model", it->model);
        dcls_json_write_string(json, "name", it->layer);
    }
    dcls_json_write_int(json, "dimensions", s->ndim);
    dcls_json_write_string(json, "layer", s->layer != NULL ? s->layer : "dcls");
    dcls_json_write_string(json, "version", s->version);
    cli_json_sizes(json, "window", s->ndim, s->dilated_kernel_size);
    dcls_json_write_int(json, "kernel_count", s->kernel_count);
    dcls_json_write_int(json, "in_channels", s->in_channels);
    dcls_json_write_int(json, "out_channels", s->out_channels);
    dcls_json_write_int(json, "groups", s->groups);
    cli_json_sizes(json, "stride", s->ndim, s->stride);
    cli_json_sizes(json, "padding", s->ndim, f->padding);
    dcls_json_write_bool(json, "bias", s->bias);
    dcls_json_write_bool(json, "shared_positions", s->shared_positions);
    cli_json_sizes(json, "input_size", s->ndim, s->input);
    cli_json_sizes(json, "output_size", s->ndim, f->output);
    dcls_json_write_open(json, "same_padding", '[');
    for (int d = 0; d < s->ndim; d++)
        cli_json_int_if(json, f->same_padding[d] != DCLS_ANY, NULL, f->same_padding[d]);
    dcls_json_write_close(json, ']');
}

static void write_learned(writer *json, const dcls_layer_facts *f)
{
    cli_json_sizes(json, "weight_shape", f->weight_ndim, f->weight_shape);
    cli_json_sizes(json, "position_shape", f->position_ndim, f->position_shape);
    dcls_json_write_int(json, "parameters", explain_parameters(f));
    dcls_json_write_int(json, "weights", f->weights);
    dcls_json_write_int(json, "biases", f->biases);
    dcls_json_write_int(json, "positions", f->positions);
    dcls_json_write_int(json, "spreads", f->spreads);
    dcls_json_write_int(json, "bytes", f->learned_bytes);
    dcls_json_write_int(json, "output_bytes", f->output_bytes);
}

static void write_trained(writer *json, const dcls_layer_report *learned)
{
    dcls_json_write_open(json, "learned", '{');
    cli_json_doubles(json, "position_std", learned->ndim, learned->position_std);
    dcls_json_write_int(json, "elements", learned->elements);
    dcls_json_write_int(json, "clamped", learned->clamped);
    dcls_json_write_double(json, "mass_lost", learned->mass_lost);
    dcls_json_write_close(json, '}');
}

static void write_cost(writer *json, const char *key, int64_t macs, int64_t bytes)
{
    if (macs < 0) { /* it cannot run so */
        dcls_json_write_string(json, key, NULL);
        return;
    }
    dcls_json_write_open(json, key, '{');
    dcls_json_write_int(json, "macs", macs);
    dcls_json_write_int(json, "bytes", bytes);
    dcls_json_write_close(json, '}');
}

static void write_reach(writer *json, int ndim, const dcls_reach *reach)
{
    cli_json_sizes(json, "kernel_size", ndim, reach->side);
    cli_json_sizes(json, "dilation", ndim, reach->dilation);
}

static void write_others(writer *json, int ndim, const dcls_layer_facts *f)
{
    dcls_json_write_open(json, "dense", '{');
    dcls_json_write_int(json, "weights", f->dense_weights);
    dcls_json_write_int(json, "macs", f->macs_dense);
    dcls_json_write_int(json, "bytes", f->dense_bytes);
    dcls_json_write_close(json, '}');
    if (f->classic >= 0) {
        dcls_json_write_open(json, "dilated", '{');
        write_reach(json, ndim, &f->reach[f->classic]);
        dcls_json_write_int(json, "weights", f->classic_weights);
        dcls_json_write_int(json, "macs", f->classic_macs);
        dcls_json_write_int(json, "bytes", f->classic_bytes);
        dcls_json_write_close(json, '}');
    }
    dcls_json_write_open(json, "same_reach", '[');
    for (int i = 0; i < f->reach_count; i++) {
        dcls_json_write_open(json, NULL, '{');
        write_reach(json, ndim, &f->reach[i]);
        dcls_json_write_close(json, '}');
    }
    dcls_json_write_close(json, ']');
}

int explain_print_json(const explained *it)
{
    const dcls_layer_facts *f = dcls_explanation_facts(it->result);
    writer *json;
    dcls_status status = dcls_json_writer_create(it->run->ctx, 2, &json);
    if (status != DCLS_OK) return cli_fail("explain", status, it->run->ctx);
    dcls_json_write_open(json, NULL, '{');
    write_spec(json, it);
    write_learned(json, f);
    if (it->has_learned) write_trained(json, &it->learned);
    dcls_json_write_open(json, "algos", '{');
    write_cost(json, "construct", f->macs_dense, f->dense_bytes);
    write_cost(json, "im2col", f->macs_im2col, f->columns_bytes);
    write_cost(json, "sparse", f->macs_sparse, f->taps_bytes);
    dcls_json_write_close(json, '}');
    dcls_json_write_string(json, "chosen", f->algorithm);
    dcls_json_write_double(json, "cells_per_element", f->support);
    dcls_json_write_int(json, "taps", f->taps);
    write_others(json, it->spec.ndim, f);
    dcls_json_write_open(json, "notes", '[');
    for (size_t i = 0; dcls_explanation_note(it->result, i) != NULL; i++)
        dcls_json_write_string(json, NULL, dcls_explanation_note(it->result, i));
    dcls_json_write_close(json, ']');
    dcls_json_write_close(json, '}');
    const int exit_status = cli_print_json(json);
    dcls_json_writer_destroy(json);
    return exit_status;
}
