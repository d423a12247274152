/* A line on the terminal that is written over while long work goes on. */
#ifndef DCLS_CLI_PROGRESS_H
#define DCLS_CLI_PROGRESS_H

#include "cli.h"

typedef struct cli_progress {
    bool shown; /* stderr is a terminal and wants it */
    bool written;
    double start, last; /* seconds */
} cli_progress;

void cli_progress_begin(cli_progress *progress, const cli *run);
double cli_progress_seconds(const cli_progress *progress);
/* Whether a new line is due: after half a second, then ten times a second. */
bool cli_progress_due(cli_progress *progress);
/* Puts text, at most as wide as the terminal, in place of what was there. */
void cli_progress_show(cli_progress *progress, const char *text);
/* Removes the line. */
void cli_progress_end(cli_progress *progress);

/* "12 s", "3:07", "1:02:09". */
typedef struct cli_duration {
    char text[24];
} cli_duration;
cli_duration cli_duration_of(double seconds);

#endif
