/* A network as an ONNX file: its nodes one after the other, its input and output, and what a program that
 * runs it should know about labels and preprocessing. */
#include <stdlib.h>

#include "dcls_tools.h"
#include "export/onnx_emit.h"
#include "model/draft.h"
#include "model/header.h"

typedef struct export_job {
    dcls_onnx_emit emit;
    dcls_shape *shapes;
    const char **values;
    const char *input, *output;
    bool pixels;
} export_job;

/* ---- input and output ----------------------------------------------------------------------------- */

static const char *axis_name(int ndim, int axis)
{
    static const char *const SPATIAL[] = {"depth", "height", "width"};
    if (axis == 0) return "N";
    return axis == 1 ? NULL : SPATIAL[axis + 3 - ndim];
}

static void declare_input(export_job *job)
{
    const dcls_shape *shape = &job->shapes[0];
    dcls_onnx_dim dims[DCLS_MAX_DIMS];
    for (int i = 0; i < shape->ndim; i++)
        dims[i] = (dcls_onnx_dim){shape->size[i], axis_name(shape->ndim, i)};
    if (job->pixels) {
        const dcls_onnx_dim channels = dims[1];
        dims[1] = dims[2];
        dims[2] = dims[3];
        dims[3] = channels;
    }
    dcls_onnx_input(job->emit.graph, job->input, job->pixels ? DCLS_U8 : DCLS_F32, shape->ndim, dims);
}

/* An open size has a name where it is the input's. */
static void declare_output(export_job *job)
{
    const dcls_model *model = job->emit.model;
    const dcls_shape *shape = &job->shapes[model->output];
    const dcls_node *node = &model->nodes[model->output - 1];
    const bool like_input = node->op == DCLS_OP_RESIZE && node->input_count > 1 && node->inputs[1] == 0;
    dcls_onnx_dim dims[DCLS_MAX_DIMS];
    for (int i = 0; i < shape->ndim; i++)
        dims[i] = (dcls_onnx_dim){shape->size[i], i == 0 || like_input ? axis_name(shape->ndim, i) : NULL};
    dcls_onnx_output(job->emit.graph, job->output, DCLS_F32, shape->ndim, dims);
}

/* Bytes [N, height, width, C] to what the network takes: (x / 255 - mean) / std as x scale + shift. */
static const char *normalise(export_job *job)
{
    dcls_onnx_graph *g = job->emit.graph;
    const dcls_preprocess *p = &job->emit.model->preprocess;
    const int64_t shape[] = {p->channels, 1, 1};
    const char *scale_name, *shift_name;
    float *scale = dcls_onnx_new_floats(g, "preprocess/scale", 3, shape, &scale_name);
    float *shift = dcls_onnx_new_floats(g, "preprocess/shift", 3, shape, &shift_name);
    for (int c = 0; scale != NULL && shift != NULL && c < p->channels; c++) {
        scale[c] = (float)(1.0 / (255.0 * (double)p->std[c]));
        shift[c] = (float)(-(double)p->mean[c] / (double)p->std[c]);
    }
    const char *x = dcls_onnx_node(g, "Cast", dcls_onnx_part(g, "preprocess", "Cast"), 1, &job->input);
    dcls_onnx_attr_dtype(g, "to", DCLS_F32);
    x = dcls_onnx_node(g, "Transpose", dcls_onnx_part(g, "preprocess", "Transpose"), 1, &x);
    dcls_onnx_attr_ints(g, "perm", 4, (const int64_t[]){0, 3, 1, 2});
    x = dcls_onnx_node(g, "Mul", dcls_onnx_part(g, "preprocess", "Mul"), 2, (const char *[]){x, scale_name});
    return dcls_onnx_node(g, "Add", dcls_onnx_part(g, "preprocess", "Add"), 2,
                          (const char *[]){x, shift_name});
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

static bool does_nothing(const dcls_node *node)
{
    return node->op == DCLS_OP_IDENTITY || node->op == DCLS_OP_DROPOUT || node->op == DCLS_OP_DROP_PATH;
}

static dcls_status emit_nodes(export_job *job)
{
    dcls_onnx_emit *e = &job->emit;
    for (size_t i = 0; i < e->model->node_count; i++) {
        const dcls_node *node = &e->model->nodes[i];
        const bool is_output = e->model->output == (int)i + 1;
        if (does_nothing(node) && !is_output) {
            job->values[i + 1] = job->values[node->inputs[0]];
            continue;
        }
        e->node = node;
        e->result = is_output ? job->output : dcls_onnx_name(e->graph, node->name);
        job->values[i + 1] = e->result;
        const dcls_status status = dcls_onnx_lower(e);
        if (status != DCLS_OK)
            return dcls_fail_within(e->ctx, status, "node '%s' (%s): ", node->name, dcls_op_name(node->op));
    }
    return DCLS_OK;
}

/* ---- metadata ------------------------------------------------------------------------------------- */

/* Adds what `json` holds under key, and empties it. */
static dcls_status add_meta(export_job *job, const char *key, dcls_string *json)
{
    const bool failed = json->failed;
    if (!failed) dcls_onnx_meta(job->emit.graph, key, json->data);
    dcls_string_free(json);
    *json = (dcls_string){0};
    return failed ? dcls_fail(job->emit.ctx, DCLS_ERR_MEMORY, "out of memory") : DCLS_OK;
}

static dcls_status describe(export_job *job)
{
    const dcls_model *model = job->emit.model;
    dcls_string json = {0};
    dcls_json_out out = {.to = &json};
    dcls_onnx_meta(job->emit.graph, "task", dcls_task_name(model->task));
    if (dcls_model_takes_pictures(model)) {
        dcls_onnx_meta(job->emit.graph, "input", job->pixels ? "uint8 NHWC" : "float32 NCHW");
        dcls_preprocess_write(&out, &model->preprocess);
        DCLS_TRY(add_meta(job, "preprocess", &json));
    }
    if (model->label_count > 0) {
        out = (dcls_json_out){.to = &json};
        dcls_labels_write(&out, model);
        DCLS_TRY(add_meta(job, "labels", &json));
    }
    if (model->palette_count > 0) {
        out = (dcls_json_out){.to = &json};
        dcls_palette_write(&out, model);
        DCLS_TRY(add_meta(job, "palette", &json));
    }
    return dcls_onnx_status(job->emit.graph);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static dcls_status build(export_job *job)
{
    const dcls_model *model = job->emit.model;
    DCLS_TRY(dcls_infer_open(job->emit.ctx, model, DCLS_ERR_FORMAT, model->input_ndim, model->input_shape,
                             job->shapes));
    job->input = dcls_onnx_name(job->emit.graph, "input");
    job->output = dcls_onnx_name(job->emit.graph, "output");
    declare_input(job);
    declare_output(job);
    job->values[0] = job->pixels ? normalise(job) : job->input;
    DCLS_TRY(emit_nodes(job));
    return describe(job);
}

static dcls_status check_pixels(dcls_context *ctx, const dcls_model *model)
{
    const int64_t channels = model->input_shape[1];
    if (dcls_model_takes_pictures(model) && model->preprocess.channels == channels) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                     "the network does not take pictures, so it has no preprocessing to include");
}

dcls_status dcls_onnx_save(dcls_context *ctx, const dcls_model *model, const dcls_onnx_options *options,
                           const char *path)
{
    export_job job = {.emit = {.ctx = ctx, .model = model}, .pixels = options != NULL && options->preprocess};
    if (job.pixels) DCLS_TRY(check_pixels(ctx, model));
    DCLS_TRY(dcls_onnx_create(ctx, &job.emit.graph));
    job.shapes = dcls_alloc_zero(ctx, model->node_count + 1, sizeof *job.shapes);
    job.values = dcls_alloc_zero(ctx, model->node_count + 1, sizeof *job.values);
    job.emit.shapes = job.shapes;
    job.emit.values = job.values;
    dcls_status status = job.shapes != NULL && job.values != NULL ? build(&job) : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = dcls_onnx_write(job.emit.graph, path);
    dcls_onnx_destroy(job.emit.graph);
    free(job.shapes);
    free(job.values);
    return status;
}
