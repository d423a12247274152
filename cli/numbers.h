/* Numbers as people write and read them. */
#ifndef DCLS_CLI_NUMBERS_H
#define DCLS_CLI_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole decimal number and nothing else; false, *out untouched, for anything else or too large. */
bool cli_parse_int(const char *text, int64_t *out);
/* A finite decimal number, with or without point and exponent. */
bool cli_parse_real(const char *text, double *out);
/* Bytes: a whole number with an optional suffix K, M, G or T. */
bool cli_parse_size(const char *text, uint64_t *out);

typedef struct cli_number {
    char text[48];
} cli_number;

/* 1234567 as "1,234,567". */
cli_number cli_grouped(int64_t value);
/* Three significant digits with a unit: "987", "12.3k", "4.56M", "7.89G"; "0". */
cli_number cli_count(int64_t value);
/* The same for bytes: "987 B", "12.3 KiB", "4.56 MiB". */
cli_number cli_bytes(uint64_t value);
/* "1 tensor", "2 tensors", "1,234 tensors". */
cli_number cli_counted(int64_t count, const char *noun);
/* A share as percentage: "93.1%"; small ones keep digits that tell them from zero: "0.02%", "<0.01%". */
cli_number cli_percent(double share);
/* A measured value with four significant digits: "0.4914", "-12.35", "1.234e-05", "nan". */
cli_number cli_real(double value);

#endif
