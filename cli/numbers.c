#include "numbers.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* The program never calls setlocale(), so that strtod() and printf() keep the C locale's decimal point. */

bool cli_parse_int(const char *text, int64_t *out)
{
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE) return false;
    *out = value;
    return true;
}

bool cli_parse_real(const char *text, double *out)
{
    if (text[0] == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0') return false;
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value)) return false;
    *out = value;
    return true;
}

bool cli_parse_size(const char *text, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    size_t digits = strspn(text, "0123456789");
    if (digits == 0) return false;
    errno = 0;
    uintmax_t value = strtoumax(text, NULL, 10);
    if (errno == ERANGE) return false;
    const char *suffix = text + digits;
    if (*suffix != '\0') {
        const char *found = strchr(suffixes, *suffix >= 'a' ? *suffix - 'a' + 'A' : *suffix);
        if (found == NULL || suffix[1] != '\0') return false;
        unsigned shift = 10 * (unsigned)(found - suffixes + 1);
        if (value > UINT64_MAX >> shift) return false;
        value <<= shift;
    }
    *out = value;
    return true;
}

/* ---- writing ---- */

cli_number cli_grouped(int64_t value)
{
    char digits[32];
    cli_number number = {""};
    char *to = number.text;
    snprintf(digits, sizeof digits, "%" PRIu64, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    if (value < 0) *to++ = '-';
    for (size_t left = strlen(digits), i = 0; left > 0; left--, i++) {
        if (i > 0 && left % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return number;
}

/* value in units of `step` powers, three significant digits; units[0] belongs to whole small values. */
static cli_number with_unit(double value, double step, const char *const *units)
{
    cli_number number;
    int unit = 0;
    double scaled = value;
    /* 999.5 and above would print as four digits. */
    while (scaled >= 999.5 && units[unit + 1] != NULL) {
        scaled /= step;
        unit++;
    }
    int decimals = unit == 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
    snprintf(number.text, sizeof number.text, "%.*f%s", decimals, scaled, units[unit]);
    return number;
}

cli_number cli_count(int64_t value)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", NULL};
    return with_unit((double)value, 1000, units);
}

cli_number cli_bytes(uint64_t value)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", NULL};
    return with_unit((double)value, 1024, units);
}

cli_number cli_counted(int64_t count, const char *noun)
{
    cli_number number;
    const char *ending = count == 1 ? "" : noun[0] != '\0' && noun[strlen(noun) - 1] == 's' ? "es" : "s";
    snprintf(number.text, sizeof number.text, "%.30s %.14s%s", cli_grouped(count).text, noun, ending);
    return number;
}

cli_number cli_percent(double share)
{
    cli_number number;
    double percent = 100 * share;
    if (percent > 0 && percent < 0.005)
        snprintf(number.text, sizeof number.text, "<0.01%%");
    else
        snprintf(number.text, sizeof number.text, "%.*f%%", percent > 0 && percent < 0.095 ? 2 : 1, percent);
    return number;
}

cli_number cli_real(double value)
{
    cli_number number;
    snprintf(number.text, sizeof number.text, "%.4g", value);
    return number;
}
