#include "models.h"

#include <string.h>

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
    return status == DCLS_OK ? CLI_OK : cli_fail(spec, status, run->ctx);
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
