#include "labels.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "output.h"

void cli_labels_free(cli_labels *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        free(labels->items[i]);
    free(labels->items);
    *labels = (cli_labels){0};
}

static void add(cli_labels *labels, const char *name)
{
    labels->items = cli_resize(labels->items, labels->count + 1, sizeof *labels->items);
    labels->items[labels->count++] = cli_copy(name);
}

static bool is_clean(const char *label)
{
    char *shown = cli_printable(label);
    bool clean = strcmp(shown, label) == 0;
    free(shown);
    return clean;
}

/* One label a line; a carriage return before the newline and empty lines at the end are not part of any. */
static int split_lines(const char *path, char *text, cli_labels *out)
{
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        text[--length] = '\0';
    for (char *rest = length > 0 ? text : NULL; rest != NULL;) {
        char *line = strsep(&rest, "\n");
        size_t end = strlen(line);
        if (end > 0 && line[end - 1] == '\r') line[end - 1] = '\0';
        add(out, line);
        if (line[0] == '\0' || !is_clean(line)) {
            cli_error(path, line[0] == '\0' ? "line %zu is empty" : "line %zu is not plain UTF-8 text",
                      out->count);
            return CLI_BAD_INPUT;
        }
    }
    if (out->count > 0) return CLI_OK;
    cli_error(path, "holds no labels");
    return CLI_BAD_INPUT;
}

int cli_labels_load(const cli *run, const char *path, cli_labels *out)
{
    void *data;
    size_t size;
    *out = (cli_labels){0};
    dcls_status loaded = dcls_file_load(run->ctx, path, &data, &size);
    if (loaded != DCLS_OK) return cli_fail(path, loaded, run->ctx);
    int status = CLI_BAD_INPUT;
    if (strlen(data) != size)
        cli_error(path, "holds NUL bytes: not a list of labels");
    else
        status = split_lines(path, data, out);
    free(data);
    if (status != CLI_OK) cli_labels_free(out);
    return status;
}

int cli_labels_read(const cli *run, const char *text, cli_labels *out)
{
    if (strchr(text, ',') == NULL) return cli_labels_load(run, text, out);
    char *copy = cli_copy(text), *rest = copy;
    int status = CLI_OK;
    *out = (cli_labels){0};
    while (rest != NULL && status == CLI_OK) {
        const char *name = strsep(&rest, ",");
        add(out, name);
        if (name[0] != '\0') continue;
        cli_error(run->command->name, "'%s' holds an empty name", text);
        status = CLI_USAGE;
    }
    free(copy);
    if (status != CLI_OK) cli_labels_free(out);
    return status;
}
