/* What the reader and the writer of JSON models share. */
#ifndef DCLS_FORMATS_JSON_MODEL_H
#define DCLS_FORMATS_JSON_MODEL_H

#define DCLS_JSON_MODEL_FORMAT  "dcls-model"
#define DCLS_JSON_MODEL_VERSION 1
#define DCLS_JSON_MODEL_DATA    "data"

#endif
