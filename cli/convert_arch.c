#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "convert.h"
#include "output.h"

static int load_text(const struct convert *convert, const char *path, char **text, size_t *size)
{
    void *data;
    dcls_status status = dcls_file_load(convert->run->ctx, path, &data, size);
    if (status != DCLS_OK) return cli_fail(path, status, convert->run->ctx);
    *text = data;
    return CLI_OK;
}

static bool is_clean(const char *label)
{
    char *shown = cli_printable(label);
    bool clean = strcmp(shown, label) == 0;
    free(shown);
    return clean;
}

/* One label a line; a carriage return before the newline and empty lines at the end are not part of any. */
static int split_labels(struct convert *convert, char *text)
{
    const char *path = convert->options->labels;
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        text[--length] = '\0';
    for (char *rest = length > 0 ? text : NULL; rest != NULL;) {
        char *line = strsep(&rest, "\n");
        size_t end = strlen(line);
        if (end > 0 && line[end - 1] == '\r') line[end - 1] = '\0';
        convert->labels = cli_resize(convert->labels, convert->label_count + 1, sizeof *convert->labels);
        convert->labels[convert->label_count++] = cli_copy(line);
        if (line[0] == '\0' || !is_clean(line)) {
            cli_error(path, line[0] == '\0' ? "line %zu is empty" : "line %zu is not plain UTF-8 text",
                      convert->label_count);
            return CLI_BAD_INPUT;
        }
    }
    if (convert->label_count > 0) return CLI_OK;
    cli_error(path, "holds no labels");
    return CLI_BAD_INPUT;
}

int convert_load_labels(struct convert *convert)
{
    const char *path = convert->options->labels;
    char *text = NULL;
    size_t size;
    if (path == NULL) return CLI_OK;
    int status = load_text(convert, path, &text, &size);
    if (text == NULL) return status;
    if (strlen(text) != size) {
        cli_error(path, "holds NUL bytes: not a list of labels");
        status = CLI_BAD_INPUT;
    } else {
        status = split_labels(convert, text);
    }
    free(text);
    return status;
}

void convert_arch_free(struct convert *convert)
{
    for (size_t i = 0; i < convert->label_count; i++)
        free(convert->labels[i]);
    free(convert->labels);
    free(convert->arch_json);
}
