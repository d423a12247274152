/* The JSON writer, printable text and whole files as dcls_tools.h offers them: thin covers over base/text.h
 * and base/file.h. */
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "dcls_tools.h"

struct dcls_json_writer {
    dcls_string text;
    dcls_json_out out;
};

dcls_status dcls_json_writer_create(dcls_context *ctx, int indent, dcls_json_writer **out)
{
    *out = NULL;
    dcls_json_writer *writer = dcls_alloc_zero(ctx, 1, sizeof *writer);
    if (writer == NULL) return DCLS_ERR_MEMORY;
    writer->out = (dcls_json_out){.to = &writer->text, .indent = indent, .compact = indent == 0};
    *out = writer;
    return DCLS_OK;
}

void dcls_json_writer_destroy(dcls_json_writer *writer)
{
    if (writer == NULL) return;
    dcls_string_free(&writer->text);
    free(writer);
}

static dcls_json_out *at_key(dcls_json_writer *writer, const char *key)
{
    if (key != NULL) dcls_json_key(&writer->out, key);
    return &writer->out;
}

/* Values at depth 0 stand on lines of their own. */
static void end_value(dcls_json_writer *writer)
{
    if (writer->out.depth > 0) return;
    dcls_string_puts(&writer->text, "\n");
    writer->out.need_comma = false;
}

void dcls_json_write_open(dcls_json_writer *writer, const char *key_or_null, char bracket)
{
    dcls_json_begin(at_key(writer, key_or_null), bracket);
}

void dcls_json_write_close(dcls_json_writer *writer, char bracket)
{
    dcls_json_end(&writer->out, bracket);
    end_value(writer);
}

void dcls_json_write_string(dcls_json_writer *writer, const char *key_or_null, const char *value_or_null)
{
    dcls_json_string(at_key(writer, key_or_null), value_or_null);
    end_value(writer);
}

void dcls_json_write_int(dcls_json_writer *writer, const char *key_or_null, int64_t value)
{
    dcls_json_int(at_key(writer, key_or_null), value);
    end_value(writer);
}

void dcls_json_write_double(dcls_json_writer *writer, const char *key_or_null, double value)
{
    dcls_json_double(at_key(writer, key_or_null), value);
    end_value(writer);
}

void dcls_json_write_float(dcls_json_writer *writer, const char *key_or_null, float value)
{
    dcls_json_float(at_key(writer, key_or_null), value);
    end_value(writer);
}

void dcls_json_write_bool(dcls_json_writer *writer, const char *key_or_null, bool value)
{
    dcls_json_bool(at_key(writer, key_or_null), value);
    end_value(writer);
}

void dcls_json_write_raw(dcls_json_writer *writer, const char *key_or_null, const char *json)
{
    dcls_json_raw(at_key(writer, key_or_null), json);
    end_value(writer);
}

const char *dcls_json_writer_text(const dcls_json_writer *writer)
{
    if (writer->text.failed) return NULL;
    return writer->text.data == NULL ? "" : writer->text.data;
}

void dcls_json_writer_reset(dcls_json_writer *writer)
{
    dcls_string_free(&writer->text);
    dcls_json_out *out = &writer->out;
    *out = (dcls_json_out){.to = out->to, .indent = out->indent, .compact = out->compact};
}

dcls_status dcls_file_load(dcls_context *ctx, const char *path, void **data, size_t *size)
{
    dcls_bytes bytes;
    DCLS_TRY(dcls_file_read(ctx, path, ctx->limit[DCLS_LIMIT_FILE_BYTES], &bytes));
    unsigned char *ended = realloc(bytes.data, bytes.size + 1);
    if (ended == NULL) {
        free(bytes.data);
        return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    }
    ended[bytes.size] = '\0';
    *data = ended;
    *size = bytes.size;
    return DCLS_OK;
}

dcls_status dcls_file_save(dcls_context *ctx, const char *path, const void *data, size_t size)
{
    dcls_output *output;
    DCLS_TRY(dcls_output_open(ctx, path, &output));
    dcls_output_write(output, data, size);
    return dcls_output_commit(ctx, output);
}

void dcls_printable(char *buffer, size_t size, const char *text)
{
    dcls_escape_text(buffer, size, text);
}
