#include "alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

void *cli_checked(void *pointer)
{
    static const char message[] = "dcls: out of memory\n"; /* nothing that would need memory itself */
    if (pointer != NULL) return pointer;
    fflush(stdout);
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    _exit(CLI_LIMIT);
}

const char *cli_checked_text(const char *text)
{
    if (text == NULL) cli_checked(NULL);
    return text;
}

void *cli_alloc(size_t count, size_t size)
{
    return cli_checked(calloc(count > 0 ? count : 1, size));
}

void *cli_resize(void *block, size_t count, size_t size)
{
    return cli_checked(
        size > 0 && count > SIZE_MAX / size ? NULL : realloc(block, count * size > 0 ? count * size : 1));
}

char *cli_copy(const char *text)
{
    return cli_checked(strdup(text));
}

char *cli_format(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0) text = NULL;
    va_end(args);
    return cli_checked(text);
}
