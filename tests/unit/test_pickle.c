/* The inert pickle reader: what opcodes make, what is refused and with which words, and that nothing is ever
 * run. */
#include "format_util.h"

#include "formats/pickle.h"

#define BYTES(text) text, sizeof(text) - 1

/* ---- refused ------------------------------------------------------------------------------------------- */

typedef struct refusal {
    const char *row;
    const char *data;
    size_t size;
    dcls_status status;
    const char *part; /* of the message */
} refusal;

static const refusal refusals[] = {
    {"empty", BYTES(""), DCLS_ERR_FORMAT, "without STOP"},
    {"no STOP", BYTES("\x80\x02N"), DCLS_ERR_FORMAT, "without STOP"},
    {"STOP on nothing", BYTES("\x80\x02."), DCLS_ERR_FORMAT, "STOP at byte 2: stack underflow"},
    {"STOP on a mark", BYTES("N(."), DCLS_ERR_FORMAT, "stack underflow"},
    {"no opcode", BYTES("\x80\x02N\xff."), DCLS_ERR_FORMAT, "0xff at byte 3 is no pickle opcode"},
    {"protocol 0", BYTES("\x80\x00N."), DCLS_ERR_UNSUPPORTED, "protocol 0"},
    {"protocol 6", BYTES("\x80\x06N."), DCLS_ERR_UNSUPPORTED, "protocol 6"},
    {"PROTO cut", BYTES("\x80"), DCLS_ERR_FORMAT, "1 bytes wanted, 0 left"},

    {"text opcode INT", BYTES("I42\n."), DCLS_ERR_UNSUPPORTED, "INT at byte 0"},
    {"text opcode STRING", BYTES("S'a'\n."), DCLS_ERR_UNSUPPORTED, "STRING"},
    {"INST", BYTES("(iposix\nsystem\n."), DCLS_ERR_UNSUPPORTED, "INST at byte 1"},
    {"EXT1", BYTES("\x80\x02\x82\x01."), DCLS_ERR_UNSUPPORTED, "EXT1"},
    {"EXT4", BYTES("\x80\x02\x84\x01\0\0\0."), DCLS_ERR_UNSUPPORTED, "EXT4"},
    {"NEXT_BUFFER", BYTES("\x80\x05\x97."), DCLS_ERR_UNSUPPORTED, "NEXT_BUFFER"},
    {"PERSID", BYTES("Pkey\n."), DCLS_ERR_UNSUPPORTED, "PERSID"},

    {"SETITEM on a tuple", BYTES(")NNs."), DCLS_ERR_FORMAT, "a tuple of 0 cannot be filled"},
    {"SETITEM on a list", BYTES("]NNs."), DCLS_ERR_FORMAT, "a list of 0 cannot be filled"},
    {"SETITEM on None", BYTES("NNNs."), DCLS_ERR_FORMAT, "None cannot be filled"},
    {"SETITEM on a global", BYTES("ca\nb\nNNs."), DCLS_ERR_FORMAT, "the global a.b cannot be filled"},
    {"SETITEMS on text", BYTES("X\x01\0\0\0a(NNu."), DCLS_ERR_FORMAT, "a string cannot be filled"},
    {"SETITEMS, odd", BYTES("}(NNNu."), DCLS_ERR_FORMAT, "a key has no value"},
    {"APPEND on a dict", BYTES("}Na."), DCLS_ERR_FORMAT, "a dict of 0 cannot be filled"},
    {"APPEND on a tuple", BYTES("N\x85Na."), DCLS_ERR_FORMAT, "a tuple of 1 cannot be filled"},
    {"APPENDS on an integer", BYTES("K\x01(Ne."), DCLS_ERR_FORMAT, "an integer cannot be filled"},
    {"ADDITEMS on a list", BYTES("](N\x90."), DCLS_ERR_FORMAT, "a list of 0 cannot be filled"},
    {"items, then keys", BYTES("ca\nb\n)RNaNNs."), DCLS_ERR_FORMAT, "an object of a.b cannot be filled"},
    {"BUILD on an integer", BYTES("K\x01}b."), DCLS_ERR_FORMAT, "an integer cannot be given a state"},
    {"BUILD on a list", BYTES("]}b."), DCLS_ERR_FORMAT, "a list of 0 cannot be given a state"},
    {"DICT, odd", BYTES("(NNNd."), DCLS_ERR_FORMAT, "a key has no value"},

    {"TUPLE without mark", BYTES("Nt."), DCLS_ERR_FORMAT, "no mark"},
    {"SETITEMS without mark", BYTES("}NNu."), DCLS_ERR_FORMAT, "no mark"},
    {"APPENDS without mark", BYTES("]Ne."), DCLS_ERR_FORMAT, "no mark"},
    {"POP_MARK without mark", BYTES("N1."), DCLS_ERR_FORMAT, "no mark"},
    {"OBJ without mark", BYTES("ca\nb\no."), DCLS_ERR_FORMAT, "no mark"},
    {"OBJ without class", BYTES("N(o."), DCLS_ERR_FORMAT, "stack underflow"},
    {"SETITEMS of nothing below", BYTES("(NNu."), DCLS_ERR_FORMAT, "stack underflow"},
    {"SETITEMS over a mark", BYTES("}((NNu."), DCLS_ERR_FORMAT, "stack underflow"},
    {"APPEND over a mark", BYTES("](Na."), DCLS_ERR_FORMAT, "stack underflow"},
    {"TUPLE2 over a mark", BYTES("N(N\x86."), DCLS_ERR_FORMAT, "stack underflow"},
    {"BUILD over a mark", BYTES("}(}b."), DCLS_ERR_FORMAT, "stack underflow"},
    {"REDUCE over a mark", BYTES("ca\nb\n()R."), DCLS_ERR_FORMAT, "stack underflow"},
    {"DUP of nothing", BYTES("2."), DCLS_ERR_FORMAT, "stack underflow"},
    {"POP of nothing", BYTES("0."), DCLS_ERR_FORMAT, "stack underflow"},
    {"BINPUT of nothing", BYTES("q\0."), DCLS_ERR_FORMAT, "stack underflow"},
    {"BINPERSID of nothing", BYTES("Q."), DCLS_ERR_FORMAT, "stack underflow"},

    {"BINGET unset", BYTES("h\x05."), DCLS_ERR_FORMAT, "memo 5 was never set"},
    {"BINGET between", BYTES("Nq\x03h\x02."), DCLS_ERR_FORMAT, "memo 2 was never set"},
    {"LONG_BINGET unset", BYTES("j\xff\xff\xff\xff."), DCLS_ERR_FORMAT, "memo 4294967295"},
    {"LONG_BINPUT far", BYTES("Nr\xff\xff\xff\xff."), DCLS_ERR_FORMAT,
     "memo index 4294967295 is out of range"},

    {"BINUNICODE too long",
     BYTES("X\xff\xff\xff\xff"
           "abc."),
     DCLS_ERR_FORMAT, "4294967295 bytes wanted, 4 left"},
    {"BINUNICODE8 too long",
     BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
           "a."),
     DCLS_ERR_FORMAT, "18446744073709551615 bytes wanted"},
    {"SHORT_BINUNICODE too long",
     BYTES("\x8c\x05"
           "abc."),
     DCLS_ERR_FORMAT, "5 bytes wanted, 4 left"},
    {"BINBYTES too long", BYTES("B\x05\0\0\0abc."), DCLS_ERR_FORMAT, "5 bytes wanted, 4 left"},
    {"BYTEARRAY8 too long", BYTES("\x96\0\0\0\0\1\0\0\0a."), DCLS_ERR_FORMAT, "4294967296 bytes wanted"},
    {"BINSTRING negative",
     BYTES("T\xff\xff\xff\xff"
           "a."),
     DCLS_ERR_FORMAT, "4294967295 bytes wanted"},
    {"LONG1 too long", BYTES("\x8a\xff\x01."), DCLS_ERR_FORMAT, "255 bytes wanted, 2 left"},
    {"LONG4 negative", BYTES("\x8b\xff\xff\xff\xff."), DCLS_ERR_FORMAT, "4294967295 bytes wanted"},
    {"length cut", BYTES("X\xff\xff"), DCLS_ERR_FORMAT, "4 bytes wanted, 2 left"},
    {"BINFLOAT cut", BYTES("G1234567"), DCLS_ERR_FORMAT, "8 bytes wanted, 7 left"},
    {"BININT cut", BYTES("J123"), DCLS_ERR_FORMAT, "4 bytes wanted, 3 left"},
    {"GLOBAL without name", BYTES("cposix\nsystem."), DCLS_ERR_FORMAT, "a name does not end"},
    {"FRAME too long", BYTES("\x80\x04\x95\x09\0\0\0\0\0\0\0N."), DCLS_ERR_FORMAT, "longer than the pickle"},

    {"REDUCE of an integer", BYTES("K\x01)R."), DCLS_ERR_FORMAT, "an integer cannot be called"},
    {"REDUCE of text", BYTES("X\x01\0\0\0a)R."), DCLS_ERR_FORMAT, "a string cannot be called"},
    {"REDUCE with a list", BYTES("ca\nb\n]R."), DCLS_ERR_FORMAT, "a list of 0 is not an argument tuple"},
    {"NEWOBJ of None", BYTES("N)\x81."), DCLS_ERR_FORMAT, "None cannot be called"},
    {"NEWOBJ_EX without dict", BYTES("ca\nb\n)N\x92."), DCLS_ERR_FORMAT, "keyword arguments"},
    {"STACK_GLOBAL of integers", BYTES("K\x01K\x02\x93."), DCLS_ERR_FORMAT, "not strings"},
    {"OrderedDict of None", BYTES("ccollections\nOrderedDict\nN\x85R."), DCLS_ERR_FORMAT, "list of pairs"},
    {"OrderedDict of triples",
     BYTES("ccollections\nOrderedDict\n]NNN\x87"
           "a\x85R."),
     DCLS_ERR_FORMAT, "list of pairs"},
};

static void test_refusals(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        dcls_bytes bytes =
            make_bytes(ctx, r->data, r->size); /* a copy, so that a read past the end is seen */
        dcls_pickle pickle;
        check_outcome(ctx, r->row, dcls_pickle_read(ctx, bytes.data, bytes.size, &pickle), r->status,
                      r->part);
        dcls_pickle_free(&pickle);
        free(bytes.data);
    }
}

/* ---- limits ---- */

/* `count` times `unit`, between `head` and `tail`. */
static dcls_bytes repeated(dcls_context *ctx, const char *head, const char *unit, size_t count,
                           const char *tail)
{
    size_t size = strlen(head) + strlen(unit) * count + strlen(tail);
    dcls_bytes bytes = {.data = dcls_alloc(ctx, size, 1), .size = size};
    assert_non_null(bytes.data);
    unsigned char *to = bytes.data;
    memcpy(to, head, strlen(head));
    to += strlen(head);
    for (size_t i = 0; i < count; i++, to += strlen(unit))
        memcpy(to, unit, strlen(unit));
    memcpy(to, tail, strlen(tail));
    return bytes;
}

static void check_repeated(dcls_context *ctx, const char *row, dcls_bytes bytes, dcls_status status,
                           const char *part)
{
    dcls_pickle pickle;
    check_outcome(ctx, row, dcls_pickle_read(ctx, bytes.data, bytes.size, &pickle), status, part);
    dcls_pickle_free(&pickle);
    free(bytes.data);
}

static void test_limits(void **state)
{
    dcls_context *ctx = *state;
    check_repeated(ctx, "marks", repeated(ctx, "", "(", DCLS_PICKLE_MAX_MARKS, "N."), DCLS_OK, NULL);
    check_repeated(ctx, "too many marks", repeated(ctx, "", "(", DCLS_PICKLE_MAX_MARKS + 1, "N."),
                   DCLS_ERR_LIMIT, "marks");
    check_repeated(ctx, "stack", repeated(ctx, "", "N", DCLS_PICKLE_MAX_STACK, "."), DCLS_OK, NULL);
    check_repeated(ctx, "high stack", repeated(ctx, "", "N", DCLS_PICKLE_MAX_STACK + 1, "."), DCLS_ERR_LIMIT,
                   "on the stack");
    check_repeated(ctx, "values", repeated(ctx, "", "N0", DCLS_PICKLE_MAX_VALUES, "N."), DCLS_ERR_LIMIT,
                   "2097152 values");
    /* 64 Ki pairs, then one dict of them all again and again */
    dcls_bytes pairs = repeated(ctx, "](", "NN\x86", 1 << 16, "eq\1ccollections\nOrderedDict\nq\2");
    dcls_bytes calls = repeated(ctx, "", "h\2h\1\x85R", 100, ".");
    dcls_bytes both = {.data = dcls_alloc(ctx, pairs.size + calls.size, 1), .size = pairs.size + calls.size};
    assert_non_null(both.data);
    memcpy(both.data, pairs.data, pairs.size);
    memcpy(both.data + pairs.size, calls.data, calls.size);
    free(pairs.data);
    free(calls.data);
    check_repeated(ctx, "dicts of one list", both, DCLS_ERR_LIMIT, "2097152 values");
}

/* Depth costs no stack, in reading or in freeing. */
static void test_deep(void **state)
{
    dcls_context *ctx = *state;
    dcls_bytes lists = repeated(ctx, "", "]", 500000, ""), ends = repeated(ctx, "", "a", 499999, ".");
    dcls_bytes both = {.data = dcls_alloc(ctx, lists.size + ends.size, 1), .size = lists.size + ends.size};
    assert_non_null(both.data);
    memcpy(both.data, lists.data, lists.size);
    memcpy(both.data + lists.size, ends.data, ends.size);
    free(lists.data);
    free(ends.data);
    check_repeated(ctx, "deep lists", both, DCLS_OK, NULL);
    check_repeated(ctx, "deep tuples", repeated(ctx, "N", "\x85", 500000, "."), DCLS_OK, NULL);
}

/* ---- values ---- */

static dcls_pickle parse(dcls_context *ctx, const char *data, size_t size)
{
    dcls_pickle pickle;
    assert_ok(ctx, dcls_pickle_read(ctx, (const unsigned char *)data, size, &pickle));
    assert_non_null(pickle.root);
    return pickle;
}

static void expect_integer(dcls_context *ctx, const char *data, size_t size, int64_t expected)
{
    dcls_pickle p = parse(ctx, data, size);
    assert_int_equal(p.root->kind, DCLS_PICKLE_INT);
    assert_true(p.root->integer == expected);
    dcls_pickle_free(&p);
}

static void test_numbers(void **state)
{
    dcls_context *ctx = *state;
    expect_integer(ctx, BYTES("K\xff."), 255);
    expect_integer(ctx, BYTES("M\x01\xff."), 65281);
    expect_integer(ctx, BYTES("J\xfe\xff\xff\xff."), -2);
    expect_integer(ctx, BYTES("J\xff\xff\xff\x7f."), INT32_MAX);
    expect_integer(ctx, BYTES("\x8a\0."), 0);
    expect_integer(ctx, BYTES("\x8a\x01\xff."), -1);
    expect_integer(ctx, BYTES("\x8a\x02\xff\0."), 255);
    expect_integer(ctx, BYTES("\x8a\x08\0\0\0\0\0\0\0\x80."), INT64_MIN);
    expect_integer(ctx, BYTES("\x8b\x05\0\0\0\0\0\0\0\x01."), INT64_C(1) << 32);
    dcls_pickle p = parse(ctx, BYTES("\x8a\x0al\xfc\x9c"
                                     "F\xf9 j\xa8P\x19."));
    assert_int_equal(p.root->kind, DCLS_PICKLE_BIG);
    assert_int_equal(p.root->text.length, 10);
    dcls_pickle_free(&p);
    p = parse(ctx, BYTES("G\xbf\xf8\0\0\0\0\0\0."));
    assert_int_equal(p.root->kind, DCLS_PICKLE_FLOAT);
    assert_true(p.root->real == -1.5);
    dcls_pickle_free(&p);
    p = parse(ctx, BYTES("N\x88\x89\x87."));
    assert_int_equal(p.root->items[0]->kind, DCLS_PICKLE_NONE);
    assert_int_equal(p.root->items[1]->integer, 1);
    assert_int_equal(p.root->items[2]->kind, DCLS_PICKLE_BOOL);
    assert_int_equal(p.root->items[2]->integer, 0);
    dcls_pickle_free(&p);
}

/* Every kind of text and bytes holds "ab". */
static void test_text(void **state)
{
    dcls_context *ctx = *state;
    dcls_pickle p = parse(ctx, BYTES("(X\2\0\0\0ab\x8c\2ab\x8d\2\0\0\0\0\0\0\0abU\2abT\2\0\0\0ab"
                                     "B\2\0\0\0abC\2ab\x8e\2\0\0\0\0\0\0\0ab\x96\2\0\0\0\0\0\0\0abt."));
    assert_int_equal(p.root->count, 9);
    for (size_t i = 0; i < 9; i++) {
        const dcls_pickle_value *v = p.root->items[i];
        assert_int_equal(v->kind, i < 5 ? DCLS_PICKLE_TEXT : DCLS_PICKLE_BYTES);
        assert_int_equal(v->text.length, 2);
        assert_memory_equal(v->text.data, "ab", 2);
        assert_int_equal(dcls_pickle_is_text(v, "ab"), i < 5);
    }
    dcls_pickle_free(&p);
}

static void test_containers(void **state)
{
    dcls_context *ctx = *state;
    dcls_pickle p = parse(ctx, BYTES("(\x91."));
    assert_int_equal(p.root->count, 0);
    dcls_pickle_free(&p);

    p = parse(ctx, BYTES("](K\1K\2eK\3a."));
    assert_int_equal(p.root->kind, DCLS_PICKLE_LIST);
    assert_int_equal(p.root->count, 3);
    assert_int_equal(p.root->items[2]->integer, 3);
    dcls_pickle_free(&p);

    p = parse(ctx, BYTES("}(X\1\0\0\0aK\1X\1\0\0\0bK\2uX\1\0\0\0aK\3s."));
    assert_int_equal(p.root->kind, DCLS_PICKLE_DICT);
    assert_int_equal(p.root->count, 6);
    assert_int_equal(dcls_pickle_get(p.root, "a")->integer, 3);
    assert_int_equal(dcls_pickle_get(p.root, "b")->integer, 2);
    assert_null(dcls_pickle_get(p.root, "c"));
    dcls_pickle_free(&p);

    p = parse(ctx, BYTES("((K\1K\2l(NNd(K\1K\1\x91\x8f(K\1K\2\x90(tt."));
    assert_int_equal(p.root->count, 5);
    const dcls_pickle_kind kinds[] = {DCLS_PICKLE_LIST, DCLS_PICKLE_DICT, DCLS_PICKLE_SET, DCLS_PICKLE_SET,
                                      DCLS_PICKLE_TUPLE};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(p.root->items[i]->kind, kinds[i]);
        assert_int_equal(p.root->items[i]->count, i < 4 ? 2 : 0);
    }
    dcls_pickle_free(&p);
}

static void test_stack_and_memo(void **state)
{
    dcls_context *ctx = *state;
    expect_integer(ctx,
                   BYTES("K\1(K\2K\3"
                         "1."),
                   1);
    expect_integer(ctx,
                   BYTES("K\1K\2"
                         "0."),
                   1);
    expect_integer(ctx, BYTES("K\1(0."), 1);
    expect_integer(ctx, BYTES("K\1q\0K\2r\1\0\0\0h\0."), 1);
    expect_integer(ctx, BYTES("K\1q\0K\2r\1\0\0\0j\1\0\0\0."), 2);
    expect_integer(ctx, BYTES("\x80\4\x95\x0a\0\0\0\0\0\0\0K\1\x94K\2\x94K\3h\1."), 2);
    dcls_pickle p = parse(ctx, BYTES("K\7"
                                     "2\x86."));
    assert_ptr_equal(p.root->items[0], p.root->items[1]);
    dcls_pickle_free(&p);
    p = parse(ctx, BYTES("N.rest"));
    assert_int_equal(p.consumed, 2);
    dcls_pickle_free(&p);
}

/* Values that contain themselves or each other many times over cost what their pickle costs. */
static void test_shared(void **state)
{
    dcls_context *ctx = *state;
    dcls_pickle p = parse(ctx, BYTES("]q\0h\0a."));
    assert_ptr_equal(p.root->items[0], p.root);
    dcls_pickle_free(&p);
    p = parse(ctx, BYTES("}q\0(X\1\0\0\0ah\0X\1\0\0\0b]q\1h\1ah\0au."));
    assert_ptr_equal(dcls_pickle_get(p.root, "a"), p.root);
    dcls_pickle_free(&p);
    check_repeated(ctx, "doubling", repeated(ctx, "N", "2\x86", 100000, "."), DCLS_OK, NULL);
}

/* ---- calls ---- */

/* Each of these would make a file if anything ran it. */
static void test_nothing_runs(void **state)
{
    static const struct {
        const char *data;
        size_t size;
    } evil[] = {
        {BYTES("\x80\2cposix\nsystem\nX\x0c\0\0\0touch canary\x85R.")},
        {BYTES("\x80\4\x8c\2os\x8c\6system\x93\x8c\x0ctouch canary\x85R.")},
        {BYTES("\x80\2(cos\nsystem\nX\x0c\0\0\0touch canaryo.")},
        {BYTES("\x80\2csubprocess\nPopen\nX\x0c\0\0\0touch canary\x85\x81}X\5\0\0\0shell\x88sb.")},
        {BYTES("\x80\4\x8c\2os\x8c\6system\x93\x8c\x0ctouch canary\x85}\x92.")},
        {BYTES("\x80\2c__builtin__\nexec\nX\x13\0\0\0open('canary', 'w')\x85R0N.")},
        {BYTES("\x80\2ca\nb\n)\x81}X\x0c\0\0\0__setstate__cos\nsystem\nsbX\x0c\0\0\0touch canaryb.")},
    };
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        dcls_pickle p = parse(ctx, evil[i].data, evil[i].size);
        assert_int_equal(access("canary", F_OK), -1);
        dcls_pickle_free(&p);
    }
    dcls_pickle p = parse(ctx, evil[0].data, evil[0].size);
    assert_int_equal(p.root->kind, DCLS_PICKLE_OBJECT);
    assert_true(dcls_pickle_is_global(p.root->object.callable, "posix", "system"));
    assert_true(dcls_pickle_is_text(p.root->object.args->items[0], "touch canary"));
    char text[DCLS_PICKLE_DESCRIBE];
    assert_string_equal(dcls_pickle_describe(p.root, text, sizeof text), "an object of posix.system");
    dcls_pickle_free(&p);
}

static void test_objects(void **state)
{
    dcls_context *ctx = *state;
    dcls_pickle p = parse(ctx, BYTES("\x80\2cargparse\nNamespace\n)\x81}X\2\0\0\0lrK\5sb."));
    assert_int_equal(p.root->kind, DCLS_PICKLE_OBJECT);
    assert_int_equal(dcls_pickle_get(p.root->object.state, "lr")->integer, 5);
    assert_null(dcls_pickle_get(p.root, "lr"));
    dcls_pickle_free(&p);

    p = parse(ctx, BYTES("ca\nDict\n)R(X\1\0\0\0kK\1uX\1\0\0\0mK\2s."));
    assert_int_equal(dcls_pickle_get(p.root, "m")->integer, 2);
    dcls_pickle_free(&p);

    p = parse(ctx, BYTES("X\1\0\0\0kQX\1\0\0\0lQ\x86."));
    assert_int_equal(p.root->items[0]->kind, DCLS_PICKLE_PERSISTENT);
    assert_ptr_equal(p.persistent, p.root->items[1]);
    assert_ptr_equal(p.persistent->next, p.root->items[0]);
    assert_true(dcls_pickle_is_text(p.persistent->object.args, "l"));
    dcls_pickle_free(&p);
}

static void test_ordered_dicts(void **state)
{
    dcls_context *ctx = *state;
    dcls_pickle p = parse(ctx, BYTES("ccollections\nOrderedDict\n)R(X\1\0\0\0kK\1u}X\4\0\0\0metaNsb."));
    assert_int_equal(p.root->kind, DCLS_PICKLE_DICT);
    assert_int_equal(dcls_pickle_get(p.root, "k")->integer, 1);
    assert_int_equal(p.root->object.state->count, 2);
    dcls_pickle_free(&p);
    /* as Python 2 wrote them */
    p = parse(ctx, BYTES("ccollections\nOrderedDict\n](](U\1kK\1e](U\1lK\2ee\x85R."));
    assert_int_equal(p.root->kind, DCLS_PICKLE_DICT);
    assert_int_equal(p.root->count, 4);
    assert_int_equal(dcls_pickle_get(p.root, "l")->integer, 2);
    dcls_pickle_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_refusals),       CONTEXT_TEST(test_limits),        CONTEXT_TEST(test_deep),
        CONTEXT_TEST(test_numbers),        CONTEXT_TEST(test_text),          CONTEXT_TEST(test_containers),
        CONTEXT_TEST(test_stack_and_memo), CONTEXT_TEST(test_shared),        CONTEXT_TEST(test_nothing_runs),
        CONTEXT_TEST(test_objects),        CONTEXT_TEST(test_ordered_dicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
