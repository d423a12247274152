/* Folders of classes beside the names a network has for its own. */
#ifndef DCLS_CLI_CLASS_NAMES_H
#define DCLS_CLI_CLASS_NAMES_H

#include "cli.h"
#include "dcls_train.h"

/* Names of classes in order of their index. */
typedef struct cli_names {
    const char **items; /* NULL: there are none; the strings are another's */
    size_t count;
} cli_names;

/* Of a network, and of a data set unless one has none; items to be freed. */
cli_names cli_model_names(const dcls_model *model);
cli_names cli_data_names(const dcls_dataset *set);

/* Its index, -1 if it is not among them. */
int64_t cli_names_place(cli_names names, const char *name);

typedef struct cli_names_match {
    size_t known; /* of the names are among the others */
    bool same;    /* at the same index, all of them */
    const char *stranger;
} cli_names_match;

cli_names_match cli_names_compare(cli_names names, cli_names among);

/* Of what the network (`whose`) knows only some: no order of the rest would be right. Always CLI_USAGE. */
int cli_refuse_strangers(const char *path, cli_names_match match, size_t count, const char *whose);

#endif
