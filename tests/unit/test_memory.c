/* Contexts and messages, checked allocation, arenas and maps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/context.h"
#include "base/mem.h"

static dcls_context *ctx;

static int make_context(void **state)
{
    (void)state;
    return dcls_context_create(&ctx) == DCLS_OK ? 0 : 1;
}

static int drop_context(void **state)
{
    (void)state;
    dcls_context_destroy(ctx);
    return 0;
}

static void messages_are_one_safe_line(void **state)
{
    (void)state;
    assert_string_equal(dcls_context_message(ctx), "");
    assert_int_equal(dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' is %d", "a\n\x1b[2J", 5), DCLS_ERR_FORMAT);
    assert_string_equal(dcls_context_message(ctx), "tensor 'a\\x0a\\x1b[2J' is 5");
    assert_int_equal(dcls_fail_within(ctx, DCLS_ERR_LIMIT, "node '%s': ", "st\tem"), DCLS_ERR_LIMIT);
    assert_string_equal(dcls_context_message(ctx), "node 'st\\x09em': tensor 'a\\x0a\\x1b[2J' is 5");
    dcls_fail(ctx, DCLS_ERR_FORMAT, "again: %s", dcls_context_message(ctx));
    assert_string_equal(dcls_context_message(ctx), "again: node 'st\\x09em': tensor 'a\\x0a\\x1b[2J' is 5");
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    char name[4096];
    memset(name, '\n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    dcls_fail(ctx, DCLS_ERR_FORMAT, "%s", name);
    size_t length = strlen(dcls_context_message(ctx));
    assert_in_range(length, 1000, sizeof ctx->message - 1);
    dcls_fail_within(ctx, DCLS_ERR_FORMAT, "%s", name);
    dcls_fail_within(ctx, DCLS_ERR_FORMAT, "outside: ");
    assert_true(strncmp(dcls_context_message(ctx), "outside: \\x0a", 13) == 0);
}

static void settings_are_checked(void **state)
{
    (void)state;
    assert_int_equal(dcls_context_set_threads(ctx, -1), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_context_set_threads(ctx, 1025), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_context_set_threads(ctx, 1), DCLS_OK);
    assert_int_equal(dcls_context_threads(ctx), 1);
    assert_int_equal(dcls_context_set_threads(ctx, 0), DCLS_OK);
    assert_in_range(dcls_context_threads(ctx), 1, 1024);
    dcls_context *fresh;
    assert_int_equal(dcls_context_create(&fresh), DCLS_OK);
    assert_int_equal(dcls_context_threads(fresh), dcls_context_threads(ctx));
    dcls_context_destroy(fresh);
    assert_int_equal(dcls_context_limit(ctx, DCLS_LIMIT_PIXELS), 178956970);
    assert_int_equal(dcls_context_limit(ctx, DCLS_LIMIT_FILE_BYTES), UINT64_C(64) << 30);
    assert_int_equal(dcls_context_limit(ctx, DCLS_LIMIT_JSON_BYTES), UINT64_C(256) << 20);
    assert_int_equal(dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES), UINT64_C(8) << 30);
    dcls_context_set_limit(ctx, DCLS_LIMIT_PIXELS, 5);
    assert_int_equal(dcls_context_limit(ctx, DCLS_LIMIT_PIXELS), 5);
    dcls_context_set_limit(ctx, DCLS_LIMIT_COUNT, 5);
    assert_int_equal(dcls_context_limit(ctx, DCLS_LIMIT_COUNT), 0);
    for (int status = DCLS_OK; status <= DCLS_ERR_MEMORY; status++)
        assert_string_not_equal(dcls_status_name((dcls_status)status), "unknown status");
    assert_string_equal(dcls_status_name((dcls_status)99), "unknown status");
}

static void allocation_checks_overflow(void **state)
{
    (void)state;
    static const size_t rows[][2] = {{SIZE_MAX, 2},
                                     {SIZE_MAX / 2 + 1, 2},
                                     {(size_t)1 << 32, (size_t)1 << 32},
                                     {SIZE_MAX, 1},
                                     {PTRDIFF_MAX, 1}};
    dcls_arena arena = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(dcls_alloc(ctx, rows[i][0], rows[i][1]));
        assert_true(strncmp(dcls_context_message(ctx), "out of memory", 13) == 0);
        assert_null(dcls_alloc_zero(ctx, rows[i][0], rows[i][1]));
        assert_null(dcls_arena_alloc(ctx, &arena, rows[i][0], rows[i][1]));
        int *array = NULL;
        size_t capacity = 0;
        assert_int_equal(dcls_grow(ctx, &array, &capacity, rows[i][0], rows[i][1]), DCLS_ERR_MEMORY);
        assert_null(array);
        assert_int_equal(capacity, 0);
    }
    assert_null(dcls_arena_strndup(ctx, &arena, "x", SIZE_MAX));
    dcls_arena_free(&arena);
    size_t product;
    int64_t signed_product;
    assert_false(dcls_mul_size(SIZE_MAX, 2, &product));
    assert_false(dcls_add_size(SIZE_MAX, 1, &product));
    assert_false(dcls_mul_i64(INT64_MIN, -1, &signed_product));
    assert_false(dcls_add_i64(INT64_MIN, -1, &signed_product));
    assert_true(dcls_mul_i64(-3, 5, &signed_product) && signed_product == -15);
}

static void allocation_is_aligned(void **state)
{
    (void)state;
    for (size_t size = 0; size < 200; size++) {
        unsigned char *memory = dcls_alloc_zero(ctx, size, 1);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        free(memory);
    }
    const size_t page = (size_t)2 << 20, sizes[] = {page - 64, page, page + 3, 2 * page + page / 2 + 64};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *memory = dcls_alloc(ctx, sizes[i], 1);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % (sizes[i] < page ? 64 : page), 0);
        memset(memory, 7, sizes[i]);
        free(memory);
    }
    assert_null(dcls_alloc(ctx, PTRDIFF_MAX - page, 1));
}

static void arrays_grow_by_doubling(void **state)
{
    (void)state;
    int *array = NULL, moves = 0;
    size_t capacity = 0, last = 0;
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(dcls_grow(ctx, &array, &capacity, (size_t)i + 1, sizeof *array), DCLS_OK);
        moves += capacity != last;
        last = capacity;
        array[i] = i;
    }
    for (int i = 0; i < 100000; i++)
        assert_int_equal(array[i], i);
    assert_in_range(moves, 1, 20);
    free(array);
}

static void arenas_hold_many_sizes(void **state)
{
    (void)state;
    dcls_arena arena = {0};
    unsigned char *kept[3000];
    for (size_t i = 0; i < 3000; i++) {
        size_t size = i * 7 % 5000;
        kept[i] = dcls_arena_alloc(ctx, &arena, size, 1);
        assert_non_null(kept[i]);
        assert_int_equal((uintptr_t)kept[i] % 16, 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(kept[i][k], 0);
        memset(kept[i], (int)(i % 255) + 1, size);
    }
    for (size_t i = 0; i < 3000; i++)
        for (size_t k = 0; k < i * 7 % 5000; k++)
            assert_int_equal(kept[i][k], i % 255 + 1);
    unsigned char *big = dcls_arena_alloc(ctx, &arena, 3, 1 << 20);
    assert_non_null(big);
    memset(big, 1, 3 << 20);
    assert_string_equal(dcls_arena_strdup(ctx, &arena, "text"), "text");
    assert_string_equal(dcls_arena_strndup(ctx, &arena, "text", 2), "te");
    assert_string_equal(dcls_arena_strndup(ctx, &arena, "", 0), "");
    dcls_arena_free(&arena);
    dcls_arena_free(&arena);
}

static void map_finds_what_was_added(void **state)
{
    (void)state;
    dcls_map map = {0};
    bool found = true;
    int64_t stored = -1;
    assert_int_equal(dcls_map_find(&map, "a"), -1);
    assert_int_equal(dcls_map_add(ctx, &map, "a", 1, &found, &stored), DCLS_OK);
    assert_true(!found && stored == 1);
    assert_int_equal(dcls_map_add(ctx, &map, "a", 2, &found, &stored), DCLS_OK);
    assert_true(found && stored == 1);
    assert_int_equal(dcls_map_add(ctx, &map, "", 3, NULL, NULL), DCLS_OK);
    assert_int_equal(dcls_map_find(&map, ""), 3);
    char names[300][301]; /* every length, so every remainder of the hash's words */
    for (int i = 0; i < 300; i++) {
        memset(names[i], 'b', (size_t)i + 1);
        names[i][i + 1] = '\0';
        assert_int_equal(dcls_map_add(ctx, &map, names[i], 10 + i, NULL, NULL), DCLS_OK);
    }
    for (int i = 0; i < 300; i++)
        assert_int_equal(dcls_map_find(&map, names[i]), 10 + i);
    assert_int_equal(map.count, 302);
    assert_int_equal(dcls_map_find(&map, "c"), -1);
    dcls_map_free(&map);
    assert_int_equal(dcls_map_find(&map, "a"), -1);
}

static double seconds_to_fill(size_t count)
{
    char(*names)[32] = malloc(count * sizeof *names);
    assert_non_null(names);
    for (size_t i = 0; i < count; i++)
        snprintf(names[i], sizeof names[i], "layer.%zu", i);
    struct timespec start, end;
    dcls_map map = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(dcls_map_add(ctx, &map, names[i], (int64_t)i, NULL, NULL), DCLS_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(dcls_map_find(&map, names[i]), i);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    dcls_map_free(&map);
    free(names);
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
}

/* Thirty-two times the names: linear is a factor of 32 (several times that where caches end, and others use
 * them), quadratic would be 1024. */
static void map_takes_linear_time(void **state)
{
    (void)state;
    double small = INFINITY, large = INFINITY; /* the least of some: other work on the machine costs time */
    for (int i = 0; i < 3; i++) {
        small = fmin(small, seconds_to_fill(20000));
        large = fmin(large, seconds_to_fill(640000));
    }
    assert_true(large < 400 * small);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_context, drop_context)
    const struct CMUnitTest tests[] = {
        TEST(messages_are_one_safe_line), TEST(long_messages_are_cut),    TEST(settings_are_checked),
        TEST(allocation_checks_overflow), TEST(allocation_is_aligned),    TEST(arrays_grow_by_doubling),
        TEST(arenas_hold_many_sizes),     TEST(map_finds_what_was_added), TEST(map_takes_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
