/* The messages of an ONNX file, generated from its schema when dcls is built.
 *
 * Of the generated code only tables and initial values are used. Its functions for packing and unpacking call
 * libprotobuf-c, which is opened by onnx_file.c when a file is written: weak references let a program link
 * without it. */
#ifndef NDEBUG
#define NDEBUG 1 /* the functions that are not used contain assertions, which a library must not */
#endif
#include "export/onnx.pb-c.h"

#pragma weak protobuf_c_message_get_packed_size
#pragma weak protobuf_c_message_pack
#pragma weak protobuf_c_message_pack_to_buffer
#pragma weak protobuf_c_message_unpack
#pragma weak protobuf_c_message_free_unpacked

#include "export/onnx.pb-c.c"
