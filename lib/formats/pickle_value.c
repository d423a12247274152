/* Questions about values read from a pickle, and their end. */
#include "formats/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_equal(dcls_pickle_text text, const char *other)
{
    return text.length == strlen(other) && memcmp(text.data, other, text.length) == 0;
}

bool dcls_pickle_is_text(const dcls_pickle_value *value, const char *text)
{
    return value && value->kind == DCLS_PICKLE_TEXT && text_equal(value->text, text);
}

bool dcls_pickle_is_global(const dcls_pickle_value *value, const char *module, const char *name)
{
    return value && value->kind == DCLS_PICKLE_GLOBAL && text_equal(value->global.module, module) &&
           text_equal(value->global.name, name);
}

dcls_pickle_value *dcls_pickle_get(const dcls_pickle_value *mapping, const char *key)
{
    if (!mapping || !(mapping->kind == DCLS_PICKLE_DICT || mapping->keyed)) return NULL;
    for (size_t i = mapping->count; i >= 2; i -= 2)
        if (dcls_pickle_is_text(mapping->items[i - 2], key)) return mapping->items[i - 1];
    return NULL;
}

/* Names are cut: a description is for a message. */
static void describe_global(const dcls_pickle_value *value, const char *what, char *buffer, size_t size)
{
    dcls_pickle_text module = value->global.module, name = value->global.name;
    snprintf(buffer, size, "%s %.*s.%.*s", what, (int)(module.length < 48 ? module.length : 48), module.data,
             (int)(name.length < 64 ? name.length : 64), name.data);
}

const char *dcls_pickle_describe(const dcls_pickle_value *value, char *buffer, size_t size)
{
    static const char *const plain[] = {
        [DCLS_PICKLE_NONE] = "None",           [DCLS_PICKLE_BOOL] = "a boolean",
        [DCLS_PICKLE_INT] = "an integer",      [DCLS_PICKLE_BIG] = "a large integer",
        [DCLS_PICKLE_FLOAT] = "a real number", [DCLS_PICKLE_TEXT] = "a string",
        [DCLS_PICKLE_BYTES] = "bytes",         [DCLS_PICKLE_TUPLE] = "a tuple",
        [DCLS_PICKLE_LIST] = "a list",         [DCLS_PICKLE_SET] = "a set",
        [DCLS_PICKLE_DICT] = "a dict",         [DCLS_PICKLE_GLOBAL] = "the global",
        [DCLS_PICKLE_OBJECT] = "an object",    [DCLS_PICKLE_PERSISTENT] = "a persistent object",
    };
    const char *what = plain[value->kind];
    bool holds = value->kind >= DCLS_PICKLE_TUPLE && value->kind <= DCLS_PICKLE_DICT;
    size_t count = value->kind == DCLS_PICKLE_DICT ? value->count / 2 : value->count;
    if (holds)
        snprintf(buffer, size, "%s of %zu", what, count);
    else if (value->kind == DCLS_PICKLE_GLOBAL)
        describe_global(value, what, buffer, size);
    else if (value->kind == DCLS_PICKLE_OBJECT && value->object.callable->kind == DCLS_PICKLE_GLOBAL)
        describe_global(value->object.callable, "an object of", buffer, size);
    else
        snprintf(buffer, size, "%s", what);
    return buffer;
}

void dcls_pickle_free(dcls_pickle *pickle)
{
    for (dcls_pickle_value *value = pickle->growable; value; value = value->next)
        free(value->items);
    dcls_arena_free(&pickle->arena);
    *pickle = (dcls_pickle){0};
}
