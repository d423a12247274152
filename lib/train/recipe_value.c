/* Fields of a recipe from text and from JSON, and back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/attributes.h"
#include "train/recipe.h"

#define MOST_ENTRIES 4096
#define MOST_TEXT    65536
#define BALANCED     "balanced"
#define RANGE_TEXT   120

static void *field(dcls_recipe *recipe, const dcls_recipe_row *row)
{
    return (char *)recipe + row->offset;
}

static dcls_arena *arena_of(dcls_recipe *recipe)
{
    return recipe->memory;
}

/* ---- text -> field --------------------------------------------------------------------------------- */

static dcls_status fail_value(dcls_context *ctx, const dcls_recipe_row *row, const char *text,
                              const char *what)
{
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'%s' is '%.200s', must be %s", row->key, text, what);
}

static const char *describe_range(const dcls_recipe_row *row, char buffer[RANGE_TEXT], const char *what)
{
    char low[40], high[40];
    dcls_format_double(low, sizeof low, row->min);
    dcls_format_double(high, sizeof high, row->max);
    snprintf(buffer, RANGE_TEXT, "%.30s from %.30s to %.30s", what, low, high);
    return buffer;
}

/* The place of text in "a|b|c", -1 if it is not there. */
static int place_of(const char *choices, const char *text)
{
    const size_t length = strlen(text);
    int place = 0;
    for (const char *c = choices; *c != '\0'; place++) {
        const size_t n = strcspn(c, "|");
        if (n == length && memcmp(c, text, n) == 0) return place;
        c += n + (c[n] == '|' ? 1 : 0);
    }
    return -1;
}

typedef char choice_name[24];

static size_t split_choices(const char *choices, choice_name names[8])
{
    size_t count = 0;
    for (const char *c = choices; *c != '\0' && count < 8; count++) {
        const size_t n = strcspn(c, "|");
        snprintf(names[count], sizeof names[count], "%.*s", (int)n, c);
        c += n + (c[n] == '|' ? 1 : 0);
    }
    return count;
}

static const char *choice_at(const void *of, size_t index)
{
    const choice_name *names = of;
    return names[index];
}

static dcls_status put_choice(dcls_context *ctx, const dcls_recipe_row *row, const char *text, int *place)
{
    char what[200] = "one of ";
    *place = place_of(row->choices, text);
    if (*place >= 0) return DCLS_OK;
    for (const char *c = row->choices; *c != '\0' && strlen(what) < sizeof what - 40;) {
        const size_t n = strcspn(c, "|"), used = strlen(what);
        snprintf(what + used, sizeof what - used, "%s'%.*s'", c == row->choices ? "" : ", ", (int)n, c);
        c += n + (c[n] == '|' ? 1 : 0);
    }
    choice_name names[8] = {{0}};
    char hint[DCLS_HINT_TEXT];
    const size_t count = split_choices(row->choices, names);
    const char *near = dcls_nearest(text, count, choice_at, names);
    const size_t used = strlen(what);
    const bool is_file = strcmp(row->key, "model.arch") == 0 && strstr(text, ".json") != NULL;
    snprintf(what + used, sizeof what - used, "%s",
             is_file ? "; a file is model.graph, --graph" : dcls_hint(hint, sizeof hint, near));
    return fail_value(ctx, row, text, what);
}

static dcls_status put_int(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                           const char *text)
{
    char what[RANGE_TEXT];
    int64_t value = 0;
    if (!dcls_parse_int(text, &value) || (double)value < row->min || (double)value > row->max)
        return fail_value(ctx, row, text, describe_range(row, what, "a whole number"));
    memcpy(field(recipe, row), &value, sizeof value);
    return DCLS_OK;
}

/* Numbers with any of `marks` between them; returns how many, -1 for anything else. */
static int split(const dcls_recipe_row *row, const char *text, const char *marks, int most, double *values)
{
    char piece[64];
    for (int n = 0; n < most; n++) {
        const size_t length = strcspn(text, marks);
        if (length >= sizeof piece) return -1;
        memcpy(piece, text, length);
        piece[length] = '\0';
        if (!dcls_parse_double(piece, &values[n]) || !(values[n] >= row->min && values[n] <= row->max))
            return -1;
        if (text[length] == '\0') return n + 1;
        text += length + 1;
    }
    return -1;
}

static dcls_status put_size(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                            const char *text)
{
    char what[RANGE_TEXT + 20], range[RANGE_TEXT];
    double values[2] = {0};
    const int count = split(row, text, ",x", 2, values);
    if (count == 1) values[1] = values[0];
    if (count < 1 || values[0] != floor(values[0]) || values[1] != floor(values[1])) {
        snprintf(what, sizeof what, "%s, or HEIGHTxWIDTH", describe_range(row, range, "a whole number"));
        return fail_value(ctx, row, text, what);
    }
    const int64_t size[2] = {(int64_t)values[0], (int64_t)values[1]};
    memcpy(field(recipe, row), size, sizeof size);
    return DCLS_OK;
}

static dcls_status put_real(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                            const char *text)
{
    char what[RANGE_TEXT];
    const bool pair = row->type == DCLS_RECIPE_RANGE;
    double values[2] = {0};
    const int want = pair ? 2 : 1, count = split(row, text, ",", want, values);
    if (count != want || (pair && values[0] > values[1])) {
        describe_range(row, what, pair ? "two numbers LOW,HIGH" : "a number");
        return fail_value(ctx, row, text, what);
    }
    memcpy(field(recipe, row), values, (size_t)want * sizeof values[0]);
    return DCLS_OK;
}

static dcls_status put_text(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                            const char *text)
{
    const char *kept = NULL;
    if (text[0] != '\0') {
        kept = dcls_arena_strdup(ctx, arena_of(recipe), text);
        if (kept == NULL) return DCLS_ERR_MEMORY;
    }
    memcpy(field(recipe, row), &kept, sizeof kept);
    return DCLS_OK;
}

static bool is_settings(const dcls_recipe_row *row)
{
    return strcmp(row->key, "model.settings") == 0;
}

/* A setting that is said again goes, for the new one to be the last. */
static void drop_setting(dcls_recipe *recipe, const char *text)
{
    const char *sign = strchr(text, '=');
    if (sign == NULL) return;
    dcls_create_options *create = &recipe->create;
    const char **list;
    memcpy(&list, &create->settings, sizeof list); /* put_entry made it */
    size_t kept = 0;
    for (size_t i = 0; i < create->setting_count; i++)
        if (strncmp(list[i], text, (size_t)(sign - text) + 1) != 0) list[kept++] = list[i];
    create->setting_count = kept;
}

/* Lists are plain arrays, as the structures they are for want them: room for a new entry is made as their
 * length becomes a power of two, so that no capacity need be kept. */
static dcls_status put_entry(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                             const char *text)
{
    const char *const *old;
    size_t count;
    char *at = (char *)recipe + row->count_offset;
    if (is_settings(row)) drop_setting(recipe, text);
    memcpy(&old, field(recipe, row), sizeof old);
    memcpy(&count, at, sizeof count);
    const char **list = NULL;
    const size_t now = text[0] == '\0' ? 0 : count + 1;
    if (now > MOST_ENTRIES)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "'%s' has more than %d entries", row->key, MOST_ENTRIES);
    if (now > 0) {
        const size_t room = (count & (count - 1)) == 0 ? 2 * count + 1 : 0;
        list = room > 0 ? dcls_arena_alloc(ctx, arena_of(recipe), room, sizeof *list) : NULL;
        if (room > 0 && list == NULL) return DCLS_ERR_MEMORY;
        if (room > 0 && count > 0) memcpy(list, old, count * sizeof *list);
        if (room == 0) memcpy(&list, &old, sizeof list);
        list[count] = dcls_arena_strdup(ctx, arena_of(recipe), text);
        if (list[count] == NULL) return DCLS_ERR_MEMORY;
    }
    memcpy(field(recipe, row), &list, sizeof list);
    memcpy(at, &now, sizeof now);
    return DCLS_OK;
}

static dcls_status put_weights(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                               const char *text)
{
    recipe->balanced = strcmp(text, BALANCED) == 0;
    recipe->trainer.class_weights = NULL;
    recipe->class_weight_count = 0;
    if (recipe->balanced || text[0] == '\0') return DCLS_OK;
    double *values = dcls_alloc(ctx, MOST_ENTRIES, sizeof *values);
    if (values == NULL) return DCLS_ERR_MEMORY;
    const int count = split(row, text, ",", MOST_ENTRIES, values);
    float *kept = count > 0 ? dcls_arena_alloc(ctx, arena_of(recipe), (size_t)count, sizeof *kept) : NULL;
    bool none = count > 0;
    for (int i = 0; i < count && kept != NULL; i++) {
        kept[i] = (float)values[i];
        none = none && kept[i] == 0;
    }
    free(values);
    if (count <= 0) return fail_value(ctx, row, text, "a number for each class, or 'balanced'");
    if (kept == NULL) return DCLS_ERR_MEMORY;
    if (none) return fail_value(ctx, row, text, "above 0 for a class at least");
    recipe->trainer.class_weights = kept;
    recipe->class_weight_count = (size_t)count;
    return DCLS_OK;
}

dcls_status dcls_recipe_put(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                            const char *text)
{
    int place = 0;
    if (strlen(text) > MOST_TEXT)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "'%s' is longer than %d bytes", row->key, MOST_TEXT);
    switch (row->type) {
    case DCLS_RECIPE_TEXT:
    case DCLS_RECIPE_PATH: return put_text(ctx, recipe, row, text);
    case DCLS_RECIPE_NAME:
        if (text[0] != '\0') DCLS_TRY(put_choice(ctx, row, text, &place));
        return put_text(ctx, recipe, row, text);
    case DCLS_RECIPE_CHOICE:
        DCLS_TRY(put_choice(ctx, row, text, &place));
        memcpy(field(recipe, row), &place, sizeof place);
        return DCLS_OK;
    case DCLS_RECIPE_FLAG: {
        const bool on = strcmp(text, "true") == 0;
        if (!on && strcmp(text, "false") != 0) return fail_value(ctx, row, text, "true or false");
        memcpy(field(recipe, row), &on, sizeof on);
        return DCLS_OK;
    }
    case DCLS_RECIPE_INT: return put_int(ctx, recipe, row, text);
    case DCLS_RECIPE_SIZE: return put_size(ctx, recipe, row, text);
    case DCLS_RECIPE_REAL:
    case DCLS_RECIPE_RANGE: return put_real(ctx, recipe, row, text);
    case DCLS_RECIPE_LIST:
    case DCLS_RECIPE_PATHS: return put_entry(ctx, recipe, row, text);
    case DCLS_RECIPE_WEIGHTS: return put_weights(ctx, recipe, row, text);
    }
    return DCLS_OK;
}

/* ---- JSON -> text ----------------------------------------------------------------------------------- */

/* A scalar as the text that would set it; false for anything else. */
static bool scalar_text(const dcls_json *value, dcls_string *out)
{
    double number = 0;
    bool flag = false;
    char buffer[40];
    if (dcls_json_as_string(value) != NULL) {
        dcls_string_puts(out, dcls_json_as_string(value));
    } else if (dcls_json_as_double(value, &number)) {
        dcls_format_double(buffer, sizeof buffer, number);
        dcls_string_puts(out, buffer);
    } else if (dcls_json_as_bool(value, &flag)) {
        dcls_string_puts(out, flag ? "true" : "false");
    } else {
        return false;
    }
    return true;
}

/* Numbers of a list, with commas between them. */
static bool list_text(const dcls_json *value, dcls_string *out)
{
    if (dcls_json_kind_of(value) != DCLS_JSON_ARRAY || dcls_json_count(value) > MOST_ENTRIES) return false;
    for (size_t i = 0; i < dcls_json_count(value); i++) {
        double number = 0;
        if (i > 0) dcls_string_puts(out, ",");
        if (!dcls_json_as_double(dcls_json_at(value, i), &number) ||
            !scalar_text(dcls_json_at(value, i), out))
            return false;
    }
    return dcls_json_count(value) > 0;
}

static bool suits(const dcls_recipe_row *row, const dcls_json *value)
{
    const dcls_json_kind kind = dcls_json_kind_of(value);
    switch (row->type) {
    case DCLS_RECIPE_INT:
    case DCLS_RECIPE_REAL: return kind == DCLS_JSON_NUMBER;
    case DCLS_RECIPE_FLAG: return kind == DCLS_JSON_BOOL;
    case DCLS_RECIPE_SIZE: return kind == DCLS_JSON_NUMBER || kind == DCLS_JSON_ARRAY;
    case DCLS_RECIPE_RANGE: return kind == DCLS_JSON_ARRAY;
    case DCLS_RECIPE_WEIGHTS: return kind == DCLS_JSON_STRING || kind == DCLS_JSON_ARRAY;
    default: return kind == DCLS_JSON_STRING;
    }
}

static const char *wanted(const dcls_recipe_row *row)
{
    switch (row->type) {
    case DCLS_RECIPE_INT:
    case DCLS_RECIPE_REAL: return "a number";
    case DCLS_RECIPE_FLAG: return "true or false";
    case DCLS_RECIPE_SIZE: return "a number or [height, width]";
    case DCLS_RECIPE_RANGE: return "[low, high]";
    case DCLS_RECIPE_WEIGHTS: return "a list of numbers or \"balanced\"";
    case DCLS_RECIPE_LIST:
    case DCLS_RECIPE_PATHS: return "a list of strings";
    default: return "a string";
    }
}

static dcls_status fail_kind(dcls_context *ctx, const dcls_recipe_row *row, const dcls_json *value)
{
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'%s' must be %s, not %s", row->key, wanted(row),
                     dcls_json_kind_text(value));
}

bool dcls_recipe_is_relative(const char *path)
{
    static const char builtin[] = "builtin:";
    return path[0] != '/' && path[0] != '\0' && strncmp(path, builtin, sizeof builtin - 1) != 0;
}

/* A path of a file in `folder` begins there. */
static void put_folder(const dcls_json *path, const char *folder, dcls_string *out)
{
    const char *text = dcls_json_as_string(path);
    if (text != NULL && dcls_recipe_is_relative(text) && folder != NULL)
        dcls_string_printf(out, "%s/", folder);
}

/* ["a", "b"] in place of what there was; for settings also {"dim": 64, "dims": [64, 128]}, which adds. */
static dcls_status put_list(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                            const dcls_json *value, const char *folder)
{
    const bool pairs = dcls_json_kind_of(value) == DCLS_JSON_OBJECT && is_settings(row);
    if (!pairs && dcls_json_kind_of(value) != DCLS_JSON_ARRAY) return fail_kind(ctx, row, value);
    dcls_status status = pairs ? DCLS_OK : dcls_recipe_put(ctx, recipe, row, "");
    for (size_t i = 0; i < dcls_json_count(value) && status == DCLS_OK; i++) {
        const dcls_json *entry = dcls_json_at(value, i);
        dcls_string text = {0};
        bool good = true;
        if (pairs) dcls_string_printf(&text, "%s=", dcls_json_name(entry));
        if (row->type == DCLS_RECIPE_PATHS) put_folder(entry, folder, &text);
        if (dcls_json_as_string(entry) == NULL && !pairs)
            good = false;
        else
            good = scalar_text(entry, &text) || list_text(entry, &text);
        if (text.failed)
            status = dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
        else if (!good || text.length == 0)
            status = dcls_fail(ctx, DCLS_ERR_ARGUMENT, "'%s' has an entry that is %s%s", row->key,
                               good ? "an empty string" : dcls_json_kind_text(entry),
                               pairs ? ", must be a string, a number, true, false or a list of numbers" : "");
        else
            status = dcls_recipe_put(ctx, recipe, row, text.data);
        dcls_string_free(&text);
    }
    return status;
}

dcls_status dcls_recipe_put_json(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                                 const dcls_json *value, const char *folder)
{
    if (row->type == DCLS_RECIPE_LIST || row->type == DCLS_RECIPE_PATHS)
        return put_list(ctx, recipe, row, value, folder);
    if (!suits(row, value)) return fail_kind(ctx, row, value);
    dcls_string text = {0};
    if (row->type == DCLS_RECIPE_PATH) put_folder(value, folder, &text);
    /* [] takes back what a base says */
    const bool none = row->type == DCLS_RECIPE_WEIGHTS && dcls_json_kind_of(value) == DCLS_JSON_ARRAY &&
                      dcls_json_count(value) == 0;
    const bool good = none || scalar_text(value, &text) || list_text(value, &text);
    dcls_status status = DCLS_OK;
    if (text.failed)
        status = dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    else if (!good)
        status = fail_kind(ctx, row, value);
    else
        status = dcls_recipe_put(ctx, recipe, row, text.data != NULL ? text.data : "");
    dcls_string_free(&text);
    return status;
}

/* ---- field -> text ---------------------------------------------------------------------------------- */

static bool get_numbers(int count, const double *values, char *buffer, size_t size)
{
    char number[40];
    buffer[0] = '\0';
    for (int i = 0; i < count; i++) {
        dcls_format_double(number, sizeof number, values[i]);
        const size_t used = strlen(buffer);
        snprintf(buffer + used, size - used, "%s%s", i > 0 ? "," : "", number);
    }
    return true;
}

static bool get_choice(const dcls_recipe_row *row, int place, char *buffer, size_t size)
{
    const char *c = row->choices;
    for (; place > 0 && *c != '\0'; place--)
        c += strcspn(c, "|") + 1;
    snprintf(buffer, size, "%.*s", (int)strcspn(c, "|"), c);
    return true;
}

static bool get_text(const char *text, char *buffer, size_t size)
{
    if (text == NULL) return false;
    snprintf(buffer, size, "%s", text);
    return true;
}

bool dcls_recipe_get(const dcls_recipe *recipe, const dcls_recipe_row *row, size_t index, char *buffer,
                     size_t size)
{
    const char *at = (const char *)recipe + row->offset;
    int64_t whole[2] = {0};
    double real[2] = {0};
    int place = 0;
    size_t count = 0;
    const char *text = NULL, *const *list = NULL;
    switch (row->type) {
    case DCLS_RECIPE_INT:
    case DCLS_RECIPE_SIZE: {
        const int n = row->type == DCLS_RECIPE_SIZE ? 2 : 1;
        memcpy(whole, at, (size_t)n * sizeof whole[0]);
        real[0] = (double)whole[0];
        real[1] = (double)whole[1];
        return get_numbers(n, real, buffer, size);
    }
    case DCLS_RECIPE_REAL: memcpy(real, at, sizeof real[0]); return get_numbers(1, real, buffer, size);
    case DCLS_RECIPE_RANGE: memcpy(real, at, sizeof real); return get_numbers(2, real, buffer, size);
    case DCLS_RECIPE_CHOICE: memcpy(&place, at, sizeof place); return get_choice(row, place, buffer, size);
    case DCLS_RECIPE_FLAG: return get_text(*at != 0 ? "true" : "false", buffer, size);
    case DCLS_RECIPE_LIST:
    case DCLS_RECIPE_PATHS:
        memcpy(&list, at, sizeof list);
        memcpy(&count, (const char *)recipe + row->count_offset, sizeof count);
        return index < count && get_text(list[index], buffer, size);
    case DCLS_RECIPE_WEIGHTS:
        if (recipe->balanced) return index == 0 && get_text(BALANCED, buffer, size);
        if (index >= recipe->class_weight_count) return false;
        dcls_format_float(buffer, size, recipe->trainer.class_weights[index]);
        return true;
    default: memcpy(&text, at, sizeof text); return get_text(text, buffer, size);
    }
}
