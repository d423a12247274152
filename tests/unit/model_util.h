/* What the tests of networks share: sets of tensors from a list of names and shapes. */
#ifndef TESTS_MODEL_UTIL_H
#define TESTS_MODEL_UTIL_H

#include "format_util.h"

#include "dcls_analysis.h"
#include "model/draft.h"

/* "conv.weight 8 3 3 3; n I64 1; ..": F32 unless a dtype is named, all zero. */
static inline void add_tensors(dcls_context *ctx, dcls_tensors *set, const char *list)
{
    char *copy = strdup(list), *rest = NULL;
    for (char *item = strtok_r(copy, ";", &rest); item != NULL; item = strtok_r(NULL, ";", &rest)) {
        char *words = NULL;
        const char *name = strtok_r(item, " \n", &words);
        if (name == NULL) continue;
        dcls_dtype dtype = DCLS_F32;
        int64_t shape[DCLS_MAX_DIMS];
        int ndim = 0;
        for (char *word; (word = strtok_r(NULL, " \n", &words)) != NULL;) {
            if (word[0] >= 'A')
                dtype = (dcls_dtype)dcls_dtype_from_name(word);
            else
                shape[ndim++] = atoll(word);
        }
        void *data;
        assert_ok(ctx, dcls_tensors_add_new(ctx, set, name, dtype, ndim, shape, &data));
        size_t bytes = 0;
        assert_true(dcls_shape_bytes(dtype, ndim, shape, &bytes));
        memset(data, 0, bytes);
    }
    free(copy);
}

static inline dcls_tensors *make_tensors(dcls_context *ctx, const char *list)
{
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    add_tensors(ctx, set, list);
    return set;
}

static inline const dcls_node *node_named(const dcls_model *model, const char *name)
{
    for (size_t i = 0; i < model->node_count; i++)
        if (strcmp(model->nodes[i].name, name) == 0) return &model->nodes[i];
    fail_msg("there is no node '%s'", name);
    return NULL;
}

/* The network as text; to be freed. */
static inline char *model_text(dcls_context *ctx, const dcls_model *model)
{
    dcls_string text = {0};
    assert_ok(ctx, dcls_model_to_json(ctx, model, 0, &text));
    return text.data;
}

#endif
