#include "shapes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "numbers.h"

static void join(char buffer[SHAPE_TEXT], int ndim, const int64_t *shape, const char *between)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; i < ndim && used < SHAPE_TEXT; i++) {
        const char *separator = i > 0 ? between : "";
        if (shape[i] == DCLS_ANY)
            used += (size_t)snprintf(buffer + used, SHAPE_TEXT - used, "%sany", separator);
        else
            used += (size_t)snprintf(buffer + used, SHAPE_TEXT - used, "%s%" PRId64, separator, shape[i]);
    }
}

void shape_text(char buffer[SHAPE_TEXT], int ndim, const int64_t *shape)
{
    char inside[SHAPE_TEXT];
    join(inside, ndim, shape, ", ");
    snprintf(buffer, SHAPE_TEXT, "[%.*s]", SHAPE_TEXT - 3, inside);
}

void shape_crossed(char buffer[SHAPE_TEXT], int ndim, const int64_t *shape)
{
    join(buffer, ndim, shape, "x");
}

bool shape_parse(const char *text, int64_t *shape, int ndim)
{
    char copy[SHAPE_TEXT];
    int found = 0;
    if (strlen(text) >= sizeof copy) return false;
    strcpy(copy, text);
    for (char *rest = copy; rest != NULL; found++) {
        const char *size = strsep(&rest, "x,");
        if (found == ndim || !cli_parse_int(size, &shape[found]) || shape[found] < 1) return false;
    }
    for (int i = 1; found == 1 && i < ndim; i++)
        shape[i] = shape[0];
    return found == 1 || found == ndim;
}
