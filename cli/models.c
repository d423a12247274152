#include "models.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "output.h"

#define PREFIX "builtin:"

const char *cli_builtin_name(const char *spec)
{
    size_t length = strlen(PREFIX);
    return spec != NULL && strncmp(spec, PREFIX, length) == 0 ? spec + length : NULL;
}

int cli_model_load(const cli *run, const char *spec, dcls_model **out)
{
    const char *name = cli_builtin_name(spec);
    dcls_status status;
    if (spec == NULL || name != NULL)
        status = dcls_builtin_load(run->ctx, name, out);
    else
        status = dcls_model_load_file(run->ctx, spec, out);
    if (status == DCLS_OK) return CLI_OK;
    char *subject = spec != NULL ? cli_copy(spec) : cli_format(PREFIX "%s", dcls_builtin_name(0));
    int exit_status = cli_fail(subject, status, run->ctx);
    free(subject);
    return exit_status;
}

int cli_arch_load(const cli *run, const char *arch, char **json)
{
    void *data;
    size_t size;
    *json = NULL;
    if (arch == NULL || strpbrk(arch, "/.") == NULL) return CLI_OK;
    dcls_status status = dcls_file_load(run->ctx, arch, &data, &size);
    if (status != DCLS_OK) return cli_fail(arch, status, run->ctx);
    *json = data;
    return CLI_OK;
}

void cli_note_choice(const cli *run, const char *name, const dcls_tensors *tensors, const char *hint)
{
    const char *choice = dcls_tensors_choice(tensors);
    if (choice != NULL)
        cli_note(run, "%s: %s%s%s", name, choice, hint != NULL ? "; " : "", hint != NULL ? hint : "");
}
