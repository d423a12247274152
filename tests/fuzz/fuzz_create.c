/* New networks and recipes: a description whose tensors are to be made, an architecture with settings, and
 * what a training run is told.
 *
 * An input that begins with '{' is a JSON model file, one that begins with '!' a recipe. In any other the
 * first word names an architecture, the others are settings. A network that could be made must be what its
 * own text says, with finite weights; then its convolutions are replaced. */
#include "graph_fuzz.h"

#include <math.h>

#include "dcls_recipe.h"

static void check_weights(const dcls_model *model)
{
    for (size_t i = 0; i < model->tensors->count; i++) {
        const dcls_tensor *tensor = &model->tensors->items[i];
        const float *values = tensor->data;
        if (tensor->dtype != DCLS_F32) abort();
        for (size_t k = 0; k < tensor->nbytes / sizeof *values; k++)
            if (!isfinite(values[k])) abort();
    }
}

static void check_text(dcls_context *ctx, const dcls_model *model)
{
    dcls_string text = {0}, own = {0};
    dcls_model *again = NULL;
    dcls_tensors *set;
    if (dcls_model_to_json(ctx, model, 0, &text) != DCLS_OK) abort();
    if (strcmp(text.data, dcls_tensors_meta(model->tensors, DCLS_META_MODEL)) != 0) abort();
    if (dcls_tensors_create(ctx, "", &set) != DCLS_OK) abort();
    for (size_t i = 0; i < model->tensors->count; i++)
        if (dcls_tensors_add(ctx, set, &model->tensors->items[i]) != DCLS_OK) abort();
    if (dcls_model_from_json(ctx, set, text.data, &again) != DCLS_OK) abort();
    if (dcls_model_to_json(ctx, again, 0, &own) != DCLS_OK || strcmp(text.data, own.data) != 0) abort();
    dcls_model_destroy(again);
    dcls_string_free(&text);
    dcls_string_free(&own);
}

static void replace(dcls_context *ctx, const dcls_model *model)
{
    static const char *const VERSIONS[] = {"v0", "v1", "max", "gauss"};
    for (int i = 0; i < 4; i++) {
        const dcls_replace_options options = {
            .dilated = true, .depthwise = i + 1, .version = VERSIONS[i], .sigma = 1};
        dcls_model *replaced = NULL;
        int64_t layers = 0;
        if (dcls_model_replace(ctx, model, &options, &replaced, &layers) == DCLS_OK) {
            if (layers < 1) abort();
            check_weights(replaced);
            check_text(ctx, replaced);
        } else if (replaced != NULL || dcls_context_message(ctx)[0] == '\0') {
            abort();
        }
        dcls_model_destroy(replaced);
    }
}

static void create(dcls_context *ctx, const dcls_create_options *options)
{
    dcls_model *model = NULL;
    const dcls_status status = dcls_model_create(ctx, options, &model);
    if (status == DCLS_OK) {
        check_weights(model);
        check_text(ctx, model);
        replace(ctx, model);
    } else if (model != NULL || dcls_context_message(ctx)[0] == '\0') {
        abort();
    }
    dcls_model_destroy(model);
}

/* What is accepted can be written and reads back the same. */
static void read_recipe(dcls_context *ctx, const char *json)
{
    dcls_recipe *recipe, *again;
    const char *text, *second;
    if (dcls_recipe_create(ctx, &recipe) != DCLS_OK || dcls_recipe_create(ctx, &again) != DCLS_OK) abort();
    if (dcls_recipe_read(ctx, recipe, json, "/nowhere") == DCLS_OK) {
        if (dcls_recipe_text(ctx, recipe, &text) != DCLS_OK) abort();
        if (dcls_recipe_read(ctx, again, text, NULL) != DCLS_OK) abort();
        if (dcls_recipe_text(ctx, again, &second) != DCLS_OK || strcmp(text, second) != 0) abort();
        const dcls_status status = dcls_recipe_check(ctx, recipe);
        if (status == DCLS_OK && dcls_recipe_plan(ctx, recipe, 7) == DCLS_OK)
            for (int64_t step = 0; step < 10; step++)
                if (!(dcls_schedule_rate(&recipe->schedule, step) >= 0)) abort();
    } else if (dcls_context_message(ctx)[0] == '\0') {
        abort();
    }
    dcls_recipe_destroy(recipe);
    dcls_recipe_destroy(again);
}

static void create_arch(dcls_context *ctx, char *text)
{
    const char *settings[12];
    char *rest = NULL, *word;
    dcls_create_options options = {.arch = strtok_r(text, " \n", &rest), .settings = settings, .classes = 3};
    while (options.setting_count < 12 && (word = strtok_r(NULL, " \n", &rest)) != NULL)
        settings[options.setting_count++] = word;
    if (options.arch != NULL) create(ctx, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    if (text == NULL) return 0;
    dcls_context *ctx = fuzz_graph_context();
    if (text[0] == '{')
        create(ctx, &(dcls_create_options){.arch_json = text, .classes = 3});
    else if (text[0] == '!')
        read_recipe(ctx, text + 1);
    else
        create_arch(ctx, text);
    free(text);
    dcls_context_destroy(ctx);
    return 0;
}
