#include "class_names.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "output.h"

cli_names cli_model_names(const dcls_model *model)
{
    cli_names names = {.count = dcls_model_label_count(model)};
    if (names.count == 0) return names;
    names.items = cli_alloc(names.count, sizeof *names.items);
    for (size_t i = 0; i < names.count; i++)
        names.items[i] = dcls_model_label(model, i);
    return names;
}

cli_names cli_data_names(const dcls_dataset *set)
{
    cli_names names = {.count = dcls_dataset_class_count(set)};
    if (names.count == 0 || dcls_dataset_class_name(set, 0) == NULL) return (cli_names){0};
    names.items = cli_alloc(names.count, sizeof *names.items);
    for (size_t i = 0; i < names.count; i++)
        names.items[i] = dcls_dataset_class_name(set, i);
    return names;
}

int64_t cli_names_place(cli_names names, const char *name)
{
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(names.items[i], name) == 0) return (int64_t)i;
    return -1;
}

cli_names_match cli_names_compare(cli_names names, cli_names among)
{
    cli_names_match match = {.same = true};
    for (size_t i = 0; i < names.count; i++) {
        const int64_t place = cli_names_place(among, names.items[i]);
        match.known += place >= 0;
        match.same = match.same && place == (int64_t)i;
        if (place < 0 && match.stranger == NULL) match.stranger = names.items[i];
    }
    return match;
}

int cli_refuse_strangers(const char *path, cli_names_match match, size_t count, const char *whose)
{
    const size_t unknown = count - match.known;
    if (count == 1)
        cli_error(path, "%s does not know the class '%s'", whose, match.stranger);
    else if (unknown == count)
        cli_error(path, "%s knows none of the %zu classes ('%s' ..)", whose, count, match.stranger);
    else
        cli_error(path, "%s does not know the class '%s' (%zu of %zu are unknown, the others known)", whose,
                  match.stranger, unknown, count);
    return CLI_USAGE;
}
