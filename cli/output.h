/* What the program says: results on stdout, everything else on stderr. */
#ifndef DCLS_CLI_OUTPUT_H
#define DCLS_CLI_OUTPUT_H

#include <stdio.h>

#include "cli.h"

#define CLI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Before anything else: keeps descriptors 0 to 2 from being given to files when the caller closed them. */
void cli_streams_init(void);
bool cli_stdin_is_closed(void);

/* "dcls: SUBJECT: what is wrong", one line, control characters escaped. subject NULL leaves it out. */
void cli_error(const char *subject, const char *fmt, ...) CLI_PRINTF(2, 3);
/* The same with the last message of ctx. Returns the exit status that goes with status. */
int cli_fail(const char *subject, dcls_status status, const dcls_context *ctx);
/* Lines that -q silences. */
void cli_warn(const cli *run, const char *subject, const char *fmt, ...) CLI_PRINTF(3, 4);
void cli_note(const cli *run, const char *fmt, ...) CLI_PRINTF(2, 3);
/* Lines that only -v shows. */
void cli_verbose(const cli *run, const char *fmt, ...) CLI_PRINTF(2, 3);

int cli_exit_of(dcls_status status);

/* Whether both are the same regular file, by whatever names. */
bool cli_same_file(const char *one, const char *other);
/* Whether writing `out` would destroy `in`: the same regular file by whatever name. Reported; true: refuse.
 */
bool cli_is_input(const char *out, const char *in);

/* Whether a file of that name could be written, for it to be told before long work; reported if not. */
bool cli_can_write(const char *path);
/* Makes a directory that can be written, and those above it, unless it is there; an exit status, the reason
 * reported. */
int cli_make_directory(const char *path);

/* Sends buffered results on their way; false once stdout cannot take them. */
bool cli_flush(void);
/* At the end: reports results that could not be written. Returns status, or CLI_IO when something was lost.
 */
int cli_finish(int status);

/* Prints what a writer holds; an exit status. */
int cli_print_json(const dcls_json_writer *json);

/* True when the stream is a terminal that shows colours and the user did not ask for none. */
bool cli_has_color(FILE *stream);
/* Escape sequences for bold and back; "" where there is no colour. */
const char *cli_bold(FILE *stream);
const char *cli_plain(FILE *stream);
/* Columns of the terminal stdout is, 0 if it is none. */
int cli_width(void);

/* text with control characters and invalid UTF-8 made visible; to be freed. */
char *cli_printable(const char *text);

#endif
