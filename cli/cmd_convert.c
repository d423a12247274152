/* dcls convert: weights files into each other, state dicts into models, DCLS layers into dense ones. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "models.h"
#include "numbers.h"
#include "options.h"
#include "output.h"

typedef struct convert_options {
    const char *arch, *preprocess, *labels;
    cli_list settings;
    int to; /* kernels as they are, or dense */
    bool onnx_preprocess;
} convert_options;

enum { TO_SAME = -1, TO_DENSE };

#define AT(field) offsetof(convert_options, field)

static const cli_option options[] = {
    {"arch", 0, CLI_TEXT, "NAME|FILE", AT(arch),
     "make a model of a state dict: convmixer, convnext_dcls, deeplabv3, or a JSON model file that describes "
     "the network",
     0, 0},
    {"set", 0, CLI_LIST, "KEY=VALUE", AT(settings),
     "what tensors do not tell, such as version=v1 or dilated_kernel_size=17; GLOB:KEY=VALUE for layers "
     "whose name "
     "matches; may be repeated",
     0, 0},
    {"preprocess", 0, CLI_TEXT, "NAME", AT(preprocess),
     "how pictures become tensors: imagenet, imagenet-bicubic, cifar10 or none", 0, 0},
    {"labels", 0, CLI_TEXT, "FILE", AT(labels), "class names, one a line", 0, 0},
    {"to", 0, CLI_CHOICE, "dense", AT(to),
     "replace every DCLS layer by the plain convolution with the same kernel", 0, 0},
    {"onnx-preprocess", 0, CLI_FLAG, NULL, AT(onnx_preprocess),
     "put mean and std into an .onnx file: its input is then pixels, uint8 [N, height, width, channels]", 0,
     0},
    {0}};

static const convert_options defaults = {.to = TO_SAME};

struct convert {
    const cli *run;
    const convert_options *options;
    const char *in, *out;
    char *arch_json, **labels;
    size_t label_count;
};

/* ---- labels and architecture
 * -------------------------------------------------------------------------------------- */

static int load_text(const struct convert *convert, const char *path, char **text, size_t *size)
{
    void *data;
    dcls_status status = dcls_file_load(convert->run->ctx, path, &data, size);
    if (status != DCLS_OK) return cli_fail(path, status, convert->run->ctx);
    *text = data;
    return CLI_OK;
}

static bool is_clean(const char *label)
{
    char *shown = cli_printable(label);
    bool clean = strcmp(shown, label) == 0;
    free(shown);
    return clean;
}

/* One label a line; a carriage return before the newline and empty lines at the end are not part of any. */
static int split_labels(struct convert *convert, char *text)
{
    const char *path = convert->options->labels;
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        text[--length] = '\0';
    for (char *rest = length > 0 ? text : NULL; rest != NULL;) {
        char *line = strsep(&rest, "\n");
        size_t end = strlen(line);
        if (end > 0 && line[end - 1] == '\r') line[end - 1] = '\0';
        convert->labels = cli_resize(convert->labels, convert->label_count + 1, sizeof *convert->labels);
        convert->labels[convert->label_count++] = cli_copy(line);
        if (line[0] == '\0' || !is_clean(line)) {
            cli_error(path, line[0] == '\0' ? "line %zu is empty" : "line %zu is not plain UTF-8 text",
                      convert->label_count);
            return CLI_BAD_INPUT;
        }
    }
    if (convert->label_count > 0) return CLI_OK;
    cli_error(path, "holds no labels");
    return CLI_BAD_INPUT;
}

static int load_labels(struct convert *convert)
{
    const char *path = convert->options->labels;
    char *text = NULL;
    size_t size;
    if (path == NULL) return CLI_OK;
    int status = load_text(convert, path, &text, &size);
    if (text == NULL) return status;
    if (strlen(text) != size) {
        cli_error(path, "holds NUL bytes: not a list of labels");
        status = CLI_BAD_INPUT;
    } else {
        status = split_labels(convert, text);
    }
    free(text);
    return status;
}

/* ---- converting
 * ---------------------------------------------------------------------------------------------------- */

static int64_t value_count(const dcls_tensors *tensors)
{
    size_t count = 0;
    for (size_t i = 0; i < dcls_tensors_count(tensors); i++) {
        const dcls_tensor *tensor = dcls_tensors_at(tensors, i);
        count += tensor->nbytes / dcls_dtype_size(tensor->dtype);
    }
    return (int64_t)count;
}

static void note_written(const struct convert *convert, const char *what, const dcls_tensors *tensors)
{
    struct stat st;
    if (stat(convert->out, &st) != 0) return;
    cli_note(convert->run, "%s: %s, %s, %s, %s", convert->out, what,
             cli_counted((int64_t)dcls_tensors_count(tensors), "tensor").text,
             cli_counted(value_count(tensors), "value").text, cli_bytes((uint64_t)st.st_size).text);
}

static bool is_onnx(const struct convert *convert)
{
    const size_t length = strlen(convert->out), tail = strlen(".onnx");
    return length >= tail && strcmp(convert->out + length - tail, ".onnx") == 0;
}

static int save_onnx(const struct convert *convert, const dcls_model *model)
{
    dcls_context *ctx = convert->run->ctx;
    const dcls_onnx_options onnx = {.preprocess = convert->options->onnx_preprocess};
    struct stat st;
    dcls_status status = dcls_onnx_save(ctx, model, &onnx, convert->out);
    if (status != DCLS_OK) return cli_fail(convert->out, status, ctx);
    if (stat(convert->out, &st) == 0)
        cli_note(convert->run, "%s: %s network as ONNX, %s", convert->out,
                 dcls_task_name(dcls_model_task(model)), cli_bytes((uint64_t)st.st_size).text);
    return CLI_OK;
}

static int save_model(const struct convert *convert, const dcls_model *model)
{
    dcls_context *ctx = convert->run->ctx;
    if (is_onnx(convert)) return save_onnx(convert, model);
    dcls_status status = dcls_model_save(ctx, model, convert->out);
    if (status != DCLS_OK) return cli_fail(convert->out, status, ctx);
    char *what = cli_format("%s model", dcls_task_name(dcls_model_task(model)));
    note_written(convert, what, dcls_model_tensors(model));
    free(what);
    return CLI_OK;
}

static int convert_model(const struct convert *convert, const dcls_model *model)
{
    dcls_context *ctx = convert->run->ctx;
    dcls_model *dense;
    if (convert->options->to == TO_SAME) return save_model(convert, model);
    dcls_status status = dcls_model_to_dense(ctx, model, &dense);
    if (status != DCLS_OK) return cli_fail(convert->in, status, ctx);
    int result = save_model(convert, dense);
    dcls_model_destroy(dense);
    return result;
}

static int save_tensors(const struct convert *convert, const dcls_tensors *tensors)
{
    dcls_context *ctx = convert->run->ctx;
    dcls_status status = dcls_tensors_save(ctx, tensors, convert->out);
    if (status != DCLS_OK) return cli_fail(convert->out, status, ctx);
    note_written(convert, "state dict", tensors);
    return CLI_OK;
}

static int convert_tensors(const struct convert *convert, const dcls_tensors *tensors)
{
    dcls_context *ctx = convert->run->ctx;
    dcls_tensors *dense;
    if (convert->options->to == TO_SAME) return save_tensors(convert, tensors);
    const cli_list *settings = &convert->options->settings;
    dcls_status status = dcls_tensors_to_dense(ctx, tensors, settings->items, settings->count, &dense);
    if (status != DCLS_OK) return cli_fail(convert->in, status, ctx);
    int result = save_tensors(convert, dense);
    dcls_tensors_destroy(dense);
    return result;
}

static int build_and_convert(const struct convert *convert, dcls_tensors *tensors)
{
    const convert_options *o = convert->options;
    dcls_context *ctx = convert->run->ctx;
    dcls_build_options build = {.arch = convert->arch_json == NULL ? o->arch : NULL,
                                .arch_json = convert->arch_json,
                                .settings = o->settings.items,
                                .setting_count = o->settings.count,
                                .preprocess = o->preprocess,
                                .labels = (const char *const *)convert->labels,
                                .label_count = convert->label_count};
    dcls_model *model;
    dcls_status status = dcls_model_build(ctx, tensors, &build, &model);
    if (status != DCLS_OK) return cli_fail(convert->in, status, ctx);
    int result = convert_model(convert, model);
    dcls_model_destroy(model);
    return result;
}

/* ---- what fits together
 * ---------------------------------------------------------------------------------------------- */

static int refuse(const char *option, const char *why)
{
    cli_error("convert", "%s %s", option, why);
    return CLI_USAGE;
}

/* An option that needs a network, or NULL. */
static const char *network_option(const convert_options *o)
{
    if (o->arch != NULL) return "--arch";
    if (o->preprocess != NULL) return "--preprocess";
    if (o->labels != NULL) return "--labels";
    return NULL;
}

static int check_path(const struct convert *convert, bool model)
{
    if (convert->options->onnx_preprocess && !is_onnx(convert))
        return refuse("--onnx-preprocess", "is for an OUT that ends in .onnx");
    dcls_status status = dcls_output_path_check(convert->run->ctx, convert->out, model);
    return status == DCLS_OK ? CLI_OK : cli_fail(convert->out, status, convert->run->ctx);
}

static int check_not_same(const struct convert *convert)
{
    struct stat in, out;
    if (stat(convert->in, &in) != 0 || stat(convert->out, &out) != 0) return CLI_OK;
    if (in.st_dev != out.st_dev || in.st_ino != out.st_ino || !S_ISREG(in.st_mode)) return CLI_OK;
    cli_error(convert->out, "is the input itself");
    return CLI_USAGE;
}

static int convert_builtin(const struct convert *convert)
{
    const char *unfit = network_option(convert->options);
    if (unfit == NULL && convert->options->settings.count > 0) unfit = "--set";
    if (unfit != NULL) return refuse(unfit, "cannot change a built-in model");
    dcls_model *model;
    int status = cli_model_load(convert->run, convert->in, &model);
    if (status != CLI_OK) return status;
    status = convert_model(convert, model);
    dcls_model_destroy(model);
    return status;
}

static int convert_state_dict(const struct convert *convert, dcls_tensors *tensors)
{
    const char *unfit = network_option(convert->options);
    int status = check_path(convert, false);
    if (status == CLI_OK && unfit != NULL)
        status = refuse(unfit, "needs --arch: the file holds tensors without a network");
    if (status == CLI_OK && convert->options->settings.count > 0 && convert->options->to == TO_SAME)
        status = refuse("--set", "needs --arch or --to dense: the file holds tensors without a network");
    if (status == CLI_OK) status = convert_tensors(convert, tensors);
    dcls_tensors_destroy(tensors);
    return status;
}

static int convert_file(const struct convert *convert)
{
    dcls_context *ctx = convert->run->ctx;
    dcls_tensors *tensors;
    dcls_status status = dcls_tensors_load_file(ctx, convert->in, &tensors);
    if (status != DCLS_OK) return cli_fail(convert->in, status, ctx);
    cli_verbose(convert->run, "%s: %s, %s", convert->in, dcls_tensors_format(tensors),
                cli_counted((int64_t)dcls_tensors_count(tensors), "tensor").text);
    if (convert->options->arch == NULL && !dcls_tensors_hold_model(tensors))
        return convert_state_dict(convert, tensors);
    int result = check_path(convert, true);
    if (result == CLI_OK) return build_and_convert(convert, tensors);
    dcls_tensors_destroy(tensors);
    return result;
}

static int run_convert(cli *run, const void *values, cli_operands operands)
{
    struct convert convert = {
        .run = run, .options = values, .in = operands.items[0], .out = operands.items[1]};
    bool builtin = cli_builtin_name(convert.in) != NULL;
    /* Whether IN holds a network shows later; here the suffix alone counts. */
    int status = check_path(&convert, builtin || convert.options->arch != NULL || is_onnx(&convert));
    if (status == CLI_OK && !builtin) status = check_not_same(&convert);
    if (status == CLI_OK) status = load_labels(&convert);
    if (status == CLI_OK) status = cli_arch_load(run, convert.options->arch, &convert.arch_json);
    if (status == CLI_OK) status = builtin ? convert_builtin(&convert) : convert_file(&convert);
    for (size_t i = 0; i < convert.label_count; i++)
        free(convert.labels[i]);
    free(convert.labels);
    free(convert.arch_json);
    return status;
}

const cli_command cli_cmd_convert = {
    .name = "convert",
    .summary = "convert weights and models, make a model of a PyTorch checkpoint",
    .operands = "IN OUT",
    .about =
        "Reads IN (a binary or JSON model, safetensors, a PyTorch checkpoint, .npy, or builtin:NAME; "
        "recognised by "
        "content) and writes OUT in the format of its suffix: .bin or .safetensors, .json, .npy for a "
        "single tensor, or .onnx for a network with DCLS layers folded into plain convolutions. "
        "PyTorch checkpoints are read without executing anything in them.\n\n"
        "A state dict stays a state dict unless --arch gives it a network. OUT appears whole or not at all.",
    .examples = "  dcls convert ckpt.pth model.bin --arch convmixer --set version=v1 \\\n"
                "       --set dilated_kernel_size=9 --preprocess cifar10 --labels labels.txt\n"
                "  dcls convert model.bin model.json\n"
                "  dcls convert model.bin model.onnx\n"
                "  dcls convert ckpt.pth dense.safetensors --to dense --set version=gauss \\\n"
                "       --set dilated_kernel_size=17\n",
    .options = options,
    .values_size = sizeof(convert_options),
    .defaults = &defaults,
    .min_operands = 2,
    .max_operands = 2,
    .run = run_convert,
};
