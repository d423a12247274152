#include "inputs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "numbers.h"
#include "output.h"

struct cli_inputs {
    const cli *run;
    cli_operands operands;
    int next_operand;
    FILE *list; /* NUL-separated names, or NULL */
    bool list_failed;
    const char *list_name;
    const char *directory; /* the one being walked; a word of operands or of name */
    const char *answers;   /* see cli_inputs_answer_into; or NULL */
    char *name;            /* memory of the last name read from list */
    struct dirent **entries;
    int entry_count, next_entry;
};

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- opening ---- */

static bool open_list(cli_inputs *inputs, const char *path)
{
    inputs->list_name = path;
    if (strcmp(path, "-") == 0)
        inputs->list = stdin;
    else
        inputs->list = fopen(path, "re");
    if (inputs->list == stdin && cli_stdin_is_closed())
        cli_error("--files0-from", "standard input is closed");
    else if (inputs->list == NULL)
        cli_error(path, "cannot open: %s", strerror(errno));
    else
        return true;
    return false;
}

static bool operands_fit(const cli *run, cli_operands operands, const char *files0_from)
{
    const char *command = run->command->name;
    if (files0_from != NULL && operands.count > 0)
        cli_error(command, "'%s' cannot be given together with --files0-from", operands.items[0]);
    else if (files0_from == NULL && operands.count == 0)
        cli_error(command, "no input is given; see 'dcls %s --help'", command);
    else
        return true;
    return false;
}

cli_inputs *cli_inputs_open(const cli *run, cli_operands operands, const char *files0_from, int *status)
{
    *status = CLI_USAGE;
    if (!operands_fit(run, operands, files0_from)) return NULL;
    cli_inputs *inputs = cli_alloc(1, sizeof *inputs);
    inputs->run = run;
    inputs->operands = operands;
    if (files0_from == NULL || open_list(inputs, files0_from)) return inputs;
    *status = CLI_IO;
    cli_inputs_close(inputs);
    return NULL;
}

static void close_directory(cli_inputs *inputs)
{
    for (int i = 0; i < inputs->entry_count; i++)
        free(inputs->entries[i]);
    free(inputs->entries);
    inputs->entries = NULL;
    inputs->entry_count = inputs->next_entry = 0;
}

void cli_inputs_close(cli_inputs *inputs)
{
    if (inputs == NULL) return;
    close_directory(inputs);
    if (inputs->list != NULL && inputs->list != stdin) fclose(inputs->list);
    free(inputs->name);
    free(inputs);
}

bool cli_inputs_several(const cli_inputs *inputs)
{
    return inputs->list != NULL || inputs->operands.count != 1 || is_directory(inputs->operands.items[0]);
}

void cli_input_free(cli_input *input)
{
    free(input->name);
    free(input->error);
    *input = (cli_input){0};
}

/* ---- directories ---- */

/* Pipes and devices among the files of a directory would be waited for. */
static bool is_file(const struct dirent *entry)
{
    return entry->d_type == DT_REG || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN;
}

static int is_picture(const struct dirent *entry)
{
    static const char *const suffixes[] = {".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pbm", ".pnm"};
    const char *suffix = strrchr(entry->d_name, '.');
    if (suffix == NULL || entry->d_name[0] == '.' || !is_file(entry)) return 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcasecmp(suffix, suffixes[i]) == 0) return 1;
    return 0;
}

static int is_other_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type != DT_DIR && !is_picture(entry);
}

static int is_folder(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type == DT_DIR;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void give(cli_input *out, const char *name)
{
    *out = (cli_input){.name = cli_copy(name)};
}

static void give_error(cli_input *out, const char *name, int status, char *error)
{
    *out = (cli_input){cli_copy(name), error, status};
}

/* The next picture of the directory being walked; false when there is none left. */
static bool next_entry(cli_inputs *inputs, cli_input *out)
{
    if (inputs->next_entry == inputs->entry_count) {
        close_directory(inputs);
        return false;
    }
    const char *directory = inputs->directory, *name = inputs->entries[inputs->next_entry++]->d_name;
    const char *slash = directory[strlen(directory) - 1] == '/' ? "" : "/";
    *out = (cli_input){.name = cli_format("%s%s%s", directory, slash, name)};
    return true;
}

/* Files that may have been meant: what is left out by its suffix is told. */
static void note_skipped(const cli_inputs *inputs, const char *path)
{
    struct dirent **entries;
    int64_t skipped = 0;
    if (inputs->run->common.quiet) return;
    const int count = scandir(path, &entries, is_other_file, by_name);
    for (int i = 0; i < count; i++) {
        char *name = cli_format("%s/%s", path, entries[i]->d_name);
        if (!is_directory(name)) {
            skipped++;
            cli_verbose(inputs->run, "%s: left out, not a picture by its suffix", name);
        }
        free(name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    if (skipped > 0)
        cli_note(inputs->run, "%s: %s left out, not pictures by their suffix%s", path,
                 cli_counted(skipped, "file").text, inputs->run->common.verbose ? "" : " (-v lists them)");
}

/* Directories are not walked down: that there are some is told. */
static char *no_picture(const char *path)
{
    struct dirent **folders;
    const int count = scandir(path, &folders, is_folder, by_name);
    char *text = count > 0
                     ? cli_format("there is no picture in this directory, only directories such as '%s'",
                                  folders[0]->d_name)
                     : cli_copy("there is no picture in this directory");
    for (int i = 0; i < count; i++)
        free(folders[i]);
    if (count >= 0) free(folders);
    return text;
}

bool cli_is_answer(const char *name)
{
    static const char *const endings[] = {".mask.png", ".overlay.png"};
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(name + length - ending, endings[i]) == 0) return true;
    }
    return false;
}

void cli_inputs_answer_into(cli_inputs *inputs, const char *folder)
{
    inputs->answers = folder;
}

static bool is_answers_folder(const cli_inputs *inputs, const char *path)
{
    struct stat a, b;
    return inputs->answers != NULL && stat(path, &a) == 0 && stat(inputs->answers, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A link that leads to a pipe or device. */
static bool would_wait(const char *directory, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type == DT_REG) return false;
    char *path = cli_format("%s/%s", directory, entry->d_name);
    const bool waits = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    free(path);
    return waits;
}

/* What the names of entries do not tell alone. */
static void leave_out(cli_inputs *inputs, const char *path)
{
    const bool answers_lie_here = is_answers_folder(inputs, path);
    int kept = 0, answers = 0;
    for (int i = 0; i < inputs->entry_count; i++) {
        struct dirent *entry = inputs->entries[i];
        const bool answer = answers_lie_here && cli_is_answer(entry->d_name);
        answers += answer;
        if (answer || would_wait(path, entry))
            free(entry);
        else
            inputs->entries[kept++] = entry;
    }
    inputs->entry_count = kept;
    if (answers > 0)
        cli_note(inputs->run, "%s: %s left out, answers of an earlier run by their names", path,
                 cli_counted(answers, "file").text);
}

/* True if *out was given a reason why nothing in the directory can be worked on. */
static bool open_directory(cli_inputs *inputs, const char *path, cli_input *out)
{
    inputs->directory = path;
    inputs->entry_count = scandir(path, &inputs->entries, is_picture, by_name);
    if (inputs->entry_count >= 0) {
        note_skipped(inputs, path);
        leave_out(inputs, path);
    }
    if (inputs->entry_count > 0) return false;
    if (inputs->entry_count < 0) {
        inputs->entry_count = 0;
        give_error(out, path, CLI_IO, cli_format("cannot read the directory: %s", strerror(errno)));
    } else {
        close_directory(inputs);
        give_error(out, path, CLI_BAD_INPUT, no_picture(path));
    }
    return true;
}

/* ---- the sequence ---- */

static bool next_from_list(cli_inputs *inputs, cli_input *out, const char **name)
{
    size_t capacity = 0;
    free(inputs->name);
    inputs->name = NULL;
    *name = NULL;
    ssize_t length = getdelim(&inputs->name, &capacity, '\0', inputs->list);
    if (length >= 0) {
        *name = inputs->name;
        return true;
    }
    if (!ferror(inputs->list) || inputs->list_failed) return false;
    inputs->list_failed = true;
    give_error(out, inputs->list_name, CLI_IO, cli_format("cannot read: %s", strerror(errno)));
    return true;
}

/* A list of lines is one long name. */
static void give_lines_error(cli_input *out, const char *name)
{
    char *first = cli_format("%.*s..", (int)strcspn(name, "\n"), name);
    give_error(out, first, CLI_IO,
               cli_copy("names must be separated by NUL bytes, as find -print0 does it, not by newlines"));
    free(first);
}

/* Checks a name; out gets it, or what is wrong with it. */
static void take_name(const cli_inputs *inputs, const char *name, cli_input *out)
{
    bool is_stdin = strcmp(name, "-") == 0;
    if (name[0] == '\0')
        give_error(out, name, CLI_IO, cli_copy("a file name is empty"));
    else if (inputs->list != NULL && strchr(name, '\n') != NULL && access(name, F_OK) != 0)
        give_lines_error(out, name);
    else if (is_stdin && inputs->list == stdin)
        give_error(out, name, CLI_USAGE, cli_copy("standard input is the list of names already"));
    else if (is_stdin && cli_stdin_is_closed())
        give_error(out, name, CLI_IO, cli_copy("standard input is closed"));
    else
        give(out, name);
}

bool cli_inputs_next(cli_inputs *inputs, cli_input *out)
{
    for (;;) {
        const char *name;
        if (next_entry(inputs, out)) return true;
        if (inputs->list != NULL) {
            if (!next_from_list(inputs, out, &name)) return false;
            if (name == NULL) return true;
        } else {
            if (inputs->next_operand == inputs->operands.count) return false;
            name = inputs->operands.items[inputs->next_operand++];
        }
        if (name[0] == '\0' || !is_directory(name)) {
            take_name(inputs, name, out);
            return true;
        }
        if (open_directory(inputs, name, out)) return true;
    }
}
