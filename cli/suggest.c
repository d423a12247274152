#include "suggest.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define MAX_NAME 40

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, substitutions and swaps of
 * neighbours. Three rows of the table are kept. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t table[3][MAX_NAME + 1];
    for (size_t j = 0; j <= b_length; j++)
        table[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = table[i % 3], *above = table[(i + 2) % 3], *twice = table[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], twice[j - 2] + 1);
        }
    }
    return table[a_length % 3][b_length];
}

const char *cli_nearest(const char *typed, const char *const *names)
{
    size_t length = strlen(typed);
    const char *nearest = NULL;
    if (length > MAX_NAME) return NULL;
    size_t smallest = 2 + length / 3; /* from here on names are just different */
    for (; *names != NULL; names++) {
        size_t name_length = strlen(*names);
        if (name_length > MAX_NAME) continue;
        size_t d = distance(typed, length, *names, name_length);
        bool related = d < least(length, name_length); /* they have something in common */
        if (!related || d >= smallest) continue;
        smallest = d;
        nearest = *names;
    }
    return nearest;
}
