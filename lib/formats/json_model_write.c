/* Writing JSON models, in pieces: the text is much larger than the tensors. */
#include <string.h>

#include "base/tensor.h"
#include "formats/element.h"
#include "formats/entry.h"
#include "formats/formats.h"
#include "formats/json_model.h"

#define FLUSH_BYTES ((size_t)64 << 10)
#define INDENT      2

typedef struct writer {
    dcls_context *ctx;
    dcls_string text; /* not yet given to output */
    dcls_json_out j;
    dcls_output *output;
} writer;

/* Passes on what has gathered. More than a reader would accept is not written. */
static dcls_status flush(writer *w)
{
    unsigned long long limit = dcls_context_limit(w->ctx, DCLS_LIMIT_JSON_BYTES);
    if (w->text.failed) return dcls_fail(w->ctx, DCLS_ERR_MEMORY, "out of memory");
    dcls_output_write(w->output, w->text.data, w->text.length);
    w->text.length = 0;
    if (dcls_output_tell(w->output) <= limit) return DCLS_OK;
    return dcls_fail(w->ctx, DCLS_ERR_LIMIT, "as JSON this is more than the %llu bytes allowed", limit);
}

static dcls_status put_data(writer *w, const dcls_tensor *tensor)
{
    const unsigned char *data = tensor->data;
    size_t size = dcls_dtype_size(tensor->dtype);
    w->j.indent = 0; /* all elements on one line */
    dcls_json_key(&w->j, DCLS_JSON_MODEL_DATA);
    dcls_json_begin(&w->j, '[');
    for (size_t at = 0; at < tensor->nbytes; at += size) {
        dcls_element_put(&w->j, tensor->dtype, data + at);
        if (w->text.length >= FLUSH_BYTES) DCLS_TRY(flush(w));
    }
    dcls_json_end(&w->j, ']');
    dcls_json_end(&w->j, '}');
    w->j.indent = INDENT;
    return DCLS_OK;
}

static dcls_status put_tensors(writer *w, const dcls_tensors *set)
{
    dcls_json_key(&w->j, "tensors");
    dcls_json_begin(&w->j, '{');
    for (size_t i = 0; i < set->count; i++) {
        w->j.indent = INDENT;
        DCLS_TRY(dcls_entry_begin(w->ctx, &set->items[i], &w->j));
        DCLS_TRY(put_data(w, &set->items[i]));
        if (w->text.length >= FLUSH_BYTES) DCLS_TRY(flush(w));
    }
    dcls_json_end(&w->j, '}');
    return DCLS_OK;
}

static dcls_status put_model(writer *w, const dcls_tensors *set)
{
    const char *text = dcls_tensors_meta(set, DCLS_META_MODEL);
    dcls_json *model;
    if (text == NULL) return DCLS_OK;
    dcls_status status = dcls_json_parse(w->ctx, text, strlen(text), &model);
    if (status != DCLS_OK) return dcls_fail_within(w->ctx, status, "metadata '" DCLS_META_MODEL "': ");
    dcls_json_key(&w->j, "model");
    dcls_json_emit(&w->j, model);
    if (dcls_json_kind_of(model) != DCLS_JSON_OBJECT)
        status = dcls_fail(w->ctx, DCLS_ERR_FORMAT, "metadata '" DCLS_META_MODEL "' is %s, not an object",
                           dcls_json_kind_text(model));
    dcls_json_free(model);
    return status;
}

static dcls_status put_root(writer *w, const dcls_tensors *set)
{
    dcls_json_begin(&w->j, '{');
    dcls_json_key(&w->j, "format");
    dcls_json_string(&w->j, DCLS_JSON_MODEL_FORMAT);
    dcls_json_key(&w->j, "version");
    dcls_json_int(&w->j, DCLS_JSON_MODEL_VERSION);
    DCLS_TRY(put_model(w, set));
    DCLS_TRY(dcls_entry_put_metadata(w->ctx, set, "metadata", DCLS_META_MODEL, &w->j));
    if (set->count > 0) DCLS_TRY(put_tensors(w, set));
    dcls_json_end(&w->j, '}');
    dcls_string_puts(&w->text, "\n");
    return flush(w);
}

dcls_status dcls_json_write(dcls_context *ctx, const dcls_tensors *set, const char *path)
{
    writer w = {.ctx = ctx};
    w.j = (dcls_json_out){.to = &w.text, .indent = INDENT};
    DCLS_TRY(dcls_output_open(ctx, path, &w.output));
    dcls_status status = put_root(&w, set);
    if (status == DCLS_OK)
        status = dcls_output_commit(ctx, w.output);
    else
        dcls_output_abort(w.output);
    dcls_string_free(&w.text);
    return status;
}
