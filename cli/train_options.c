/* Flags of dcls train out of the table of recipes, and the recipe they make. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "labels.h"
#include "output.h"
#include "train.h"

#define LABELS   "model.labels"
#define TEACHERS "distill.teachers"
#define NO       "no-" /* before the name of a switch that is on by itself */

static bool is_on(const dcls_recipe_key *key)
{
    return key->is_switch && key->fallback != NULL && strcmp(key->fallback, "true") == 0;
}

/* ---- the table -------------------------------------------------------------------------------------- */

/* "..; 0: none" says what there is by itself. */
static bool tells_default(const dcls_recipe_key *key)
{
    if (key->is_switch || key->fallback == NULL || key->fallback[0] == '\0') return true;
    char *said = cli_format("; %s: ", key->fallback);
    const bool told = strstr(key->text, said) != NULL;
    free(said);
    return told;
}

static char *help_of(const dcls_recipe_key *key)
{
    if (is_on(key)) return cli_format("do not %s", key->text);
    char *text =
        tells_default(key) ? cli_copy(key->text) : cli_format("%s (default: %s)", key->text, key->fallback);
    if (!key->is_list || strcmp(key->key, LABELS) == 0) return text;
    char *longer = cli_format("%s; may be repeated", text);
    free(text);
    return longer;
}

static void add_flag(cli_table *table, const dcls_recipe_key *key)
{
    const char *name = key->flag;
    if (is_on(key)) name = cli_table_keep(table, cli_format(NO "%s", key->flag));
    cli_table_add(table, key->group,
                  &(cli_option){.name = name,
                                .kind = CLI_PAIR,
                                .argument = key->value,
                                .offset = offsetof(train_options, flags),
                                .help = cli_table_keep(table, help_of(key))});
}

static void add_remark(cli_table *table, const dcls_recipe_key *key)
{
    const char *value = key->is_switch ? "true" : key->value;
    cli_table_add(table, "Keys without a flag",
                  &(cli_option){.name = cli_table_keep(table, cli_format("-s %s=%s", key->key, value)),
                                .kind = CLI_REMARK,
                                .help = cli_table_keep(table, help_of(key))});
}

/* Keys of one heading stand together, whatever their order in the table. */
static void add_group(cli_table *table, const char *group)
{
    for (size_t i = 0; i < dcls_recipe_key_count(); i++) {
        const dcls_recipe_key key = dcls_recipe_key_at(i);
        if (key.flag != NULL && strcmp(key.group, group) == 0) add_flag(table, &key);
    }
}

static bool has_group(const cli_table *table, const char *group)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->groups[i], group) == 0) return true;
    return false;
}

void train_add_options(cli_table *table)
{
    for (size_t i = 0; i < dcls_recipe_key_count(); i++) {
        const dcls_recipe_key key = dcls_recipe_key_at(i);
        if (!has_group(table, key.group)) add_group(table, key.group);
    }
    for (size_t i = 0; i < dcls_recipe_key_count(); i++) {
        const dcls_recipe_key key = dcls_recipe_key_at(i);
        if (key.flag == NULL) add_remark(table, &key);
    }
}

/* ---- the recipe ------------------------------------------------------------------------------------- */

/* By key or flag; "" if there is none. */
static dcls_recipe_key find_key(const char *name)
{
    for (size_t i = 0; i < dcls_recipe_key_count(); i++) {
        const dcls_recipe_key key = dcls_recipe_key_at(i);
        if (strcmp(key.key, name) == 0 || (key.flag != NULL && strcmp(key.flag, name) == 0)) return key;
    }
    return (dcls_recipe_key){.key = ""};
}

/* What may change while a run goes on: where data lies, how long it lasts, what is written, and what helps a
 * run whose loss is no number any more. */
static bool may_change(const char *key)
{
    static const char *const keys[] = {"data.train",      "data.val",      "data.cache",
                                       "schedule.epochs", "schedule.rate", "optimizer.clip_norm",
                                       "validate_every",  TEACHERS};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

static int set_value(train_run *t, const char *name, const char *value)
{
    const dcls_status status = dcls_recipe_set(t->run->ctx, t->recipe, name, value);
    return status == DCLS_OK ? CLI_OK : cli_fail("train", status, t->run->ctx);
}

/* "A,B" or a file, in place of others. */
static int set_labels(train_run *t, const char *value)
{
    cli_labels labels = {0};
    int status = value[0] != '\0' ? cli_labels_read(t->run, value, &labels) : CLI_OK;
    if (status == CLI_OK) status = set_value(t, LABELS, "");
    for (size_t i = 0; i < labels.count && status == CLI_OK; i++)
        status = set_value(t, LABELS, labels.items[i]);
    cli_labels_free(&labels);
    return status;
}

static int set_key(train_run *t, const char *name, const char *value, bool resumed)
{
    const dcls_recipe_key key = find_key(name);
    if (resumed && key.key[0] != '\0' && !may_change(key.key)) {
        cli_error("train", "'%s' cannot change in a run that goes on: its recipe is that of %s", key.key,
                  t->folder);
        return CLI_USAGE;
    }
    if (resumed && strcmp(key.key, TEACHERS) == 0 && t->recipe->teacher_count > 0 && !t->teachers_moved) {
        t->teachers_moved = true;
        const int emptied = set_value(t, name, "");
        if (emptied != CLI_OK) return emptied;
    }
    const bool flag = key.flag != NULL && strcmp(key.flag, name) == 0;
    if (strcmp(key.key, LABELS) == 0 && (flag || strchr(value, ',') != NULL)) return set_labels(t, value);
    return set_value(t, name, value);
}

static int set_flag(train_run *t, const char *name, const char *value, bool resumed)
{
    const bool off = strncmp(name, NO, strlen(NO)) == 0 && find_key(name).key[0] == '\0';
    return off ? set_key(t, name + strlen(NO), "false", resumed) : set_key(t, name, value, resumed);
}

static int set_text(train_run *t, const char *text, bool resumed)
{
    const char *sign = strchr(text, '=');
    if (sign == NULL) {
        cli_error("train", "-s: '%s' is not KEY=VALUE", text);
        return CLI_USAGE;
    }
    char *key = strndup(text, (size_t)(sign - text));
    const int status = set_key(t, cli_checked(key), sign + 1, resumed);
    free(key);
    return status;
}

/* What is saved with a network tells how it was trained, not where the data lay. */
static int describe(train_run *t)
{
    static const char *const paths[] = {"data.train", "data.val", "distill.teachers", "model.file",
                                        "model.graph"};
    dcls_context *ctx = t->run->ctx;
    dcls_recipe *copy = NULL;
    const char *text = NULL;
    dcls_status status = dcls_recipe_text(ctx, t->recipe, &text);
    if (status == DCLS_OK) status = dcls_recipe_create(ctx, &copy);
    if (status == DCLS_OK) status = dcls_recipe_read(ctx, copy, text, NULL);
    for (size_t i = 0; i < sizeof paths / sizeof *paths && status == DCLS_OK; i++)
        if (i < 3 || t->recipe->create.arch == NULL) status = dcls_recipe_set(ctx, copy, paths[i], "");
    if (status == DCLS_OK) status = dcls_recipe_text(ctx, copy, &text);
    if (status == DCLS_OK) t->recipe_text = cli_copy(text);
    dcls_recipe_destroy(copy);
    return status == DCLS_OK ? CLI_OK : cli_fail("train", status, ctx);
}

/* Of one command line: a recipe's network can be replaced by one of another kind. */
static int check_networks(const cli_list *flags)
{
    static const char *const kinds[] = {"arch", "graph", "model"};
    const char *first = NULL;
    for (size_t i = 0; i + 1 < flags->count; i += 2)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            if (strcmp(flags->items[i], kinds[k]) != 0) continue;
            if (first != NULL && strcmp(first, kinds[k]) != 0) {
                cli_error("train", "--%s and --%s: give one network", first, kinds[k]);
                return CLI_USAGE;
            }
            first = kinds[k];
        }
    return CLI_OK;
}

/* What is wrong may stand in the file, come from an option or from both together. */
static int check(train_run *t, const char *path)
{
    const bool options = t->options->flags.count + t->options->set.count > 0;
    const dcls_status status = dcls_recipe_check(t->run->ctx, t->recipe);
    if (status == DCLS_OK) return describe(t);
    char *name = path == NULL ? cli_copy("train")
                 : options    ? cli_format("%s with options", path)
                              : cli_copy(path);
    cli_fail(name, status, t->run->ctx);
    free(name);
    return cli_exit_of(status);
}

int train_read_recipe(train_run *t, const char *path, bool resumed)
{
    dcls_context *ctx = t->run->ctx;
    const cli_list *flags = &t->options->flags, *set = &t->options->set;
    int result = check_networks(flags);
    if (result != CLI_OK) return result;
    dcls_status status = path != NULL ? dcls_recipe_load(ctx, t->recipe, path) : DCLS_OK;
    if (status != DCLS_OK) return cli_fail(path, status, ctx);
    for (size_t i = 0; i + 1 < flags->count && result == CLI_OK; i += 2)
        result = set_flag(t, flags->items[i], flags->items[i + 1], resumed);
    for (size_t i = 0; i < set->count && result == CLI_OK; i++)
        result = set_text(t, set->items[i], resumed);
    if (result != CLI_OK) return result;
    return check(t, path);
}

/* One key a line: a text without blanks in numbers and with them only inside strings and behind marks. */
int train_recipe_text(const train_run *t, char **out)
{
    const char *text;
    char *buffer = NULL;
    size_t size = 0;
    const dcls_status status = dcls_recipe_text(t->run->ctx, t->recipe, &text);
    if (status != DCLS_OK) return cli_fail("train", status, t->run->ctx);
    FILE *to = cli_checked(open_memstream(&buffer, &size));
    int braces = 0, lists = 0;
    bool quoted = false;
    for (const char *c = text; *c != '\0'; c++) {
        if (!quoted && *c == '}') fprintf(to, "\n%*s", 2 * --braces, "");
        fputc(*c, to);
        if (quoted && *c == '\\')
            fputc(*++c, to);
        else if (*c == '"')
            quoted = !quoted;
        if (quoted) continue;
        lists += (*c == '[') - (*c == ']');
        braces += *c == '{';
        if (*c != '{' && (*c != ',' || lists > 0)) continue;
        fprintf(to, "\n%*s", 2 * braces, "");
        while (c[1] == ' ')
            c++;
    }
    fputc('\n', to);
    if (fclose(to) != 0) cli_checked(NULL);
    *out = buffer;
    return CLI_OK;
}
