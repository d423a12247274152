/* Lists of names and the nearest name to a mistyped one, for messages. */
#include <stdio.h>
#include <string.h>

#include "model/attributes.h"

static void append_name(char *buffer, size_t size, const char *name)
{
    const size_t used = strlen(buffer);
    snprintf(buffer + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

const char *dcls_op_list(char *buffer, size_t size)
{
    buffer[0] = '\0';
    for (int i = 0; i < DCLS_OP_COUNT; i++)
        append_name(buffer, size, dcls_op_name((dcls_op)i));
    return buffer;
}

const char *dcls_attr_list(char *buffer, size_t size, dcls_op op, bool sizes)
{
    const dcls_op_info *info = dcls_op_describe(op);
    buffer[0] = '\0';
    for (int i = 0; i < DCLS_ATTR_COUNT; i++)
        if ((info->attributes | (sizes ? info->sizes : 0)) & (1u << i))
            append_name(buffer, size, dcls_attr_name((dcls_attr)i));
    return buffer;
}

#define LONGEST_NAME 64

/* Levenshtein distance by rows; LONGEST_NAME for names too long to bother. */
static int distance(const char *a, const char *b)
{
    const size_t m = strlen(a), n = strlen(b);
    if (m >= LONGEST_NAME || n >= LONGEST_NAME) return LONGEST_NAME;
    int row[LONGEST_NAME + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            const int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

const char *dcls_nearest(const char *name, size_t count, const char *(*name_at)(const void *of, size_t index),
                         const void *of)
{
    const char *nearest = NULL;
    /* A third of the letters wrong is another word. */
    int best = (int)(strlen(name) < LONGEST_NAME ? strlen(name) / 3 : 0) + 2;
    for (size_t i = 0; i < count; i++) {
        const char *candidate = name_at(of, i);
        const int d = candidate != NULL ? distance(name, candidate) : LONGEST_NAME;
        if (d < best) {
            best = d;
            nearest = candidate;
        }
    }
    return nearest;
}

const char *dcls_hint(char *buffer, size_t size, const char *nearest)
{
    buffer[0] = '\0';
    if (nearest != NULL) snprintf(buffer, size, " (did you mean '%s'?)", nearest);
    return buffer;
}
