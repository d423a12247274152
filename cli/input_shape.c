#include "input_shape.h"

#include "output.h"
#include "shapes.h"

#define DEFAULT_SIDE 224 /* where neither model nor preprocessing nor user names a size */

static int usage(const cli *run, const char *text, const char *wanted)
{
    cli_error(run->command->name, "--input: '%s' is not %s", text, wanted);
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

int cli_input_choose(const cli *run, const dcls_model *model, const char *given, cli_input *out)
{
    int64_t sizes[DCLS_MAX_DIMS];
    *out = (cli_input){0};
    out->ndim = dcls_model_input_shape(model, out->shape);
    int spatial = out->ndim - 2;
    if (given != NULL && shape_parse(given, sizes, DCLS_MAX_DIMS) != spatial)
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
