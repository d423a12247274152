#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "numbers.h"
#include "output.h"
#include "suggest.h"

#define MAX_OPTIONS 128
#define FIRST_VALUE 256 /* what getopt_long returns for entry 0; letters come before */

const cli_option cli_common_options[] = {
    {"threads", 0, CLI_INT, "N", offsetof(cli_common, threads),
     "threads to compute with; the results are the same bits for any number (default: the processors this "
     "process may "
     "use)",
     1, 1024},
    {"quiet", 'q', CLI_FLAG, NULL, offsetof(cli_common, quiet),
     "no notes and warnings on stderr, only errors", 0, 0},
    {"verbose", 'v', CLI_FLAG, NULL, offsetof(cli_common, verbose),
     "say on stderr what is done and how long it takes", 0, 0},
    {"help", 'h', CLI_FLAG, NULL, offsetof(cli_common, help), "print this help", 0, 0},
    {0}};

/* ---- tables that are made ---- */

void cli_table_add(cli_table *table, const char *group, const cli_option *option)
{
    table->options = cli_resize(table->options, table->count + 2, sizeof *table->options);
    table->groups = cli_resize(table->groups, table->count + 1, sizeof *table->groups);
    table->options[table->count] = *option;
    table->groups[table->count++] = group;
    table->options[table->count] = (cli_option){0};
}

const char *cli_table_keep(cli_table *table, char *text)
{
    table->texts = cli_resize(table->texts, table->text_count + 1, sizeof *table->texts);
    return table->texts[table->text_count++] = text;
}

void cli_table_make(cli_table *table, const cli_command *command)
{
    *table = (cli_table){0};
    if (command->add_options != NULL) command->add_options(table);
}

void cli_table_free(cli_table *table)
{
    for (size_t i = 0; i < table->text_count; i++)
        free(table->texts[i]);
    free(table->texts);
    free(table->groups);
    free(table->options);
    *table = (cli_table){0};
}

/* ---- the tables of a command as getopt wants them ---- */

struct entry {
    const cli_option *option;
    char *base; /* struct its offset belongs to */
};

struct parser {
    cli *run;
    struct entry entries[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS + 1];
    const char *names[MAX_OPTIONS + 1];
    char letters[2 * MAX_OPTIONS + 2];
    int count;
};

static bool takes_value(const cli_option *option)
{
    return option->kind != CLI_FLAG && (option->kind != CLI_PAIR || option->argument != NULL);
}

static void add_table(struct parser *parser, const cli_option *options, void *base)
{
    for (; options != NULL && options->name != NULL && parser->count < MAX_OPTIONS; options++) {
        if (options->kind == CLI_REMARK) continue;
        int i = parser->count++;
        int takes = takes_value(options) ? required_argument : no_argument;
        parser->entries[i] = (struct entry){options, base};
        parser->longs[i] = (struct option){options->name, takes, NULL, FIRST_VALUE + i};
        parser->names[i] = options->name;
        size_t used = strlen(parser->letters);
        if (options->letter != 0) parser->letters[used++] = options->letter;
        if (options->letter != 0 && takes == required_argument) parser->letters[used] = ':';
    }
}

/* The entry a value returned by getopt_long belongs to; NULL for an unknown letter. */
static const struct entry *find_entry(const struct parser *parser, int value)
{
    for (int i = 0; i < parser->count; i++)
        if (value == FIRST_VALUE + i || value == parser->entries[i].option->letter)
            return &parser->entries[i];
    return NULL;
}

/* ---- one option's value ---- */

static int word_count(const char *words)
{
    int count = 1;
    for (; *words != '\0'; words++)
        count += *words == '|';
    return count;
}

/* Splits "a|b|c"; the list ends with NULL and points into *copy. Both are to be freed. */
static const char **split_words(const char *words, char **copy)
{
    const char **items = cli_alloc((size_t)word_count(words) + 1, sizeof *items);
    char *rest = *copy = cli_copy(words);
    for (int i = 0; rest != NULL; i++)
        items[i] = strsep(&rest, "|");
    return items;
}

static bool bad_value(const struct parser *parser, const cli_option *option, const char *text,
                      const char *wanted)
{
    cli_error(parser->run->command->name, "--%s: '%s' is not %s", option->name, text, wanted);
    return false;
}

static bool set_choice(const struct parser *parser, const cli_option *option, const char *text, int *value)
{
    char *copy;
    const char **words = split_words(option->argument, &copy);
    int found = 0;
    while (words[found] != NULL && strcmp(words[found], text) != 0)
        found++;
    bool known = words[found] != NULL;
    const char *nearest = cli_nearest(text, words);
    if (known)
        *value = found;
    else if (nearest != NULL)
        cli_error(parser->run->command->name, "--%s: '%s' is not one of %s; did you mean '%s'?", option->name,
                  text, option->argument, nearest);
    else
        cli_error(parser->run->command->name, "--%s: '%s' is not one of %s", option->name, text,
                  option->argument);
    free(words);
    free(copy);
    return known;
}

static bool set_int(const struct parser *parser, const cli_option *option, const char *text, int64_t *value)
{
    char wanted[96];
    int64_t number;
    if (cli_parse_int(text, &number) && (double)number >= option->min && (double)number <= option->max) {
        *value = number;
        return true;
    }
    snprintf(wanted, sizeof wanted, "a whole number from %.0f to %.0f", option->min, option->max);
    return bad_value(parser, option, text, wanted);
}

static bool set_real(const struct parser *parser, const cli_option *option, const char *text, double *value)
{
    char wanted[96];
    double number;
    if (cli_parse_real(text, &number) && number >= option->min && number <= option->max) {
        *value = number;
        return true;
    }
    snprintf(wanted, sizeof wanted, "a number from %g to %g", option->min, option->max);
    return bad_value(parser, option, text, wanted);
}

static bool add_item(const char *text, cli_list *list)
{
    list->items = cli_resize(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = text;
    return true;
}

static bool set_value(const struct parser *parser, const struct entry *entry, const char *text)
{
    const cli_option *option = entry->option;
    void *value = entry->base + option->offset;
    switch (option->kind) {
    case CLI_FLAG: *(bool *)value = true; return true;
    case CLI_TEXT: *(const char **)value = text; return true;
    case CLI_INT: return set_int(parser, option, text, value);
    case CLI_REAL: return set_real(parser, option, text, value);
    case CLI_CHOICE: return set_choice(parser, option, text, value);
    case CLI_LIST: return add_item(text, value);
    case CLI_PAIR: return add_item(option->name, value) && add_item(text != NULL ? text : "true", value);
    case CLI_REMARK: return true;
    case CLI_SIZE:
        return cli_parse_size(text, value) ||
               bad_value(parser, option, text, "a number of bytes such as 500M or 2G (K, M, G, T)");
    }
    return false;
}

/* ---- what getopt does not understand ---- */

static void fail_ambiguous(const struct parser *parser, const char *name)
{
    char *meant = cli_copy("");
    for (int i = 0; i < parser->count; i++) {
        if (strncmp(parser->names[i], name, strlen(name)) != 0) continue;
        char *longer = cli_format("%s%s--%s", meant, *meant != '\0' ? ", " : "", parser->names[i]);
        free(meant);
        meant = longer;
    }
    cli_error(parser->run->command->name, "option '--%s' is ambiguous: %s", name, meant);
    free(meant);
}

static bool fail_long(const struct parser *parser, const char *typed)
{
    const char *command = parser->run->command->name;
    char name[64];
    int matches = 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(typed + 2, "="), typed + 2);
    for (int i = 0; i < parser->count; i++)
        matches += strncmp(parser->names[i], name, strlen(name)) == 0;
    const char *nearest = parser->run->command->meant != NULL ? parser->run->command->meant(name) : NULL;
    if (nearest == NULL) nearest = cli_nearest(name, parser->names);
    if (matches > 1)
        fail_ambiguous(parser, name);
    else if (nearest != NULL)
        cli_error(command, "unknown option '--%s'; did you mean '--%s'?", name, nearest);
    else
        cli_error(command, "unknown option '--%s'; see 'dcls %s --help'", name, command);
    return false;
}

static bool fail_option(const struct parser *parser, int returned, const char *typed)
{
    const char *command = parser->run->command->name;
    if (optopt == 0) return fail_long(parser, typed);
    const struct entry *entry = find_entry(parser, optopt);
    if (entry == NULL)
        cli_error(command, "unknown option '-%c'; see 'dcls %s --help'", optopt, command);
    else if (returned == ':')
        cli_error(command, "--%s needs a value: %s", entry->option->name, entry->option->argument);
    else
        cli_error(command, "--%s takes no value", entry->option->name);
    return false;
}

/* Operands are words of the usage line, such as "IN OUT". */
static bool too_few(const cli_command *command, int count)
{
    const char *missing = command->operands;
    if (count == 0) {
        cli_error(command->name, "nothing to work on is given: needs %s; see 'dcls %s --help'",
                  command->operands, command->name);
        return false;
    }
    for (const char *space; count > 0 && (space = strchr(missing, ' ')) != NULL; count--)
        missing = space + 1;
    cli_error(command->name, "%s is missing: needs %s; see 'dcls %s --help'", missing, command->operands,
              command->name);
    return false;
}

static bool check_operands(const cli_command *command, const cli_operands *operands)
{
    if (operands->count < command->min_operands) return too_few(command, operands->count);
    if (command->max_operands >= 0 && operands->count > command->max_operands) {
        cli_error(command->name, "'%s' is one argument too many: takes %s; see 'dcls %s --help'",
                  operands->items[command->max_operands], command->operands, command->name);
        return false;
    }
    return true;
}

/* A word that would be an option, had the value before it not been forgotten. */
static bool is_option(const struct parser *parser, const char *word)
{
    if (strncmp(word, "--", 2) != 0) return false;
    const size_t length = strcspn(word + 2, "=");
    for (const struct option *o = parser->longs; o->name != NULL; o++)
        if (strlen(o->name) == length && strncmp(o->name, word + 2, length) == 0) return true;
    return false;
}

static bool parse_all(struct parser *parser, int argc, char **argv)
{
    opterr = 0;
    for (;;) {
        int returned = getopt_long(argc, argv, parser->letters, parser->longs, NULL);
        if (returned == -1) return true;
        if (returned == '?' || returned == ':') return fail_option(parser, returned, argv[optind - 1]);
        const struct entry *entry = find_entry(parser, returned);
        if (entry != NULL && optarg == argv[optind - 1] && is_option(parser, argv[optind - 1])) {
            cli_error(parser->run->command->name, "--%s needs a value: %s; '%s' is an option",
                      entry->option->name, entry->option->argument, optarg);
            return false;
        }
        if (entry == NULL || !set_value(parser, entry, optarg)) return false;
    }
}

bool cli_options_parse(cli *run, const cli_table *more, void *values, int argc, char **argv,
                       cli_operands *operands)
{
    struct parser parser = {.run = run, .letters = ":"};
    add_table(&parser, run->command->options, values);
    add_table(&parser, more->options, values);
    add_table(&parser, cli_common_options, &run->common);
    if (!parse_all(&parser, argc, argv)) return false;
    *operands = (cli_operands){argc - optind, argv + optind};
    return run->common.help || check_operands(run->command, operands);
}

static void free_lists(const cli_option *option, void *values)
{
    for (; option != NULL && option->name != NULL; option++) {
        if (option->kind != CLI_LIST && option->kind != CLI_PAIR) continue;
        cli_list *list = (cli_list *)((char *)values + option->offset);
        free(list->items);
        *list = (cli_list){0};
    }
}

void cli_options_free(const cli_command *command, const cli_table *more, void *values)
{
    free_lists(command->options, values);
    free_lists(more->options, values);
}
