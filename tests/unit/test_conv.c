/* Every convolution algorithm against a plain loop in double precision, at every instruction set of this
 * machine. */
#include "conv_util.h"

#include "ops/winograd_planes.h"

/* ---- geometries ---- */

static dcls_geometry plain(int64_t in_channels, int64_t out_channels, int64_t groups, int64_t height,
                           int64_t width, int64_t kernel)
{
    dcls_geometry g = {.batch = 1,
                       .in_channels = in_channels,
                       .out_channels = out_channels,
                       .groups = groups,
                       .in = {1, height, width},
                       .kernel = {1, kernel, kernel},
                       .stride = {1, 1, 1},
                       .dilation = {1, 1, 1},
                       .pad = {0, kernel / 2, kernel / 2}};
    set_out(&g);
    return g;
}

static void check_all_algorithms(dcls_context *ctx, const dcls_geometry *g)
{
    for (int a = 0; a < ALGORITHM_COUNT; a++) {
        problem p = {
            .g = *g, .algorithm = (algorithm)a, .count = random_int(1, 5), .shared = random_int(0, 1) == 1};
        make_epilogue(&p);
        check_problem(ctx, &p);
    }
    if (g->groups > 1) return;
    problem p = {.g = *g, .algorithm = PIXELS};
    make_epilogue(&p);
    check_problem(ctx, &p);
}

/* Sizes around every vector width, in one and two dimensions. */
static void test_widths(void **state)
{
    dcls_context *ctx = *state;
    for (int64_t width = 1; width <= 40; width++) {
        for (int64_t kernel = 1; kernel <= 7; kernel += 2) {
            dcls_geometry g = plain(2, 5, 1, 1 + width % 9, width, kernel);
            check_all_algorithms(ctx, &g);
            g = plain(3, 3, 3, 1 + width % 4, width, kernel);
            g.in[1] = g.kernel[1] = 1;
            g.pad[1] = 0;
            set_out(&g);
            check_all_algorithms(ctx, &g);
        }
    }
}

static void random_axis(dcls_geometry *g, int d, int64_t in, int64_t kernel)
{
    g->in[d] = random_int(1, in);
    g->kernel[d] = random_int(1, kernel);
    g->stride[d] = random_int(1, 3);
    g->dilation[d] = random_int(1, 3);
    int64_t window = (g->kernel[d] - 1) * g->dilation[d] + 1;
    g->pad[d] = random_int(0, 4) == 0 ? random_int(0, window + 3) : random_int(0, window / 2);
    int64_t missing = window - g->in[d] - 2 * g->pad[d];
    if (missing > 0) g->pad[d] += (missing + 1) / 2;
}

static dcls_geometry random_geometry(int ndim)
{
    static const int64_t in[3] = {40, 17, 7}, kernel[3] = {19, 9, 4};
    dcls_geometry g = {.batch = random_int(1, 3), .groups = random_int(1, 4)};
    for (int d = 0; d < 3; d++) {
        g.in[d] = g.out[d] = g.kernel[d] = g.stride[d] = g.dilation[d] = 1;
        if (d >= 3 - ndim) random_axis(&g, d, in[ndim - 1], kernel[ndim - 1]);
    }
    g.in_channels = g.groups * (random_int(0, 1) ? 1 : random_int(1, 4));
    g.out_channels = g.groups * random_int(1, 7);
    assert_true(set_out(&g));
    /* an unequal or missing padding behind */
    for (int d = 3 - ndim; d < 3; d++)
        g.out[d] = random_int(0, 3) ? g.out[d] : g.out[d] + random_int(0, 3);
    return g;
}

static void test_random(void **state)
{
    for (int i = 0; i < 200; i++) {
        dcls_geometry g = random_geometry(1 + i % 3);
        check_all_algorithms(*state, &g);
    }
}

/* Tiles of all sizes, cut by dilations up to more than the plane, and planes of several bands. */
static void test_winograd(void **state)
{
    for (int i = 0; i < 150; i++) {
        dcls_geometry g = {.batch = i % 3 ? random_int(1, 7) : 1, .groups = 1, .in = {1, 1, 1}};
        g.in_channels = random_int(1, 5);
        g.out_channels = i % 10 ? random_int(1, 30) : random_int(190, 200);
        for (int d = 0; d < 3; d++)
            g.kernel[d] = g.out[d] = g.stride[d] = g.dilation[d] = 1;
        for (int d = 1; d < 3; d++) {
            g.in[d] = random_int(1, 40);
            g.kernel[d] = 3;
            g.dilation[d] = random_int(0, 2) ? random_int(1, 4) : random_int(1, 50);
            g.pad[d] = random_int(0, 2) ? g.dilation[d] : random_int(0, 3);
            g.out[d] = random_int(0, 3) ? g.in[d] : random_int(1, 45);
        }
        problem p = {.g = g, .algorithm = WINOGRAD};
        make_epilogue(&p);
        check_problem(*state, &p);
    }
    const int64_t blocks[] = {255, 257, 385, 600};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        problem p = {.g = plain(blocks[i], 5, 1, 9, 11, 3), .algorithm = WINOGRAD};
        check_problem(*state, &p);
    }
    problem large = {.g = plain(2, 230, 1, 130, 126, 3), .algorithm = WINOGRAD};
    check_problem(*state, &large);
}

/* Images given at once, more or fewer than stand side by side, are what a batch of them is. */
static void test_winograd_images(void **state)
{
    for (int i = 0; i < 40; i++) {
        dcls_geometry g =
            plain(random_int(1, 5), random_int(1, 9), 1, random_int(1, 22), random_int(1, 22), 3);
        g.batch = random_int(1, 12);
        problem p = {.g = g, .algorithm = WINOGRAD};
        make_epilogue(&p);
        make_problem(*state, &p);
        dcls_conv *batch = create(*state, &p), *single;
        g.batch = 1;
        assert_int_equal(
            dcls_conv_create_winograd(*state, &g, random_int(1, 12), p.dense, &p.epilogue, &single), DCLS_OK);
        const dcls_simd *simd = dcls_simd_get(dcls_cpu_detect());
        float *expected = run(&p, batch, simd, 1, p.epilogue.residual), *out = new_floats(out_floats(&p.g));
        memcpy(out, p.residual, (size_t)out_floats(&p.g) * sizeof *out);
        void *workspace = aligned_alloc(64, dcls_conv_workspace(single, 1));
        soil(workspace, dcls_conv_workspace(single, 1));
        dcls_conv_run_images(single, simd, p.g.batch, p.in, p.epilogue.residual ? out : NULL, out, workspace);
        check_same_bits(&p, expected, out, simd->name, 1);
        free(workspace), free(expected), free(out);
        dcls_conv_destroy(batch);
        dcls_conv_destroy(single);
        free_problem(&p);
    }
}

/* Rows of tiles that see padding alone are zeros, and write nothing ahead of their scratch. */
static void test_winograd_padding(void **state)
{
    enum { AHEAD = 1 << 14 };
    dcls_geometry g = plain(1, 1, 1, 9, 5, 3);
    g.pad[1] = g.pad[2] = 30;
    assert_true(set_out(&g));
    dcls_winograd_tiling t;
    assert_int_equal(dcls_winograd_tiling_create(*state, &g, 1, &t), DCLS_OK);
    float *plane = new_floats(dcls_volume(g.in));
    const dcls_winograd_planes planes = {plane, 0, 1, g.in[1], g.in[2]};
    int64_t empty = 0;
    for (int64_t i = 0; i < t.rows.tiles; i++) {
        const dcls_winograd_band b = dcls_winograd_band_at(&t, i, t.rows.tiles, g.in[1]);
        const int64_t rows = b.highest - b.lowest + 1,
                      floats = dcls_winograd_to_points_scratch(&t, rows, g.in[2]);
        assert_true(rows >= 0);
        float *memory = calloc((size_t)(AHEAD + floats), sizeof *memory);
        float *tiles = malloc((size_t)b.place[t.points] * sizeof *tiles);
        dcls_winograd_inputs_to_points(dcls_simd_get(DCLS_CPU_SCALAR), &t, &b, &planes, tiles,
                                       memory + AHEAD);
        for (int64_t f = 0; f < AHEAD; f++)
            assert_true(memory[f] == 0);
        for (int64_t point = 0; point < t.points && rows == 0; point++)
            for (int64_t f = 0; f < b.tiles[point]; f++)
                assert_true(tiles[b.place[point] + f] == 0);
        empty += rows == 0;
        free(memory), free(tiles);
    }
    assert_true(empty > 0);
    free(plane);
    dcls_winograd_tiling_free(&t);
}

/* A negative padding crops the input. */
static void test_negative_pad(void **state)
{
    dcls_geometry g = plain(4, 12, 2, 9, 11, 3);
    g.pad[1] = -2;
    g.pad[2] = -1;
    assert_true(set_out(&g));
    check_all_algorithms(*state, &g);
}

/* Windows that see padding alone: everything is the epilogue of 0. */
static void test_padding_only(void **state)
{
    dcls_geometry g = plain(2, 5, 1, 3, 3, 2);
    g.pad[1] = 40;
    g.pad[2] = 0;
    g.out[1] = 4;
    check_all_algorithms(*state, &g);
}

/* Shapes large enough for several tiles of every kind. */
static void test_tiles(void **state)
{
    dcls_context *ctx = *state;
    const dcls_geometry shapes[] = {
        plain(256, 512, 1, 7, 7, 1),  /* outputs cut, pixels not */
        plain(40, 24, 1, 40, 41, 1),  /* pixels cut in the middle of rows */
        plain(100, 70, 1, 13, 17, 3), /* several blocks of columns */
        plain(100, 10, 1, 30, 31, 3), /* blocks and tiles */
        plain(300, 30, 1, 16, 16, 1), /* channels that share sets of the cache */
        plain(40, 13, 1, 16, 32, 3),  /* the same with columns */
        plain(24, 24, 24, 20, 20, 9), /* several tasks of several planes */
        plain(2, 4, 2, 300, 290, 3),  /* boxes cut by rows, and channel multiplier */
        plain(1, 3, 1, 2, 70000, 3),  /* boxes cut by columns */
        plain(64, 6, 2, 40, 30, 5),   /* chunks of outputs */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_all_algorithms(ctx, &shapes[i]);
    dcls_geometry g = plain(3, 3, 3, 60, 60, 3);
    g.in[0] = 60;
    g.kernel[0] = 2;
    g.stride[1] = 2;
    assert_true(set_out(&g));
    check_all_algorithms(ctx, &g);
}

/* Depthwise windows and groups of few outputs are lists of taps, everything else is a matrix. */
static void test_choice(void **state)
{
    static const float weight[16 * 16 * 9];
    const struct {
        dcls_geometry g;
        const char *algorithm;
    } choices[] = {
        {plain(16, 16, 16, 9, 9, 3), "sparse"}, {plain(8, 16, 8, 9, 9, 3), "sparse"},
        {plain(16, 16, 4, 9, 9, 3), "sparse"},  {plain(16, 16, 1, 9, 9, 3), "dense"},
        {plain(16, 2, 1, 9, 9, 1), "dense"},    {plain(1, 16, 1, 9, 9, 3), "dense"},
    };
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        dcls_conv *conv = NULL;
        assert_int_equal(
            dcls_conv_create_dense(*state, &choices[i].g, weight, NULL, (dcls_conv_how){0}, &conv), DCLS_OK);
        assert_string_equal(dcls_conv_algorithm(conv), choices[i].algorithm);
        dcls_conv_destroy(conv);
    }
}

/* ---- refusals ---- */

static dcls_status try_dense(dcls_context *ctx, const dcls_geometry *g)
{
    static const float weight[64];
    dcls_conv *conv = NULL;
    dcls_status status = dcls_conv_create_dense(ctx, g, weight, NULL, (dcls_conv_how){0}, &conv);
    dcls_conv_destroy(conv);
    return status;
}

static void test_wrong_arguments(void **state)
{
    dcls_context *ctx = *state;
    dcls_geometry g = plain(4, 4, 3, 5, 5, 1);
    assert_int_equal(try_dense(ctx, &g), DCLS_ERR_ARGUMENT);
    assert_non_null(strstr(dcls_context_message(ctx), "groups"));
    g = plain(4, 4, 2, 5, 5, 1);
    assert_int_equal(try_dense(ctx, &g), DCLS_OK);
    int64_t *const sizes[] = {&g.batch,     &g.groups,    &g.in_channels, &g.out_channels, &g.in[1],
                              &g.kernel[0], &g.stride[2], &g.dilation[1], &g.out[2]};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t old = *sizes[i];
        for (*sizes[i] = 0; *sizes[i] >= -1; --*sizes[i])
            assert_int_equal(try_dense(ctx, &g), DCLS_ERR_ARGUMENT);
        *sizes[i] = old;
    }
    dcls_taps taps = {.rows = 7};
    dcls_conv *conv = NULL;
    assert_int_equal(dcls_conv_create_sparse(ctx, &g, &taps, NULL, &conv), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_conv_create_interpolated(ctx, &g, &taps, 3, NULL, NULL, &conv), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_conv_create_interpolated(ctx, &g, &taps, 0, NULL, NULL, &conv), DCLS_ERR_ARGUMENT);
    assert_null(conv);
}

static void test_too_large(void **state)
{
    dcls_context *ctx = *state;
    dcls_geometry ok = plain(1, 1, 1, 5, 5, 1), g = ok;
    int64_t *const sizes[] = {&g.in_channels, &g.out_channels, &g.in[1],  &g.out[2], &g.kernel[0],
                              &g.stride[2],   &g.dilation[1],  &g.pad[0], &g.batch};
    const int64_t values[] = {INT64_MAX, INT64_MAX / 2, (int64_t)1 << 40};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        g = ok;
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            *sizes[i] = values[j];
            if (sizes[i] == &g.batch && j == 2) continue; /* that many can be counted */
            assert_int_equal(try_dense(ctx, &g), DCLS_ERR_LIMIT);
        }
    }
    g = ok;
    g.in[0] = g.in[1] = g.in[2] = (int64_t)1 << 22; /* each fine, the product not */
    assert_int_equal(try_dense(ctx, &g), DCLS_ERR_LIMIT);
    g = ok;
    g.stride[2] = (int64_t)1 << 28;
    g.out[2] = 3;
    assert_int_equal(try_dense(ctx, &g), DCLS_OK);
    g.out[2] = 9; /* coordinates beyond the limit */
    assert_int_equal(try_dense(ctx, &g), DCLS_ERR_LIMIT);
}

static int set_up(void **state)
{
    dcls_context *ctx = NULL;
    random_state = 20240607;
    if (dcls_context_create(&ctx) != DCLS_OK) return -1;
    *state = ctx;
    return 0;
}

static int tear_down(void **state)
{
    dcls_context_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),           cmocka_unit_test(test_random),
        cmocka_unit_test(test_negative_pad),     cmocka_unit_test(test_padding_only),
        cmocka_unit_test(test_winograd),         cmocka_unit_test(test_winograd_images),
        cmocka_unit_test(test_winograd_padding), cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_choice),           cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests_name("conv", tests, set_up, tear_down);
}
