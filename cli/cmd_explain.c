/* dcls explain: what a DCLS layer is and costs, before it is trained. */
#include "explain.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "input_shape.h"
#include "models.h"
#include "numbers.h"
#include "options.h"
#include "output.h"
#include "suggest.h"

#define DEFAULT_CHANNELS 96
#define DEFAULT_DIM      2

typedef struct explain_options {
    const char *D, *stride, *padding, *size;
    int64_t K, channels, in, out, groups, dim, flat_dim; /* the last one by --set alone */
    const char *model, *key, *module, *arch;
    cli_list settings;
    bool shared, json;
} explain_options;

#define AT(field) offsetof(explain_options, field)

#define ANY_COUNT 1, 2147483647

static const cli_option options[] = {
    {"dilated-kernel-size", 'D', CLI_TEXT, "N[,N..]", AT(D), "side of the window, or one for each dimension",
     0, 0},
    {"kernel-count", 'K', CLI_INT, "N", AT(K), "elements in a kernel", ANY_COUNT},
    {"set", 0, CLI_LIST, "KEY=VALUE", AT(settings),
     "version=v0|v1|max|gauss (default: v1), or another of these options by its package's name, such as "
     "dilated_kernel_size=17; may be repeated",
     0, 0},
    {"model", 'm', CLI_TEXT, "MODEL", AT(model), "the same as MODEL; what follows is then LAYER", 0, 0},
    {"key", 0, CLI_TEXT, "NAME", AT(key), "which state dict of MODEL, a checkpoint that holds several", 0, 0},
    {"module", 0, CLI_TEXT, "NAME", AT(module),
     "the tensors of one module of MODEL alone, such as model, named without it", 0, 0},
    {"arch", 0, CLI_TEXT, "NAME|FILE", AT(arch),
     "make a model of MODEL, a state dict, as dcls convert does; --set then tells what tensors do not", 0, 0},
    {"channels", 'c', CLI_INT, "N", AT(channels),
     "channels of a depthwise layer: in, out and groups (default: 96)", ANY_COUNT},
    {"in", 0, CLI_INT, "N", AT(in), "input channels", ANY_COUNT},
    {"out", 0, CLI_INT, "N", AT(out), "output channels", ANY_COUNT},
    {"groups", 'g', CLI_INT, "N", AT(groups), "groups (default: 1 with --in or --out, else depthwise)",
     ANY_COUNT},
    {"stride", 0, CLI_TEXT, "N[,N..]", AT(stride), "stride (default: 1)", 0, 0},
    {"padding", 0, CLI_TEXT, "N[,N..]", AT(padding), "padding (default: D // 2)", 0, 0},
    {"size", 0, CLI_TEXT, "HxW", AT(size), "size of the input (default: 56 a side, 1000 in 1-D, 28 in 3-D)",
     0, 0},
    {"dim", 0, CLI_INT, "1|2|3", AT(dim),
     "dimensions (default: as many as --size or --dilated-kernel-size has, else 2)", 1, 3},
    {"shared-positions", 0, CLI_FLAG, NULL, AT(shared), "one P for all output channels", 0, 0},
    {"json", 0, CLI_FLAG, NULL, AT(json), "everything, as one JSON object", 0, 0},
    {0}};

/* Not given. */
#define NONE INT64_MIN

static const explain_options defaults = {
    .K = NONE, .channels = NONE, .in = NONE, .out = NONE, .groups = NONE, .dim = NONE};

static int usage(const char *option, const char *text, const char *wanted)
{
    cli_error("explain", "%s: '%s' is not %s", option, text, wanted);
    return CLI_USAGE;
}

/* ---- settings by the package's names ---- */

static int set_number(const char *setting, const char *value, int64_t *out)
{
    return cli_parse_int(value, out) ? CLI_OK : usage("--set", setting, "a setting with a whole number");
}

/* KEY=VALUE */
static int apply_setting(const char *setting, explain_options *o, dcls_layer_spec *spec)
{
    static const char *const keys[] = {
        "version",     "dilated_kernel_size", "kernel_count", "stride", "padding",
        "in_channels", "out_channels",        "groups",       "layer",  "flat_dim",
        NULL};
    const char *const value = strchr(setting, '=');
    if (value == NULL) return usage("--set", setting, "of the form KEY=VALUE");
    char *key = cli_format("%.*s", (int)(value - setting), setting);
    int at = 0;
    while (keys[at] != NULL && strcmp(keys[at], key) != 0)
        at++;
    const char *nearest = cli_nearest(key, keys);
    free(key);
    const char **const texts[] = {&spec->version, &o->D, NULL, &o->stride, &o->padding};
    int64_t *const numbers[] = {&o->K, NULL, NULL, &o->in, &o->out, &o->groups, NULL, &o->flat_dim};
    if (keys[at] == NULL && nearest != NULL)
        cli_error("explain", "--set: '%s' is not a setting here; did you mean '%s'?", setting, nearest);
    else if (keys[at] == NULL)
        cli_error("explain", "--set: '%s' is not a setting here", setting);
    if (keys[at] == NULL) return CLI_USAGE;
    if (strcmp(keys[at], "layer") == 0) {
        spec->layer = value + 1;
        return CLI_OK;
    }
    if (at != 2 && at < 5) {
        *texts[at] = value + 1;
        return CLI_OK;
    }
    return set_number(setting, value + 1, numbers[at - 2]);
}

/* ---- the layer of the options ---- */

/* "17", "5,9" or "5x9": the number of values, 0 if it is nothing of the kind. */
static int parse_list(const char *text, int64_t values[3])
{
    char *copy = cli_copy(text), *rest = copy;
    int count = 0;
    while (rest != NULL && count <= 3) {
        const char *item = strsep(&rest, ",x");
        if (count == 3 || !cli_parse_int(item, &values[count])) {
            count = 0;
            break;
        }
        count++;
    }
    free(copy);
    return count;
}

/* One value for all dimensions, or one for each. */
static int spread_list(const char *option, const char *text, int ndim, int64_t out[3])
{
    if (text == NULL) return CLI_OK;
    int64_t values[3];
    const int count = parse_list(text, values);
    if (count == 0 || (count != 1 && count != ndim))
        return usage(option, text, ndim == 1 ? "a whole number" : "one number, or one for each dimension");
    for (int d = 0; d < ndim; d++)
        out[d] = values[count == 1 ? 0 : d];
    return CLI_OK;
}

static int choose_ndim(const explain_options *o)
{
    int64_t values[3];
    int count = o->size != NULL ? parse_list(o->size, values) : 0;
    if (o->dim != NONE) return (int)o->dim;
    if (count > 1) return count;
    count = o->D != NULL ? parse_list(o->D, values) : 0;
    return count > 1 ? count : DEFAULT_DIM;
}

static void choose_channels(const explain_options *o, dcls_layer_spec *spec)
{
    const bool full = o->in != NONE || o->out != NONE;
    const int64_t channels = o->channels != NONE ? o->channels : DEFAULT_CHANNELS;
    spec->in_channels = o->in != NONE ? o->in : o->out != NONE && o->channels == NONE ? o->out : channels;
    spec->out_channels = o->out != NONE ? o->out : o->in != NONE && o->channels == NONE ? o->in : channels;
    spec->groups = o->groups != NONE ? o->groups : full ? 1 : channels;
}

static int choose_spec(const explain_options *given, explained *it)
{
    static const int64_t sizes[] = {0, 1000, 56, 28};
    dcls_layer_spec *spec = &it->spec;
    explain_options o = *given;
    *spec = (dcls_layer_spec){.version = "v1", .bias = true, .shared_positions = o.shared, .spread = -1};
    int status = CLI_OK;
    for (size_t i = 0; i < o.settings.count && status == CLI_OK; i++)
        status = apply_setting(o.settings.items[i], &o, spec);
    if (status != CLI_OK) return status;
    if (o.D == NULL || o.K == NONE) {
        cli_error("explain", "%s is needed, or a MODEL; see 'dcls explain --help'",
                  o.D == NULL ? "--dilated-kernel-size" : "--kernel-count");
        return CLI_USAGE;
    }
    spec->ndim = spec->layer != NULL && strcmp(spec->layer, "3_1d") == 0 ? 3 : choose_ndim(&o);
    for (int d = 0; d < spec->ndim; d++) {
        spec->stride[d] = 1;
        spec->padding[d] = DCLS_ANY;
        spec->input[d] = sizes[spec->ndim];
    }
    spec->kernel_count = o.K;
    choose_channels(&o, spec);
    status = spread_list("--dilated-kernel-size", o.D, spec->ndim, spec->dilated_kernel_size);
    if (spec->layer != NULL && strcmp(spec->layer, "2dK1d") == 0 && spec->ndim == 2)
        spec->dilated_kernel_size[o.flat_dim == 1 ? 0 : 1] = 1;
    if (status == CLI_OK) status = spread_list("--stride", o.stride, spec->ndim, spec->stride);
    if (status == CLI_OK) status = spread_list("--padding", o.padding, spec->ndim, spec->padding);
    if (status == CLI_OK) status = spread_list("--size", o.size, spec->ndim, spec->input);
    for (int d = 0; d < spec->ndim && status == CLI_OK && o.padding != NULL; d++)
        if (spec->padding[d] < 0) status = usage("--padding", o.padding, "a padding");
    return status;
}

/* ---- the command ---- */

static int print_explanation(explained *it, bool json)
{
    dcls_explanation *result;
    dcls_context *ctx = it->run->ctx;
    dcls_status status = dcls_explain(ctx, &it->spec, &result);
    if (status != DCLS_OK) return cli_fail(it->model != NULL ? it->model : "explain", status, ctx);
    it->result = result;
    int exit_status = CLI_OK;
    if (json)
        exit_status = explain_print_json(it);
    else
        explain_print_text(it);
    dcls_explanation_destroy(result);
    return exit_status;
}

static bool describes_layer(const explain_options *o)
{
    return o->D != NULL || o->K != NONE || o->channels != NONE || o->in != NONE || o->out != NONE ||
           o->groups != NONE || o->stride != NULL || o->padding != NULL || o->dim != NONE || o->shared;
}

/* A layer of a model is seen with the model's input. */
static int explain_of_model(explained *it, const explain_options *o, const dcls_model *model,
                            const char *layer)
{
    dcls_context *ctx = it->run->ctx;
    cli_input_shape input;
    const int result = cli_input_choose(it->run, model, o->size, &input);
    if (result != CLI_OK) return result;
    const dcls_status status =
        dcls_layer_spec_of(ctx, model, layer, input.ndim, input.shape, &it->spec, &it->layer, &it->learned);
    return status == DCLS_OK ? print_explanation(it, o->json) : cli_fail(it->model, status, ctx);
}

/* One of a state dict is seen alone. */
static int explain_tensors(explained *it, const explain_options *o, const dcls_tensors *tensors,
                           const char *layer)
{
    dcls_context *ctx = it->run->ctx;
    const char *found;
    size_t length;
    const dcls_status status = dcls_layer_spec_of_tensors(ctx, tensors, o->settings.items, o->settings.count,
                                                          layer, &it->spec, &found, &length, &it->learned);
    if (status != DCLS_OK) return cli_fail(it->model, status, ctx);
    int result = spread_list("--size", o->size, it->spec.ndim, it->spec.input);
    char *name = cli_format("%.*s", (int)length, found);
    it->layer = name;
    if (result == CLI_OK) result = print_explanation(it, o->json);
    free(name);
    return result;
}

static int explain_model(explained *it, const explain_options *o, const char *layer)
{
    const cli_source_options how = {
        .key = o->key, .module = o->module, .arch = o->arch, .settings = o->settings};
    cli_source source;
    if (describes_layer(o)) {
        cli_error("explain",
                  "a layer of a model is what it is: of the options that describe one only --size, "
                  "--set, --arch, --key and --module go with MODEL");
        return CLI_USAGE;
    }
    int result = cli_source_load(it->run, it->model, &how, &source);
    if (result != CLI_OK) return result;
    it->has_learned = true;
    result = source.model != NULL ? explain_of_model(it, o, source.model, layer)
                                  : explain_tensors(it, o, source.tensors, layer);
    cli_source_free(&source);
    return result;
}

static int run_explain(cli *run, const void *values, cli_operands operands)
{
    const explain_options *o = values;
    explained it = {.run = run};
    if (o->model != NULL && operands.count > 1) {
        cli_error("explain", "'%s' is one argument too many: -m names the model", operands.items[1]);
        return CLI_USAGE;
    }
    int64_t number;
    if (o->model == NULL && operands.count > 0 && cli_parse_int(operands.items[0], &number) &&
        access(operands.items[0], F_OK) != 0) {
        cli_error("explain", "'%s' is no MODEL: sizes are options, as in -D 17 -K 34", operands.items[0]);
        return CLI_USAGE;
    }
    if (o->model != NULL || operands.count > 0) {
        const int layer = o->model == NULL;
        it.model = layer == 0 ? o->model : operands.items[0];
        return explain_model(&it, o, operands.count > layer ? operands.items[layer] : NULL);
    }
    if (o->arch != NULL || o->key != NULL || o->module != NULL) {
        cli_error("explain", "--arch, --key and --module are for a MODEL");
        return CLI_USAGE;
    }
    const int status = choose_spec(o, &it);
    return status == CLI_OK ? print_explanation(&it, o->json) : status;
}

const cli_command cli_cmd_explain = {
    .name = "explain",
    .summary = "what a DCLS layer is and costs, from D, K and the like",
    .operands = "[MODEL [LAYER]]",
    .about = "From the arguments of a layer: the shapes of its tensors, what it learns and computes beside a "
             "dense "
             "kernel and a classic dilated one of the same reach, what each algorithm costs, the padding "
             "that keeps "
             "the size, and what surprises people about such a layer. D and K are enough; the rest has the "
             "defaults "
             "of a depthwise layer.\n\n"
             "With MODEL, the same for one of its layers, the first DCLS layer if none is named.",
    .examples = "  dcls explain -D 17 -K 34\n"
                "  dcls explain -D 9 -K 9 --in 64 --out 128 --stride 2 --size 32x32\n"
                "  dcls explain -D 25 -K 1 --dim 1 --set version=gauss --in 700 --out 256\n"
                "  dcls explain model.bin stages.2.0.dwconv\n",
    .options = options,
    .values_size = sizeof(explain_options),
    .defaults = &defaults,
    .min_operands = 0,
    .max_operands = 2,
    .run = run_explain,
};
