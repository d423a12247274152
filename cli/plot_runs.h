/* Pictures of training runs, for dcls plot. */
#ifndef DCLS_CLI_PLOT_RUNS_H
#define DCLS_CLI_PLOT_RUNS_H

#include "cli.h"
#include "dcls_plot.h"

typedef enum plot_subject {
    PLOT_MODEL,
    PLOT_LOG,      /* log.ndjson of dcls train */
    PLOT_RECORDING /* positions.npy of dcls train */
} plot_subject;

/* A folder of dcls train stands for its log: "FOLDER/log.ndjson", to be freed. NULL for any other name. */
char *plot_log_in(const char *path);

/* What a file is, by its first bytes; an empty one by its name. */
plot_subject plot_subject_of(const char *path);

/* Curves of all logs into one picture. Exit statuses; what is wrong has been said. */
int plot_logs(const cli *run, const dcls_plot_options *how, const char *const *logs, size_t count,
              const char *out);
/* Positions moving, weighed by the model that lies beside the recording. */
int plot_recording(const cli *run, const dcls_plot_options *how, const char *path, const char *out);

#endif
