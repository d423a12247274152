/* See pytorch_walk.h. */
#include "formats/pytorch_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STEPS     ((uint64_t)1 << 24) /* in all walks through one checkpoint together */
#define MAX_DESCRIBED 6                   /* children a description names */

dcls_status dcls_torch_steps(dcls_torch_reader *r, size_t count)
{
    r->steps += count;
    if (r->steps > MAX_STEPS)
        return dcls_fail(r->ctx, DCLS_ERR_LIMIT,
                         "the checkpoint holds too many values, or the same too often");
    return DCLS_OK;
}

static bool is_mapping(const dcls_pickle_value *value)
{
    return value->kind == DCLS_PICKLE_DICT || value->keyed;
}

/* Finds a module's three parts; fewer if value is no module. */
static void find_module_parts(const dcls_pickle_value *value, dcls_torch_cursor *out)
{
    static const char *const names[] = {"_parameters", "_buffers", "_modules"};
    for (int i = 0; i < 3; i++) {
        dcls_pickle_value *part = dcls_pickle_get(value->object.state, names[i]);
        if (part && is_mapping(part)) out->parts[out->count++] = part;
    }
}

dcls_status dcls_torch_open(dcls_torch_reader *r, dcls_pickle_value *container, dcls_torch_cursor *out)
{
    *out = (dcls_torch_cursor){0};
    if (dcls_torch_is_tensor(container)) return DCLS_OK;
    if (container->kind == DCLS_PICKLE_OBJECT && container->object.state) {
        DCLS_TRY(dcls_torch_steps(r, container->object.state->count));
        find_module_parts(container, out);
        if (out->count == 3) return DCLS_OK;
        out->count = 0;
    }
    if (is_mapping(container) || container->kind == DCLS_PICKLE_LIST || container->kind == DCLS_PICKLE_TUPLE)
        out->parts[out->count++] = container;
    return DCLS_OK;
}

bool dcls_torch_next(dcls_torch_cursor *cursor, dcls_torch_child *out)
{
    for (; cursor->part < cursor->count; cursor->part++, cursor->at = 0) {
        const dcls_pickle_value *part = cursor->parts[cursor->part];
        size_t width = is_mapping(part) ? 2 : 1, at = cursor->at;
        if (at >= part->count / width) continue;
        out->key = width == 2 ? part->items[2 * at] : NULL;
        out->position = at;
        out->value = part->items[width * at + width - 1];
        cursor->at++;
        return true;
    }
    return false;
}

typedef struct stack {
    dcls_pickle_value **values;
    size_t count, capacity;
} stack;

static dcls_status push(dcls_torch_reader *r, stack *todo, dcls_pickle_value *value)
{
    DCLS_TRY(dcls_torch_steps(r, 1));
    DCLS_TRY(dcls_grow(r->ctx, &todo->values, &todo->capacity, todo->count + 1, sizeof *todo->values));
    todo->values[todo->count++] = value;
    return DCLS_OK;
}

/* Looks at everything reachable once. */
static dcls_status search(dcls_torch_reader *r, stack *todo, bool *out)
{
    uint32_t walk = ++r->walk;
    while (todo->count > 0) {
        dcls_pickle_value *value = todo->values[--todo->count];
        dcls_torch_cursor cursor;
        dcls_torch_child child;
        *out = dcls_torch_is_tensor(value);
        if (*out) return DCLS_OK;
        if (value->visit == walk) continue;
        value->visit = walk;
        DCLS_TRY(dcls_torch_open(r, value, &cursor));
        while (dcls_torch_next(&cursor, &child))
            DCLS_TRY(push(r, todo, child.value));
    }
    return DCLS_OK;
}

dcls_status dcls_torch_holds_tensor(dcls_torch_reader *r, dcls_pickle_value *value, bool *out)
{
    stack todo = {0};
    *out = false;
    dcls_status status = push(r, &todo, value);
    if (status == DCLS_OK) status = search(r, &todo, out);
    free(todo.values);
    return status;
}

static void describe_child(const dcls_torch_child *child, char *buffer, size_t size)
{
    char what[DCLS_PICKLE_DESCRIBE] = "a tensor";
    const dcls_pickle_value *key = child->key;
    if (!dcls_torch_is_tensor(child->value)) dcls_pickle_describe(child->value, what, sizeof what);
    if (!key)
        snprintf(buffer, size, "%zu (%s)", child->position, what);
    else if (key->kind == DCLS_PICKLE_TEXT)
        snprintf(buffer, size, "'%.*s' (%s)", (int)(key->text.length < 48 ? key->text.length : 48),
                 key->text.data, what);
    else if (key->kind == DCLS_PICKLE_INT)
        snprintf(buffer, size, "%lld (%s)", (long long)key->integer, what);
    else
        snprintf(buffer, size, "? (%s)", what);
}

dcls_status dcls_torch_describe(dcls_torch_reader *r, dcls_pickle_value *value, char *buffer, size_t size)
{
    dcls_torch_cursor cursor;
    dcls_torch_child child;
    DCLS_TRY(dcls_torch_open(r, value, &cursor));
    dcls_pickle_describe(value, buffer, size);
    size_t used = strlen(buffer);
    for (int i = 0; used + 1 < size && dcls_torch_next(&cursor, &child); i++) {
        char text[DCLS_PICKLE_DESCRIBE + 64] = "..";
        if (i < MAX_DESCRIBED) describe_child(&child, text, sizeof text);
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i == 0 ? " with " : ", ", text);
        if (i == MAX_DESCRIBED) break;
    }
    return DCLS_OK;
}
