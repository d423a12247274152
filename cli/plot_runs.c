/* Pictures of training runs: curves of logs, positions moving. */
#include "plot_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "models.h"
#include "output.h"

#define SNIFFED 160

char *plot_log_in(const char *path)
{
    char *log = cli_format("%s/log.ndjson", path);
    if (access(log, F_OK) == 0) return log;
    free(log);
    return NULL;
}

static bool is_named_log(const char *path)
{
    static const char suffix[] = ".ndjson";
    const size_t length = strlen(path);
    return length >= sizeof suffix && strcmp(path + length - (sizeof suffix - 1), suffix) == 0;
}

plot_subject plot_subject_of(const char *path)
{
    /* Logs of before 0.1.0 begin with "dcls", the oldest without a head. */
    static const char *const logs[] = {"{\"dcls_version\":", "{\"dcls\":", "{\"step\":"};
    char begin[SNIFFED + 1] = "";
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return PLOT_MODEL; /* a pipe is read once */
    FILE *file = fopen(path, "rbe");
    if (file == NULL) return PLOT_MODEL;
    const size_t size = fread(begin, 1, SNIFFED, file);
    const bool empty = size == 0 && !ferror(file);
    begin[size] = '\0';
    fclose(file);
    if (empty && is_named_log(path)) return PLOT_LOG;
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
        if (strncmp(begin, logs[i], strlen(logs[i])) == 0) return PLOT_LOG;
    if (memcmp(begin, "\x93NUMPY", 6) == 0) return PLOT_RECORDING;
    return PLOT_MODEL;
}

/* ---- logs ------------------------------------------------------------------------------------------- */

/* Runs differ by their folders, their files are named alike. */
static char *run_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *file = slash != NULL ? slash + 1 : path;
    const bool usual = strcmp(file, "log.ndjson") == 0 || strcmp(file, "positions.npy") == 0;
    if (slash == NULL || !usual) return cli_copy(file);
    const char *begin = slash;
    while (begin > path && begin[-1] != '/')
        begin--;
    char *name = strndup(begin, (size_t)(slash - begin));
    return cli_checked(name);
}

int plot_logs(const cli *run, const dcls_plot_options *how, const char *const *logs, size_t count,
              const char *out)
{
    dcls_curves_source *sources = cli_alloc(count, sizeof *sources);
    char **names = cli_alloc(count, sizeof *names);
    void **texts = cli_alloc(count, sizeof *texts);
    dcls_plot_options options = *how;
    int result = CLI_OK;
    for (size_t i = 0; i < count && result == CLI_OK; i++) {
        names[i] = run_name(logs[i]);
        sources[i].name = names[i];
        const dcls_status status = dcls_file_load(run->ctx, logs[i], &texts[i], &sources[i].size);
        sources[i].text = texts[i];
        if (status != DCLS_OK) result = cli_fail(logs[i], status, run->ctx);
    }
    options.title = count == 1 ? names[0] : "Training runs";
    if (result == CLI_OK) {
        const dcls_status status = dcls_curves_save(run->ctx, count, sources, &options, out);
        if (status != DCLS_OK) result = cli_fail(status == DCLS_ERR_IO ? out : "plot", status, run->ctx);
    }
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
        free(texts[i]);
    }
    free(sources);
    free(names);
    free(texts);
    return result;
}

/* ---- recordings ------------------------------------------------------------------------------------- */

/* The model a recording was made of, to be freed; NULL where none is beside it. */
static char *model_beside(const char *path)
{
    static const char *const names[] = {"model.bin", "checkpoint.bin", "best.bin"};
    const char *slash = strrchr(path, '/');
    const int folder = slash != NULL ? (int)(slash - path) + 1 : 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *model = cli_format("%.*s%s", folder, path, names[i]);
        if (access(model, R_OK) == 0) return model;
        free(model);
    }
    cli_error(path, "needs the run's model.bin, checkpoint.bin or best.bin beside it");
    return NULL;
}

int plot_recording(const cli *run, const dcls_plot_options *how, const char *path, const char *out)
{
    dcls_model *model;
    char *name = model_beside(path);
    if (name == NULL) return CLI_BAD_INPUT;
    int result = cli_model_load(run, name, &model);
    if (result == CLI_OK) {
        const dcls_moving_options moving = {.frames = 60, .seconds = 6, .plays = 0};
        dcls_plot_options options = *how;
        char *own = run_name(path), *title = cli_format("%s: positions while training", own);
        options.title = title;
        const dcls_status status = dcls_moving_save(run->ctx, path, model, &options, &moving, out);
        if (status != DCLS_OK) result = cli_fail(status == DCLS_ERR_IO ? out : path, status, run->ctx);
        dcls_model_destroy(model);
        free(own);
        free(title);
    }
    free(name);
    return result;
}
