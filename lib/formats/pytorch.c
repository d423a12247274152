/* Finds the state dict in what a checkpoint holds, and reads checkpoints of either form. */
#include "formats/pytorch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/pytorch_walk.h"

#define MAX_DEPTH    64 /* containers in containers inside a state dict */
#define MAX_NAME     1024
#define MAX_TENSORS  ((size_t)1 << 18)
#define MAX_WRAPPERS 8 /* wrappers in wrappers */

static const char *const WRAPPERS[] = {
    "model",          "state_dict",     "model_state_dict", "model_state", "net",
    "network",        "module",         "params",           "weights",     "model_ema",
    "ema_state_dict", "state_dict_ema", "params_ema",       "ema",         NULL};

/* ---- which container is the state dict ---- */

static dcls_status fail_holding(dcls_torch_reader *r, dcls_pickle_value *value, dcls_status status,
                                const char *what)
{
    char text[768];
    DCLS_TRY(dcls_torch_describe(r, value, text, sizeof text));
    return dcls_fail(r->ctx, status, "%s; the checkpoint holds %s", what, text);
}

/* The value under the first wrapper key that leads to tensors, or NULL. */
static dcls_status find_wrapped(dcls_torch_reader *r, const dcls_pickle_value *mapping,
                                dcls_pickle_value **out)
{
    *out = NULL;
    for (const char *const *key = WRAPPERS; *key; key++) {
        bool holds = false;
        dcls_pickle_value *value = dcls_pickle_get(mapping, *key);
        if (!value || dcls_torch_is_tensor(value)) continue;
        DCLS_TRY(dcls_torch_holds_tensor(r, value, &holds));
        if (!holds) continue;
        *out = value;
        return DCLS_OK;
    }
    return DCLS_OK;
}

/* What the children of a container say about it. */
typedef struct survey {
    bool has_tensor;           /* a child is a tensor */
    bool all_hold;             /* every child is or holds tensors */
    size_t count;              /* children that hold tensors, those of optimizers and schedulers aside */
    dcls_pickle_value *single; /* the last of these */
} survey;

/* An optimizer's state holds tensors too, but nobody means it by "the model". */
static bool is_training_state(const dcls_torch_child *child)
{
    static const char *const prefixes[] = {"optim", "lr_sched", "sched", "scaler", "rng", "amp", "callback"};
    for (size_t i = 0; child->key && i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t length = strlen(prefixes[i]);
        if (child->key->kind == DCLS_PICKLE_TEXT && child->key->text.length >= length &&
            memcmp(child->key->text.data, prefixes[i], length) == 0)
            return true;
    }
    return false;
}

static dcls_status survey_children(dcls_torch_reader *r, dcls_pickle_value *container, survey *out)
{
    dcls_torch_cursor cursor;
    dcls_torch_child child;
    *out = (survey){.all_hold = true};
    DCLS_TRY(dcls_torch_open(r, container, &cursor));
    while (dcls_torch_next(&cursor, &child)) {
        bool holds = false;
        if (dcls_torch_is_tensor(child.value)) {
            out->has_tensor = true;
            continue;
        }
        DCLS_TRY(dcls_torch_holds_tensor(r, child.value, &holds));
        if (!holds || is_training_state(&child)) {
            out->all_hold = false;
            continue;
        }
        out->count++;
        out->single = child.value;
    }
    return DCLS_OK;
}

static void append_name(char *text, size_t size, const dcls_pickle_value *key, size_t position)
{
    const size_t used = strlen(text);
    if (key != NULL && key->kind == DCLS_PICKLE_TEXT)
        snprintf(text + used, size - used, "%s'%.*s'", position > 0 ? ", " : "",
                 (int)(key->text.length < 48 ? key->text.length : 48), key->text.data);
}

/* Which of several state dicts was taken is worth a line: results of averaged weights are other ones. */
static dcls_status note_choice(dcls_torch_reader *r, dcls_pickle_value *root, const dcls_pickle_value *taken)
{
    dcls_torch_cursor cursor;
    dcls_torch_child child;
    char all[256] = "", one[64] = "";
    size_t count = 0;
    DCLS_TRY(dcls_torch_open(r, root, &cursor));
    while (dcls_torch_next(&cursor, &child)) {
        bool holds = false;
        if (dcls_torch_is_tensor(child.value) || is_training_state(&child)) continue;
        DCLS_TRY(dcls_torch_holds_tensor(r, child.value, &holds));
        if (!holds) continue;
        append_name(all, sizeof all, child.key, count++);
        if (child.value == taken) append_name(one, sizeof one, child.key, 0);
    }
    if (count < 2 || one[0] == '\0') return DCLS_OK;
    char line[400];
    snprintf(line, sizeof line, "took %s of the state dicts %s", one, all);
    r->set->choice = dcls_arena_strdup(r->ctx, &r->set->strings, line);
    return r->set->choice != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

/* Below no wrapper key: the outermost container itself if it has tensors of its own or nothing but tensors
 * below, else the one thing in it that holds tensors. */
static dcls_status choose_unwrapped(dcls_torch_reader *r, dcls_pickle_value **at)
{
    survey s;
    if (dcls_torch_is_tensor(*at)) return DCLS_OK;
    DCLS_TRY(survey_children(r, *at, &s));
    if (s.has_tensor) return DCLS_OK;
    if (s.count == 0) return fail_holding(r, *at, DCLS_ERR_FORMAT, "no state dict found");
    if (s.count == 1)
        *at = s.single;
    else if (!s.all_hold)
        return fail_holding(r, *at, DCLS_ERR_FORMAT, "several things could be the state dict");
    return DCLS_OK;
}

/* Wrappers are taken off as long as there are any. Around the outermost one stray tensors are common (a best
 * accuracy, class weights); further in, a dict with tensors of its own is a state dict that has a module
 * named "model" or the like. */
static dcls_status choose(dcls_torch_reader *r, dcls_pickle_value *root, const char *key,
                          dcls_pickle_value **out)
{
    *out = root;
    if (key) {
        *out = dcls_pickle_get(root, key);
        if (!*out) {
            char what[160];
            snprintf(what, sizeof what, "there is no entry '%.100s'", key);
            return fail_holding(r, root, DCLS_ERR_ARGUMENT, what);
        }
    }
    for (int i = 0; i < MAX_WRAPPERS; i++) {
        dcls_pickle_value *inner = NULL;
        survey s;
        DCLS_TRY(find_wrapped(r, *out, &inner));
        if (!inner && i == 0) return choose_unwrapped(r, out);
        if (!inner) return DCLS_OK;
        if (i == 0 && !key) DCLS_TRY(note_choice(r, root, inner));
        if (i > 0) {
            DCLS_TRY(survey_children(r, *out, &s));
            if (s.has_tensor) return DCLS_OK;
        }
        *out = inner;
    }
    return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "the state dict is wrapped more than %d times", MAX_WRAPPERS);
}

/* ---- names of its tensors ---- */

typedef struct found {
    const char *name;
    const dcls_pickle_value *value;
} found;

typedef struct flattening {
    dcls_torch_reader *r;
    found *items;
    size_t count, capacity;
    char path[MAX_NAME + 1];
    struct {
        dcls_torch_cursor cursor;
        size_t path_length;
    } frames[MAX_DEPTH];
    int depth;
} flattening;

static dcls_status append_key(flattening *f, const dcls_torch_child *child, size_t *length)
{
    char number[24], what[DCLS_PICKLE_DESCRIBE];
    dcls_pickle_text text = {number, 0};
    if (!child->key)
        text.length = (size_t)snprintf(number, sizeof number, "%zu", child->position);
    else if (child->key->kind == DCLS_PICKLE_INT)
        text.length = (size_t)snprintf(number, sizeof number, "%lld", (long long)child->key->integer);
    else if (child->key->kind == DCLS_PICKLE_TEXT)
        text = child->key->text;
    else
        return dcls_fail(f->r->ctx, DCLS_ERR_FORMAT, "a key in the state dict is %s",
                         dcls_pickle_describe(child->key, what, sizeof what));
    if (memchr(text.data, 0, text.length) || !dcls_utf8_valid(text.data, text.length))
        return dcls_fail(f->r->ctx, DCLS_ERR_FORMAT, "a key in the state dict is not UTF-8 text without NUL");
    size_t dot = *length > 0;
    if (text.length > MAX_NAME || *length + dot + text.length > MAX_NAME)
        return dcls_fail(f->r->ctx, DCLS_ERR_LIMIT, "a tensor's name is longer than %d bytes", MAX_NAME);
    if (dot) f->path[(*length)++] = '.';
    memcpy(f->path + *length, text.data, text.length);
    *length += text.length;
    return DCLS_OK;
}

static dcls_status record(flattening *f, size_t length, const dcls_pickle_value *value)
{
    if (f->count >= MAX_TENSORS)
        return dcls_fail(f->r->ctx, DCLS_ERR_LIMIT, "more than %zu tensors", MAX_TENSORS);
    DCLS_TRY(dcls_grow(f->r->ctx, &f->items, &f->capacity, f->count + 1, sizeof *f->items));
    char *name = dcls_arena_strndup(f->r->ctx, &f->r->names, f->path, length);
    if (!name) return DCLS_ERR_MEMORY;
    f->items[f->count++] = (found){name, value};
    return DCLS_OK;
}

static dcls_status enter(flattening *f, dcls_pickle_value *container, size_t path_length)
{
    if (f->depth >= MAX_DEPTH)
        return dcls_fail(f->r->ctx, DCLS_ERR_LIMIT,
                         "the state dict is nested more than %d deep or contains itself", MAX_DEPTH);
    f->frames[f->depth].path_length = path_length;
    return dcls_torch_open(f->r, container, &f->frames[f->depth++].cursor);
}

/* Depth first and in order, so that tensors come in the order of the state dict. */
static dcls_status flatten(flattening *f, dcls_pickle_value *root)
{
    DCLS_TRY(enter(f, root, 0));
    while (f->depth > 0) {
        dcls_torch_child child;
        dcls_torch_cursor inner;
        size_t length = f->frames[f->depth - 1].path_length;
        if (!dcls_torch_next(&f->frames[f->depth - 1].cursor, &child)) {
            f->depth--;
            continue;
        }
        DCLS_TRY(dcls_torch_steps(f->r, 1));
        bool tensor = dcls_torch_is_tensor(child.value);
        DCLS_TRY(dcls_torch_open(f->r, child.value, &inner));
        if (!tensor && inner.count == 0) continue;
        DCLS_TRY(append_key(f, &child, &length));
        DCLS_TRY(tensor ? record(f, length, child.value) : enter(f, child.value, length));
    }
    return DCLS_OK;
}

/* Whether every name starts with prefix. AveragedModel puts its counter beside the wrapped module. */
static bool all_start_with(const flattening *f, const char *prefix)
{
    size_t with = 0;
    for (size_t i = 0; i < f->count; i++) {
        bool has = strncmp(f->items[i].name, prefix, strlen(prefix)) == 0;
        if (!has && strcmp(f->items[i].name, "n_averaged") != 0) return false;
        with += has;
    }
    return with > 0;
}

/* DataParallel and torch.compile wrap the module and so prefix all names. */
static void strip_prefixes(flattening *f)
{
    static const char *const prefixes[] = {"module.", "_orig_mod."};
    for (size_t p = 0; p < 2;) {
        if (!all_start_with(f, prefixes[p])) {
            p++;
            continue;
        }
        for (size_t i = 0; i < f->count; i++)
            if (strncmp(f->items[i].name, prefixes[p], strlen(prefixes[p])) == 0)
                f->items[i].name += strlen(prefixes[p]);
        p = 0;
    }
}

static dcls_status collect_from(flattening *f, dcls_pickle_value *state_dict)
{
    if (dcls_torch_is_tensor(state_dict)) return dcls_torch_add_tensor(f->r, "tensor", state_dict);
    DCLS_TRY(flatten(f, state_dict));
    if (f->count == 0) return fail_holding(f->r, state_dict, DCLS_ERR_FORMAT, "no tensors found");
    strip_prefixes(f);
    for (size_t i = 0; i < f->count; i++)
        DCLS_TRY(dcls_torch_add_tensor(f->r, f->items[i].name, f->items[i].value));
    return DCLS_OK;
}

dcls_status dcls_torch_collect(dcls_torch_reader *r, dcls_pickle_value *root, const char *key)
{
    dcls_pickle_value *state_dict = NULL;
    DCLS_TRY(choose(r, root, key, &state_dict));
    flattening *f = dcls_alloc_zero(r->ctx, 1, sizeof *f);
    if (!f) return DCLS_ERR_MEMORY;
    f->r = r;
    dcls_status status = collect_from(f, state_dict);
    free(f->items);
    free(f);
    return status;
}

/* ---- the two forms ---- */

/* Copies that views may need: some for small files, and in proportion for large ones. */
#define COPY_BASE  ((uint64_t)64 << 20)
#define COPY_TIMES 4

dcls_status dcls_torch_reader_init(dcls_context *ctx, const char *format, size_t file_size,
                                   dcls_torch_reader *out)
{
    uint64_t budget = COPY_BASE + COPY_TIMES * (uint64_t)file_size;
    uint64_t limit = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    *out = (dcls_torch_reader){.ctx = ctx, .copy_budget = budget < limit ? budget : limit};
    return dcls_tensors_create(ctx, format, &out->set);
}

dcls_status dcls_torch_reader_finish(dcls_torch_reader *r, dcls_status status, dcls_tensors **out)
{
    if (status == DCLS_OK)
        *out = r->set;
    else
        dcls_tensors_destroy(r->set);
    free(r->storages);
    dcls_map_free(&r->by_key);
    dcls_arena_free(&r->names);
    return status;
}

static dcls_status finish(dcls_bytes *bytes, dcls_status status)
{
    free(bytes->data);
    *bytes = (dcls_bytes){0};
    return status;
}

dcls_status dcls_pytorch_zip_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out)
{
    return finish(bytes, dcls_torch_read_zip(ctx, bytes, NULL, out));
}

dcls_status dcls_pytorch_legacy_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out)
{
    return finish(bytes, dcls_torch_read_legacy(ctx, bytes, NULL, out));
}

dcls_status dcls_pytorch_read_key(dcls_context *ctx, dcls_bytes *bytes, const char *key, dcls_tensors **out)
{
    bool zip = bytes->size >= 2 && memcmp(bytes->data, "PK", 2) == 0;
    return finish(bytes, zip ? dcls_torch_read_zip(ctx, bytes, key, out)
                             : dcls_torch_read_legacy(ctx, bytes, key, out));
}
