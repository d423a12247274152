/* Options of a command: one table from which they are parsed and from which --help is printed. */
#ifndef DCLS_CLI_OPTIONS_H
#define DCLS_CLI_OPTIONS_H

#include <stdio.h>

#include "cli.h"

typedef enum cli_kind {
    CLI_FLAG,   /* bool */
    CLI_INT,    /* int64_t, min to max */
    CLI_REAL,   /* double, min to max */
    CLI_SIZE,   /* uint64_t bytes: a number with an optional suffix K, M, G or T (powers of 1024) */
    CLI_TEXT,   /* const char * */
    CLI_CHOICE, /* int: the index of a word in argument */
    CLI_LIST,   /* cli_list: may be given several times */
    CLI_PAIR, /* cli_list that gains two items: the option's name and its value, "true" where argument is NULL
               */
    CLI_REMARK /* no option: a line of help */
} cli_kind;

typedef struct cli_list {
    const char **items; /* point into argv */
    size_t count;
} cli_list;

struct cli_option {
    const char *name; /* without dashes */
    char letter;      /* 0: there is no short form */
    cli_kind kind;
    const char *argument; /* as --help shows it; for CLI_CHOICE the words themselves: "text|json|csv" */
    size_t offset;        /* of the value in the command's struct */
    const char *help;
    double min, max;
};

/* Options that are made when the program runs. */
struct cli_table {
    cli_option *options; /* [count], then one with a NULL name */
    const char **groups; /* [count]: the heading each stands under */
    char **texts;        /* [text_count]: what they point to */
    size_t count, text_count;
};

void cli_table_make(cli_table *table, const cli_command *command);
void cli_table_free(cli_table *table);
/* Appends an option under a heading. */
void cli_table_add(cli_table *table, const char *group, const cli_option *option);
/* Keeps a text that was allocated as long as the table lives. */
const char *cli_table_keep(cli_table *table, char *text);

/* The options every command has, filled into a cli_common. */
extern const cli_option cli_common_options[];

/* Parses argv (argv[0] is the command's name) into values, which hold the defaults, and run->common. argv is
 * permuted so that the operands stand last; *operands gets them. A usage error is reported, and false
 * returned. */
bool cli_options_parse(cli *run, const cli_table *more, void *values, int argc, char **argv,
                       cli_operands *operands);
/* Frees what lists in values hold. */
void cli_options_free(const cli_command *command, const cli_table *more, void *values);

/* Usage, description, options and examples. */
void cli_help_print(FILE *to, const cli_command *command);
/* Prints text in lines of at most 79 columns: the first one continues at column `at`, the others are indented
 * by `indent`; ends with a newline. */
void cli_print_wrapped(FILE *to, const char *text, int at, int indent);

#endif
