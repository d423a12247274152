#include "json_lists.h"

void cli_json_sizes(dcls_json_writer *json, const char *key_or_null, int64_t count, const int64_t *sizes)
{
    dcls_json_write_open(json, key_or_null, '[');
    for (int64_t i = 0; i < count; i++) {
        if (sizes[i] == DCLS_ANY)
            dcls_json_write_string(json, NULL, "any");
        else
            dcls_json_write_int(json, NULL, sizes[i]);
    }
    dcls_json_write_close(json, ']');
}

void cli_json_doubles(dcls_json_writer *json, const char *key_or_null, int64_t count, const double *values)
{
    dcls_json_write_open(json, key_or_null, '[');
    for (int64_t i = 0; i < count; i++)
        dcls_json_write_double(json, NULL, values[i]);
    dcls_json_write_close(json, ']');
}

void cli_json_floats(dcls_json_writer *json, const char *key_or_null, int64_t count, const float *values)
{
    dcls_json_write_open(json, key_or_null, '[');
    for (int64_t i = 0; i < count; i++)
        dcls_json_write_float(json, NULL, values[i]);
    dcls_json_write_close(json, ']');
}

void cli_json_int_if(dcls_json_writer *json, bool known, const char *key, int64_t value)
{
    if (known)
        dcls_json_write_int(json, key, value);
    else
        dcls_json_write_string(json, key, NULL);
}

void cli_json_double_if(dcls_json_writer *json, bool known, const char *key, double value)
{
    if (known)
        dcls_json_write_double(json, key, value);
    else
        dcls_json_write_string(json, key, NULL);
}
