/* Whole files in and out: what is left behind in success and failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static dcls_context *ctx;
static char dir[256];

static int enter_directory(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/dcls-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(dir) == NULL || chdir(dir) != 0) return 1;
    return dcls_context_create(&ctx) == DCLS_OK ? 0 : 1;
}

static int leave_directory(void **state)
{
    (void)state;
    char command[320];
    dcls_context_destroy(ctx);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return chdir("/") != 0 || system(command) != 0;
}

static int entries(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    int count = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return count;
}

static void write_plain(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *path, const void *data, size_t size)
{
    dcls_bytes bytes;
    assert_int_equal(dcls_file_read(ctx, path, 1 << 30, &bytes), DCLS_OK);
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, data, size);
    free(bytes.data);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static dcls_status write_text(const char *path, const char *text)
{
    dcls_output *output;
    dcls_status status = dcls_output_open(ctx, path, &output);
    if (status != DCLS_OK) {
        assert_null(output);
        return status;
    }
    dcls_output_write(output, text, strlen(text));
    return dcls_output_commit(ctx, output);
}

/* ---- reading ---- */

static void files_of_any_size_are_read(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, 63, 64, 65, 65535, 65536, 65537, 1 << 20, (32 << 20) - 1, 32 << 20, (33 << 20) + 1};
    const size_t most = (33 << 20) + 1; /* in parts, by several threads */
    unsigned char *data = malloc(most);
    assert_non_null(data);
    for (size_t i = 0; i < most; i++)
        data[i] = (unsigned char)((i * 2654435761u) >> 24);
    assert_int_equal(dcls_context_set_threads(ctx, 3), DCLS_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_plain("in", data, sizes[i]);
        assert_content("in", data, sizes[i]);
        dcls_bytes bytes;
        assert_int_equal(dcls_file_read(ctx, "in", sizes[i], &bytes), DCLS_OK);
        assert_int_equal((uintptr_t)bytes.data % 64, 0);
        free(bytes.data);
        if (sizes[i] == 0) continue;
        assert_int_equal(dcls_file_read(ctx, "in", sizes[i] - 1, &bytes), DCLS_ERR_LIMIT);
        assert_null(bytes.data);
    }
    assert_int_equal(dcls_context_set_threads(ctx, 0), DCLS_OK);
    free(data);
}

static void *feed_fifo(void *arg)
{
    int fd = open(arg, O_WRONLY);
    static const char block[70000];
    for (int i = 0; i < 3; i++) {
        ssize_t wrote = write(fd, block, sizeof block);
        if (wrote < 0) break;
        usleep(1000);
    }
    close(fd);
    return NULL;
}

static void pipes_are_read_to_the_end(void **state)
{
    (void)state;
    static char name[] = "fifo";
    static const uint64_t limits[] = {1 << 20, 210000, 209999};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        pthread_t feeder;
        dcls_bytes bytes;
        unlink(name);
        assert_int_equal(mkfifo(name, 0600), 0);
        assert_int_equal(pthread_create(&feeder, NULL, feed_fifo, name), 0);
        dcls_status status = dcls_file_read(ctx, name, limits[i], &bytes);
        pthread_join(feeder, NULL);
        assert_int_equal(status, i < 2 ? DCLS_OK : DCLS_ERR_LIMIT);
        if (i < 2) assert_int_equal(bytes.size, 210000);
        free(bytes.data);
    }
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    dcls_bytes bytes;
    assert_int_equal(dcls_file_read(ctx, "absent", 10, &bytes), DCLS_ERR_IO);
    assert_string_equal(dcls_context_message(ctx), "cannot open: No such file or directory");
    assert_int_equal(dcls_file_read(ctx, ".", 10, &bytes), DCLS_ERR_IO);
    assert_string_equal(dcls_context_message(ctx), "is a directory");
    assert_int_equal(dcls_file_read(ctx, "/dev/zero", 10, &bytes), DCLS_ERR_IO);
    assert_string_equal(dcls_context_message(ctx), "is a device");
    assert_int_equal(dcls_file_read(ctx, "", 10, &bytes), DCLS_ERR_IO);
    write_plain("in", "12345678901", 11);
    assert_int_equal(dcls_file_read(ctx, "in", 10, &bytes), DCLS_ERR_LIMIT);
    assert_string_equal(dcls_context_message(ctx), "larger than the limit of 10 bytes");
    /* A file that says it is empty and is not. */
    assert_int_equal(dcls_file_read(ctx, "/proc/self/status", 1 << 20, &bytes), DCLS_OK);
    assert_in_range(bytes.size, 1, 1 << 20);
    free(bytes.data);
}

/* ---- writing ---- */

static void commit_makes_the_file(void **state)
{
    (void)state;
    unsigned char *expected = malloc(400000), block[7] = "abcdefg";
    assert_non_null(expected);
    dcls_output *output;
    umask(022);
    assert_int_equal(dcls_output_open(ctx, "out", &output), DCLS_OK);
    size_t size = 0;
    for (; size + 200000 < 400000; size += 7) {
        dcls_output_write(output, block, 7);
        memcpy(expected + size, block, 7);
    }
    memset(expected + size, 'z', 150000);
    dcls_output_write(output, expected + size, 150000); /* larger than the buffer */
    size += 150000;
    dcls_output_printf(output, "%d-%s", 42, "end");
    memcpy(expected + size, "42-end", 6);
    size += 6;
    dcls_output_write(output, NULL, 0);
    assert_int_equal(dcls_output_tell(output), size);
    assert_int_equal(access("out", F_OK), -1);
    assert_int_equal(dcls_output_commit(ctx, output), DCLS_OK);
    assert_content("out", expected, size);
    assert_int_equal(mode_of("out"), 0644);
    assert_int_equal(entries("."), 1);
    free(expected);
}

static void commit_replaces(void **state)
{
    (void)state;
    write_plain("out", "old content", 11);
    assert_int_equal(chmod("out", 0600), 0);
    assert_int_equal(write_text("out", "new"), DCLS_OK);
    assert_content("out", "new", 3);
    assert_int_equal(mode_of("out"), 0600); /* a private file stays private */
    assert_int_equal(entries("."), 1);

    /* The name may be taken while the file is being written. */
    dcls_output *output;
    assert_int_equal(dcls_output_open(ctx, "late", &output), DCLS_OK);
    dcls_output_write(output, "mine", 4);
    write_plain("late", "other", 5);
    assert_int_equal(dcls_output_commit(ctx, output), DCLS_OK);
    assert_content("late", "mine", 4);
    assert_int_equal(entries("."), 2);
}

static void umask_is_respected(void **state)
{
    (void)state;
    umask(027);
    assert_int_equal(write_text("out", "x"), DCLS_OK);
    umask(022);
    assert_int_equal(mode_of("out"), 0640);
}

static void abort_leaves_nothing(void **state)
{
    (void)state;
    write_plain("old", "keep", 4);
    for (int i = 0; i < 2; i++) {
        dcls_output *output;
        assert_int_equal(dcls_output_open(ctx, i == 0 ? "new" : "old", &output), DCLS_OK);
        dcls_output_printf(output, "half a fi");
        dcls_output_abort(output);
    }
    dcls_output_abort(NULL);
    assert_int_equal(entries("."), 1);
    assert_content("old", "keep", 4);
}

static void links_are_followed(void **state)
{
    (void)state;
    assert_int_equal(mkdir("sub", 0755), 0);
    assert_int_equal(symlink("sub/link2", "link"), 0);
    assert_int_equal(symlink("target", "sub/link2"), 0);
    for (int i = 0; i < 2; i++) { /* first the target does not exist */
        const char *text = i == 0 ? "one" : "two";
        struct stat st;
        assert_int_equal(write_text("link", text), DCLS_OK);
        assert_content("sub/target", text, 3);
        assert_int_equal(lstat("link", &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(entries("sub"), 2);
    }
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_int_equal(write_text("loop", "x"), DCLS_ERR_IO);
    assert_string_equal(dcls_context_message(ctx), "cannot write: Too many levels of symbolic links");
}

static void devices_are_written_through(void **state)
{
    (void)state;
    assert_int_equal(write_text("/dev/null", "x"), DCLS_OK);
    assert_int_equal(write_text("/dev/full", "x"), DCLS_ERR_IO);
    assert_string_equal(dcls_context_message(ctx), "cannot write: No space left on device");
    struct stat st;
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

static void what_cannot_be_written_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *path, *message;
    } rows[] = {
        {"absent/out", "cannot write: No such file or directory"},
        {".", "cannot write: Is a directory"},
        {"new/", "cannot write: Is a directory"},
        {"", "cannot write: No such file or directory"},
        {"file/out", "cannot write: Not a directory"},
    };
    write_plain("file", "", 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(write_text(rows[i].path, "x"), DCLS_ERR_IO);
        assert_string_equal(dcls_context_message(ctx), rows[i].message);
    }
    char name[300];
    memset(name, 'n', 299);
    name[299] = '\0';
    assert_int_equal(write_text(name, "x"), DCLS_ERR_IO);
    assert_string_equal(dcls_context_message(ctx), "cannot write: File name too long");
    assert_int_equal(entries("."), 1);
}

static void long_names_work(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(write_text(name, "x"), DCLS_OK);
    assert_int_equal(write_text(name, "y"), DCLS_OK);
    assert_content(name, "y", 1);
}

/* In a child: as another user where we are root, whom permissions do not stop; with a limit on file sizes. */
static int in_child(int (*body)(void))
{
    pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int write_in_forbidden_places(void)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 77;
    if (write_text("locked/out", "x") != DCLS_ERR_IO) return 1;
    if (strcmp(dcls_context_message(ctx), "cannot write: Permission denied") != 0) return 2;
    if (write_text("open/readonly", "x") != DCLS_ERR_IO) return 3;
    return strcmp(dcls_context_message(ctx), "cannot write: Permission denied") != 0 ? 4 : 0;
}

static void permissions_are_respected(void **state)
{
    (void)state;
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(mkdir("locked", 0755), 0);
    assert_int_equal(mkdir("open", 0777), 0);
    assert_int_equal(chmod("open", 0777), 0);
    write_plain("open/readonly", "old", 3);
    assert_int_equal(chmod("open/readonly", 0444), 0);
    if (geteuid() != 0) assert_int_equal(chmod("locked", 0555), 0);
    int result = in_child(write_in_forbidden_places);
    if (result == 77) skip();
    assert_int_equal(result, 0);
    assert_content("open/readonly", "old", 3);
    assert_int_equal(entries("open"), 1);
}

/* Without /proc a file without a name could not be linked, so a temporary name is used, as on filesystems
 * that know no such files. */
static int write_through_temporary_name(void)
{
    if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0) return 77;
    if (chroot(".") != 0) return 77;
    dcls_output *output;
    umask(027);
    if (write_text("/new", "one") != DCLS_OK || mode_of("/new") != 0640) return 1;
    if (write_text("/new", "two") != DCLS_OK || dcls_output_open(ctx, "/other", &output) != DCLS_OK) return 2;
    dcls_output_printf(output, "half");
    if (entries("/") != 2) return 3; /* the half-written one shows, under its temporary name */
    dcls_output_abort(output);
    return entries("/") != 1 ? 4 : 0;
}

static void temporary_names_do_where_needed(void **state)
{
    (void)state;
    int result = in_child(write_through_temporary_name);
    if (result == 77) skip();
    assert_int_equal(result, 0);
    assert_content("new", "two", 3);
}

static int write_past_size_limit(void)
{
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 100000}) != 0) return 77;
    dcls_output *output;
    static const char block[30000];
    if (dcls_output_open(ctx, "out", &output) != DCLS_OK) return 1;
    for (int i = 0; i < 10; i++)
        dcls_output_write(output, block, sizeof block);
    if (dcls_output_commit(ctx, output) != DCLS_ERR_IO) return 2;
    return strcmp(dcls_context_message(ctx), "cannot write: File too large") != 0 ? 3 : 0;
}

static void failed_writes_leave_the_old_file(void **state)
{
    (void)state;
    write_plain("out", "old", 3);
    assert_int_equal(in_child(write_past_size_limit), 0);
    assert_content("out", "old", 3);
    assert_int_equal(entries("."), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)
    const struct CMUnitTest tests[] = {
        TEST(files_of_any_size_are_read),
        TEST(pipes_are_read_to_the_end),
        TEST(what_cannot_be_read_is_said),
        TEST(commit_makes_the_file),
        TEST(commit_replaces),
        TEST(umask_is_respected),
        TEST(abort_leaves_nothing),
        TEST(links_are_followed),
        TEST(devices_are_written_through),
        TEST(what_cannot_be_written_is_said),
        TEST(long_names_work),
        TEST(permissions_are_respected),
        TEST(temporary_names_do_where_needed),
        TEST(failed_writes_leave_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
