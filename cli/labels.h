/* Names of classes, as users give them. */
#ifndef DCLS_CLI_LABELS_H
#define DCLS_CLI_LABELS_H

#include "cli.h"

typedef struct cli_labels {
    char **items;
    size_t count;
} cli_labels;

/* A file with one name a line. A failure is reported; returns the exit status. */
int cli_labels_load(const cli *run, const char *path, cli_labels *out);
/* "cat,dog,horse", or without a comma a file as above. */
int cli_labels_read(const cli *run, const char *text, cli_labels *out);
void cli_labels_free(cli_labels *labels);

#endif
