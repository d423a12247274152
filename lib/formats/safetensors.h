/* What the reader and the writer of safetensors share. */
#ifndef DCLS_FORMATS_SAFETENSORS_H
#define DCLS_FORMATS_SAFETENSORS_H

#define DCLS_SAFETENSORS_PREFIX     8         /* bytes of the header's length */
#define DCLS_SAFETENSORS_MAX_HEADER 100000000 /* the format's own limit */
#define DCLS_SAFETENSORS_METADATA   "__metadata__"
#define DCLS_SAFETENSORS_OFFSETS    "data_offsets"

#endif
