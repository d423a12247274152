/* The pickles of PyTorch checkpoints: tensors that reach beyond their storages, odd state dicts, doubling. */
#include "torch_util.h"

/* ---- tensors ---- */

static const struct {
    const char *row;
    tensor_call tensor;
    dcls_status status;
    const char *part;
} tensors[] = {
    {"unchanged", SCALARS, DCLS_OK, NULL},
    {"matrix", {.ndim = 2, .shape = {2, 2}, .stride = {2, 1}}, DCLS_OK, NULL},
    {"last element", {.ndim = 2, .shape = {2, 2}, .stride = {1, 1}, .offset = 1}, DCLS_OK, NULL},
    {"stride of one element", {.ndim = 2, .shape = {1, 4}, .stride = {INT64_MAX, 1}}, DCLS_OK, NULL},
    {"empty anywhere",
     {.ndim = 2, .shape = {0, INT64_C(1) << 40}, .stride = {1, 1}, .offset = 99},
     DCLS_OK,
     NULL},
    {"negative size", {.ndim = 1, .shape = {-4}, .stride = {1}}, DCLS_ERR_FORMAT, "whole number"},
    {"negative stride",
     {.ndim = 1, .shape = {4}, .stride = {-1}, .offset = 3},
     DCLS_ERR_FORMAT,
     "whole number"},
    {"negative offset", {.ndim = 1, .shape = {4}, .stride = {1}, .offset = -1}, DCLS_ERR_FORMAT, "arguments"},
    {"negative numel", {.numel = -4}, DCLS_ERR_FORMAT, "does not describe a storage"},
    {"one too many",
     {.ndim = 1, .shape = {5}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "tensor 'w': it reaches beyond its storage of 4 elements"},
    {"offset past the end",
     {.ndim = 1, .shape = {1}, .stride = {1}, .offset = 4},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"scalar past the end", {.offset = 4}, DCLS_ERR_FORMAT, "reaches beyond"},
    {"offset and extent",
     {.ndim = 1, .shape = {3}, .stride = {1}, .offset = 2},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"stride past the end",
     {.ndim = 2, .shape = {2, 2}, .stride = {3, 1}},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"extent wraps",
     {.ndim = 1, .shape = {INT64_C(1) << 62}, .stride = {8}},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"sum of extents wraps",
     {.ndim = 3, .shape = {2, 2, 2}, .stride = {INT64_MAX, INT64_MAX, 2}, .offset = 0},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"numel wraps",
     {.numel = HUGE_NUMEL, .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "impossible size"},
    {"numel and shape wrap",
     {.numel = HUGE_NUMEL, .ndim = 1, .shape = {HUGE_NUMEL}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "impossible size"},
    {"numel of another size",
     {.numel = 5, .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "has 16 bytes where 20 are needed"},
    {"wider class",
     {.storage_class = "DoubleStorage", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "has 16 bytes where 32 are needed"},
    {"class of nothing",
     {.storage_class = "system", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_UNSUPPORTED,
     "unknown class: the global torch.system"},
    {"expanded to a terabyte",
     {.ndim = 1, .shape = {INT64_C(1) << 38}, .stride = {0}},
     DCLS_ERR_LIMIT,
     "far more memory than the file"},
    {"expanded beyond all",
     {.ndim = 2, .shape = {INT64_C(1) << 32, INT64_C(1) << 32}, .stride = {0, 0}},
     DCLS_ERR_FORMAT,
     "impossible size"},
    {"nine dimensions",
     {.ndim = 9, .shape = {1, 1, 1, 1, 1, 1, 1, 1, 4}, .stride = {1, 1, 1, 1, 1, 1, 1, 1, 1}},
     DCLS_ERR_UNSUPPORTED,
     "9 dimensions"},
    {"too few strides",
     {.ndim = 2, .shape = {2, 2}, .stride = {1}, .stride_count = 1},
     DCLS_ERR_FORMAT,
     "2 sizes but 1 strides"},
    {"no part", {.part = "N", .ndim = 1, .shape = {4}, .stride = {1}}, DCLS_OK, NULL},
    {"odd part",
     {.part = "K\1", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "part of the storage"},
    {"part too long",
     {.part = "U\1vK\2K\3\x87", .ndim = 1, .shape = {1}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "part of the storage"},
    {"beyond the part",
     {.part = "U\1vK\1K\2\x87", .ndim = 1, .shape = {3}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "reaches beyond its storage"},
    {"no metadata", {.metadata = "}", .ndim = 1, .shape = {4}, .stride = {1}}, DCLS_OK, NULL},
    {"negated",
     {.metadata = "}U\3neg\x88s", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_UNSUPPORTED,
     "negated"},
    {"too many arguments",
     {.metadata = "NN", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "arguments"},
};

static void test_tensors(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        dcls_tensors *set = NULL;
        dcls_string pickle = one_tensor(tensors[i].tensor);
        check_outcome(ctx, tensors[i].row, read_pickle(ctx, &pickle, &set), tensors[i].status,
                      tensors[i].part);
        dcls_tensors_destroy(set);
        dcls_string_free(&pickle);
    }
}

/* ---- state dicts ---- */

/* Opcodes around the one tensor "@", and what is found. */
static const struct {
    const char *row, *before, *after;
    size_t before_size, after_size;
    dcls_status status;
    const char *part; /* of the message, or the name of the tensor */
} dicts[] = {
#define DICT(row, before, after, status, part)                                                               \
    {                                                                                                        \
        row, before, after, sizeof(before) - 1, sizeof(after) - 1, status, part                              \
    }
    DICT("alone", "", ".", DCLS_OK, "tensor"),
    DICT("text key", "}U\1a", "s.", DCLS_OK, "a"),
    DICT("integer key", "}K\7", "s.", DCLS_OK, "7"),
    DICT("tuple key", "}K\1K\2\x86", "s.", DCLS_ERR_FORMAT, "a key in the state dict is a tuple of 2"),
    DICT("key with NUL", "}U\3a\0b", "s.", DCLS_ERR_FORMAT, "UTF-8 text without NUL"),
    DICT("key not UTF-8", "}U\2\xc3(", "s.", DCLS_ERR_FORMAT, "UTF-8 text without NUL"),
    DICT("module prefix", "}U\x08module.a", "s.", DCLS_OK, "a"),
    DICT("prefixes of two kinds", "}U\x1fmodule._orig_mod.module.weightx", "s.", DCLS_OK, "weightx"),
    DICT("prefix alone", "}U\7module.", "s.", DCLS_OK, ""),
    DICT("wrapped", "}U\5model}U\1a", "ssU\5epochK\1s.", DCLS_OK, "a"),
    DICT("wrapped twice", "}U\5model}U\nstate_dict}U\1a", "sss.", DCLS_OK, "a"),
    DICT("wrapped in an object", "}U\5modelca\nDict\n)RU\1a", "ss.", DCLS_OK, "a"),
    DICT("state is no dict", "}U\5modelca\nNet\n)\x81}U\1a", "sbs.", DCLS_ERR_FORMAT, "no state dict found"),
    DICT("wrapper without tensors", "}U\5model}U\1aK\1ssU\3net}U\1b", "ss.", DCLS_OK, "b"),
    DICT("key twice", "}U\1a", "q\1sU\1ah\1s.", DCLS_ERR_FORMAT, "'a'"),
    DICT("only optimizer state", "}U\toptimizer}U\1a", "ss.", DCLS_ERR_FORMAT, "no state dict found"),
    DICT("contains itself", "}q\1U\1a", "sU\4selfh\1s.", DCLS_ERR_LIMIT, "contains itself"),
    DICT("wraps itself", "}q\1U\5modelh\1sU\1a}U\1b", "ss.", DCLS_ERR_FORMAT, "wrapped more than 8 times"),
    DICT("list contains itself, aside", "}U\1a", "sU\1l]q\1h\1as.", DCLS_ERR_LIMIT, "contains itself"),
    DICT("nothing", "", "0}.", DCLS_ERR_FORMAT, "no state dict found; the checkpoint holds a dict of 0"),
    DICT("parameter", "}U\1actorch._utils\n_rebuild_parameter\n(",
         "\x88Nt"
         "Rs.",
         DCLS_OK, "a"),
    DICT("parameter of nothing", "}U\1a", "0ctorch._utils\n_rebuild_parameter\n(NNNtRs.",
         DCLS_ERR_UNSUPPORTED, "kind that is not supported"),
    DICT("unknown rebuild", "}U\1a", "0ctorch._utils\n_rebuild_new_thing\n)Rs.", DCLS_ERR_UNSUPPORTED,
         "torch._utils._rebuild_new_thing"),
    DICT("tensor without arguments", "}U\1a", "0ctorch._utils\n_rebuild_tensor_v2\n)Rs.", DCLS_ERR_FORMAT,
         "arguments"),
    DICT("odd persistent id", "}U\1a", "0ctorch._utils\n_rebuild_tensor\n(K\1QK\0))tRs.", DCLS_ERR_FORMAT,
         "does not describe a storage"),
    DICT("no facts", "", "0](K\1Ne.", DCLS_ERR_FORMAT, "a list of 2 with 0 (an integer), 1 (None)"),
    DICT("facts", "", "0}(K\7NNNu.", DCLS_ERR_FORMAT, "a dict of 2 with 7 (None), ? (None)"),
    DICT("storage key with NUL", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor\n((U\7storagectorch\nFloatStorage\nU\2"
         "0\0U\3cpuK\4tQK\0K\1\x85K\1\x85tRs.",
         DCLS_ERR_FORMAT, "a storage key holds a NUL"),
    DICT("sizes are no tuple", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor\n((U\7storagectorch\nFloatStorage\nU\1"
         "0U\3cpuK\4tQK\0K\4K\1tRs.",
         DCLS_ERR_FORMAT, "tensor 'a': its sizes or strides are no tuple"),
    DICT("element type unknown", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor_v3\n((U\7storagectorch.storage\nUntypedStorage\nU\1"
         "0U\3cpuK\x10tQK\0K\4\x85K\1\x85\x89Nctorch\nfloat8_e5m2\ntRs.",
         DCLS_ERR_UNSUPPORTED,
         "tensor 'a': its element type, the global torch.float8_e5m2, is not supported"),
    DICT("storage of impossible size", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor\n((U\7storagectorch\nFloatStorage\nU\1"
         "0U\3cpu\x8a\x08\0\0\0\0\0\0\0\x7ftQK\0K\0\x85K\1\x85tRs.",
         DCLS_ERR_FORMAT, "impossible size"),
    DICT("evil beside it", "}U\1a", "sU\1bcposix\nsystem\nU\x0ctouch canary\x85Rs.", DCLS_OK, "a"),
    DICT("evil in it", "}U\1a", "0cposix\nsystem\nU\x0ctouch canary\x85Rs.", DCLS_ERR_FORMAT,
         "an object of posix.system"),
};

static void test_state_dicts(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++) {
        dcls_tensors *set = NULL;
        dcls_string pickle = {0};
        put(&pickle, dicts[i].before, dicts[i].before_size);
        put_tensor(&pickle, (tensor_call)SCALARS);
        put(&pickle, dicts[i].after, dicts[i].after_size);
        dcls_status status = read_pickle(ctx, &pickle, &set);
        check_outcome(ctx, dicts[i].row, status, dicts[i].status, status == DCLS_OK ? NULL : dicts[i].part);
        if (set) assert_string_equal(dcls_tensors_at(set, 0)->name, dicts[i].part);
        dcls_tensors_destroy(set);
        dcls_string_free(&pickle);
        assert_int_equal(access("canary", F_OK), -1);
    }
}

static void test_long_names(void **state)
{
    dcls_tensors *set = NULL;
    for (size_t length = 1020; length < 1030; length++) {
        char key[1030];
        dcls_string pickle = {0};
        memset(key, 'k', sizeof key);
        PUT(&pickle, "}");
        put_text(&pickle, key, length);
        PUT(&pickle, "}X\0\0\0\0");
        put_tensor(&pickle, (tensor_call)SCALARS);
        PUT(&pickle, "ssU\1t"); /* a tensor of its own makes the outer dict the state dict */
        put_tensor(&pickle, (tensor_call)SCALARS);
        PUT(&pickle, "s.");
        /* the name is "kk..k." */
        bool fits = length < 1024;
        dcls_status status = read_pickle(*state, &pickle, &set);
        check_outcome(*state, "long name", status, fits ? DCLS_OK : DCLS_ERR_LIMIT,
                      fits ? NULL : "longer than 1024");
        dcls_tensors_destroy(set);
        dcls_string_free(&pickle);
    }
}

/* Dicts and tuples that hold one another doubly, 40 deep: 2^40 ways to the same tensor, or to none. */
static void test_doubling(void **state)
{
    dcls_tensors *set = NULL;
    dcls_string pickle = {0};
    put_tensor(&pickle, (tensor_call)SCALARS);
    for (int i = 0; i < 40; i++)
        PUT(&pickle, "q\1}U\1ah\1sU\1bh\1s");
    PUT(&pickle, ".");
    check_outcome(*state, "tensors", read_pickle(*state, &pickle, &set), DCLS_ERR_LIMIT, "tensors");
    dcls_string_free(&pickle);

    PUT(&pickle, "}U\1t");
    put_tensor(&pickle, (tensor_call)SCALARS);
    PUT(&pickle, "sU\1lN");
    for (int i = 0; i < 40; i++)
        PUT(&pickle, "2\x86");
    PUT(&pickle, "s.");
    check_outcome(*state, "lists", read_pickle(*state, &pickle, &set), DCLS_ERR_LIMIT, "the same too often");
    dcls_string_free(&pickle);
}

/* Two names for one storage must agree on it; 1000 transposed views of it are too much. */
static void test_shared_storages(void **state)
{
    dcls_tensors *set = NULL;
    dcls_string pickle = {0};
    PUT(&pickle, "(");
    put_tensor(&pickle, (tensor_call)SCALARS);
    put_tensor(&pickle, (tensor_call){.storage_class = "IntStorage", .ndim = 1, .shape = {4}, .stride = {1}});
    PUT(&pickle, "t.");
    check_outcome(*state, "two types", read_pickle(*state, &pickle, &set), DCLS_ERR_FORMAT,
                  "storage '0' is given two types or sizes");
    dcls_string_free(&pickle);

    PUT(&pickle, "(");
    for (int i = 0; i < 80; i++)
        put_tensor(&pickle, (tensor_call){.ndim = 2, .shape = {4, 1 << 16}, .stride = {1, 0}});
    PUT(&pickle, "t.");
    check_outcome(*state, "80 x 1 MiB of 16 bytes", read_pickle(*state, &pickle, &set), DCLS_ERR_LIMIT,
                  "tensor '64': its views");
    dcls_string_free(&pickle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_tensors),  CONTEXT_TEST(test_state_dicts),     CONTEXT_TEST(test_long_names),
        CONTEXT_TEST(test_doubling), CONTEXT_TEST(test_shared_storages),
    };
    return cmocka_run_group_tests(tests, open_libzip, close_libzip);
}
