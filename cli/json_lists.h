/* Lists of numbers, and numbers that may be missing, as JSON. */
#ifndef DCLS_CLI_JSON_LISTS_H
#define DCLS_CLI_JSON_LISTS_H

#include <dcls_tools.h>

/* A size that is open, DCLS_ANY, is "any". */
void cli_json_sizes(dcls_json_writer *json, const char *key_or_null, int64_t count, const int64_t *sizes);
void cli_json_doubles(dcls_json_writer *json, const char *key_or_null, int64_t count, const double *values);
void cli_json_floats(dcls_json_writer *json, const char *key_or_null, int64_t count, const float *values);
/* null where the number is not known. */
void cli_json_int_if(dcls_json_writer *json, bool known, const char *key, int64_t value);
void cli_json_double_if(dcls_json_writer *json, bool known, const char *key, double value);

#endif
