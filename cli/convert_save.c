#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "alloc.h"
#include "convert.h"
#include "numbers.h"
#include "output.h"

static int64_t value_count(const dcls_tensors *tensors)
{
    size_t count = 0;
    for (size_t i = 0; i < dcls_tensors_count(tensors); i++) {
        const dcls_tensor *tensor = dcls_tensors_at(tensors, i);
        count += tensor->nbytes / dcls_dtype_size(tensor->dtype);
    }
    return (int64_t)count;
}

/* ", 12.3 KiB"; pipes and devices have no size. */
static char *size_text(const struct stat *st)
{
    return S_ISREG(st->st_mode) ? cli_format(", %s", cli_bytes((uint64_t)st->st_size).text) : cli_copy("");
}

static void note_written(const struct convert *convert, const char *what, const dcls_tensors *tensors)
{
    struct stat st;
    if (strcmp(convert->out, "-") == 0 || stat(convert->out, &st) != 0) return;
    char *size = size_text(&st);
    cli_note(convert->run, "%s: %s, %s, %s%s", convert->out, what,
             cli_counted((int64_t)dcls_tensors_count(tensors), "tensor").text,
             cli_counted(value_count(tensors), "value").text, size);
    free(size);
}

bool convert_to_onnx(const struct convert *convert)
{
    const size_t length = strlen(convert->out), tail = strlen(".onnx");
    return length >= tail && strcasecmp(convert->out + length - tail, ".onnx") == 0;
}

static int save_onnx(const struct convert *convert, const dcls_model *model)
{
    dcls_context *ctx = convert->run->ctx;
    const dcls_onnx_options onnx = {.preprocess = convert->options->onnx_preprocess};
    struct stat st;
    dcls_status status = dcls_onnx_save(ctx, model, &onnx, convert->out);
    if (status != DCLS_OK) return cli_fail(convert->out, status, ctx);
    if (stat(convert->out, &st) != 0) return CLI_OK;
    char *size = size_text(&st);
    cli_note(convert->run, "%s: %s network as ONNX%s", convert->out, dcls_task_name(dcls_model_task(model)),
             size);
    free(size);
    return CLI_OK;
}

int convert_save_model(const struct convert *convert, const dcls_model *model)
{
    dcls_context *ctx = convert->run->ctx;
    if (convert_to_onnx(convert)) return save_onnx(convert, model);
    dcls_status status = dcls_model_save(ctx, model, convert->out);
    if (status != DCLS_OK) return cli_fail(convert->out, status, ctx);
    char *what = cli_format("%s model", dcls_task_name(dcls_model_task(model)));
    note_written(convert, what, dcls_model_tensors(model));
    free(what);
    return CLI_OK;
}

int convert_save_tensors(const struct convert *convert, const dcls_tensors *tensors, const char *what)
{
    dcls_context *ctx = convert->run->ctx;
    dcls_status status = dcls_tensors_save(ctx, tensors, convert->out);
    if (status != DCLS_OK) return cli_fail(convert->out, status, ctx);
    note_written(convert, what, tensors);
    return CLI_OK;
}
