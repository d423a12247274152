#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "convert.h"
#include "inputs.h"
#include "output.h"
#include "plan_cache.h"

/* Both networks, and sums over all outputs so far. */
struct verify {
    const struct convert *convert;
    const dcls_model *models[2]; /* before, after */
    plan_cache plans[2];
    double lost, all;
    convert_comparison *out;
};

static cli_inputs *open_pictures(const struct convert *convert, char **names, int *status)
{
    names[0] = cli_copy(convert->options->verify);
    cli_inputs *inputs = cli_inputs_open(convert->run, (cli_operands){1, names}, NULL, status);
    if (inputs == NULL)
        free(names[0]);
    else
        *status = CLI_OK;
    return inputs;
}

/* ---- one picture ---- */

/* Classes lie `step` floats apart. */
static size_t best_class(const float *logits, size_t classes, size_t step)
{
    size_t best = 0;
    for (size_t c = 1; c < classes; c++)
        if (logits[c * step] > logits[best * step]) best = c;
    return best;
}

static void compare(struct verify *verify, const cached_plan *before, const float *a, const float *b)
{
    convert_comparison *out = verify->out;
    for (size_t i = 0; i < before->output_size; i++) {
        const double d = (double)b[i] - (double)a[i];
        verify->lost += d * d;
        verify->all += (double)a[i] * (double)a[i];
        if (!(fabs(d) <= out->largest)) out->largest = fabs(d); /* NaN too */
    }
    if (out->task == DCLS_TASK_FEATURES || before->output_ndim < 2) return;
    const size_t classes = (size_t)before->output_shape[1];
    const size_t places = classes > 0 ? before->output_size / classes : 0;
    for (size_t i = 0; i < places; i++)
        out->agreeing += best_class(a + i, classes, places) == best_class(b + i, classes, places);
    out->judged += (int64_t)places;
}

static dcls_status run_both(struct verify *verify, const int64_t *shape, const float *tensor)
{
    dcls_context *ctx = verify->convert->run->ctx;
    const cached_plan *cached[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        bool created;
        dcls_status status =
            plan_cache_get(ctx, &verify->plans[i], verify->models[i], NULL, 4, shape, &cached[i], &created);
        if (status == DCLS_OK) status = dcls_plan_run(ctx, cached[i]->plan, tensor, cached[i]->output);
        if (status != DCLS_OK) return status;
    }
    compare(verify, cached[0], cached[0]->output, cached[1]->output);
    return DCLS_OK;
}

static dcls_status run_image(struct verify *verify, const dcls_image *image)
{
    dcls_context *ctx = verify->convert->run->ctx;
    const dcls_preprocess *preprocess = dcls_model_preprocess(verify->models[0]);
    int64_t shape[4] = {1, preprocess->channels, 0, 0};
    dcls_status status = dcls_preprocess_size(ctx, preprocess, dcls_image_width(image),
                                              dcls_image_height(image), &shape[2], &shape[3]);
    if (status != DCLS_OK) return status;
    float *tensor = cli_alloc((size_t)shape[1] * (size_t)shape[2], (size_t)shape[3] * sizeof *tensor);
    status = dcls_preprocess_run(ctx, preprocess, image, tensor);
    if (status == DCLS_OK) status = run_both(verify, shape, tensor);
    free(tensor);
    return status;
}

static void run_input(struct verify *verify, const cli_input *input)
{
    const struct convert *convert = verify->convert;
    dcls_image *image = NULL;
    if (input->error != NULL) {
        cli_error(input->name, "%s", input->error);
        verify->out->failed++;
        return;
    }
    dcls_status status = dcls_image_load_file(convert->run->ctx, input->name, DCLS_IMAGE_DEFAULT, &image);
    if (status == DCLS_OK) status = run_image(verify, image);
    dcls_image_destroy(image);
    if (status != DCLS_OK) {
        cli_fail(input->name, status, convert->run->ctx);
        verify->out->failed++;
    } else {
        verify->out->pictures++;
    }
}

/* ---- all pictures ---- */

int convert_verify_check(const struct convert *convert)
{
    int status = CLI_OK;
    char *names[1];
    struct stat st;
    if (stat(convert->options->verify, &st) != 0) {
        cli_error(convert->options->verify, "cannot open: %s", strerror(errno));
        return CLI_IO;
    }
    cli_inputs *inputs = open_pictures(convert, names, &status);
    if (inputs == NULL) return status;
    cli_input input;
    if (cli_inputs_next(inputs, &input)) {
        if (input.error != NULL) {
            cli_error(input.name, "%s", input.error);
            status = input.status;
        }
        cli_input_free(&input);
    } else {
        cli_error(convert->options->verify, "holds no pictures");
        status = CLI_BAD_INPUT;
    }
    cli_inputs_close(inputs);
    free(names[0]);
    return status;
}

int convert_verify(const struct convert *convert, const dcls_model *before, const dcls_model *after,
                   convert_comparison *out)
{
    struct verify verify = {.convert = convert, .models = {before, after}, .out = out};
    char *names[1];
    int status = CLI_OK;
    int64_t shape[DCLS_MAX_DIMS];
    *out = (convert_comparison){.task = dcls_model_task(before)};
    if (dcls_model_input_shape(before, shape) != 4) {
        cli_error(convert->in, "--verify: this model does not take pictures");
        return CLI_BAD_INPUT;
    }
    cli_inputs *inputs = open_pictures(convert, names, &status);
    if (inputs == NULL) return status;
    cli_input input;
    while (cli_inputs_next(inputs, &input)) {
        run_input(&verify, &input);
        cli_input_free(&input);
    }
    cli_inputs_close(inputs);
    free(names[0]);
    for (int i = 0; i < 2; i++)
        plan_cache_clear(&verify.plans[i]);
    out->error = verify.lost > 0 ? sqrt(verify.lost / verify.all) : verify.lost;
    if (out->failed == 0) return CLI_OK;
    return out->pictures > 0 ? CLI_SOME_FAILED : CLI_BAD_INPUT;
}
