/* Protobuf messages into files. */
#ifndef DCLS_EXPORT_ONNX_FILE_H
#define DCLS_EXPORT_ONNX_FILE_H

#include "base/context.h"

/* protobuf cannot read messages of 2 GiB and more. */
#define DCLS_ONNX_MOST_BYTES ((size_t)INT32_MAX)

struct ProtobufCMessage;

/* Packs the message piece by piece into the file, so that weights are never copied; the file appears whole or
 * not at all. DCLS_ERR_LIMIT beyond the most bytes, DCLS_ERR_UNSUPPORTED where libprotobuf-c is missing. */
dcls_status dcls_onnx_pack(dcls_context *ctx, const struct ProtobufCMessage *message, const char *path);

#endif
