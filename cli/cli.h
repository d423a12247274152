/*
 * What every command of the dcls program shares: the command table's entries, the state a run carries and the
 * exit statuses. Commands see the library through include/ alone.
 *
 * To add a command: write cmd_NAME.c with one cli_command, declare it here, list it in main.c; then give it a
 * page in man/, its options in completions/ (a test compares them with --help) and tests in tests/bats/.
 */
#ifndef DCLS_CLI_CLI_H
#define DCLS_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dcls.h"
#include "dcls_tools.h"

typedef enum cli_exit {
    CLI_OK = 0,
    CLI_SOME_FAILED = 1, /* some of several inputs failed, or things differ */
    CLI_USAGE = 2,
    CLI_BAD_INPUT = 3, /* bad model, or the only input is bad */
    CLI_IO = 4,
    CLI_LIMIT = 5 /* over a limit or out of memory */
} cli_exit;

/* Options every command takes. */
typedef struct cli_common {
    bool quiet, verbose, help;
    int64_t threads; /* 0: the library's default */
} cli_common;

typedef struct cli_operands {
    int count;
    char *const *items;
} cli_operands;

typedef struct cli_option cli_option; /* options.h */
typedef struct cli_table cli_table;   /* options.h */
typedef struct cli_command cli_command;

/* One run of the program. */
typedef struct cli {
    const cli_command *command;
    cli_common common;
    dcls_context *ctx; /* the main thread's */
} cli;

struct cli_command {
    const char *name;
    const char *summary;       /* one line, for the list of commands */
    const char *operands;      /* as the usage line shows them */
    const char *about;         /* what it does: paragraphs of one line each, wrapped when printed */
    const char *examples;      /* lines, printed as they are; NULL for none */
    const cli_option *options; /* ends with a NULL name; NULL for none */
    void (*add_options)(cli_table *table);  /* further ones that follow from another table, or NULL */
    const char *(*meant)(const char *name); /* the option other programs call NAME, or NULL */
    size_t values_size;                     /* of the struct the options fill */
    const void *defaults;                   /* what it holds before; NULL: zeros */
    int min_operands, max_operands;         /* max < 0: any number */
    int (*run)(cli *run, const void *values, cli_operands operands); /* an exit status */
};

/* The command table: ends with NULL. */
extern const cli_command *const cli_commands[];
/* NULL if there is no such command; *nearest then gets the one most like it, or NULL. */
const cli_command *cli_find_command(const char *name, const char **nearest);

extern const cli_command cli_cmd_infer, cli_cmd_inspect, cli_cmd_convert, cli_cmd_plot, cli_cmd_bench,
    cli_cmd_diff, cli_cmd_explain, cli_cmd_train, cli_cmd_eval, cli_cmd_help;

#endif
