/* The one user of libprotobuf-c, which is opened when a file is written and not linked. */
#include "export/onnx_file.h"

#include <dlfcn.h>
#include <string.h>

#include "base/file.h"
#include "export/onnx.pb-c.h"

#define LIBRARY "libprotobuf-c.so.1"

typedef struct library {
    void *handle;
    size_t (*get_packed_size)(const ProtobufCMessage *message);
    size_t (*pack_to_buffer)(const ProtobufCMessage *message, ProtobufCBuffer *buffer);
} library;

static bool open_library(library *lib)
{
    lib->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    void *size = lib->handle != NULL ? dlsym(lib->handle, "protobuf_c_message_get_packed_size") : NULL;
    void *pack = lib->handle != NULL ? dlsym(lib->handle, "protobuf_c_message_pack_to_buffer") : NULL;
    if (size == NULL || pack == NULL) return false;
    memcpy(&lib->get_packed_size, &size, sizeof size);
    memcpy(&lib->pack_to_buffer, &pack, sizeof pack);
    return true;
}

typedef struct file_buffer {
    ProtobufCBuffer base;
    dcls_output *output;
} file_buffer;

static void write_piece(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
    file_buffer *file = (file_buffer *)buffer;
    dcls_output_write(file->output, data, size);
}

static dcls_status write_file(dcls_context *ctx, const library *lib, const ProtobufCMessage *message,
                              const char *path)
{
    if (lib->get_packed_size(message) > DCLS_ONNX_MOST_BYTES)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the network takes more than the 2 GiB an ONNX file can hold");
    file_buffer file = {.base = {.append = write_piece}};
    DCLS_TRY(dcls_output_open(ctx, path, &file.output));
    lib->pack_to_buffer(message, &file.base);
    return dcls_output_commit(ctx, file.output);
}

dcls_status dcls_onnx_pack(dcls_context *ctx, const ProtobufCMessage *message, const char *path)
{
    library lib = {0};
    const dcls_status status =
        open_library(&lib)
            ? write_file(ctx, &lib, message, path)
            : dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "writing ONNX needs libprotobuf-c (" LIBRARY ")");
    if (lib.handle != NULL) dlclose(lib.handle);
    return status;
}
