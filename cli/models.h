/* Models as commands name them: a file, or builtin:NAME. */
#ifndef DCLS_CLI_MODELS_H
#define DCLS_CLI_MODELS_H

#include "cli.h"

/* NAME when spec is "builtin:NAME", else NULL. */
const char *cli_builtin_name(const char *spec);
/* Loads the model; spec NULL is the built-in classifier. A failure is reported; returns the exit status. */
int cli_model_load(const cli *run, const char *spec, dcls_model **out);

/* The text of --arch when it names a file (it has a slash or a dot), to be freed; *json is NULL when it names
 * an architecture or is NULL. A failure is reported; returns the exit status. */
int cli_arch_load(const cli *run, const char *arch, char **json);

/* Says on stderr which of a checkpoint's state dicts was taken where nobody asked for one; hint, such as
 * "--key takes another", may be NULL. */
void cli_note_choice(const cli *run, const char *name, const dcls_tensors *tensors, const char *hint);

#endif
