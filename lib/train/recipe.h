/* The table of what a recipe can say. It serves JSON files, flags of the command line and the writer, so that
 * they cannot disagree. */
#ifndef DCLS_TRAIN_RECIPE_H
#define DCLS_TRAIN_RECIPE_H

#include "base/mem.h"
#include "base/text.h"
#include "dcls_recipe.h"
#include "formats/json.h"

typedef enum dcls_recipe_type {
    DCLS_RECIPE_TEXT,
    DCLS_RECIPE_PATH, /* in a file relative to the file's folder */
    DCLS_RECIPE_INT,
    DCLS_RECIPE_SIZE, /* height and width, or one number for both */
    DCLS_RECIPE_REAL,
    DCLS_RECIPE_RANGE, /* two reals, the first not above the second */
    DCLS_RECIPE_FLAG,
    DCLS_RECIPE_CHOICE,
    DCLS_RECIPE_NAME,   /* a text that is one of the choices */
    DCLS_RECIPE_LIST,   /* texts */
    DCLS_RECIPE_PATHS,  /* a list of them */
    DCLS_RECIPE_WEIGHTS /* numbers, or "balanced" */
} dcls_recipe_type;

typedef struct dcls_recipe_row {
    const char *key;
    dcls_recipe_type type;
    size_t offset;       /* of its field in dcls_recipe */
    size_t count_offset; /* of a list's length, a size_t */
    double min, max;
    const char *choices;  /* "a|b": values are their places */
    const char *fallback; /* as text; NULL: nothing */
    const char *flag, *text;
} dcls_recipe_row;

size_t dcls_recipe_rows(const dcls_recipe_row **rows);
/* By key or flag; NULL if there is none. */
const dcls_recipe_row *dcls_recipe_find(const char *key);

/* The key that other programs call NAME, with or without a group, - and _ the same; NULL if none is known. */
const char *dcls_recipe_meant(const char *name);
/* "unknown key ..", with the key that may be meant. */
dcls_status dcls_recipe_fail_key(dcls_context *ctx, const char *key);

/* "file", "arch" or "graph" of group model: one takes the place of another. */
bool dcls_recipe_names_model(const char *name);
void dcls_recipe_forget_model(dcls_recipe *recipe);

/* Whether a path of a recipe is told from a folder: neither absolute nor builtin:NAME. */
bool dcls_recipe_is_relative(const char *path);

/* Sets a field from text; a setting takes the place of an earlier one of its key; a list gains an entry, or
 * loses all for "". The message names the key. */
dcls_status dcls_recipe_put(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                            const char *text);
dcls_status dcls_recipe_put_json(dcls_context *ctx, dcls_recipe *recipe, const dcls_recipe_row *row,
                                 const dcls_json *value, const char *folder);
/* Its value as text that sets it again; false where there is none. Entries of lists by index. */
bool dcls_recipe_get(const dcls_recipe *recipe, const dcls_recipe_row *row, size_t index, char *buffer,
                     size_t size);

#endif
