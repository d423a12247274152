#ifndef DCLS_CLI_CMD_HELP_H
#define DCLS_CLI_CMD_HELP_H

#include <stdio.h>

/* What dcls is, its commands and exit statuses. */
void cli_help_overview(FILE *to);
/* Reports it; returns the exit status. */
int cli_unknown_command(const char *name, const char *nearest);

#endif
