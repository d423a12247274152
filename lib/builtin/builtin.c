/* Models embedded in the program: linked into the tools, not into what an embedder links. */
#include "builtin/builtin.h"

#include <string.h>

#include "base/text.h"
#include "dcls_tools.h"

const char *dcls_builtin_name(size_t index)
{
    return index < dcls_builtin_file_count ? dcls_builtin_files[index].name : NULL;
}

static const struct dcls_builtin_file *find(const char *name)
{
    for (size_t i = 0; i < dcls_builtin_file_count; i++)
        if (name == NULL || strcmp(dcls_builtin_files[i].name, name) == 0) return &dcls_builtin_files[i];
    return NULL;
}

static dcls_status fail_unknown(dcls_context *ctx, const char *name)
{
    if (dcls_builtin_file_count == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "this program was built without models");
    dcls_string known = {0};
    for (size_t i = 0; i < dcls_builtin_file_count; i++)
        dcls_string_printf(&known, "%s%s", i > 0 ? ", " : "", dcls_builtin_files[i].name);
    dcls_status status = dcls_fail(ctx, DCLS_ERR_ARGUMENT, "no built-in model is named '%s'; there are: %s",
                                   name, known.failed ? "" : known.data);
    dcls_string_free(&known);
    return status;
}

dcls_status dcls_builtin_load(dcls_context *ctx, const char *name, dcls_model **out)
{
    *out = NULL;
    const struct dcls_builtin_file *file = find(name);
    if (file == NULL) return fail_unknown(ctx, name);
    return dcls_model_load_memory(ctx, file->data, file->size, out);
}
