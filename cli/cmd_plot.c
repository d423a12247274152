/* dcls plot: pictures of what DCLS layers learned. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "input_shape.h"
#include "layer_warnings.h"
#include "models.h"
#include "numbers.h"
#include "options.h"
#include "output.h"
#include "plot_runs.h"

typedef struct plot_options {
    const char *model, *output, *channels, *input, *key, *module, *arch;
    cli_list layers, settings;
    int kind, format;
    int64_t width, seed;
    double scale;
    bool terminal;
} plot_options;

enum { FORMAT_OF_NAME = -1, KIND_NOT_SAID = -1, PAGE_WIDTH = 960, LOG_WIDTH = 900 };

#define AT(field) offsetof(plot_options, field)

static const cli_option options[] = {
    {"model", 'm', CLI_TEXT, "MODEL", AT(model), "the model, as the operand: a file or builtin:NAME", 0, 0},
    {"kind", 0, CLI_CHOICE, "positions|density|kernels|histogram|field", AT(kind),
     "what is drawn (default: positions)", 0, 0},
    {"output", 'o', CLI_TEXT, "FILE", AT(output),
     "the picture: .png, .svg or .pdf, or a report for a browser: .html; - is standard output, with --format",
     0, 0},
    {"format", 0, CLI_CHOICE, "png|svg|pdf|html", AT(format),
     "form of the picture (default: what FILE's suffix says)", 0, 0},
    {"layers", 0, CLI_LIST, "GLOB", AT(layers),
     "only layers whose name matches; may be repeated (default: all DCLS layers; a field's: the last map of "
     "pixels)",
     0, 0},
    {"channels", 0, CLI_TEXT, "LIST", AT(channels),
     "only these output channels, such as 0-7,12 (default: as many as fit well; all in densities and "
     "histograms)",
     0, 0},
    {"width", 0, CLI_INT, "N", AT(width),
     "width of the page in points, pixels at scale 1 (default: 960, of curves 900)", 320, 4000},
    {"scale", 0, CLI_REAL, "X", AT(scale), "pixels to the point in a PNG: 2 for print (default: 1)", 0.25,
     16},
    {"terminal", 0, CLI_FLAG, NULL, AT(terminal), "densities in the terminal, as Unicode blocks", 0, 0},
    {"input", 0, CLI_TEXT, "HxW", AT(input),
     "input size of a field or report, for models that leave it open (default: as dcls inspect)", 0, 0},
    {"seed", 0, CLI_INT, "N", AT(seed), "seed of a field's random inputs (default: 0)", 0, 9007199254740992},
    {"key", 0, CLI_TEXT, "NAME", AT(key), "which state dict of a checkpoint that holds several", 0, 0},
    {"module", 0, CLI_TEXT, "NAME", AT(module),
     "the tensors of one module alone, such as model, named without it", 0, 0},
    {"arch", 0, CLI_TEXT, "NAME|FILE", AT(arch), "make a model of a state dict, as dcls convert does", 0, 0},
    {"set", 0, CLI_LIST, "KEY=VALUE", AT(settings),
     "what a state dict does not tell, such as version=v1 or dilated_kernel_size=17; GLOB:KEY=VALUE for "
     "layers whose "
     "name matches; may be repeated",
     0, 0},
    {0}};

static const plot_options defaults = {.kind = KIND_NOT_SAID, .format = FORMAT_OF_NAME, .seed = -1};

struct plot {
    const cli *run;
    const plot_options *options;
    char **names; /* of the operands, folders of runs resolved, or of -m */
    size_t name_count;
    const char *name; /* the first */
    plot_subject subject;
    char *title;
    int64_t (*ranges)[2];
    size_t range_count;
    dcls_plot_options how;
};

static int refuse(const char *option, const char *why)
{
    cli_error("plot", "%s %s", option, why);
    return CLI_USAGE;
}

/* ---- options ---- */

/* "7" or "0-7". */
static bool parse_range(char *text, int64_t range[2])
{
    char *dash = strchr(text, '-');
    if (dash != NULL) *dash = '\0';
    const char *last = dash != NULL ? dash + 1 : text;
    return cli_parse_int(text, &range[0]) && cli_parse_int(last, &range[1]) && range[0] >= 0 &&
           range[1] >= range[0];
}

static int parse_channels(struct plot *plot)
{
    const char *list = plot->options->channels;
    if (list == NULL) return CLI_OK;
    char *copy = cli_copy(list);
    bool ok = true;
    for (char *rest = copy; rest != NULL && ok;) {
        plot->ranges = cli_resize(plot->ranges, plot->range_count + 1, sizeof *plot->ranges);
        ok = parse_range(strsep(&rest, ","), plot->ranges[plot->range_count++]);
    }
    free(copy);
    if (ok) return CLI_OK;
    cli_error("plot", "--channels: '%s' is not a list of channels such as 0-7,12", list);
    return CLI_USAGE;
}

static int choose_format(struct plot *plot)
{
    const plot_options *o = plot->options;
    dcls_context *ctx = plot->run->ctx;
    if (o->terminal) {
        if (o->output != NULL) return refuse("--terminal", "writes no picture: leave -o out");
        if (o->format != FORMAT_OF_NAME) return refuse("--terminal", "writes no picture: leave --format out");
        if (o->width > 0 || o->scale > 0)
            return refuse("--terminal", "has the terminal's width: leave --width and --scale out");
        if (o->kind != KIND_NOT_SAID && o->kind != DCLS_PLOT_DENSITY)
            return refuse("--terminal", "draws densities alone");
        return CLI_OK;
    }
    if (o->output == NULL) return refuse("-o", "is needed: the picture to write, or --terminal");
    if (o->format != FORMAT_OF_NAME) {
        plot->how.format = (dcls_plot_format)o->format;
    } else if (strcmp(o->output, "-") == 0) {
        return refuse("-o -", "needs --format png, svg, pdf or html");
    } else {
        dcls_status status = dcls_plot_format_for_path(ctx, o->output, &plot->how.format);
        if (status != DCLS_OK) return cli_fail(o->output, status, ctx);
    }
    if (o->scale > 0 && plot->how.format != DCLS_PLOT_PNG)
        return refuse("--scale", "is for PNG: other forms have no pixels");
    if (plot->how.format == DCLS_PLOT_HTML && o->kind != KIND_NOT_SAID)
        return refuse("--kind", "belongs to pictures: a report shows all of it");
    if (strcmp(o->output, "-") == 0 && plot->how.format != DCLS_PLOT_SVG &&
        plot->how.format != DCLS_PLOT_HTML && isatty(STDOUT_FILENO) == 1)
        return refuse("-o -", "would write a picture to the terminal");
    return CLI_OK;
}

/* What has no effect is a misunderstanding. */
static int check_fit(const plot_options *o)
{
    const bool field = o->kind == DCLS_PLOT_FIELD;
    if (o->seed >= 0 && !field) return refuse("--seed", "belongs to --kind field: nothing else is random");
    if (o->channels != NULL && field) return refuse("--channels", "has no meaning for --kind field");
    return CLI_OK;
}

/* A log has curves, a recording has positions: nothing else can be chosen. */
static int check_subject(const struct plot *plot)
{
    const plot_options *o = plot->options;
    const bool log = plot->subject == PLOT_LOG;
    if (plot->subject == PLOT_MODEL) return CLI_OK;
    if (o->kind != KIND_NOT_SAID && (log || o->kind != DCLS_PLOT_POSITIONS))
        return refuse("--kind", log ? "belongs to models: a log is drawn as curves"
                                    : "belongs to models: a recording is drawn as positions moving");
    if (o->terminal) return refuse("--terminal", "belongs to models");
    if (o->arch != NULL || o->settings.count > 0 || o->input != NULL || o->key != NULL || o->module != NULL)
        return refuse("--arch, --key, --module, --set and --input", "belong to models");
    if (log && (o->layers.count > 0 || o->channels != NULL))
        return refuse("--layers and --channels", "belong to models and recordings");
    if (plot->how.format == DCLS_PLOT_HTML)
        return refuse("-o",
                      log ? "must end in .png, .svg or .pdf for a log" : "must end in .png for a recording");
    if (!log && plot->how.format != DCLS_PLOT_PNG) return refuse("-o", "must end in .png for a recording");
    return CLI_OK;
}

/* A folder of dcls train is its curves, or its model where only models have what is asked for. */
static void resolve_names(struct plot *plot, cli_operands operands)
{
    const plot_options *o = plot->options;
    const bool model = o->kind != KIND_NOT_SAID || o->terminal || o->layers.count > 0 ||
                       plot->how.format == DCLS_PLOT_HTML || operands.count == 0;
    const char *const *names = operands.count > 0 ? (const char *const *)operands.items : &o->model;
    plot->name_count = operands.count > 0 ? (size_t)operands.count : 1;
    plot->names = cli_alloc(plot->name_count + 1, sizeof *plot->names);
    for (size_t i = 0; i < plot->name_count; i++) {
        plot->names[i] = model ? NULL : plot_log_in(names[i]);
        if (plot->names[i] == NULL) plot->names[i] = cli_model_path(names[i]);
    }
}

/* Several are curves over each other. */
static int check_logs(const struct plot *plot)
{
    for (size_t i = 1; i < plot->name_count; i++) {
        if (plot->subject != PLOT_LOG) {
            cli_error("plot", "'%s' is one argument too many: several are for logs of training alone",
                      plot->names[i]);
            return CLI_USAGE;
        }
        if (access(plot->names[i], R_OK) == 0 && plot_subject_of(plot->names[i]) != PLOT_LOG) {
            cli_error(plot->names[i], "is no log of training, which '%s' is: several are for logs alone",
                      plot->name);
            return CLI_USAGE;
        }
    }
    return CLI_OK;
}

static int check_named(const struct plot *plot, cli_operands operands)
{
    if (operands.count > 0 && plot->options->model != NULL)
        return refuse("-m", "and MODEL are the same: give one of them");
    if (operands.count == 0 && plot->options->model == NULL)
        return refuse("MODEL", "is needed: a file or builtin:NAME");
    return CLI_OK;
}

static int choose_model(struct plot *plot, cli_operands operands)
{
    resolve_names(plot, operands);
    plot->name = plot->names[0];
    plot->subject = plot_subject_of(plot->name);
    return check_logs(plot);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static void choose_style(struct plot *plot)
{
    static const char *const words[] = {"positions", "density of positions", "kernels", "histograms",
                                        "receptive field"};
    const plot_options *o = plot->options;
    dcls_plot_options *how = &plot->how;
    how->kind = o->kind == KIND_NOT_SAID ? DCLS_PLOT_POSITIONS : (dcls_plot_kind)o->kind;
    const char *builtin = cli_builtin_name(plot->name);
    plot->title = cli_format("%s: %s", builtin != NULL ? builtin : last_part(plot->name),
                             how->format == DCLS_PLOT_HTML ? "DCLS report" : words[how->kind]);
    how->title = plot->title;
    how->layers = o->layers.items;
    how->layer_count = o->layers.count;
    how->channels = (const int64_t(*)[2])plot->ranges;
    how->channel_count = plot->range_count;
    how->width = o->width > 0 ? (double)o->width : PAGE_WIDTH;
    how->scale = o->scale > 0 ? o->scale : 1;
    how->seed = (uint64_t)(o->seed > 0 ? o->seed : 0);
}

/* ---- drawing ---- */

static int columns_of_terminal(void)
{
    int64_t columns;
    const char *said = getenv("COLUMNS");
    int width = cli_width();
    if (width > 0) return width;
    if (said != NULL && cli_parse_int(said, &columns) && columns >= 20 && columns <= 1000)
        return (int)columns;
    return 80;
}

static int print_density(const struct plot *plot, const dcls_layer_source *source)
{
    dcls_context *ctx = plot->run->ctx;
    char *text;
    dcls_status status =
        dcls_plot_terminal(ctx, source, &plot->how, columns_of_terminal(), cli_has_color(stdout), &text);
    if (status != DCLS_OK) return cli_fail(plot->name, status, ctx);
    fputs(text, stdout);
    free(text);
    return CLI_OK;
}

/* What the picture cannot be drawn for is the model's matter or the caller's; what cannot be written, the
 * file's. */
static int draw(const struct plot *plot, const dcls_layer_source *source)
{
    dcls_context *ctx = plot->run->ctx;
    const char *path = plot->options->output;
    if (plot->options->terminal) return print_density(plot, source);
    dcls_status status = dcls_plot_save(ctx, source, &plot->how, path);
    if (status == DCLS_OK) return CLI_OK;
    const char *to = path == NULL || strcmp(path, "-") == 0 ? "standard output" : path;
    return cli_fail(status == DCLS_ERR_IO ? to : plot->name, status, ctx);
}

/* A picture of layers in a wrong window looks like any other. */
static int draw_and_warn(const struct plot *plot, const dcls_layer_source *source)
{
    const int status = draw(plot, source);
    if (status == CLI_OK && plot->options->kind != DCLS_PLOT_FIELD)
        cli_warn_of_layers(plot->run, plot->name, source, &plot->options->layers);
    return status;
}

static int draw_model(struct plot *plot, const dcls_model *model)
{
    const plot_options *o = plot->options;
    cli_input_shape input;
    if (o->kind != DCLS_PLOT_FIELD && plot->how.format != DCLS_PLOT_HTML) {
        if (o->input != NULL) return refuse("--input", "belongs to --kind field and to reports");
    } else {
        int status = cli_input_choose(plot->run, model, o->input, &input);
        if (status != CLI_OK) return status;
        plot->how.ndim = input.ndim;
        memcpy(plot->how.shape, input.shape, sizeof input.shape);
    }
    return draw_and_warn(plot, &(dcls_layer_source){.model = model});
}

static int draw_tensors(const struct plot *plot, const dcls_tensors *tensors)
{
    const plot_options *o = plot->options;
    if (o->kind == DCLS_PLOT_FIELD)
        return refuse("--kind field", "needs --arch: the file holds tensors without a network");
    if (o->input != NULL) return refuse("--input", "belongs to --kind field");
    return draw_and_warn(plot, &(dcls_layer_source){.tensors = tensors,
                                                    .settings = o->settings.items,
                                                    .setting_count = o->settings.count});
}

static int plot_builtin(struct plot *plot)
{
    dcls_model *model;
    if (plot->options->arch != NULL) return refuse("--arch", "cannot change a built-in model");
    if (plot->options->key != NULL) return refuse("--key", "cannot change a built-in model");
    if (plot->options->module != NULL) return refuse("--module", "cannot change a built-in model");
    if (plot->options->settings.count > 0) return refuse("--set", "cannot change a built-in model");
    int status = cli_model_load(plot->run, plot->name, &model);
    if (status != CLI_OK) return status;
    status = draw_model(plot, model);
    dcls_model_destroy(model);
    return status;
}

static int build_and_draw(struct plot *plot, dcls_tensors *tensors, const char *arch_json)
{
    const plot_options *o = plot->options;
    dcls_context *ctx = plot->run->ctx;
    const dcls_build_options build = {.arch = arch_json == NULL ? o->arch : NULL,
                                      .arch_json = arch_json,
                                      .settings = o->settings.items,
                                      .setting_count = o->settings.count};
    dcls_model *model;
    dcls_status status = dcls_model_build(ctx, tensors, &build, &model);
    if (status != DCLS_OK) return cli_fail(plot->name, status, ctx);
    int result = draw_model(plot, model);
    dcls_model_destroy(model);
    return result;
}

static int plot_file(struct plot *plot)
{
    dcls_tensors *tensors;
    char *arch_json;
    int result = cli_arch_load(plot->run, plot->options->arch, &arch_json);
    if (result != CLI_OK) return result;
    const cli_part part = {plot->options->key, plot->options->module, "--key takes another"};
    result = cli_tensors_load(plot->run, plot->name, &part, &tensors);
    if (result == CLI_OK && (plot->options->arch != NULL || dcls_tensors_hold_model(tensors))) {
        result = build_and_draw(plot, tensors, arch_json);
    } else if (result == CLI_OK) {
        result = draw_tensors(plot, tensors);
        dcls_tensors_destroy(tensors);
    }
    free(arch_json);
    return result;
}

static int draw_subject(struct plot *plot)
{
    const plot_options *o = plot->options;
    if (plot->subject == PLOT_RECORDING) return plot_recording(plot->run, &plot->how, plot->name, o->output);
    if (plot->subject == PLOT_MODEL)
        return cli_builtin_name(plot->name) != NULL ? plot_builtin(plot) : plot_file(plot);
    if (o->width == 0) plot->how.width = LOG_WIDTH;
    return plot_logs(plot->run, &plot->how, (const char *const *)plot->names, plot->name_count, o->output);
}

static bool is_written_over(const struct plot *plot)
{
    const char *out = plot->options->output;
    bool over = false;
    for (size_t i = 0; i < plot->name_count && !over; i++)
        over = out != NULL && cli_is_input(out, plot->names[i]);
    return over;
}

static int run_plot(cli *run, const void *values, cli_operands operands)
{
    struct plot plot = {.run = run, .options = values, .how = dcls_plot_options_default()};
    int status = check_named(&plot, operands);
    if (status == CLI_OK) status = choose_format(&plot);
    if (status == CLI_OK) status = choose_model(&plot, operands);
    if (status == CLI_OK) status = check_fit(plot.options);
    if (status == CLI_OK) status = check_subject(&plot);
    if (status == CLI_OK && is_written_over(&plot)) status = CLI_USAGE;
    if (status == CLI_OK) status = parse_channels(&plot);
    if (status == CLI_OK) {
        choose_style(&plot);
        status = draw_subject(&plot);
    }
    for (size_t i = 0; i < plot.name_count; i++)
        free(plot.names[i]);
    free(plot.names);
    free(plot.title);
    free(plot.ranges);
    return status;
}

const cli_command cli_cmd_plot = {
    .name = "plot",
    .summary = "pictures of positions, densities, kernels and receptive fields",
    .operands = "MODEL|LOG..",
    .about = "Draws what the DCLS layers of MODEL learned: a model (binary, JSON or builtin:NAME), or a "
             "state dict, whose "
             "layers need --set version=.. and --set dilated_kernel_size=... The picture appears whole or "
             "not at all; the "
             "same input gives the same bytes.\n\n"
             "positions: every element at its place in the window, area by |weight|, colour by sign, spread "
             "as a ring. "
             "density: where a layer's elements lie, all channels together. kernels: constructed dense "
             "kernels. field: "
             "theoretical and effective receptive field. histogram: positions, spreads, weights, distances "
             "from the centre, "
             "and the share at the clamp limit. One-dimensional layers are drawn over their delays, "
             "three-dimensional ones "
             "as slices.\n\n"
             "Of a training run (its folder or its log.ndjson) it draws curves, several over each other, and "
             "positions.npy "
             "as an animated PNG of the positions moving. dcls-plot(1) says how to read each.",
    .examples = "  dcls plot model.bin -o positions.png\n"
                "  dcls plot model.bin --kind kernels --layers 'stages.0.*' -o kernels.svg\n"
                "  dcls plot ckpt.pth --kind density --set version=v1 \\\n"
                "       --set dilated_kernel_size=17 -o density.pdf\n"
                "  dcls plot builtin:dclsseg-camvid -o report.html\n"
                "  dcls plot builtin:dclsseg-camvid --terminal\n"
                "  dcls plot run other/log.ndjson -o curves.png\n"
                "  dcls plot run/positions.npy -o moving.png\n",
    .options = options,
    .values_size = sizeof(plot_options),
    .defaults = &defaults,
    .min_operands = 0,
    .max_operands = -1,
    .run = run_plot,
};
