/* What each pickle opcode does, as CPython's pickletools defines it, one small function per group; where it
 * would call something, the call is written down instead. */
#include <string.h>

#include "formats/little_endian.h"
#include "formats/pickle_machine.h"

/* ---- containers --------------------------------------------------------------------------------------- */

static dcls_status fill_from_mark(dcls_pickle_machine *m, dcls_pickle_kind kind)
{
    size_t from = 0;
    DCLS_TRY(dcls_pickle_take_mark(m, &from));
    return dcls_pickle_fill(m, from, kind);
}

static dcls_status op_append(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    DCLS_TRY(dcls_pickle_need(m, 2));
    return dcls_pickle_fill(m, m->height - 1, DCLS_PICKLE_LIST);
}

static dcls_status op_appends(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    return fill_from_mark(m, DCLS_PICKLE_LIST);
}

static dcls_status op_set_item(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    DCLS_TRY(dcls_pickle_need(m, 3));
    return dcls_pickle_fill(m, m->height - 2, DCLS_PICKLE_DICT);
}

static dcls_status op_set_items(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    return fill_from_mark(m, DCLS_PICKLE_DICT);
}

static dcls_status op_add_items(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    return fill_from_mark(m, DCLS_PICKLE_SET);
}

static dcls_status op_empty(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    dcls_pickle_kind kind = arg->code == ')'   ? DCLS_PICKLE_TUPLE
                            : arg->code == ']' ? DCLS_PICKLE_LIST
                            : arg->code == '}' ? DCLS_PICKLE_DICT
                                               : DCLS_PICKLE_SET;
    return dcls_pickle_push_new(m, kind, &value);
}

static dcls_status op_tuple(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    size_t from = 0;
    DCLS_TRY(dcls_pickle_take_mark(m, &from));
    return dcls_pickle_make_tuple(m, from);
}

/* TUPLE1, TUPLE2, TUPLE3 follow one another. */
static dcls_status op_short_tuple(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    size_t count = (size_t)arg->code - 0x85 + 1;
    DCLS_TRY(dcls_pickle_need(m, count));
    return dcls_pickle_make_tuple(m, m->height - count);
}

/* LIST, DICT and FROZENSET: a container of everything above the mark. */
static dcls_status op_collect(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    size_t from = 0;
    dcls_pickle_value *value = NULL;
    dcls_pickle_kind kind = arg->code == 'l'   ? DCLS_PICKLE_LIST
                            : arg->code == 'd' ? DCLS_PICKLE_DICT
                                               : DCLS_PICKLE_SET;
    DCLS_TRY(dcls_pickle_take_mark(m, &from));
    if (kind == DCLS_PICKLE_DICT && (m->height - from) % 2)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "a key has no value");
    DCLS_TRY(dcls_pickle_new(m, kind, &value));
    DCLS_TRY(dcls_pickle_append(m, value, m->stack + from, m->height - from));
    m->height = from;
    return dcls_pickle_push(m, value);
}

/* ---- plain values ------------------------------------------------------------------------------------- */

static dcls_status op_constant(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    DCLS_TRY(dcls_pickle_push_new(m, arg->code == 'N' ? DCLS_PICKLE_NONE : DCLS_PICKLE_BOOL, &value));
    value->integer = arg->code == 0x88;
    return DCLS_OK;
}

static dcls_status op_integer(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    DCLS_TRY(dcls_pickle_push_new(m, DCLS_PICKLE_INT, &value));
    value->integer = (int64_t)arg->number;
    return DCLS_OK;
}

/* LONG1 and LONG4: two's complement, little-endian, of any length. */
static dcls_status op_long(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    size_t length = arg->text.length;
    DCLS_TRY(dcls_pickle_push_new(m, length > 8 ? DCLS_PICKLE_BIG : DCLS_PICKLE_INT, &value));
    if (length > 8) {
        value->text = arg->text;
        return DCLS_OK;
    }
    const unsigned char *bytes = (const unsigned char *)arg->text.data;
    uint64_t number = dcls_little_endian(bytes, (int)length);
    if (length > 0 && length < 8 && bytes[length - 1] & 0x80) number |= ~(uint64_t)0 << (8 * length);
    value->integer = (int64_t)number;
    return DCLS_OK;
}

static dcls_status op_float(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    DCLS_TRY(dcls_pickle_push_new(m, DCLS_PICKLE_FLOAT, &value));
    memcpy(&value->real, &arg->number, sizeof value->real);
    return DCLS_OK;
}

static dcls_status op_text(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    DCLS_TRY(dcls_pickle_push_new(m, DCLS_PICKLE_TEXT, &value));
    value->text = arg->text;
    return DCLS_OK;
}

static dcls_status op_bytes(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    DCLS_TRY(op_text(m, arg));
    m->stack[m->height - 1]->kind = DCLS_PICKLE_BYTES;
    return DCLS_OK;
}

/* ---- stack and memo ----------------------------------------------------------------------------------- */

static dcls_status op_mark(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    if (m->mark_count >= DCLS_PICKLE_MAX_MARKS)
        return dcls_fail(m->ctx, DCLS_ERR_LIMIT, "more than %zu marks", DCLS_PICKLE_MAX_MARKS);
    DCLS_TRY(dcls_grow(m->ctx, &m->marks, &m->mark_capacity, m->mark_count + 1, sizeof *m->marks));
    m->marks[m->mark_count++] = m->height;
    return DCLS_OK;
}

static dcls_status op_pop_mark(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    return dcls_pickle_take_mark(m, &m->height);
}

/* POP takes the mark itself when nothing stands above it. */
static dcls_status op_pop(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    if (m->mark_count && m->height == dcls_pickle_floor(m)) return op_pop_mark(m, arg);
    return dcls_pickle_pop(m, &value);
}

static dcls_status op_dup(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    DCLS_TRY(dcls_pickle_need(m, 1));
    return dcls_pickle_push(m, m->stack[m->height - 1]);
}

static dcls_status op_get(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    if (arg->number >= m->memo_capacity || !m->memo[arg->number])
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "memo %llu was never set", (unsigned long long)arg->number);
    return dcls_pickle_push(m, m->memo[arg->number]);
}

static dcls_status op_put(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    return dcls_pickle_remember(m, arg->number);
}

static dcls_status op_memoize(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    return dcls_pickle_remember(m, m->memo_count);
}

/* ---- names and the calls that are not made ------------------------------------------------------------ */

static dcls_status op_global(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *value = NULL;
    DCLS_TRY(dcls_pickle_push_new(m, DCLS_PICKLE_GLOBAL, &value));
    value->global.module = arg->text;
    value->global.name = arg->name;
    return DCLS_OK;
}

static dcls_status op_stack_global(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *module = NULL, *name = NULL;
    DCLS_TRY(dcls_pickle_pop(m, &name));
    DCLS_TRY(dcls_pickle_pop(m, &module));
    if (module->kind != DCLS_PICKLE_TEXT || name->kind != DCLS_PICKLE_TEXT)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "module and name are not strings");
    return op_global(m, &(dcls_pickle_operand){.code = arg->code, .text = module->text, .name = name->text});
}

/* Python 2 wrote an OrderedDict as a call with a list of [key, value] pairs. */
static dcls_status fill_from_pairs(dcls_pickle_machine *m, dcls_pickle_value *dict,
                                   const dcls_pickle_value *args)
{
    if (args->count == 0) return DCLS_OK;
    const dcls_pickle_value *pairs = args->items[0];
    if (args->count != 1 || pairs->kind != DCLS_PICKLE_LIST)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "an OrderedDict is not made from a list of pairs");
    for (size_t i = 0; i < pairs->count; i++) {
        const dcls_pickle_value *pair = pairs->items[i];
        if ((pair->kind != DCLS_PICKLE_LIST && pair->kind != DCLS_PICKLE_TUPLE) || pair->count != 2)
            return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "an OrderedDict is not made from a list of pairs");
        DCLS_TRY(dcls_pickle_charge(m, 1));
        DCLS_TRY(dcls_pickle_append(m, dict, pair->items, 2));
    }
    return DCLS_OK;
}

static dcls_status push_call(dcls_pickle_machine *m, dcls_pickle_value *callable, dcls_pickle_value *args)
{
    dcls_pickle_value *value = NULL;
    bool callable_kind = callable->kind == DCLS_PICKLE_GLOBAL || callable->kind == DCLS_PICKLE_OBJECT ||
                         callable->kind == DCLS_PICKLE_PERSISTENT;
    if (!callable_kind || args->kind != DCLS_PICKLE_TUPLE) {
        char text[DCLS_PICKLE_DESCRIBE];
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "%s %s",
                         dcls_pickle_describe(callable_kind ? args : callable, text, sizeof text),
                         callable_kind ? "is not an argument tuple" : "cannot be called");
    }
    if (dcls_pickle_is_global(callable, "collections", "OrderedDict")) {
        DCLS_TRY(dcls_pickle_push_new(m, DCLS_PICKLE_DICT, &value));
        return fill_from_pairs(m, value, args);
    }
    DCLS_TRY(dcls_pickle_push_new(m, DCLS_PICKLE_OBJECT, &value));
    value->object.callable = callable;
    value->object.args = args;
    return DCLS_OK;
}

/* REDUCE and NEWOBJ: a callable or class, and its arguments. */
static dcls_status op_call(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    dcls_pickle_value *args = NULL, *callable = NULL;
    DCLS_TRY(dcls_pickle_pop(m, &args));
    DCLS_TRY(dcls_pickle_pop(m, &callable));
    return push_call(m, callable, args);
}

static dcls_status op_new_object_ex(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    dcls_pickle_value *keywords = NULL;
    DCLS_TRY(dcls_pickle_pop(m, &keywords));
    if (keywords->kind != DCLS_PICKLE_DICT)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "keyword arguments are not a dict");
    return op_call(m, arg);
}

/* OBJ: above the mark the class, then its arguments. */
static dcls_status op_object(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    DCLS_TRY(dcls_pickle_need(m, 1));
    size_t from = 0;
    DCLS_TRY(dcls_pickle_take_mark(m, &from));
    dcls_pickle_value *callable = m->stack[from];
    DCLS_TRY(dcls_pickle_make_tuple(m, from + 1));
    dcls_pickle_value *args = m->stack[m->height - 1];
    m->height = from;
    return push_call(m, callable, args);
}

static dcls_status op_build(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    dcls_pickle_value *state = NULL;
    DCLS_TRY(dcls_pickle_need(m, 2));
    DCLS_TRY(dcls_pickle_pop(m, &state));
    dcls_pickle_value *to = m->stack[m->height - 1];
    if (to->kind != DCLS_PICKLE_OBJECT && to->kind != DCLS_PICKLE_DICT) {
        char text[DCLS_PICKLE_DESCRIBE];
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "%s cannot be given a state",
                         dcls_pickle_describe(to, text, sizeof text));
    }
    to->object.state = state;
    return DCLS_OK;
}

static dcls_status op_persistent_id(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    dcls_pickle_value *id = NULL, *value = NULL;
    DCLS_TRY(dcls_pickle_pop(m, &id));
    DCLS_TRY(dcls_pickle_push_new(m, DCLS_PICKLE_PERSISTENT, &value));
    value->object.args = id;
    value->next = m->out->persistent;
    m->out->persistent = value;
    return DCLS_OK;
}

/* ---- the stream --------------------------------------------------------------------------------------- */

static dcls_status op_protocol(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    if (arg->number < 2 || arg->number > 5)
        return dcls_fail(m->ctx, DCLS_ERR_UNSUPPORTED, "pickle protocol %d is not read, only 2 to 5",
                         (int)arg->number);
    return DCLS_OK;
}

/* Frames tell readers of streams how much to fetch; here everything is in memory already. */
static dcls_status op_frame(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    if (arg->number > m->size - m->pos)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "the frame is longer than the pickle");
    return DCLS_OK;
}

static dcls_status op_stop(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    return dcls_pickle_pop(m, &m->out->root);
}

static dcls_status op_refused(dcls_pickle_machine *m, const dcls_pickle_operand *arg)
{
    (void)arg;
    return dcls_fail(m->ctx, DCLS_ERR_UNSUPPORTED, "this opcode is not read");
}

const dcls_pickle_opcode dcls_pickle_opcodes[256] = {
    ['('] = {"MARK", DCLS_PICKLE_NO_OPERAND, op_mark},
    ['.'] = {"STOP", DCLS_PICKLE_NO_OPERAND, op_stop},
    ['0'] = {"POP", DCLS_PICKLE_NO_OPERAND, op_pop},
    ['1'] = {"POP_MARK", DCLS_PICKLE_NO_OPERAND, op_pop_mark},
    ['2'] = {"DUP", DCLS_PICKLE_NO_OPERAND, op_dup},
    ['B'] = {"BINBYTES", DCLS_PICKLE_TEXT4, op_bytes},
    ['C'] = {"SHORT_BINBYTES", DCLS_PICKLE_TEXT1, op_bytes},
    ['F'] = {"FLOAT", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['G'] = {"BINFLOAT", DCLS_PICKLE_BIG_ENDIAN8, op_float},
    ['I'] = {"INT", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['J'] = {"BININT", DCLS_PICKLE_SIGNED4, op_integer},
    ['K'] = {"BININT1", DCLS_PICKLE_NUMBER1, op_integer},
    ['L'] = {"LONG", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['M'] = {"BININT2", DCLS_PICKLE_NUMBER2, op_integer},
    ['N'] = {"NONE", DCLS_PICKLE_NO_OPERAND, op_constant},
    ['P'] = {"PERSID", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['Q'] = {"BINPERSID", DCLS_PICKLE_NO_OPERAND, op_persistent_id},
    ['R'] = {"REDUCE", DCLS_PICKLE_NO_OPERAND, op_call},
    ['S'] = {"STRING", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['T'] = {"BINSTRING", DCLS_PICKLE_TEXT4, op_text},
    ['U'] = {"SHORT_BINSTRING", DCLS_PICKLE_TEXT1, op_text},
    ['V'] = {"UNICODE", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['X'] = {"BINUNICODE", DCLS_PICKLE_TEXT4, op_text},
    [')'] = {"EMPTY_TUPLE", DCLS_PICKLE_NO_OPERAND, op_empty},
    [']'] = {"EMPTY_LIST", DCLS_PICKLE_NO_OPERAND, op_empty},
    ['}'] = {"EMPTY_DICT", DCLS_PICKLE_NO_OPERAND, op_empty},
    ['a'] = {"APPEND", DCLS_PICKLE_NO_OPERAND, op_append},
    ['b'] = {"BUILD", DCLS_PICKLE_NO_OPERAND, op_build},
    ['c'] = {"GLOBAL", DCLS_PICKLE_TWO_LINES, op_global},
    ['d'] = {"DICT", DCLS_PICKLE_NO_OPERAND, op_collect},
    ['e'] = {"APPENDS", DCLS_PICKLE_NO_OPERAND, op_appends},
    ['g'] = {"GET", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['h'] = {"BINGET", DCLS_PICKLE_NUMBER1, op_get},
    ['i'] = {"INST", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['j'] = {"LONG_BINGET", DCLS_PICKLE_NUMBER4, op_get},
    ['l'] = {"LIST", DCLS_PICKLE_NO_OPERAND, op_collect},
    ['o'] = {"OBJ", DCLS_PICKLE_NO_OPERAND, op_object},
    ['p'] = {"PUT", DCLS_PICKLE_NO_OPERAND, op_refused},
    ['q'] = {"BINPUT", DCLS_PICKLE_NUMBER1, op_put},
    ['r'] = {"LONG_BINPUT", DCLS_PICKLE_NUMBER4, op_put},
    ['s'] = {"SETITEM", DCLS_PICKLE_NO_OPERAND, op_set_item},
    ['t'] = {"TUPLE", DCLS_PICKLE_NO_OPERAND, op_tuple},
    ['u'] = {"SETITEMS", DCLS_PICKLE_NO_OPERAND, op_set_items},
    [0x80] = {"PROTO", DCLS_PICKLE_NUMBER1, op_protocol},
    [0x81] = {"NEWOBJ", DCLS_PICKLE_NO_OPERAND, op_call},
    [0x82] = {"EXT1", DCLS_PICKLE_NO_OPERAND, op_refused},
    [0x83] = {"EXT2", DCLS_PICKLE_NO_OPERAND, op_refused},
    [0x84] = {"EXT4", DCLS_PICKLE_NO_OPERAND, op_refused},
    [0x85] = {"TUPLE1", DCLS_PICKLE_NO_OPERAND, op_short_tuple},
    [0x86] = {"TUPLE2", DCLS_PICKLE_NO_OPERAND, op_short_tuple},
    [0x87] = {"TUPLE3", DCLS_PICKLE_NO_OPERAND, op_short_tuple},
    [0x88] = {"NEWTRUE", DCLS_PICKLE_NO_OPERAND, op_constant},
    [0x89] = {"NEWFALSE", DCLS_PICKLE_NO_OPERAND, op_constant},
    [0x8a] = {"LONG1", DCLS_PICKLE_TEXT1, op_long},
    [0x8b] = {"LONG4", DCLS_PICKLE_TEXT4, op_long},
    [0x8c] = {"SHORT_BINUNICODE", DCLS_PICKLE_TEXT1, op_text},
    [0x8d] = {"BINUNICODE8", DCLS_PICKLE_TEXT8, op_text},
    [0x8e] = {"BINBYTES8", DCLS_PICKLE_TEXT8, op_bytes},
    [0x8f] = {"EMPTY_SET", DCLS_PICKLE_NO_OPERAND, op_empty},
    [0x90] = {"ADDITEMS", DCLS_PICKLE_NO_OPERAND, op_add_items},
    [0x91] = {"FROZENSET", DCLS_PICKLE_NO_OPERAND, op_collect},
    [0x92] = {"NEWOBJ_EX", DCLS_PICKLE_NO_OPERAND, op_new_object_ex},
    [0x93] = {"STACK_GLOBAL", DCLS_PICKLE_NO_OPERAND, op_stack_global},
    [0x94] = {"MEMOIZE", DCLS_PICKLE_NO_OPERAND, op_memoize},
    [0x95] = {"FRAME", DCLS_PICKLE_NUMBER8, op_frame},
    [0x96] = {"BYTEARRAY8", DCLS_PICKLE_TEXT8, op_bytes},
    [0x97] = {"NEXT_BUFFER", DCLS_PICKLE_NO_OPERAND, op_refused},
    [0x98] = {"READONLY_BUFFER", DCLS_PICKLE_NO_OPERAND, op_refused},
};
