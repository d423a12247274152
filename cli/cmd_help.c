/* dcls help: the list of commands, or one command's help. */
#include "cmd_help.h"

#include "options.h"
#include "output.h"

void cli_help_overview(FILE *to)
{
    const char *bold = cli_bold(to), *plain = cli_plain(to);
    fprintf(to,
            "%sUsage:%s dcls COMMAND [OPTION].. [ARGUMENT]..\n\n"
            "Runs networks whose convolution kernels have learned positions (DCLS), looks\n"
            "into them and converts them, without Python.\n\n%sCommands:%s\n",
            bold, plain, bold, plain);
    for (const cli_command *const *command = cli_commands; *command != NULL; command++)
        fprintf(to, "  %-10s%s\n", (*command)->name, (*command)->summary);
    fprintf(to,
            "\n'dcls COMMAND --help' explains a command, 'dcls --version' prints the version.\n\n"
            "%sExit status:%s\n"
            "  0  all is well\n"
            "  1  some of several inputs failed, or things differ\n"
            "  2  wrong usage\n"
            "  3  bad model, or the only input is bad\n"
            "  4  cannot read or write\n"
            "  5  over a limit or out of memory; 130 and 143: 'dcls train' was interrupted\n",
            bold, plain);
}

int cli_unknown_command(const char *name, const char *nearest)
{
    if (nearest != NULL)
        cli_error(NULL, "unknown command '%s'; did you mean '%s'?", name, nearest);
    else
        cli_error(NULL, "unknown command '%s'; 'dcls help' lists them", name);
    return CLI_USAGE;
}

static int run_help(cli *run, const void *values, cli_operands operands)
{
    (void)run;
    (void)values;
    if (operands.count == 0) {
        cli_help_overview(stdout);
        return CLI_OK;
    }
    const char *nearest;
    const cli_command *command = cli_find_command(operands.items[0], &nearest);
    if (command == NULL) return cli_unknown_command(operands.items[0], nearest);
    cli_help_print(stdout, command);
    return CLI_OK;
}

const cli_command cli_cmd_help = {
    .name = "help",
    .summary = "explain a command",
    .operands = "[COMMAND]",
    .about = "Prints what a command does and all its options; without COMMAND, the list of commands.",
    .max_operands = 1,
    .run = run_help,
};
