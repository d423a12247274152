/* "Did you mean": the known name most like a mistyped one. */
#ifndef DCLS_CLI_SUGGEST_H
#define DCLS_CLI_SUGGEST_H

/* The nearest of names (ends with NULL), or NULL if none is near enough to be meant. */
const char *cli_nearest(const char *typed, const char *const *names);

#endif
