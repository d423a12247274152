/* dcls infer: pictures and tensors through a network. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "infer.h"
#include "models.h"
#include "numbers.h"
#include "options.h"
#include "output.h"

#define AT(field) offsetof(infer_options, field)

static const cli_option options[] = {
    {"model", 'm', CLI_TEXT, "MODEL", AT(model),
     "a model file, or builtin:NAME for one that is part of the program (default: the built-in classifier)",
     0, 0},
    {"top", 'k', CLI_INT, "N", AT(top),
     "classes printed, the largest first (default: 5; segmentation as JSON and CSV: all)", 1, 1000000},
    {"format", 0, CLI_CHOICE, "text|json|csv", AT(format),
     "text for people, JSON with one object a line, or CSV with a header (default: text)", 0, 0},
    {"json", 0, CLI_FLAG, NULL, AT(json), "the same as --format json", 0, 0},
    {"output", 'o', CLI_TEXT, "DIR", AT(output_dir),
     "segmentation: write STEM.mask.png (palette picture, value = class) and STEM.overlay.png there", 0, 0},
    {"alpha", 0, CLI_REAL, "A", AT(alpha), "opacity of the overlay's class colours, 0 to 1 (default: 0.5)", 0,
     1},
    {"logits", 0, CLI_TEXT, "FILE.npy", AT(logits),
     "write the raw network outputs of all inputs as one float32 array [inputs, ..]; their shapes must be "
     "equal",
     0, 0},
    {"files0-from", 0, CLI_TEXT, "FILE", AT(files0_from),
     "read NUL-separated input names from FILE, or from standard input if it is -", 0, 0},
    {"algo", 0, CLI_CHOICE, "auto|construct|im2col|sparse", AT(algo),
     "how DCLS layers are run (default: auto, the fastest for each)", 0, 0},
    {"precision", 0, CLI_CHOICE, "fp32|bf16", AT(precision),
     "what pointwise and full convolutions multiply: float, or bfloat16 with float sums, which is faster "
     "where the processor has AVX512_BF16 or AMX (default: fp32)",
     0, 0},
    {"jobs", 0, CLI_INT, "N", AT(jobs),
     "inputs worked on at the same time, sharing the threads (default: as many as there are threads, at most "
     "16, and copies of the weights of up to 1 GiB; 1 with --fail-fast)",
     1, 256},
    {"no-exif", 0, CLI_FLAG, NULL, AT(no_exif),
     "leave JPEG pictures as stored, ignoring their EXIF orientation", 0, 0},
    {"fail-fast", 0, CLI_FLAG, NULL, AT(fail_fast), "stop at the first input that fails", 0, 0},
    {"max-pixels", 0, CLI_INT, "N", AT(max_pixels), "refuse pictures of more pixels (default: 178956970)", 1,
     1e15},
    {"max-memory", 0, CLI_SIZE, "SIZE", AT(max_memory),
     "refuse what would take more memory, such as 500M or 2G (default: 8G)", 0, 0},
    {"mmap", 0, CLI_FLAG, NULL, AT(mmap),
     "map a binary model instead of reading it: large ones are there sooner; the file must not change "
     "meanwhile",
     0, 0},
    {0}};

static const infer_options defaults = {.alpha = ALPHA_NOT_SAID};

/* ---- what is checked before any input ---- */

static bool ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), suffix_length = strlen(suffix);
    return length > suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

static int check_options(const cli *run, const infer_options *o)
{
    if (o->logits != NULL && !ends_with(o->logits, ".npy")) {
        cli_error("infer", "--logits: '%s' does not end in .npy", o->logits);
        return CLI_USAGE;
    }
    if (o->json && o->format == INFER_CSV) {
        cli_error("infer", "--json and --format csv exclude each other");
        return CLI_USAGE;
    }
    if (o->alpha >= 0 && o->output_dir == NULL) {
        cli_error("infer", "--alpha is for -o, which writes overlays");
        return CLI_USAGE;
    }
    if (o->max_pixels > 0) dcls_context_set_limit(run->ctx, DCLS_LIMIT_PIXELS, (uint64_t)o->max_pixels);
    if (o->max_memory > 0) {
        dcls_context_set_limit(run->ctx, DCLS_LIMIT_MEMORY_BYTES, o->max_memory);
        dcls_context_set_limit(run->ctx, DCLS_LIMIT_FILE_BYTES, o->max_memory);
    }
    return CLI_OK;
}

/* Before any work is done: the folder is there, and nothing that is read would be replaced. */
static int check_logits(const infer_shared *infer, cli_operands operands)
{
    const char *path = infer->options->logits, *model = infer->options->model;
    if (path == NULL) return CLI_OK;
    if (model != NULL && cli_is_input(path, model)) return CLI_USAGE;
    for (int i = 0; i < operands.count; i++)
        if (cli_is_input(path, operands.items[i])) return CLI_USAGE;
    return cli_can_write(path) ? CLI_OK : CLI_IO;
}

static int prepare_output(infer_shared *infer)
{
    const char *directory = infer->options->output_dir;
    if (directory == NULL) return CLI_OK;
    if (infer->task != DCLS_TASK_SEGMENTATION) {
        cli_error("infer",
                  "-o is for segmentation; this is a %s model (-m builtin:unet-dcls-camvid segments)",
                  dcls_task_name(infer->task));
        return CLI_USAGE;
    }
    int status = cli_make_directory(directory);
    if (status == CLI_OK) infer->stems = stems_create();
    return status;
}

/* Which classes the embedded classifier knows: with it, any picture becomes one of these. */
static void note_classes(const infer_shared *infer)
{
    if (infer->options->model != NULL || infer->run->common.quiet) return;
    char *names = cli_copy("");
    for (size_t i = 0; i < dcls_model_label_count(infer->model); i++) {
        char *longer = cli_format("%s%s%s", names, i > 0 ? ", " : "", dcls_model_label(infer->model, i));
        free(names);
        names = longer;
    }
    cli_note(infer->run, "builtin:%s knows %s", dcls_builtin_name(0), names);
    free(names);
}

static void describe_model(infer_shared *infer, const dcls_model *model)
{
    infer->model = model;
    infer->task = dcls_model_task(model);
    infer->input_ndim = dcls_model_input_shape(model, infer->input_shape);
    for (size_t i = 0; i < INFER_MAX_COLORS; i++) {
        dcls_model_color(model, i, infer->palette + 3 * i);
        infer->labels[i] = dcls_model_label(model, i);
    }
    note_classes(infer);
    cli_note_precision(infer->run, infer->options->precision);
}

/* ---- all inputs ---- */

static int save_logits(const infer_shared *infer, const infer_logits *logits)
{
    const char *path = infer->options->logits;
    if (path == NULL || logits->count == 0) return CLI_OK;
    dcls_status status = infer_logits_save(infer->run->ctx, logits, path);
    return status == DCLS_OK ? CLI_OK : cli_fail(path, status, infer->run->ctx);
}

static int exit_status(const infer_counts *counts)
{
    if (counts->failed == 0) return CLI_OK;
    return counts->inputs > 1 ? CLI_SOME_FAILED : counts->first_status;
}

static void warn_of_numbers(const cli *run, const infer_counts *counts)
{
    if (counts->not_finite == 1)
        cli_warn(run, counts->first_not_finite, "the network's output is not finite");
    else if (counts->not_finite > 1)
        cli_warn(run, counts->first_not_finite,
                 "the network's output is not finite, nor is that of %s more of %s",
                 cli_grouped((int64_t)counts->not_finite - 1).text,
                 cli_counted((int64_t)counts->inputs, "input").text);
}

static int run_inputs(const infer_shared *infer, cli_inputs *inputs)
{
    int status;
    infer_logits logits = {0};
    infer_counts counts = {0};
    infer_print_header(infer, stdout);
    if (infer_run_jobs(infer, inputs, &logits, &counts, &status)) {
        status = save_logits(infer, &logits);
        if (status == CLI_OK) status = exit_status(&counts);
        if (counts.inputs == 0) cli_note(infer->run, "there are no inputs");
    }
    warn_of_numbers(infer->run, &counts);
    free(counts.first_not_finite);
    free(logits.data);
    return status;
}

static int run_model(infer_shared *infer, cli_inputs *inputs)
{
    dcls_model *model;
    int status = cli_model_open(infer->run, infer->options->model, infer->options->mmap, &model);
    if (status != CLI_OK) return status;
    describe_model(infer, model);
    status = prepare_output(infer);
    if (status == CLI_OK) status = run_inputs(infer, inputs);
    stems_destroy(infer->stems);
    dcls_model_destroy(model);
    return status;
}

/* The likeliest reason why a model's file is among the inputs. */
static void note_model_among(const cli *run, cli_operands operands)
{
    static const char *const suffixes[] = {".bin", ".safetensors", ".pth", ".pt", ".ckpt"};
    for (int i = 0; i < operands.count; i++)
        for (size_t s = 0; s < sizeof suffixes / sizeof *suffixes; s++)
            if (ends_with(operands.items[i], suffixes[s]))
                cli_note(run, "%s: a model goes behind -m", operands.items[i]);
}

static int run_infer(cli *run, const void *values, cli_operands operands)
{
    infer_options said = *(const infer_options *)values;
    infer_shared infer = {.run = run, .options = &said};
    int status = check_options(run, &said);
    if (said.json) said.format = INFER_JSON;
    if (said.model == NULL) note_model_among(run, operands);
    if (status == CLI_OK) status = check_logits(&infer, operands);
    if (status != CLI_OK) return status;
    cli_inputs *inputs = cli_inputs_open(run, operands, infer.options->files0_from, &status);
    if (inputs == NULL) return status;
    if (infer.options->output_dir != NULL) cli_inputs_answer_into(inputs, infer.options->output_dir);
    status = run_model(&infer, inputs);
    cli_inputs_close(inputs);
    return status;
}

const cli_command cli_cmd_infer = {
    .name = "infer",
    .summary = "classify or segment pictures, or run a network on tensors",
    .operands = "INPUT..",
    .about = "Runs a network on every INPUT and prints the answers in the order of the inputs. An INPUT is a "
             "picture (PNG, "
             "JPEG, PPM/PGM), a directory (the pictures in it, sorted by name; subdirectories are left out), "
             "- (pictures "
             "on standard input) or a float32 .npy tensor [N, C, H, W], which is taken as it is, without "
             "resizing and "
             "normalising. Kinds of files are recognised by content.\n\n"
             "An input that cannot be used is reported and left out; the exit status is then 1, or 3, 4 "
             "or 5 if it was the only one.",
    .examples = "  dcls infer photo.png                       what the built-in classifier sees\n"
                "  dcls infer -m model.bin --format json *.jpg | jq -r '.top[0].label'\n"
                "  dcls infer -m builtin:unet-dcls-camvid -o out street.png\n"
                "  find . -name '*.png' -print0 | dcls infer --files0-from=- --format csv\n",
    .options = options,
    .values_size = sizeof(infer_options),
    .defaults = &defaults,
    .max_operands = -1,
    .run = run_infer,
};
