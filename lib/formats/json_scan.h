/* The strict pass over a JSON text before cJSON sees it. */
#ifndef DCLS_FORMATS_JSON_SCAN_H
#define DCLS_FORMATS_JSON_SCAN_H

#include "formats/json.h"

typedef struct dcls_json_raw_range {
    size_t value;          /* which value of the text it is, counted in the order their texts begin */
    size_t offset, length; /* from '[' to ']', both included */
} dcls_json_raw_range;

typedef struct dcls_json_scan {
    char *copy;          /* given by the caller: the bytes of the text and room for one more */
    size_t values;       /* in the whole text; a raw array counts as one */
    size_t string_bytes; /* enough for all strings and keys, decoded and terminated */
    dcls_json_raw_range *raws;
    size_t raw_count, raw_capacity;
} dcls_json_scan;

/* Checks all of json.h except duplicate keys. scan->copy is changed into what cJSON reads correctly: raw
 * arrays (spec may be NULL: none) are emptied, numbers longer than its buffer are respelt. Then scan->raws
 * has to be freed by dcls_json_scan_free, in success and failure alike; copy stays the caller's. */
dcls_status dcls_json_scan_text(dcls_context *ctx, const char *text, size_t size,
                                const dcls_json_raw_spec *spec, dcls_json_scan *scan);
void dcls_json_scan_free(dcls_json_scan *scan);

#endif
