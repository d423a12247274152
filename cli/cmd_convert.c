/* dcls convert: weights files into each other, state dicts into models, kernels into other kinds of kernels.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "convert.h"
#include "dcls_analysis.h"
#include "input_shape.h"
#include "layer_warnings.h"
#include "models.h"
#include "numbers.h"
#include "options.h"
#include "output.h"

#define AT(field) offsetof(convert_options, field)

static const cli_option options[] = {
    {"key", 0, CLI_TEXT, "NAME", AT(key),
     "which state dict of a checkpoint that holds several, such as model_ema (default: model, then "
     "state_dict, then others)",
     0, 0},
    {"module", 0, CLI_TEXT, "NAME", AT(module),
     "take the tensors of one module alone, such as model of a checkpoint of PyTorch Lightning, and name "
     "them without it",
     0, 0},
    {"drop", 0, CLI_LIST, "GLOB", AT(drop),
     "leave out the tensors of a state dict whose names match, such as 'aux.*'; may be repeated", 0, 0},
    {"arch", 0, CLI_TEXT, "NAME|FILE", AT(arch),
     "make a model of a state dict: convmixer, convnext_dcls, deeplabv3, or a JSON model file that describes "
     "the network",
     0, 0},
    {"set", 0, CLI_LIST, "KEY=VALUE", AT(settings),
     "what tensors do not tell, such as version=v1 or dilated_kernel_size=17; GLOB:KEY=VALUE for layers "
     "whose name "
     "matches; may be repeated",
     0, 0},
    {"preprocess", 0, CLI_CHOICE, "imagenet|imagenet-bicubic|cifar10|none", AT(preprocess),
     "how pictures become tensors", 0, 0},
    {"labels", 0, CLI_TEXT, "FILE", AT(labels), "class names, one a line", 0, 0},
    {"to", 0, CLI_CHOICE, "dense|sparse|taps", AT(to),
     "dense: replace every DCLS layer by the plain convolution with the same kernel; sparse: fit elements "
     "with "
     "positions to kernels; taps: list the non-zero cells of kernels, without a network",
     0, 0},
    {"kernel-count", 0, CLI_INT, "K", AT(kernel_count), "sparse: elements of each kernel", 1, 65536},
    {"error", 0, CLI_REAL, "E", AT(error),
     "sparse: as few elements as keep each layer's relative error at or below E, instead of --kernel-count",
     1e-6, 1},
    {"layers", 0, CLI_TEXT, "GLOB", AT(layers),
     "only layers whose name matches (default: DCLS layers, and depthwise convolutions larger than 3)", 0, 0},
    {"seed", 0, CLI_INT, "N", AT(seed),
     "sparse: where its random moves start; the same seed, the same result "
     "(default: 0)",
     0, 9007199254740992},
    {"effort", 0, CLI_REAL, "X", AT(effort),
     "sparse: how long to search for each kernel, 0 to 100 (default: 1, a tenth of a second at most; 0 for a "
     "quick look)",
     0, 100},
    {"threshold", 0, CLI_REAL, "X", AT(threshold),
     "taps: leave out cells up to X times the layer's largest (default: 0, only zeros)", 0, 1},
    {"merge", 0, CLI_REAL, "DISTANCE", AT(merge), "make one of elements no further apart than DISTANCE cells",
     0, 1e6},
    {"prune", 0, CLI_REAL, "X", AT(prune),
     "drop elements whose |weight| is below X times the layer's largest", 0, 1},
    {"round-positions", 0, CLI_FLAG, NULL, AT(round_positions),
     "move elements to whole cells, halves to even", 0, 0},
    {"fix-unequal", 0, CLI_FLAG, NULL, AT(fix_unequal),
     "recentre windows of unequal sides, which the published package has off-centre", 0, 0},
    {"verify", 0, CLI_TEXT, "DIR", AT(verify),
     "run the network before and after over the pictures in DIR and say how outputs differ", 0, 0},
    {"json", 0, CLI_FLAG, NULL, AT(json),
     "what was done to elements and taps of layers, and what --verify found, as one JSON object", 0, 0},
    {"onnx-preprocess", 0, CLI_FLAG, NULL, AT(onnx_preprocess),
     "put mean and std into an .onnx file: its input is then pixels, uint8 [N, height, width, channels]", 0,
     0},
    {0}};

static const convert_options defaults = {.to = TO_SAME,
                                         .preprocess = PREPROCESS_NOT_SAID,
                                         .seed = -1,
                                         .effort = -1,
                                         .threshold = -1,
                                         .merge = -1,
                                         .prune = -1};

/* ---- converting ---- */

static int convert_to_taps_file(struct convert *convert, const dcls_model *model, const dcls_tensors *tensors)
{
    dcls_tensors *taps;
    dcls_status status = convert_to_taps(convert, model, tensors, &taps);
    if (status != DCLS_OK) return cli_fail(convert->in, status, convert->run->ctx);
    int result = convert_save_tensors(convert, taps, "taps");
    dcls_tensors_destroy(taps);
    return result == CLI_OK ? convert_print(convert, NULL) : result;
}

/* The comparison comes after the file: what took long to compute is not lost to a bad picture. */
static int save_and_verify(struct convert *convert, const dcls_model *before, const dcls_model *after)
{
    convert_comparison comparison;
    int status = convert_save_model(convert, after);
    if (status != CLI_OK) return status;
    if (convert->options->verify == NULL) return convert_print(convert, NULL);
    status = convert_verify(convert, before, after, &comparison);
    if (comparison.pictures == 0) return status;
    const int printed = convert_print(convert, &comparison);
    return status != CLI_OK ? status : printed;
}

/* Layers whose kernels are made now, or whose windows the caller has just said. */
static bool depends_on_layers(const struct convert *convert)
{
    return convert->settings_used || convert->options->to != TO_SAME || convert_to_onnx(convert) ||
           convert_changes_elements(convert->options);
}

static void warn_of_layers(const struct convert *convert, const dcls_model *model,
                           const dcls_tensors *tensors)
{
    const cli_list *settings = &convert->options->settings, all = {0};
    const dcls_layer_source source = {model, tensors, settings->items, settings->count};
    if (depends_on_layers(convert)) cli_warn_of_layers(convert->run, convert->in, &source, &all);
}

static int convert_model(struct convert *convert, const dcls_model *model)
{
    dcls_model *changed;
    warn_of_layers(convert, model, NULL);
    const int runs = cli_input_check(convert->run, convert->in, model);
    if (runs != CLI_OK) return runs;
    dcls_status status = convert_model_kernels(convert, model, &changed);
    if (status != DCLS_OK) return cli_fail(convert->in, status, convert->run->ctx);
    const dcls_model *after = changed != NULL ? changed : model;
    int result = convert->options->to == TO_TAPS ? convert_to_taps_file(convert, after, NULL)
                                                 : save_and_verify(convert, model, after);
    dcls_model_destroy(changed);
    return result;
}

static int convert_tensors(struct convert *convert, const dcls_tensors *tensors)
{
    dcls_tensors *changed;
    warn_of_layers(convert, NULL, tensors);
    dcls_status status = convert_tensor_kernels(convert, tensors, &changed);
    if (status != DCLS_OK) return cli_fail(convert->in, status, convert->run->ctx);
    const dcls_tensors *after = changed != NULL ? changed : tensors;
    int result = convert->options->to == TO_TAPS ? convert_to_taps_file(convert, NULL, after)
                                                 : convert_save_tensors(convert, after, "state dict");
    if (result == CLI_OK && convert->options->to != TO_TAPS) result = convert_print(convert, NULL);
    dcls_tensors_destroy(changed);
    return result;
}

/* A checkpoint does not say how its pictures were prepared, and answers to others are wrong without a word.
 */
static void note_preprocess(const struct convert *convert, const dcls_model *model)
{
    const dcls_preprocess *p = dcls_model_preprocess(model);
    bool none = p->resize == DCLS_RESIZE_NONE && p->crop_height == 0 && p->mean[0] == 0 && p->std[0] == 1;
    if (convert->options->arch == NULL || convert->options->preprocess != PREPROCESS_NOT_SAID || !none)
        return;
    cli_note(convert->run, "%s: without --preprocess, pictures are only divided by 255", convert->in);
}

/* Such a network answers nonsense, which nothing else tells before it runs. */
static void warn_of_numbers(const struct convert *convert, const dcls_model *model)
{
    const dcls_tensors *tensors = dcls_model_tensors(model);
    for (size_t i = 0; convert->options->arch != NULL && i < dcls_tensors_count(tensors); i++) {
        const dcls_tensor *tensor = dcls_tensors_at(tensors, i);
        dcls_tensor_stats stats;
        if (dcls_tensor_statistics(convert->run->ctx, tensor, &stats) != DCLS_OK ||
            stats.nan + stats.inf == 0)
            continue;
        cli_warn(convert->run, convert->in, "tensor '%s': %s not finite", tensor->name,
                 cli_counted(stats.nan + stats.inf, "number").text);
        return;
    }
}

static const char *preprocess_name(const convert_options *o)
{
    static const char *const names[] = {"imagenet", "imagenet-bicubic", "cifar10", "none"};
    return o->preprocess == PREPROCESS_NOT_SAID ? NULL : names[o->preprocess];
}

/* Labels of another number are the fault of their own file, so they come last. */
static int give_labels(const struct convert *convert, dcls_model *model)
{
    const char *path = convert->options->labels;
    if (path == NULL) return CLI_OK;
    const dcls_status status = dcls_model_set_labels(
        convert->run->ctx, model, (const char *const *)convert->labels, convert->label_count);
    return status == DCLS_OK ? CLI_OK : cli_fail(path, status, convert->run->ctx);
}

static int build_and_convert(struct convert *convert, dcls_tensors *tensors)
{
    const convert_options *o = convert->options;
    dcls_context *ctx = convert->run->ctx;
    dcls_build_options build = {.arch = convert->arch_json == NULL ? o->arch : NULL,
                                .arch_json = convert->arch_json,
                                .settings = o->settings.items,
                                .setting_count = o->settings.count,
                                .preprocess = preprocess_name(o),
                                .labels = (const char *const *)convert->labels};
    /* Of a network that is complete, --set can only mean the layers to be fitted. */
    if (o->to == TO_SPARSE && o->arch == NULL) build.setting_count = 0;
    convert->settings_used = build.setting_count > 0;
    if (build.setting_count > 0 && o->arch == NULL && dcls_tensors_hold_model(tensors))
        cli_warn(convert->run, convert->in,
                 "describes its network itself: --set changes it, and what it answers");
    dcls_model *model;
    dcls_status status = dcls_model_build(ctx, tensors, &build, &model);
    if (status != DCLS_OK) {
        char *both =
            build.arch_json != NULL ? cli_format("%s with %s", convert->in, o->arch) : cli_copy(convert->in);
        const int failed = cli_fail(both, status, ctx);
        free(both);
        return failed;
    }
    int result = give_labels(convert, model);
    if (result == CLI_OK) {
        note_preprocess(convert, model);
        warn_of_numbers(convert, model);
        result = convert_model(convert, model);
    }
    dcls_model_destroy(model);
    return result;
}

/* ---- what fits together ---- */

static int refuse(const char *option, const char *why)
{
    cli_error("convert", "%s %s", option, why);
    return CLI_USAGE;
}

/* An option that needs a network, or NULL. */
static const char *network_option(const convert_options *o)
{
    if (o->arch != NULL) return "--arch";
    if (o->preprocess != PREPROCESS_NOT_SAID) return "--preprocess";
    if (o->labels != NULL) return "--labels";
    return NULL;
}

static bool changes_kernels(const convert_options *o)
{
    return o->to != TO_SAME || convert_changes_elements(o);
}

static int check_kernel_options(const convert_options *o)
{
    const bool sparse = o->to == TO_SPARSE;
    if (sparse && o->kernel_count > 0 && o->error > 0)
        return refuse("--kernel-count", "and --error exclude each other: one says the other");
    if (sparse && o->kernel_count == 0 && o->error == 0)
        return refuse("--to sparse", "needs --kernel-count or --error");
    if (!sparse && o->kernel_count > 0) return refuse("--kernel-count", "is for --to sparse");
    if (!sparse && o->error > 0) return refuse("--error", "is for --to sparse");
    if (!sparse && o->seed >= 0) return refuse("--seed", "is for --to sparse");
    if (!sparse && o->effort >= 0) return refuse("--effort", "is for --to sparse");
    if (o->to != TO_TAPS && o->threshold >= 0) return refuse("--threshold", "is for --to taps");
    if (o->to == TO_TAPS && o->verify != NULL) return refuse("--verify", "cannot run taps");
    if (o->layers != NULL && o->to != TO_TAPS && !convert_changes_elements(o))
        return refuse("--layers", "is for --to sparse, --to taps and what changes elements");
    return CLI_OK;
}

static int check_path(const struct convert *convert, bool model)
{
    if (convert->options->to == TO_TAPS) model = false;
    if (convert->options->verify != NULL && convert_to_onnx(convert) && !changes_kernels(convert->options))
        return refuse("--verify",
                      "cannot run ONNX: compare what its runtime answers with dcls infer --logits");
    if (convert->options->onnx_preprocess && !convert_to_onnx(convert))
        return refuse("--onnx-preprocess", "is for an OUT that ends in .onnx");
    if (strcmp(convert->out, "-") == 0 && convert->options->json)
        return refuse("--json", "and OUT '-' would both go to standard output");
    if (strcmp(convert->out, "-") == 0 && isatty(STDOUT_FILENO) == 1)
        return refuse("OUT '-'", "would write a binary file to the terminal");
    dcls_status status = dcls_output_path_check(convert->run->ctx, convert->out, model);
    return status == DCLS_OK ? CLI_OK : cli_fail(convert->out, status, convert->run->ctx);
}

static int convert_builtin(struct convert *convert)
{
    const convert_options *o = convert->options;
    const char *unfit = network_option(o);
    if (unfit == NULL && o->settings.count > 0 && o->to != TO_SPARSE) unfit = "--set";
    if (unfit == NULL && o->key != NULL) unfit = "--key";
    if (unfit == NULL && o->module != NULL) unfit = "--module";
    if (unfit == NULL && o->drop.count > 0) unfit = "--drop";
    if (unfit != NULL) return refuse(unfit, "cannot change a built-in model");
    dcls_model *model;
    int status = cli_model_load(convert->run, convert->in, &model);
    if (status != CLI_OK) return status;
    status = convert_model(convert, model);
    dcls_model_destroy(model);
    return status;
}

static int convert_state_dict(struct convert *convert, dcls_tensors *tensors)
{
    const char *unfit = network_option(convert->options);
    if (unfit == NULL && convert->options->verify != NULL) unfit = "--verify";
    int status = check_path(convert, false);
    if (status == CLI_OK && unfit != NULL)
        status = refuse(unfit, "needs --arch: the file holds tensors without a network");
    if (status == CLI_OK && convert->options->settings.count > 0 && !changes_kernels(convert->options))
        status = refuse("--set", "needs --arch or --to dense: the file holds tensors without a network");
    if (status == CLI_OK) status = convert_tensors(convert, tensors);
    dcls_tensors_destroy(tensors);
    return status;
}

static int convert_file(struct convert *convert)
{
    dcls_tensors *tensors;
    const cli_part part = {convert->options->key, convert->options->module, "--key takes another"};
    const int loaded = cli_tensors_load(convert->run, convert->in, &part, &tensors);
    if (loaded != CLI_OK) return loaded;
    const cli_list *drop = &convert->options->drop;
    const dcls_status dropped =
        drop->count > 0 ? dcls_tensors_drop(convert->run->ctx, tensors, drop->items, drop->count) : DCLS_OK;
    if (dropped != DCLS_OK) {
        dcls_tensors_destroy(tensors);
        return cli_fail(convert->in, dropped, convert->run->ctx);
    }
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
    char *in = cli_model_path(operands.items[0]);
    struct convert convert = {.run = run, .options = values, .in = in, .out = operands.items[1]};
    bool builtin = cli_builtin_name(convert.in) != NULL;
    /* Whether IN holds a network shows later; here the suffix alone counts. */
    int status = check_kernel_options(convert.options);
    if (status == CLI_OK)
        status = check_path(&convert, builtin || convert.options->arch != NULL || convert_to_onnx(&convert));
    if (status == CLI_OK && !builtin && cli_is_input(convert.out, convert.in)) status = CLI_USAGE;
    const char *const read[] = {convert.options->arch, convert.options->labels};
    for (size_t i = 0; i < sizeof read / sizeof *read && status == CLI_OK; i++)
        if (read[i] != NULL && cli_is_input(convert.out, read[i])) status = CLI_USAGE;
    if (status == CLI_OK && convert.options->verify != NULL) status = convert_verify_check(&convert);
    if (status == CLI_OK) status = convert_load_labels(&convert);
    if (status == CLI_OK) status = cli_arch_load(run, convert.options->arch, &convert.arch_json);
    if (status == CLI_OK) status = builtin ? convert_builtin(&convert) : convert_file(&convert);
    convert_arch_free(&convert);
    dcls_changes_destroy(convert.elements);
    dcls_changes_destroy(convert.taps);
    free(in);
    return status;
}

const cli_command cli_cmd_convert = {
    .name = "convert",
    .summary = "convert weights and models, make a model of a PyTorch checkpoint",
    .operands = "IN OUT",
    .about = "Reads IN (a binary or JSON model, safetensors, a PyTorch checkpoint, .npy, or builtin:NAME; "
             "recognised by "
             "content) and writes OUT in the format of its suffix: .bin or .safetensors, .json, .npy for a "
             "single tensor, or .onnx for a network with DCLS layers folded into plain convolutions. "
             "PyTorch checkpoints are read without executing anything in them.\n\n"
             "A state dict stays a state dict unless --arch gives it a network. OUT appears whole or not at "
             "all; '-' is standard output, and what is said of the conversion is left out then.",
    .examples = "  dcls convert ckpt.pth model.bin --arch convmixer --set version=v1 \\\n"
                "       --set dilated_kernel_size=9 --preprocess cifar10 --labels labels.txt\n"
                "  dcls convert model.bin model.json\n"
                "  dcls convert model.bin model.onnx\n"
                "  dcls convert ckpt.pth dense.safetensors --to dense --set version=gauss \\\n"
                "       --set dilated_kernel_size=17\n"
                "  dcls convert dense.bin dcls.bin --to sparse --kernel-count 9 --verify dir\n"
                "  dcls convert model.bin small.bin --prune 0.02 --round-positions\n",
    .options = options,
    .values_size = sizeof(convert_options),
    .defaults = &defaults,
    .min_operands = 2,
    .max_operands = 2,
    .run = run_convert,
};
