/* Networks: the text of a model to a model, its shapes, its text, its dense form and its ONNX file; and lists
 * of keys and shapes through the architectures.
 *
 * An input that begins with '{' is a JSON model file, or a bare "model" object over a fixed set of tensors.
 * In any other the first line names an architecture and settings ("-" stands for none), and each further one
 * a tensor and its shape. */
#include "graph_fuzz.h"

static void check_shapes(dcls_context *ctx, const dcls_model *model, const dcls_model *again)
{
    int64_t input[DCLS_MAX_DIMS];
    const int ndim = fuzz_input_shape(model, input);
    dcls_shape *a = malloc((model->node_count + 1) * sizeof *a),
               *b = malloc((model->node_count + 1) * sizeof *b);
    if (a == NULL || b == NULL) abort();
    const dcls_status status = dcls_model_infer(ctx, model, ndim, input, a);
    if (dcls_model_infer(ctx, again, ndim, input, b) != status) abort();
    for (size_t i = 0; i <= model->node_count && status == DCLS_OK; i++) {
        size_t bytes = 0;
        if (!dcls_shape_equal(a[i].ndim, a[i].size, b[i].ndim, b[i].size)) abort();
        if (!dcls_shape_bytes(DCLS_F32, a[i].ndim, a[i].size, &bytes) || bytes == 0 || bytes > FUZZ_MEMORY)
            abort();
    }
    free(a);
    free(b);
}

/* A copy of the tensors, so that a second model can own them. */
static dcls_tensors *copy_tensors(dcls_context *ctx, const dcls_tensors *from)
{
    dcls_tensors *set;
    if (dcls_tensors_create(ctx, "", &set) != DCLS_OK) abort();
    for (size_t i = 0; i < from->count; i++)
        if (dcls_tensors_add(ctx, set, &from->items[i]) != DCLS_OK) abort();
    return set;
}

/* A model must be what its own text says. */
static void check_model(dcls_context *ctx, const dcls_model *model)
{
    dcls_string first = {0}, second = {0};
    dcls_model *again, *dense;
    if (dcls_model_to_json(ctx, model, 1, &first) != DCLS_OK) abort();
    if (dcls_model_from_json(ctx, copy_tensors(ctx, model->tensors), first.data, &again) != DCLS_OK) abort();
    if (dcls_model_to_json(ctx, again, 1, &second) != DCLS_OK) abort();
    if (strcmp(first.data, second.data) != 0 || model->node_count != again->node_count) abort();
    check_shapes(ctx, model, again);
    if (dcls_model_to_dense(ctx, model, &dense) == DCLS_OK) dcls_model_destroy(dense);
    const dcls_status status = dcls_onnx_save(ctx, model, NULL, "/dev/null");
    if (status != DCLS_OK && status != DCLS_ERR_LIMIT && status != DCLS_ERR_MEMORY) abort();
    dcls_model_destroy(again);
    dcls_string_free(&first);
    dcls_string_free(&second);
}

static void finish(dcls_context *ctx, dcls_status status, dcls_model *model)
{
    if (status == DCLS_OK)
        check_model(ctx, model);
    else if (model != NULL || dcls_context_message(ctx)[0] == '\0')
        abort();
    dcls_model_destroy(model);
}

/* "name 3 4 5" */
static void add_line(dcls_context *ctx, dcls_tensors *set, char *line)
{
    char *rest = NULL, *name = strtok_r(line, " ", &rest), *word;
    int64_t shape[DCLS_MAX_DIMS];
    int ndim = 0;
    if (name == NULL) return;
    while (ndim < DCLS_MAX_DIMS && (word = strtok_r(NULL, " ", &rest)) != NULL)
        shape[ndim++] = strtol(word, NULL, 10);
    fuzz_add_tensor(ctx, set, name, ndim, shape);
}

static void build_text(dcls_context *ctx, char *text)
{
    dcls_tensors *set;
    dcls_model *model = NULL;
    const char *settings[8];
    char *rest = NULL, *first = strtok_r(text, "\n", &rest), *words = NULL, *line;
    if (first == NULL || dcls_tensors_create(ctx, "", &set) != DCLS_OK) return;
    dcls_build_options options = {.arch = strtok_r(first, " ", &words), .settings = settings};
    while (options.setting_count < 8 && (line = strtok_r(NULL, " ", &words)) != NULL)
        settings[options.setting_count++] = line;
    for (int i = 0; i < FUZZ_MOST_TENSORS && (line = strtok_r(NULL, "\n", &rest)) != NULL; i++)
        add_line(ctx, set, line);
    if (options.arch == NULL || strcmp(options.arch, "-") == 0) {
        dcls_tensors *dense = NULL;
        if (dcls_tensors_to_dense(ctx, set, settings, options.setting_count, &dense) == DCLS_OK)
            fuzz_touch(dense);
        dcls_tensors_destroy(dense);
        dcls_tensors_destroy(set);
        return;
    }
    const dcls_status status = dcls_model_build(ctx, set, &options, &model);
    finish(ctx, status, model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    if (text == NULL) return 0;
    dcls_context *ctx = fuzz_graph_context();
    dcls_model *model = NULL;
    if (size > 0 && text[0] == '{') {
        const dcls_status status = fuzz_read_model(ctx, text, &model);
        finish(ctx, status, model);
    } else {
        build_text(ctx, text);
    }
    free(text);
    dcls_context_destroy(ctx);
    return 0;
}
