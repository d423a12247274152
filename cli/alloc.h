/* Memory for the program's own small things. Where there is none left even for these, the program ends with
 * one line and exit status 5; large things are asked of malloc() and their failure is the input's. */
#ifndef DCLS_CLI_ALLOC_H
#define DCLS_CLI_ALLOC_H

#include <stddef.h>

void *cli_alloc(size_t count, size_t size); /* zeroed */
void *cli_resize(void *block, size_t count, size_t size);
char *cli_copy(const char *text);
char *cli_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Result of a call that needs memory, such as open_memstream(): ends the program if it is NULL. */
void *cli_checked(void *pointer);
const char *cli_checked_text(const char *text);

#endif
