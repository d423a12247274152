/* Models as commands name them: a file, or builtin:NAME. */
#ifndef DCLS_CLI_MODELS_H
#define DCLS_CLI_MODELS_H

#include "options.h"

/* NAME when spec is "builtin:NAME", else NULL. */
const char *cli_builtin_name(const char *spec);
/* A folder of dcls train stands for its best.bin, else its model.bin, else its checkpoint.bin; any other name
 * for itself. To be freed; NULL stays NULL. */
char *cli_model_path(const char *spec);
/* What the model is called that `spec` loads: the same, or for NULL builtin:NAME. To be freed. */
char *cli_model_spec(const char *spec);
/* Loads the model, as cli_model_path has it; spec NULL is the built-in classifier. A failure is reported;
 * returns the exit status. */
int cli_model_load(const cli *run, const char *spec, dcls_model **out);
/* The same; mapped: as dcls_model_map_file does. */
int cli_model_open(const cli *run, const char *spec, bool mapped, dcls_model **out);

/* The one model that is named, as the first operand or by -m; NULL when there is neither. False, which is
 * reported, when there are both. */
bool cli_model_named(const char *command, cli_operands operands, const char *option, const char **name);

/* Whether a file is a description without weights: JSON with nodes and no tensors. A network like it with
 * fresh weights, for commands that look at sizes and costs alone, is made of it, which a note tells; settings
 * (or NULL) are those of dcls_model_create. *out is NULL for any other file. A failure is reported; returns
 * the exit status. */
int cli_description_load(const cli *run, const char *name, const cli_list *settings, dcls_model **out);

/* The text of --arch when it names a file (it has a slash or a dot), to be freed; *json is NULL when it names
 * an architecture or is NULL. A failure is reported; returns the exit status. */
int cli_arch_load(const cli *run, const char *arch, char **json);

/* What a command that looks at files works on. */
typedef struct cli_source {
    dcls_model *model;     /* NULL: tensors without a network */
    dcls_tensors *tensors; /* NULL: the model's */
} cli_source;

typedef struct cli_source_options {
    const char *key;    /* which state dict of a checkpoint, or NULL */
    const char *module; /* which of its modules alone, or NULL */
    const char *arch;   /* makes a model of a state dict, or NULL */
    bool fresh;         /* descriptions without weights will do */
    cli_list settings;
} cli_source_options;

/* Loads a file or builtin:NAME, and makes a model of it where it holds a network or is given one. Returns an
 * exit status; failures are reported. */
int cli_source_load(const cli *run, const char *name, const cli_source_options *how, cli_source *out);
void cli_source_free(cli_source *source);

/* Says on stderr which of a checkpoint's state dicts was taken where nobody asked for one; hint, such as
 * "--key takes another", may be NULL. */
void cli_note_choice(const cli *run, const char *name, const dcls_tensors *tensors, const char *hint);
/* What of a file's tensors is wanted. */
typedef struct cli_part {
    const char *key;    /* which state dict of a checkpoint, or NULL */
    const char *module; /* which of its modules alone, or NULL */
    const char *hint;   /* for cli_note_choice */
} cli_part;

/* Reads a file's tensors, or those of a run's folder. Returns an exit status; failures are reported. */
int cli_tensors_load(const cli *run, const char *name, const cli_part *part, dcls_tensors **out);
/* Says on stderr where --precision bf16 would be slow. */
void cli_note_precision(const cli *run, dcls_precision precision);

#endif
