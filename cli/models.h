/* Models as commands name them: a file, or builtin:NAME. */
#ifndef DCLS_CLI_MODELS_H
#define DCLS_CLI_MODELS_H

#include "cli.h"

/* NAME when spec is "builtin:NAME", else NULL. */
const char *cli_builtin_name(const char *spec);
/* Loads the model; spec NULL is the built-in classifier. A failure is reported; returns the exit status. */
int cli_model_load(const cli *run, const char *spec, dcls_model **out);

#endif
