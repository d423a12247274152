/* Recipes as JSON. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/recipe.h"

/* Values with commas between them stand in JSON as lists of numbers. */
static void write_numbers(dcls_json_out *out, char *text)
{
    char *rest = NULL;
    dcls_json_begin(out, '[');
    for (char *piece = strtok_r(text, ",", &rest); piece != NULL; piece = strtok_r(NULL, ",", &rest))
        dcls_json_raw(out, piece);
    dcls_json_end(out, ']');
}

/* What it reads back as: a number, true or false where that gives the same text again, numbers with commas,
 * else a string. */
static bool is_plain(const char *text)
{
    double value;
    char again[40];
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) return true;
    if (!dcls_parse_double(text, &value) || !isfinite(value)) return false;
    dcls_format_double(again, sizeof again, value);
    return strcmp(text, again) == 0;
}

static bool are_numbers(const char *text)
{
    char piece[40];
    double value;
    if (strchr(text, ',') == NULL) return false;
    for (;; text++) {
        const size_t length = strcspn(text, ",");
        if (length >= sizeof piece) return false;
        memcpy(piece, text, length);
        piece[length] = '\0';
        if (!is_plain(piece) || !dcls_parse_double(piece, &value)) return false;
        text += length;
        if (*text == '\0') return true;
    }
}

/* {"dim": 64, "version": "v1"}; every entry has a sign. */
static void write_settings(dcls_json_out *out, const dcls_recipe *recipe, const dcls_recipe_row *row,
                           char *text, size_t size)
{
    dcls_json_begin(out, '{');
    for (size_t i = 0; dcls_recipe_get(recipe, row, i, text, size); i++) {
        char *value = strchr(text, '=');
        *value++ = '\0';
        dcls_json_key(out, text);
        if (are_numbers(value))
            write_numbers(out, value);
        else if (is_plain(value))
            dcls_json_raw(out, value);
        else
            dcls_json_string(out, value);
    }
    dcls_json_end(out, '}');
}

static bool are_settings(const dcls_recipe *recipe, const dcls_recipe_row *row)
{
    if (strcmp(row->key, "model.settings") != 0) return false;
    for (size_t i = 0; i < recipe->create.setting_count; i++) {
        const char *sign = strchr(recipe->create.settings[i], '=');
        if (sign == NULL || sign == recipe->create.settings[i] || sign[1] == '\0') return false;
    }
    return true;
}

/* A recipe that is written is read from another folder. */
static void write_path(dcls_json_out *out, const char *path)
{
    const bool relative = dcls_recipe_is_relative(path);
    char *here = relative ? getcwd(NULL, 0) : NULL;
    dcls_string whole = {0};
    if (relative && here == NULL && errno == ENOMEM) out->to->failed = true;
    if (here != NULL) dcls_string_printf(&whole, "%s/%s", here, path);
    dcls_json_string(out, here != NULL && !whole.failed ? whole.data : path);
    dcls_string_free(&whole);
    free(here);
}

static void write_entries(dcls_json_out *out, const dcls_recipe *recipe, const dcls_recipe_row *row,
                          char *text, size_t size)
{
    dcls_json_begin(out, '[');
    for (size_t i = 0; dcls_recipe_get(recipe, row, i, text, size); i++) {
        if (row->type == DCLS_RECIPE_WEIGHTS)
            dcls_json_raw(out, text);
        else if (row->type == DCLS_RECIPE_PATHS)
            write_path(out, text);
        else
            dcls_json_string(out, text);
    }
    dcls_json_end(out, ']');
}

static void write_row(dcls_json_out *out, const dcls_recipe *recipe, const dcls_recipe_row *row, char *text,
                      size_t size)
{
    switch (row->type) {
    case DCLS_RECIPE_INT:
    case DCLS_RECIPE_REAL:
    case DCLS_RECIPE_FLAG: dcls_json_raw(out, text); break;
    case DCLS_RECIPE_SIZE:
    case DCLS_RECIPE_RANGE: write_numbers(out, text); break;
    case DCLS_RECIPE_LIST:
        if (are_settings(recipe, row))
            write_settings(out, recipe, row, text, size);
        else
            write_entries(out, recipe, row, text, size);
        break;
    case DCLS_RECIPE_PATH: write_path(out, text); break;
    case DCLS_RECIPE_PATHS: write_entries(out, recipe, row, text, size); break;
    case DCLS_RECIPE_WEIGHTS:
        if (recipe->balanced)
            dcls_json_string(out, text);
        else
            write_entries(out, recipe, row, text, size);
        break;
    default: dcls_json_string(out, text); break;
    }
}

#define TEXT_SIZE (65536 + 1)

dcls_status dcls_recipe_text(dcls_context *ctx, dcls_recipe *recipe, const char **out)
{
    const dcls_recipe_row *rows;
    const size_t count = dcls_recipe_rows(&rows);
    dcls_string json = {0};
    dcls_json_out j = {.to = &json};
    char *text = dcls_alloc(ctx, TEXT_SIZE, 1);
    if (text == NULL) return DCLS_ERR_MEMORY;
    const char *group = "";
    size_t group_length = 0;
    dcls_json_begin(&j, '{');
    for (size_t i = 0; i < count; i++) {
        const char *key = rows[i].key, *dot = strchr(key, '.');
        const size_t length = dot != NULL ? (size_t)(dot - key) : 0;
        if (!dcls_recipe_get(recipe, &rows[i], 0, text, TEXT_SIZE)) continue;
        if (length != group_length || memcmp(key, group, length) != 0) {
            char name[64];
            if (group_length > 0) dcls_json_end(&j, '}');
            snprintf(name, sizeof name, "%.*s", (int)length, key);
            if (length > 0) {
                dcls_json_key(&j, name);
                dcls_json_begin(&j, '{');
            }
            group = key;
            group_length = length;
        }
        dcls_json_key(&j, dot != NULL ? dot + 1 : key);
        write_row(&j, recipe, &rows[i], text, TEXT_SIZE);
    }
    if (group_length > 0) dcls_json_end(&j, '}');
    dcls_json_end(&j, '}');
    free(text);
    *out = json.failed ? NULL : dcls_arena_strdup(ctx, recipe->memory, json.data);
    dcls_string_free(&json);
    return *out != NULL ? DCLS_OK
                        : dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory while a recipe is written");
}
