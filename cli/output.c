#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"

/* ---- streams ---- */

static bool stdin_closed;
static int stdout_error; /* errno of the first failed write */

/* A closed descriptor is filled with one of the wrong direction, so that its use fails as it would have. */
static bool fill_if_closed(int fd, int wrong_direction)
{
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) return false;
    (void)!open("/dev/null", wrong_direction); /* gives the lowest free descriptor: fd */
    return true;
}

void cli_streams_init(void)
{
    stdin_closed = fill_if_closed(STDIN_FILENO, O_WRONLY);
    fill_if_closed(STDOUT_FILENO, O_RDONLY);
    fill_if_closed(STDERR_FILENO, O_RDONLY);
    signal(SIGXFSZ, SIG_IGN); /* too large a file is an error of writing */
}

bool cli_stdin_is_closed(void)
{
    return stdin_closed;
}

bool cli_flush(void)
{
    if (stdout_error == 0 && fflush(stdout) != 0) stdout_error = errno;
    if (stdout_error == 0 && ferror(stdout)) stdout_error = EIO;
    return stdout_error == 0;
}

int cli_finish(int status)
{
    cli_flush();
    if (fclose(stdout) != 0 && stdout_error == 0) stdout_error = errno;
    if (stdout_error == 0) return status;
    /* Who reads no further (`| head`) knows; SIGPIPE ends the program before this unless the caller ignored
     * it. */
    if (stdout_error != EPIPE) cli_error("standard output", "cannot write: %s", strerror(stdout_error));
    return CLI_IO;
}

int cli_print_json(const dcls_json_writer *json)
{
    fputs(cli_checked_text(dcls_json_writer_text(json)), stdout);
    return CLI_OK;
}

/* ---- colours ---- */

bool cli_has_color(FILE *stream)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    if (none != NULL && none[0] != '\0') return false;
    if (term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0) return false;
    return isatty(fileno(stream)) == 1;
}

const char *cli_bold(FILE *stream)
{
    return cli_has_color(stream) ? "\033[1m" : "";
}

const char *cli_plain(FILE *stream)
{
    return cli_has_color(stream) ? "\033[0m" : "";
}

int cli_width(void)
{
    struct winsize size;
    if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

/* ---- messages ---- */

char *cli_printable(const char *text)
{
    size_t size = 4 * strlen(text) + 1; /* each byte may become \xNN */
    char *buffer = cli_alloc(size, 1);
    dcls_printable(buffer, size, text);
    return buffer;
}

struct line_style {
    const char *subject;
    const char *kind; /* "", "warning: " */
    bool red;
};

/* Formats the whole line first: stderr has no buffer, and lines of programs that share it must not mix. */
CLI_PRINTF(2, 0) static void put_line(const struct line_style *style, const char *fmt, va_list args)
{
    char *message = NULL;
    if (vasprintf(&message, fmt, args) < 0) message = NULL;
    char *shown = cli_printable(cli_checked(message));
    char *subject = cli_printable(style->subject != NULL ? style->subject : "");
    bool color = style->red && cli_has_color(stderr);
    char *line = cli_format("%sdcls:%s %s%s%s%s\n", color ? "\033[1;31m" : "", color ? "\033[0m" : "",
                            subject, style->subject != NULL ? ": " : "", style->kind, shown);
    fputs(line, stderr);
    free(line);
    free(subject);
    free(shown);
    free(message);
}

void cli_error(const char *subject, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_line(&(struct line_style){subject, "", true}, fmt, args);
    va_end(args);
}

void cli_warn(const cli *run, const char *subject, const char *fmt, ...)
{
    if (run->common.quiet) return;
    va_list args;
    va_start(args, fmt);
    put_line(&(struct line_style){subject, "warning: ", false}, fmt, args);
    va_end(args);
}

void cli_note(const cli *run, const char *fmt, ...)
{
    if (run->common.quiet) return;
    va_list args;
    va_start(args, fmt);
    put_line(&(struct line_style){NULL, "", false}, fmt, args);
    va_end(args);
}

void cli_verbose(const cli *run, const char *fmt, ...)
{
    if (!run->common.verbose) return;
    va_list args;
    va_start(args, fmt);
    put_line(&(struct line_style){NULL, "", false}, fmt, args);
    va_end(args);
}

int cli_exit_of(dcls_status status)
{
    switch (status) {
    case DCLS_OK: return CLI_OK;
    case DCLS_ERR_ARGUMENT: return CLI_USAGE;
    case DCLS_ERR_FORMAT:
    case DCLS_ERR_UNSUPPORTED: return CLI_BAD_INPUT;
    case DCLS_ERR_IO: return CLI_IO;
    case DCLS_ERR_LIMIT:
    case DCLS_ERR_MEMORY: return CLI_LIMIT;
    }
    return CLI_BAD_INPUT;
}

int cli_fail(const char *subject, dcls_status status, const dcls_context *ctx)
{
    /* A file in the folder that is worked on says where it lies itself. */
    const char *message = dcls_context_message(ctx);
    const size_t length = subject != NULL ? strlen(subject) : 0;
    const bool within = length > 0 && strncmp(message, subject, length) == 0 &&
                        (message[length] == '/' || subject[length - 1] == '/');
    cli_error(within ? NULL : subject, "%s", message);
    return cli_exit_of(status);
}

bool cli_can_write(const char *path)
{
    char *folder = cli_copy(path), *slash = strrchr(folder, '/');
    if (slash != NULL) slash[slash == folder] = '\0';
    bool writable = access(slash != NULL ? folder : ".", W_OK | X_OK) == 0;
    int error = errno;
    free(folder);
    if (writable || access(path, W_OK) == 0) return true; /* a pipe or device may lie anywhere */
    cli_error(path, "cannot write: %s", strerror(error));
    return false;
}

/* Those above it, as mkdir -p makes them; what cannot be made shows at the end. */
static void make_parents(const char *path)
{
    char *part = cli_copy(path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(part, 0777);
        *slash = '/';
    }
    free(part);
}

int cli_make_directory(const char *path)
{
    struct stat st;
    if (path[0] != '\0') make_parents(path);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        cli_error(path, "cannot make the directory: %s", strerror(errno));
    else if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        cli_error(path, "is not a directory");
    else if (access(path, W_OK | X_OK) != 0)
        cli_error(path, "cannot write: %s", strerror(errno));
    else
        return CLI_OK;
    return CLI_IO;
}

bool cli_same_file(const char *one, const char *other)
{
    struct stat a, b;
    if (stat(one, &a) != 0 || stat(other, &b) != 0) return false;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino && S_ISREG(a.st_mode);
}

bool cli_is_input(const char *out, const char *in)
{
    if (!cli_same_file(out, in)) return false;
    cli_error(out, "is the input itself");
    return true;
}
