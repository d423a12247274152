#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "alloc.h"
#include "output.h"
#include "stopwatch.h"

#define STEP  0.1 /* seconds between lines */
#define FIRST 0.5 /* short work shows none */

void cli_progress_begin(cli_progress *progress, const cli *run)
{
    const char *term = getenv("TERM");
    *progress = (cli_progress){.start = cli_now()};
    progress->shown =
        !run->common.quiet && isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

double cli_progress_seconds(const cli_progress *progress)
{
    return cli_now() - progress->start;
}

bool cli_progress_due(cli_progress *progress)
{
    const double time = cli_now();
    if (!progress->shown || time - progress->start < FIRST || time - progress->last < STEP) return false;
    progress->last = time;
    return true;
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void cli_progress_show(cli_progress *progress, const char *text)
{
    if (!progress->shown) return;
    char *clean = cli_printable(text);
    char *line = cli_format("\r\033[K%.*s", terminal_width() - 1, clean);
    fputs(line, stderr);
    progress->written = true;
    free(line);
    free(clean);
}

void cli_progress_end(cli_progress *progress)
{
    if (progress->written) fputs("\r\033[K", stderr);
    progress->written = false;
}

cli_duration cli_duration_of(double seconds)
{
    cli_duration out;
    const long long all = seconds > 0 ? (long long)fmin(ceil(seconds), 1e9) : 0;
    if (all < 60)
        snprintf(out.text, sizeof out.text, "%lld s", all);
    else if (all < 3600)
        snprintf(out.text, sizeof out.text, "%lld:%02lld", all / 60, all % 60);
    else
        snprintf(out.text, sizeof out.text, "%lld:%02lld:%02lld", all / 3600, all / 60 % 60, all % 60);
    return out;
}
