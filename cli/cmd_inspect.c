/* dcls inspect: what is in a file of weights, and what the network costs. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "inspect.h"
#include "models.h"
#include "options.h"
#include "output.h"
#include "suggest.h"

#define AT(field) offsetof(inspect_options, field)

static const cli_option options[] = {
    {"key", 0, CLI_TEXT, "NAME", AT(key), "which state dict of a checkpoint that holds several", 0, 0},
    {"module", 0, CLI_TEXT, "NAME", AT(module),
     "the tensors of one module alone, such as model, named without it", 0, 0},
    {"tensor", 't', CLI_TEXT, "NAME", AT(tensor), "statistics and first values of one tensor", 0, 0},
    {"values", 'n', CLI_INT, "N", AT(values), "how many first values of a tensor are printed (default: 8)", 0,
     1000000},
    {"model", 'm', CLI_TEXT, "FILE", AT(model), "the same as FILE", 0, 0},
    {"input", 0, CLI_TEXT, "HxW", AT(input),
     "input size to analyse, for models that leave it open (default: what preprocessing makes of pictures, "
     "else 224x224)",
     0, 0},
    {"arch", 0, CLI_TEXT, "NAME|FILE", AT(arch), "make a model of a state dict, as dcls convert does", 0, 0},
    {"set", 0, CLI_LIST, "KEY=VALUE", AT(settings),
     "what a state dict does not tell, such as version=v1 or dilated_kernel_size=17; GLOB:KEY=VALUE for "
     "layers whose name matches; may be repeated",
     0, 0},
    {"json", 0, CLI_FLAG, NULL, AT(json), "everything, as one JSON object", 0, 0},
    {0}};

static const inspect_options defaults = {.values = VALUES_NOT_SAID};

bool inspect_knows_costs(const inspection *it)
{
    return it->model != NULL &&
           (dcls_report_count(it->report) == 0 || dcls_report_node(it->report, 0)->ndim > 0);
}

inspect_totals inspect_sum(const dcls_report *report)
{
    inspect_totals sum = {0};
    for (size_t i = 0; i < dcls_report_count(report); i++) {
        const dcls_node_report *node = dcls_report_node(report, i);
        sum.weights += node->weights;
        sum.positions += node->positions;
        sum.spreads += node->spreads;
        sum.macs_dense += node->macs_dense;
        sum.macs_sparse += node->macs_sparse;
    }
    return sum;
}

int64_t inspect_elements(const dcls_tensor *tensor)
{
    return (int64_t)(tensor->nbytes / dcls_dtype_size(tensor->dtype));
}

/* ---- what the file is ---- */

static int no_such_tensor(const inspection *it, const char *name)
{
    size_t count = dcls_tensors_count(it->tensors);
    const char **names = cli_alloc(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = dcls_tensors_at(it->tensors, i)->name;
    const char *nearest = cli_nearest(name, names);
    if (nearest != NULL)
        cli_error(it->name, "has no tensor '%s'; did you mean '%s'?", name, nearest);
    else
        cli_error(it->name, "has no tensor '%s'", name);
    free(names);
    return CLI_USAGE;
}

/* The tensor that is asked for, or the only one of a .npy; NULL when it is not one tensor that is wanted. */
static const dcls_tensor *wanted_tensor(const inspection *it, const inspect_options *o)
{
    if (o->tensor != NULL) return dcls_tensors_find(it->tensors, o->tensor);
    return strcmp(dcls_tensors_format(it->tensors), "npy") == 0 ? dcls_tensors_at(it->tensors, 0) : NULL;
}

static int print_all(const inspection *it, const inspect_options *o)
{
    const dcls_tensor *tensor = wanted_tensor(it, o);
    if (tensor != NULL) return inspect_print_tensor(it, tensor, o);
    if (o->tensor != NULL) return no_such_tensor(it, o->tensor);
    if (o->json) return inspect_print_json(it);
    inspect_print_text(it);
    return CLI_OK;
}

static int inspect_model(inspection *it, const inspect_options *o)
{
    dcls_report *report = NULL;
    it->tensors = dcls_model_tensors(it->model);
    if (o->tensor != NULL) return print_all(it, o);
    int result = cli_input_choose(it->run, it->model, o->input, &it->input);
    if (result != CLI_OK) return result;
    dcls_status status =
        dcls_report_create(it->run->ctx, it->model, it->input.ndim, it->input.shape, &report);
    if (status != DCLS_OK) return cli_fail(it->name, status, it->run->ctx);
    it->report = report;
    result = print_all(it, o);
    dcls_report_destroy(report);
    return result;
}

static int inspect_tensors(inspection *it, const inspect_options *o)
{
    dcls_report *report = NULL;
    if (o->input != NULL) {
        cli_error("inspect", "--input: the file holds no network");
        return CLI_USAGE;
    }
    if (o->settings.count > 0) {
        const dcls_layer_source source = {
            .tensors = it->tensors, .settings = o->settings.items, .setting_count = o->settings.count};
        dcls_status status = dcls_report_create_layers(it->run->ctx, &source, NULL, 0, true, &report);
        if (status != DCLS_OK) return cli_fail(it->name, status, it->run->ctx);
    }
    it->report = report;
    const int result = print_all(it, o);
    dcls_report_destroy(report);
    return result;
}

static int run_inspect(cli *run, const void *values, cli_operands operands)
{
    const inspect_options *o = values;
    inspection it = {.run = run, .file_bytes = -1};
    const cli_source_options how = {
        .key = o->key, .module = o->module, .arch = o->arch, .settings = o->settings, .fresh = true};
    cli_source source;
    struct stat st;
    if (!cli_model_named("inspect", operands, o->model, &it.name)) return CLI_USAGE;
    if (o->values != VALUES_NOT_SAID && o->tensor == NULL) {
        cli_error("inspect", "--values is for --tensor, whose numbers are shown");
        return CLI_USAGE;
    }
    if (it.name == NULL) {
        cli_error("inspect", "nothing to work on is given: needs FILE or -m FILE; see 'dcls inspect --help'");
        return CLI_USAGE;
    }
    int result = cli_source_load(run, it.name, &how, &source);
    if (result != CLI_OK) return result;
    if (cli_builtin_name(it.name) == NULL && stat(it.name, &st) == 0 && S_ISREG(st.st_mode))
        it.file_bytes = st.st_size;
    it.model = source.model;
    it.tensors = source.tensors;
    result = it.model != NULL ? inspect_model(&it, o) : inspect_tensors(&it, o);
    cli_source_free(&source);
    return result;
}

const cli_command cli_cmd_inspect = {
    .name = "inspect",
    .summary = "what is in a model, what it costs, what its positions learned",
    .operands = "[FILE]",
    .about =
        "Shows what FILE holds: a model (binary, JSON or builtin:NAME), a state dict (safetensors or a "
        "PyTorch "
        "checkpoint), a .npy array, or a description of a network, which is shown with fresh weights; "
        "recognised "
        "by content.\n\n"
        "For a model: every operation with its output, learned numbers (weights, positions P, spreads SIG), "
        "multiply-accumulates with dense kernels and with DCLS layers as sparse taps, and its theoretical "
        "receptive field "
        "in input pixels; for every DCLS layer the window D, the number of elements K, the standard "
        "deviation of the "
        "positions, the share of elements at the clamp limit, the kernel mass lost outside the window, the "
        "non-zero cells "
        "(taps) and the algorithm chosen; then totals and warnings. --set tells as much about the DCLS "
        "layers of "
        "a state dict.",
    .examples = "  dcls inspect model.bin\n"
                "  dcls inspect builtin:dclsseg-camvid --input 360x480\n"
                "  dcls inspect ckpt.pth --tensor fc.weight -n 20\n"
                "  dcls inspect ckpt.pth --set version=v1 --set dilated_kernel_size=17\n"
                "  dcls inspect --json model.bin | jq '.totals'\n",
    .options = options,
    .values_size = sizeof(inspect_options),
    .defaults = &defaults,
    .min_operands = 0,
    .max_operands = 1,
    .run = run_inspect,
};
