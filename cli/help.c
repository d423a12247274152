/* --help: printed from the tables the options are parsed with. */
#include <string.h>

#include "options.h"
#include "output.h"

#define LINE_WIDTH  79
#define HELP_COLUMN 26

static void spaces(FILE *to, int count)
{
    fprintf(to, "%*s", count > 0 ? count : 0, "");
}

static int new_line(FILE *to, int indent)
{
    fputc('\n', to);
    spaces(to, indent);
    return indent;
}

void cli_print_wrapped(FILE *to, const char *text, int at, int indent)
{
    int column = at;
    bool line_start = true; /* no space is due before the next word */
    while (*text != '\0') {
        int length = (int)strcspn(text, " \n");
        if (!line_start && column + 1 + length > LINE_WIDTH) {
            column = new_line(to, indent);
            line_start = true;
        }
        column += fprintf(to, "%s%.*s", line_start ? "" : " ", length, text);
        text += length;
        text += strspn(text, " ");
        line_start = *text == '\n';
        if (line_start) {
            column = new_line(to, indent);
            text++;
        }
    }
    fputc('\n', to);
}

static void print_option(FILE *to, const cli_option *option)
{
    int column = 0;
    if (option->kind == CLI_REMARK)
        column = fprintf(to, "      %s", option->name);
    else if (option->letter != 0)
        column = fprintf(to, "  -%c, --%s", option->letter, option->name);
    else
        column = fprintf(to, "      --%s", option->name);
    if (option->argument != NULL) column += fprintf(to, " %s", option->argument);
    if (column + 2 > HELP_COLUMN) {
        fputc('\n', to);
        column = 0;
    }
    spaces(to, HELP_COLUMN - column);
    cli_print_wrapped(to, option->help, HELP_COLUMN, HELP_COLUMN);
}

static void print_options(FILE *to, const char *title, const cli_option *options)
{
    fprintf(to, "\n%s%s%s\n", cli_bold(to), title, cli_plain(to));
    for (; options->name != NULL; options++)
        print_option(to, options);
}

static void print_groups(FILE *to, const cli_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const bool first = i == 0 || strcmp(table->groups[i], table->groups[i - 1]) != 0;
        if (first) fprintf(to, "\n%s%s:%s\n", cli_bold(to), table->groups[i], cli_plain(to));
        print_option(to, &table->options[i]);
    }
}

void cli_help_print(FILE *to, const cli_command *command)
{
    fprintf(to, "%sUsage:%s dcls %s [OPTION].. %s\n\n", cli_bold(to), cli_plain(to), command->name,
            command->operands);
    cli_print_wrapped(to, command->about, 0, 0);
    if (command->options != NULL) print_options(to, "Options:", command->options);
    cli_table more;
    cli_table_make(&more, command);
    print_groups(to, &more);
    cli_table_free(&more);
    print_options(to, "Common options:", cli_common_options);
    if (command->examples != NULL)
        fprintf(to, "\n%sExamples:%s\n%s", cli_bold(to), cli_plain(to), command->examples);
}
