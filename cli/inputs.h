/* The inputs a command is to work on: operands and lists become one sequence of files. */
#ifndef DCLS_CLI_INPUTS_H
#define DCLS_CLI_INPUTS_H

#include "cli.h"

typedef struct cli_input {
    char *name;  /* a file, or "-" for standard input; to be freed */
    char *error; /* why this one cannot be worked on, or NULL; to be freed */
    int status;  /* exit status that goes with error */
} cli_input;

typedef struct cli_inputs cli_inputs;

/* Operands are files, "-", or directories: those stand for the pictures directly in them, sorted by name;
 * hidden files and subdirectories are left out. files0_from, when not NULL, names a file (or "-") with
 * NUL-separated names instead, which is read as it comes. A usage or reading error is reported; *status then
 * is the exit status and NULL returned. */
cli_inputs *cli_inputs_open(const cli *run, cli_operands operands, const char *files0_from, int *status);
/* Directories that are `folder` stand for what is not the answer to another of their pictures alone:
 * NAME.mask.png and NAME.overlay.png, which earlier runs left there, are left out. */
void cli_inputs_answer_into(cli_inputs *inputs, const char *folder);
/* Whether a file is named like such an answer. */
bool cli_is_answer(const char *name);
/* The next input; false at the end. */
bool cli_inputs_next(cli_inputs *inputs, cli_input *out);
/* Whether there may be more than one. */
bool cli_inputs_several(const cli_inputs *inputs);
void cli_inputs_close(cli_inputs *inputs);
void cli_input_free(cli_input *input);

#endif
