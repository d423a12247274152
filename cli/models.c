#include "models.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "dcls_train.h"
#include "output.h"

#define PREFIX "builtin:"

const char *cli_builtin_name(const char *spec)
{
    size_t length = strlen(PREFIX);
    return spec != NULL && strncmp(spec, PREFIX, length) == 0 ? spec + length : NULL;
}

char *cli_model_path(const char *spec)
{
    static const char *const names[] = {"best.bin", "model.bin", "checkpoint.bin"};
    if (spec == NULL) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && cli_builtin_name(spec) == NULL; i++) {
        char *path = cli_format("%s/%s", spec, names[i]);
        if (access(path, F_OK) == 0) return path;
        free(path);
    }
    return cli_copy(spec);
}

char *cli_model_spec(const char *spec)
{
    return spec != NULL ? cli_copy(spec) : cli_format(PREFIX "%s", dcls_builtin_name(0));
}

bool cli_model_named(const char *command, cli_operands operands, const char *option, const char **name)
{
    *name = operands.count > 0 ? operands.items[0] : option;
    if (operands.count == 0 || option == NULL) return true;
    cli_error(command, "'%s' and -m %s: give one model", operands.items[0], option);
    return false;
}

static bool names_builtin(const char *spec)
{
    for (size_t i = 0; spec != NULL && dcls_builtin_name(i) != NULL; i++)
        if (strcmp(dcls_builtin_name(i), spec) == 0) return true;
    return false;
}

static int fail_load(const cli *run, const char *spec, const char *path, dcls_status status)
{
    if (status != DCLS_ERR_IO || !names_builtin(spec) || access(path, F_OK) == 0)
        return cli_fail(path, status, run->ctx);
    cli_error(path, "cannot open: there is no such file, but a built-in model: " PREFIX "%s", path);
    return CLI_IO;
}

int cli_model_load(const cli *run, const char *spec, dcls_model **out)
{
    return cli_model_open(run, spec, false, out);
}

int cli_model_open(const cli *run, const char *spec, bool mapped, dcls_model **out)
{
    const char *name = cli_builtin_name(spec);
    char *path = spec != NULL ? cli_model_path(spec) : cli_model_spec(NULL);
    if (spec != NULL && strcmp(path, spec) != 0) cli_verbose(run, "%s: reading %s", spec, path);
    const dcls_status status = spec == NULL || name != NULL ? dcls_builtin_load(run->ctx, name, out)
                               : mapped                     ? dcls_model_map_file(run->ctx, path, out)
                                                            : dcls_model_load_file(run->ctx, path, out);
    const int result = status == DCLS_OK ? CLI_OK : fail_load(run, spec, path, status);
    free(path);
    return result;
}

#define DESCRIPTION_BYTES ((off_t)4 << 20) /* at most; models with weights can be large */
#define FRESH_CLASSES     10               /* where a description leaves their number open */

static bool is_description(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{' && strstr(text, "\"nodes\"") != NULL &&
           strstr(text, "\"tensors\"") == NULL;
}

int cli_description_load(const cli *run, const char *name, const cli_list *settings, dcls_model **out)
{
    struct stat st;
    void *text;
    size_t size;
    *out = NULL;
    if (name == NULL || stat(name, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > DESCRIPTION_BYTES ||
        dcls_file_load(run->ctx, name, &text, &size) != DCLS_OK)
        return CLI_OK; /* loading it as a model says what is wrong */
    int result = CLI_OK;
    if (memchr(text, '\0', size) == NULL && is_description(text)) {
        const dcls_create_options options = {.arch_json = text,
                                             .classes = FRESH_CLASSES,
                                             .settings = settings != NULL ? settings->items : NULL,
                                             .setting_count = settings != NULL ? settings->count : 0};
        const dcls_status status = dcls_model_create(run->ctx, &options, out);
        if (status == DCLS_OK)
            cli_note(run,
                     "%s: a description: shown with fresh weights, and %d classes where it leaves them open",
                     name, FRESH_CLASSES);
        else
            result = cli_fail(name, status, run->ctx);
    }
    free(text);
    return result;
}

int cli_arch_load(const cli *run, const char *arch, char **json)
{
    void *data;
    size_t size;
    *json = NULL;
    if (arch == NULL || strpbrk(arch, "/.") == NULL) return CLI_OK;
    dcls_status status = dcls_file_load(run->ctx, arch, &data, &size);
    if (status != DCLS_OK) return cli_fail(arch, status, run->ctx);
    if (memchr(data, '\0', size) != NULL) { /* it would end there */
        cli_error(arch, "is no description: a JSON text holds no NUL bytes");
        free(data);
        return CLI_BAD_INPUT;
    }
    *json = data;
    return CLI_OK;
}

void cli_note_choice(const cli *run, const char *name, const dcls_tensors *tensors, const char *hint)
{
    const char *choice = dcls_tensors_choice(tensors);
    if (choice != NULL)
        cli_note(run, "%s: %s%s%s", name, choice, hint != NULL ? "; " : "", hint != NULL ? hint : "");
}

int cli_tensors_load(const cli *run, const char *name, const cli_part *part, dcls_tensors **out)
{
    char *path = cli_model_path(name);
    dcls_status status = part->key != NULL ? dcls_tensors_load_key(run->ctx, path, part->key, out)
                                           : dcls_tensors_load_file(run->ctx, path, out);
    const int result = status == DCLS_OK ? CLI_OK : fail_load(run, name, path, status);
    free(path);
    if (result != CLI_OK) return result;
    cli_note_choice(run, name, *out, part->hint);
    if (part->module != NULL) status = dcls_tensors_take_module(run->ctx, *out, part->module);
    if (status == DCLS_OK) return CLI_OK;
    dcls_tensors_destroy(*out);
    *out = NULL;
    return cli_fail(name, status, run->ctx);
}

static int load_builtin(const cli *run, const char *name, const cli_source_options *how, cli_source *out)
{
    const char *unfit = how->key != NULL          ? "--key"
                        : how->module != NULL     ? "--module"
                        : how->arch != NULL       ? "--arch"
                        : how->settings.count > 0 ? "--set"
                                                  : NULL;
    if (unfit == NULL) return cli_model_load(run, name, &out->model);
    cli_error(run->command->name, "%s cannot change a built-in model", unfit);
    return CLI_USAGE;
}

static int build(const cli *run, const char *name, const cli_source_options *how, dcls_tensors *tensors,
                 dcls_model **out)
{
    char *json;
    int result = cli_arch_load(run, how->arch, &json);
    if (result != CLI_OK) {
        dcls_tensors_destroy(tensors);
        return result;
    }
    const dcls_build_options options = {.arch = json == NULL ? how->arch : NULL,
                                        .arch_json = json,
                                        .settings = how->settings.items,
                                        .setting_count = how->settings.count};
    const dcls_status status = dcls_model_build(run->ctx, tensors, &options, out);
    char *both = json != NULL ? cli_format("%s with %s", name, how->arch) : cli_copy(name);
    result = status == DCLS_OK ? CLI_OK : cli_fail(both, status, run->ctx);
    free(both);
    free(json);
    return result;
}

int cli_source_load(const cli *run, const char *name, const cli_source_options *how, cli_source *out)
{
    dcls_tensors *tensors;
    *out = (cli_source){0};
    if (cli_builtin_name(name) != NULL) return load_builtin(run, name, how, out);
    if (how->fresh && how->arch == NULL && how->key == NULL && how->module == NULL) {
        const int described = cli_description_load(run, name, &how->settings, &out->model);
        if (described != CLI_OK || out->model != NULL) return described;
    }
    const cli_part part = {how->key, how->module, "--key takes another"};
    const int result = cli_tensors_load(run, name, &part, &tensors);
    if (result != CLI_OK) return result;
    if (how->arch != NULL || dcls_tensors_hold_model(tensors))
        return build(run, name, how, tensors, &out->model);
    out->tensors = tensors;
    return CLI_OK;
}

void cli_source_free(cli_source *source)
{
    dcls_model_destroy(source->model);
    dcls_tensors_destroy(source->tensors);
}

void cli_note_precision(const cli *run, dcls_precision precision)
{
    if (precision == DCLS_PRECISION_BF16 && !dcls_bf16_is_fast())
        cli_note(run, "--precision bf16: this processor has no products of bfloat16 numbers, fp32 is faster");
}
