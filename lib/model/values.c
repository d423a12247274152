/* Checks of a whole network with the sizes its input leaves open: channels along the graph, the output
 * against task and labels. */
#include <stdlib.h>

#include "model/header.h"

static dcls_status check_output(dcls_context *ctx, const dcls_model *model, const dcls_shape *output)
{
    const char *name = model->nodes[model->output - 1].name;
    const char *task = dcls_task_name(model->task);
    const int want = model->task == DCLS_TASK_CLASSIFICATION ? 2
                     : model->task == DCLS_TASK_SEGMENTATION ? 4
                                                             : output->ndim;
    if (output->ndim != want)
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "task %s: the output '%s' has %d dimensions, must be [N, classes%s]", task, name,
                         output->ndim, want == 4 ? ", height, width" : "");
    const int64_t classes = output->size[1];
    if (model->label_count > 0 && classes != DCLS_ANY && classes != (int64_t)model->label_count)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "there are %zu labels, but the output '%s' has %lld channels",
                         model->label_count, name, (long long)classes);
    if (model->task == DCLS_TASK_SEGMENTATION && classes > 256)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the output '%s' has %lld classes, a mask can hold 256", name,
                         (long long)classes);
    return DCLS_OK;
}

dcls_status dcls_check_values(dcls_context *ctx, const dcls_model *model)
{
    DCLS_TRY(dcls_header_check(ctx, model));
    dcls_shape *shapes = dcls_alloc(ctx, model->node_count + 1, sizeof *shapes);
    if (shapes == NULL) return DCLS_ERR_MEMORY;
    dcls_status status =
        dcls_infer_open(ctx, model, DCLS_ERR_FORMAT, model->input_ndim, model->input_shape, shapes);
    if (status == DCLS_OK) status = check_output(ctx, model, &shapes[model->output]);
    free(shapes);
    return status;
}
