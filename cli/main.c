/* The dcls program: finds the command, parses its options and runs it. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cmd_help.h"
#include "options.h"
#include "output.h"
#include "suggest.h"

const cli_command *const cli_commands[] = {
    &cli_cmd_infer, &cli_cmd_inspect, &cli_cmd_convert, &cli_cmd_plot, &cli_cmd_diff, &cli_cmd_explain,
    &cli_cmd_train, &cli_cmd_eval,    &cli_cmd_bench,   &cli_cmd_help, NULL};

#define COMMANDS (sizeof cli_commands / sizeof *cli_commands) /* with the NULL */

const cli_command *cli_find_command(const char *name, const char **nearest)
{
    const char *names[COMMANDS] = {0};
    for (size_t i = 0; i + 1 < COMMANDS; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0) return cli_commands[i];
        names[i] = cli_commands[i]->name;
    }
    *nearest = cli_nearest(name, names);
    return NULL;
}

static int print_version(void)
{
    printf("dcls %s\n", dcls_version());
    for (size_t i = 0; dcls_builtin_name(i) != NULL; i++)
        printf("%s%s", i == 0 ? "built-in models: " : ", ", dcls_builtin_name(i));
    if (dcls_builtin_name(0) != NULL) putchar('\n');
    return CLI_OK;
}

static int run_with_values(cli *run, const cli_table *more, void *values, int argc, char **argv)
{
    const cli_command *command = run->command;
    cli_operands operands;
    if (command->defaults != NULL) memcpy(values, command->defaults, command->values_size);
    if (!cli_options_parse(run, more, values, argc, argv, &operands)) return CLI_USAGE;
    if (run->common.help) {
        cli_help_print(stdout, command);
        return CLI_OK;
    }
    dcls_status status = dcls_context_set_threads(run->ctx, (int)run->common.threads);
    return status == DCLS_OK ? command->run(run, values, operands) : cli_fail(NULL, status, run->ctx);
}

static int run_command(const cli_command *command, int argc, char **argv)
{
    cli run = {.command = command};
    cli_table more;
    void *values = cli_alloc(1, command->values_size + 1);
    (void)dcls_context_create(&run.ctx);
    cli_checked(run.ctx);
    cli_table_make(&more, command);
    int status = run_with_values(&run, &more, values, argc, argv);
    cli_options_free(command, &more, values);
    cli_table_free(&more);
    dcls_context_destroy(run.ctx);
    free(values);
    return status;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_help_overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1], *nearest;
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) return print_version();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cli_help_overview(stdout);
        return CLI_OK;
    }
    if (name[0] == '-') {
        cli_error(NULL, "unknown option '%s' before the command; 'dcls help' shows the usage", name);
        return CLI_USAGE;
    }
    const cli_command *command = cli_find_command(name, &nearest);
    if (command == NULL) return cli_unknown_command(name, nearest);
    return run_command(command, argc - 1, argv + 1);
}

/* A word the library does not know would run with all instructions, against what was asked for. */
static bool check_environment(void)
{
    static const char *const words[] = {"scalar", "avx2", "avx512", "amx"};
    const char *said = getenv("DCLS_CPU");
    if (said == NULL || said[0] == '\0') return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(said, words[i]) == 0) return true;
    cli_error("DCLS_CPU", "'%s' is not one of scalar, avx2, avx512, amx", said);
    return false;
}

int main(int argc, char **argv)
{
    cli_streams_init();
    return cli_finish(check_environment() ? dispatch(argc, argv) : CLI_USAGE);
}
