/* Two networks, attribute by attribute: both are described as JSON, whose members are compared. What a later
 * version of the description holds is thereby compared too. */
#include <stdlib.h>
#include <string.h>

#include "analysis/compare.h"
#include "formats/json.h"

#define PATH_TEXT 256

/* What is being compared. */
typedef struct place {
    dcls_comparer *c;
    const char *node; /* NULL: the network itself */
    bool forms;       /* a node of which one side at least is a DCLS layer */
    bool reforms;     /* and of which one side is a plain one */
    char path[PATH_TEXT];
} place;

static const char *text_of(const dcls_json *value)
{
    const char *text = dcls_json_as_string(value);
    return text != NULL ? text : "";
}

/* A value as JSON in one line. NULL stays NULL. */
static dcls_status show(dcls_comparer *c, const dcls_json *value, const char **out)
{
    *out = NULL;
    if (value == NULL) return DCLS_OK;
    dcls_string text = {0};
    dcls_json_out json = {.to = &text};
    dcls_json_emit(&json, value);
    dcls_status status = text.failed ? dcls_fail(c->ctx, DCLS_ERR_MEMORY, "out of memory") : DCLS_OK;
    if (status == DCLS_OK) {
        *out = dcls_arena_strndup(c->ctx, &c->out->arena, text.data, text.length);
        if (*out == NULL) status = DCLS_ERR_MEMORY;
    }
    dcls_string_free(&text);
    return status;
}

static dcls_status add_change(dcls_comparer *c, const dcls_compare_change *change)
{
    dcls_comparison *out = c->out;
    DCLS_TRY(
        dcls_grow(c->ctx, &out->changes, &out->change_capacity, out->change_count + 1, sizeof *out->changes));
    dcls_compare_change *copy = &out->changes[out->change_count];
    *copy = *change;
    copy->attribute = dcls_arena_strdup(c->ctx, &out->arena, change->attribute);
    copy->node = change->node != NULL ? dcls_arena_strdup(c->ctx, &out->arena, change->node) : NULL;
    if (copy->attribute == NULL || (change->node != NULL && copy->node == NULL)) return DCLS_ERR_MEMORY;
    out->change_count++;
    return DCLS_OK;
}

/* A DCLS layer may be kept in several forms that make the same kernel; the kernels are compared. */
static bool is_form(const char *path)
{
    static const char *const forms[] = {"op",          "version", "layer", "flat_dim", "dilated_kernel_size",
                                        "kernel_size", "P",       "SIG",   NULL};
    const size_t length = strcspn(path, ".[");
    for (int i = 0; forms[i] != NULL; i++)
        if (strlen(forms[i]) == length && strncmp(forms[i], path, length) == 0) return true;
    return false;
}

static dcls_status add_value(place *p, const dcls_json *a, const dcls_json *b)
{
    dcls_compare_change change = {.kind = DCLS_CHANGE_VALUE, .node = p->node, .attribute = p->path};
    /* What a form is made of goes without saying where the form changes. */
    if (p->reforms && is_form(p->path) && strcmp(p->path, "op") != 0) return DCLS_OK;
    change.decides = p->c->options->strict || !(p->forms && is_form(p->path));
    DCLS_TRY(show(p->c, a, &change.a));
    DCLS_TRY(show(p->c, b, &change.b));
    return add_change(p->c, &change);
}

/* ---- values ---- */

static dcls_status compare_values(place *p, const dcls_json *a, const dcls_json *b);

static bool same_scalar(const dcls_json *a, const dcls_json *b)
{
    double x = 0, y = 0;
    bool p = false, q = false;
    switch (dcls_json_kind_of(a)) {
    case DCLS_JSON_NUMBER: return dcls_json_as_double(a, &x) && dcls_json_as_double(b, &y) && x == y;
    case DCLS_JSON_BOOL: return dcls_json_as_bool(a, &p) && dcls_json_as_bool(b, &q) && p == q;
    case DCLS_JSON_STRING: return strcmp(text_of(a), text_of(b)) == 0;
    default: return true;
    }
}

static dcls_status compare_member(place *p, const char *key, const dcls_json *a, const dcls_json *b)
{
    const size_t length = strlen(p->path);
    snprintf(p->path + length, sizeof p->path - length, "%s%s", length > 0 ? "." : "", key);
    const dcls_status status = compare_values(p, a, b);
    p->path[length] = '\0';
    return status;
}

static dcls_status compare_objects(place *p, const dcls_json *a, const dcls_json *b)
{
    for (size_t i = 0; i < dcls_json_count(a); i++) {
        const dcls_json *member = dcls_json_at(a, i);
        const char *key = dcls_json_name(member);
        DCLS_TRY(compare_member(p, key, member, dcls_json_find(b, key)));
    }
    for (size_t i = 0; i < dcls_json_count(b); i++) {
        const dcls_json *member = dcls_json_at(b, i);
        const char *key = dcls_json_name(member);
        if (dcls_json_find(a, key) == NULL) DCLS_TRY(compare_member(p, key, NULL, member));
    }
    return DCLS_OK;
}

static dcls_status compare_items(place *p, const dcls_json *a, const dcls_json *b)
{
    const size_t length = strlen(p->path);
    dcls_status status = DCLS_OK;
    for (size_t i = 0; i < dcls_json_count(a) && status == DCLS_OK; i++) {
        snprintf(p->path + length, sizeof p->path - length, "[%zu]", i);
        status = compare_values(p, dcls_json_at(a, i), dcls_json_at(b, i));
        p->path[length] = '\0';
    }
    return status;
}

static dcls_status compare_values(place *p, const dcls_json *a, const dcls_json *b)
{
    const dcls_json_kind kind = dcls_json_kind_of(a);
    /* The nodes are compared by name. */
    if (p->node == NULL && strcmp(p->path, "nodes") == 0) return DCLS_OK;
    if (kind != dcls_json_kind_of(b)) return add_value(p, a, b);
    if (kind == DCLS_JSON_OBJECT) return compare_objects(p, a, b);
    if (kind == DCLS_JSON_ARRAY && dcls_json_count(a) == dcls_json_count(b)) return compare_items(p, a, b);
    return kind != DCLS_JSON_ARRAY && same_scalar(a, b) ? DCLS_OK : add_value(p, a, b);
}

/* ---- nodes ---- */

static bool is_dcls(const dcls_json *node)
{
    return strcmp(text_of(dcls_json_find(node, "op")), "dcls") == 0;
}

/* DCLS, or the plain convolution it can become. */
static bool is_convolution(const dcls_json *node)
{
    return is_dcls(node) || strcmp(text_of(dcls_json_find(node, "op")), "conv") == 0;
}

static dcls_status add_node(dcls_comparer *c, dcls_compare_change_kind kind, const dcls_json *node)
{
    const dcls_compare_change change = {.kind = kind,
                                        .node = text_of(dcls_json_find(node, "name")),
                                        .attribute = text_of(dcls_json_find(node, "op")),
                                        .decides = true};
    return add_change(c, &change);
}

static dcls_status map_nodes(dcls_comparer *c, const dcls_json *nodes, dcls_map *out)
{
    for (size_t i = 0; i < dcls_json_count(nodes); i++)
        DCLS_TRY(dcls_map_add(c->ctx, out, text_of(dcls_json_find(dcls_json_at(nodes, i), "name")),
                              (int64_t)i, NULL, NULL));
    return DCLS_OK;
}

static dcls_status compare_node(dcls_comparer *c, const dcls_json *a, const dcls_json *b)
{
    place p = {.c = c, .node = text_of(dcls_json_find(a, "name"))};
    p.forms = (is_dcls(a) && is_convolution(b)) || (is_dcls(b) && is_convolution(a));
    p.reforms = p.forms && is_dcls(a) != is_dcls(b);
    return compare_values(&p, a, b);
}

static dcls_status compare_nodes(dcls_comparer *c, const dcls_json *a, const dcls_json *b, dcls_map *in_a,
                                 dcls_map *in_b)
{
    DCLS_TRY(map_nodes(c, a, in_a));
    DCLS_TRY(map_nodes(c, b, in_b));
    for (size_t i = 0; i < dcls_json_count(a); i++) {
        const dcls_json *node = dcls_json_at(a, i);
        const int64_t at = dcls_map_find(in_b, text_of(dcls_json_find(node, "name")));
        DCLS_TRY(at < 0 ? add_node(c, DCLS_CHANGE_REMOVED, node)
                        : compare_node(c, node, dcls_json_at(b, (size_t)at)));
    }
    for (size_t i = 0; i < dcls_json_count(b); i++) {
        const dcls_json *node = dcls_json_at(b, i);
        if (dcls_map_find(in_a, text_of(dcls_json_find(node, "name"))) < 0)
            DCLS_TRY(add_node(c, DCLS_CHANGE_ADDED, node));
    }
    return DCLS_OK;
}

static dcls_status compare_networks(dcls_comparer *c, const dcls_json *a, const dcls_json *b)
{
    dcls_map in_a = {0}, in_b = {0};
    place p = {.c = c};
    DCLS_TRY(compare_values(&p, a, b));
    const dcls_status status =
        compare_nodes(c, dcls_json_find(a, "nodes"), dcls_json_find(b, "nodes"), &in_a, &in_b);
    dcls_map_free(&in_a);
    dcls_map_free(&in_b);
    return status;
}

static dcls_status describe(dcls_context *ctx, const dcls_model *model, dcls_json **out)
{
    dcls_string text = {0};
    dcls_status status = dcls_model_to_json(ctx, model, 0, &text);
    if (status == DCLS_OK) status = dcls_json_parse(ctx, text.data, text.length, out);
    dcls_string_free(&text);
    return status;
}

dcls_status dcls_compare_structure(dcls_comparer *c)
{
    dcls_json *a = NULL, *b = NULL;
    dcls_status status = describe(c->ctx, c->a.model, &a);
    if (status == DCLS_OK) status = describe(c->ctx, c->b.model, &b);
    if (status == DCLS_OK) status = compare_networks(c, a, b);
    dcls_json_free(a);
    dcls_json_free(b);
    return status;
}
