/* What the tests of pictures share. */
#ifndef TESTS_IMAGE_UTIL_H
#define TESTS_IMAGE_UTIL_H

#include "tests/unit/format_util.h"

#include "dcls_tools.h"
#include "image/image.h"

#define IMAGES "tests/fixtures/images/"

static inline dcls_bytes read_fixture(dcls_context *ctx, const char *name)
{
    char path[256];
    dcls_bytes bytes;
    snprintf(path, sizeof path, IMAGES "%s", name);
    assert_ok(ctx, dcls_file_read(ctx, path, 1 << 20, &bytes));
    return bytes;
}

/* Calls each for every line of a list; the line is cut at its end. */
static inline void for_lines(const char *name, void (*each)(dcls_context *ctx, const char *line, void *arg),
                             dcls_context *ctx, void *arg)
{
    char path[256], line[512];
    int count = 0;
    snprintf(path, sizeof path, IMAGES "%s", name);
    FILE *list = fopen(path, "r");
    assert_non_null(list);
    for (; fgets(line, sizeof line, list); count++) {
        line[strcspn(line, "\n")] = 0;
        each(ctx, line, arg);
    }
    fclose(list);
    assert_true(count > 0);
}

/* The decimal numbers of a line, separated by spaces, which must be exactly `count`. */
static inline void read_numbers(const char *text, int64_t *numbers, int count)
{
    for (int i = 0; i < count; i++) {
        char *end;
        numbers[i] = strtoll(text, &end, 10);
        assert_true(end != text);
        text = end;
    }
    assert_int_equal(text[strspn(text, " ")], 0);
}

/* A picture that stands in a file of the test's own. */
static inline dcls_image *load_picture(dcls_context *ctx, const char *path)
{
    dcls_image *image = NULL;
    assert_ok(ctx, dcls_image_load_file(ctx, path, 0, &image));
    return image;
}

#endif
