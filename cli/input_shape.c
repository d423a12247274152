#include "input_shape.h"

#include <string.h>

#include "dcls_analysis.h"
#include "output.h"
#include "shapes.h"

#define DEFAULT_SIDE 224 /* where neither model nor preprocessing nor user names a size */

static int usage(const cli *run, const char *text, const char *wanted)
{
    const bool explains = strcmp(run->command->name, "explain") == 0; /* where it has another name */
    cli_error(run->command->name, "--%s: '%s' is not %s", explains ? "size" : "input", text, wanted);
    return CLI_USAGE;
}

/* What preprocessing makes of a picture, where it makes one size of all; else DEFAULT_SIDE. */
static int64_t usual_side(const dcls_preprocess *preprocess, bool height)
{
    if (preprocess->crop_height > 0) return height ? preprocess->crop_height : preprocess->crop_width;
    if (preprocess->resize == DCLS_RESIZE_EXACT)
        return height ? preprocess->resize_height : preprocess->resize_width;
    return DEFAULT_SIDE;
}

int cli_input_choose(const cli *run, const dcls_model *model, const char *given, cli_input_shape *out)
{
    int64_t sizes[DCLS_MAX_DIMS];
    *out = (cli_input_shape){0};
    out->ndim = dcls_model_input_shape(model, out->shape);
    int spatial = out->ndim - 2;
    if (given != NULL && !shape_parse(given, sizes, spatial))
        return usage(run, given,
                     spatial == 2 ? "a size such as 224x224" : "a size of as many axes as the model has");
    const dcls_preprocess *preprocess = dcls_model_preprocess(model);
    out->shape[0] = 1;
    if (out->shape[1] == DCLS_ANY) out->shape[1] = preprocess->channels;
    for (int i = 0; i < spatial; i++) {
        int64_t *size = &out->shape[2 + i];
        if (given != NULL && *size != DCLS_ANY && *size != sizes[i])
            return usage(run, given, "the size this model is fixed to");
        if (*size != DCLS_ANY) continue;
        out->assumed = given == NULL;
        *size = given != NULL ? sizes[i] : usual_side(preprocess, i == 0);
    }
    return CLI_OK;
}

static dcls_status try_input(const cli *run, const dcls_model *model, const cli_input_shape *input)
{
    int64_t shape[DCLS_MAX_DIMS];
    int ndim;
    return dcls_model_output_shape(run->ctx, model, input->ndim, input->shape, &ndim, shape);
}

/* A network may need one size although it says any, or more than the usual one. */
static bool runs_at_another_size(const cli *run, const dcls_model *model, const cli_input_shape *usual)
{
    static const int64_t sides[] = {28, 32, 64, 96, 128, 256, 512, 1024, 4096, 16384, 65536};
    int64_t shape[DCLS_MAX_DIMS];
    dcls_model_input_shape(model, shape);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        cli_input_shape input = *usual;
        for (int d = 2; d < input.ndim; d++)
            if (shape[d] == DCLS_ANY) input.shape[d] = sides[i];
        if (try_input(run, model, &input) == DCLS_OK) return true;
    }
    return false;
}

int cli_input_check(const cli *run, const char *subject, const dcls_model *model)
{
    cli_input_shape input;
    int result = cli_input_choose(run, model, NULL, &input);
    if (result != CLI_OK || try_input(run, model, &input) == DCLS_OK) return result;
    if (input.assumed && runs_at_another_size(run, model, &input)) return CLI_OK;
    char shape[SHAPE_TEXT];
    shape_text(shape, input.ndim, input.shape);
    const dcls_status status = try_input(run, model, &input); /* for its message */
    cli_error(subject, "the network cannot run on an input of %s: %s", shape, dcls_context_message(run->ctx));
    return status == DCLS_ERR_ARGUMENT ? CLI_BAD_INPUT : cli_exit_of(status);
}
