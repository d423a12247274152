/* dcls diff: what two models, files of weights or arrays have not in common. */
#include "diff.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "output.h"

#define AT(field) offsetof(diff_options, field)

static const cli_option options[] = {
    {"atol", 0, CLI_REAL, "X", AT(atol),
     "absolute tolerance: values agree when |A - B| <= atol + rtol |B| (default: by type, as "
     "torch.testing.assert_close: F32 1e-5 and rtol 1.3e-6; one of the two given, the other is 0)",
     0, DBL_MAX},
    {"rtol", 0, CLI_REAL, "X", AT(rtol), "relative tolerance", 0, DBL_MAX},
    {"equal-nan", 0, CLI_FLAG, NULL, AT(equal_nan), "NaN agrees with NaN", 0, 0},
    {"strict", 0, CLI_FLAG, NULL, AT(strict),
     "elements that changed their index differ, and so do types of values and forms of layers", 0, 0},
    {"kernels", 0, CLI_FLAG, NULL, AT(kernels), "compare DCLS layers by their constructed kernels alone", 0,
     0},
    {"all", 'a', CLI_FLAG, NULL, AT(all), "show tensors that agree too", 0, 0},
    {"order", 0, CLI_CHOICE, "difference|model", AT(order),
     "order of the tensors: largest relative difference first (default), or as in A", 0, 0},
    {"key-a", 0, CLI_TEXT, "NAME", AT(key_a), "which state dict of A, a checkpoint that holds several", 0, 0},
    {"key-b", 0, CLI_TEXT, "NAME", AT(key_b), "the same for B", 0, 0},
    {"module-a", 0, CLI_TEXT, "NAME", AT(module_a), "the tensors of one module of A alone, such as model", 0,
     0},
    {"module-b", 0, CLI_TEXT, "NAME", AT(module_b), "the same for B", 0, 0},
    {"set", 0, CLI_LIST, "KEY=VALUE", AT(settings),
     "what a state dict does not tell, such as version=v1 or dilated_kernel_size=17, for comparing its "
     "kernels; "
     "GLOB:KEY=VALUE for layers whose name matches; may be repeated",
     0, 0},
    {"json", 0, CLI_FLAG, NULL, AT(json), "everything, as one JSON object", 0, 0},
    {0}};

static const diff_options defaults = {.atol = -1, .rtol = -1};

/* ---- totals ---- */

static bool is_worse(const dcls_compare_row *row, const dcls_compare_row *than)
{
    if (row->result == DCLS_COMPARE_IDENTICAL || row->result >= DCLS_COMPARE_SHAPE) return false;
    return than == NULL || row->relative > than->relative;
}

static void add_row(diff_totals *sum, const dcls_compare_row *row)
{
    int64_t *const numbers[] = {&sum->identical, &sum->close,  &sum->different,
                                &sum->shape,     &sum->only_a, &sum->only_b};
    sum->tensors++;
    ++*numbers[row->result];
    sum->types += row->result < DCLS_COMPARE_ONLY_A && row->dtype_a != row->dtype_b;
    sum->moved += row->moved;
    if (is_worse(row, sum->worst)) sum->worst = row;
}

diff_totals diff_sum(const dcls_comparison *result)
{
    diff_totals sum = {0};
    for (size_t i = 0; i < dcls_comparison_row_count(result); i++) {
        const dcls_compare_row *row = dcls_comparison_row(result, i);
        if (row->decides)
            add_row(&sum, row);
        else if (row->kind == DCLS_COMPARE_KERNEL && is_worse(row, sum.worst_kernel))
            sum.worst_kernel = row;
    }
    for (size_t i = 0; i < dcls_comparison_change_count(result); i++)
        sum.changes += dcls_comparison_change(result, i)->decides;
    return sum;
}

/* ---- loading ---- */

const dcls_tensors *diff_tensors(const diff_side *side)
{
    return side->model != NULL ? dcls_model_tensors(side->model) : side->loaded;
}

static int load_side(const cli *run, diff_side *side)
{
    const dcls_build_options as_it_is = {0};
    dcls_tensors *tensors;
    if (cli_builtin_name(side->name) != NULL && side->key == NULL && side->module == NULL)
        return cli_model_load(run, side->name, &side->model);
    const cli_part part = {side->key, side->module, "--key-a and --key-b take others"};
    const int result = cli_tensors_load(run, side->name, &part, &tensors);
    if (result != CLI_OK) return result;
    if (!dcls_tensors_hold_model(tensors)) {
        side->loaded = tensors;
        return CLI_OK;
    }
    const dcls_status status = dcls_model_build(run->ctx, tensors, &as_it_is, &side->model);
    return status == DCLS_OK ? CLI_OK : cli_fail(side->name, status, run->ctx);
}

static void free_side(diff_side *side)
{
    dcls_model_destroy(side->model);
    dcls_tensors_destroy(side->loaded);
}

static int compare(diff *it)
{
    const diff_options *o = it->options;
    const dcls_compare_source a = {it->a.model, it->a.loaded}, b = {it->b.model, it->b.loaded};
    dcls_compare_options how = dcls_compare_options_default();
    dcls_comparison *result;
    how.atol = o->atol;
    how.rtol = o->rtol;
    how.equal_nan = o->equal_nan;
    how.strict = o->strict;
    how.kernels = o->kernels;
    how.settings = o->settings.items;
    how.setting_count = o->settings.count;
    dcls_status status = dcls_compare(it->run->ctx, &a, &b, &how, &result);
    if (status != DCLS_OK) return cli_fail("diff", status, it->run->ctx);
    it->result = result;
    int exit_status = CLI_OK;
    if (o->json)
        exit_status = diff_print_json(it);
    else
        diff_print_text(it);
    if (exit_status == CLI_OK && dcls_comparison_differs(result)) exit_status = CLI_SOME_FAILED;
    dcls_comparison_destroy(result);
    return exit_status;
}

static int run_diff(cli *run, const void *values, cli_operands operands)
{
    const diff_options *o = values;
    diff it = {.run = run,
               .options = o,
               .a = {.name = operands.items[0], .key = o->key_a, .module = o->module_a},
               .b = {.name = operands.items[1], .key = o->key_b, .module = o->module_b}};
    int status = CLI_USAGE;
    if (strcmp(it.a.name, "-") == 0 && strcmp(it.b.name, "-") == 0)
        cli_error("diff", "A and B cannot both be standard input");
    else
        status = load_side(run, &it.a);
    if (status == CLI_OK) status = load_side(run, &it.b);
    if (status == CLI_OK) status = compare(&it);
    free_side(&it.a);
    free_side(&it.b);
    return status;
}

const cli_command cli_cmd_diff = {
    .name = "diff",
    .summary = "compare two models, weights files or .npy arrays",
    .operands = "A B",
    .about =
        "Compares two models (binary, JSON or builtin:NAME), state dicts (safetensors or PyTorch "
        "checkpoints) or .npy arrays, in any combination: networks node by node and attribute by attribute, "
        "tensors of one name value by value.\n\n"
        "The elements of a DCLS kernel are a set: they are matched by position, spread and weight, and one "
        "that only changed its index is no difference. Layers of unlike form (DCLS and dense, another "
        "version, another number of elements) are compared by their constructed kernels.\n\n"
        "Shown is what differs, the largest relative difference first, and one line that sums up. The exit "
        "status is 0 when A and B are the same within tolerance, 1 when they differ.",
    .examples = "  dcls diff before.bin after.bin\n"
                "  dcls diff model.bin dense.bin --atol 1e-6\n"
                "  dcls diff checkpoint.pth model.bin --all --order model\n"
                "  dcls diff run.pth run.pth --key-a model --key-b model_ema\n"
                "  dcls diff expected.npy logits.npy --rtol 1e-4 --atol 1e-5\n"
                "  dcls diff --json a.bin b.bin | jq '.tensors[] | select(.result == \"different\").name'\n",
    .options = options,
    .values_size = sizeof(diff_options),
    .defaults = &defaults,
    .min_operands = 2,
    .max_operands = 2,
    .run = run_diff,
};
