/* The pickle machine: a stack, marks in it and a memo, and the stream of opcodes that works on them. */
#include "formats/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "formats/little_endian.h"
#include "formats/pickle_machine.h"

/* ---- the stack ---------------------------------------------------------------------------------------- */

size_t dcls_pickle_floor(const dcls_pickle_machine *m)
{
    return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

dcls_status dcls_pickle_need(dcls_pickle_machine *m, size_t count)
{
    if (m->height - dcls_pickle_floor(m) < count)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "stack underflow");
    return DCLS_OK;
}

dcls_status dcls_pickle_push(dcls_pickle_machine *m, dcls_pickle_value *value)
{
    if (m->height >= DCLS_PICKLE_MAX_STACK)
        return dcls_fail(m->ctx, DCLS_ERR_LIMIT, "more than %zu values on the stack", DCLS_PICKLE_MAX_STACK);
    DCLS_TRY(dcls_grow(m->ctx, &m->stack, &m->stack_capacity, m->height + 1, sizeof *m->stack));
    m->stack[m->height++] = value;
    return DCLS_OK;
}

dcls_status dcls_pickle_pop(dcls_pickle_machine *m, dcls_pickle_value **out)
{
    DCLS_TRY(dcls_pickle_need(m, 1));
    *out = m->stack[--m->height];
    return DCLS_OK;
}

dcls_status dcls_pickle_take_mark(dcls_pickle_machine *m, size_t *from)
{
    if (m->mark_count == 0) return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "no mark on the stack");
    *from = m->marks[--m->mark_count];
    return DCLS_OK;
}

dcls_status dcls_pickle_charge(dcls_pickle_machine *m, size_t count)
{
    if (count > DCLS_PICKLE_MAX_VALUES - m->value_count)
        return dcls_fail(m->ctx, DCLS_ERR_LIMIT, "more than %zu values", DCLS_PICKLE_MAX_VALUES);
    m->value_count += count;
    return DCLS_OK;
}

dcls_status dcls_pickle_new(dcls_pickle_machine *m, dcls_pickle_kind kind, dcls_pickle_value **out)
{
    DCLS_TRY(dcls_pickle_charge(m, 1));
    dcls_pickle_value *value = dcls_arena_alloc(m->ctx, &m->out->arena, 1, sizeof *value);
    if (!value) return DCLS_ERR_MEMORY;
    value->kind = kind;
    *out = value;
    return DCLS_OK;
}

dcls_status dcls_pickle_push_new(dcls_pickle_machine *m, dcls_pickle_kind kind, dcls_pickle_value **out)
{
    DCLS_TRY(dcls_pickle_new(m, kind, out));
    return dcls_pickle_push(m, *out);
}

/* ---- containers --------------------------------------------------------------------------------------- */

dcls_status dcls_pickle_append(dcls_pickle_machine *m, dcls_pickle_value *to, dcls_pickle_value *const *items,
                               size_t count)
{
    if (count == 0) return DCLS_OK;
    if (!to->items) {
        to->next = m->out->growable;
        m->out->growable = to;
    }
    DCLS_TRY(dcls_grow(m->ctx, &to->items, &to->capacity, to->count + count, sizeof *to->items));
    memcpy(to->items + to->count, items, count * sizeof *items);
    to->count += count;
    return DCLS_OK;
}

dcls_status dcls_pickle_fill(dcls_pickle_machine *m, size_t from, dcls_pickle_kind kind)
{
    bool keyed = kind == DCLS_PICKLE_DICT;
    if (from <= dcls_pickle_floor(m)) return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "stack underflow");
    dcls_pickle_value *to = m->stack[from - 1];
    size_t count = m->height - from;
    bool object = to->kind == DCLS_PICKLE_OBJECT && (to->count == 0 || to->keyed == keyed);
    if (to->kind != kind && !object) {
        char text[DCLS_PICKLE_DESCRIBE];
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "%s cannot be filled this way",
                         dcls_pickle_describe(to, text, sizeof text));
    }
    if (keyed && count % 2) return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "a key has no value");
    DCLS_TRY(dcls_pickle_append(m, to, m->stack + from, count));
    if (object) to->keyed = keyed;
    m->height = from;
    return DCLS_OK;
}

dcls_status dcls_pickle_make_tuple(dcls_pickle_machine *m, size_t from)
{
    dcls_pickle_value *tuple = NULL;
    size_t count = m->height - from;
    DCLS_TRY(dcls_pickle_new(m, DCLS_PICKLE_TUPLE, &tuple));
    tuple->items = dcls_arena_alloc(m->ctx, &m->out->arena, count, sizeof *tuple->items);
    if (!tuple->items) return DCLS_ERR_MEMORY;
    if (count) memcpy(tuple->items, m->stack + from, count * sizeof *tuple->items);
    tuple->count = count;
    m->height = from;
    return dcls_pickle_push(m, tuple);
}

/* Picklers number their memo from 0 or 1 and spend at least a byte on each entry, so an index beyond the
 * pickle's size is no pickler's. The table stays within twice DCLS_PICKLE_MAX_VALUES. */
dcls_status dcls_pickle_remember(dcls_pickle_machine *m, uint64_t index)
{
    size_t old = m->memo_capacity;
    DCLS_TRY(dcls_pickle_need(m, 1));
    if (index > m->size || index > DCLS_PICKLE_MAX_VALUES)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "memo index %llu is out of range",
                         (unsigned long long)index);
    DCLS_TRY(dcls_grow(m->ctx, &m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *m->memo));
    if (m->memo_capacity > old) memset(m->memo + old, 0, (m->memo_capacity - old) * sizeof *m->memo);
    if (!m->memo[index]) m->memo_count++;
    m->memo[index] = m->stack[m->height - 1];
    return DCLS_OK;
}

/* ---- the stream --------------------------------------------------------------------------------------- */

static dcls_status take(dcls_pickle_machine *m, uint64_t count, const unsigned char **out)
{
    if (count > m->size - m->pos)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "%llu bytes wanted, %zu left", (unsigned long long)count,
                         m->size - m->pos);
    *out = m->data + m->pos;
    m->pos += (size_t)count;
    return DCLS_OK;
}

static dcls_status take_number(dcls_pickle_machine *m, int bytes, uint64_t *out)
{
    const unsigned char *from = NULL;
    DCLS_TRY(take(m, (uint64_t)bytes, &from));
    *out = dcls_little_endian(from, bytes);
    return DCLS_OK;
}

static dcls_status take_text(dcls_pickle_machine *m, int length_bytes, dcls_pickle_text *out)
{
    uint64_t length = 0;
    const unsigned char *from = NULL;
    DCLS_TRY(take_number(m, length_bytes, &length));
    DCLS_TRY(take(m, length, &from));
    *out = (dcls_pickle_text){(const char *)from, (size_t)length};
    return DCLS_OK;
}

static dcls_status take_line(dcls_pickle_machine *m, dcls_pickle_text *out)
{
    const unsigned char *from = m->data + m->pos;
    const unsigned char *end = memchr(from, '\n', m->size - m->pos);
    if (!end) return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "a name does not end");
    *out = (dcls_pickle_text){(const char *)from, (size_t)(end - from)};
    m->pos += out->length + 1;
    return DCLS_OK;
}

static dcls_status take_operand(dcls_pickle_machine *m, dcls_pickle_operand_kind kind,
                                dcls_pickle_operand *out)
{
    switch (kind) {
    case DCLS_PICKLE_NO_OPERAND: return DCLS_OK;
    case DCLS_PICKLE_NUMBER1: return take_number(m, 1, &out->number);
    case DCLS_PICKLE_NUMBER2: return take_number(m, 2, &out->number);
    case DCLS_PICKLE_NUMBER4: return take_number(m, 4, &out->number);
    case DCLS_PICKLE_SIGNED4:
        DCLS_TRY(take_number(m, 4, &out->number));
        out->number = (uint64_t)(int64_t)(int32_t)(uint32_t)out->number;
        return DCLS_OK;
    case DCLS_PICKLE_NUMBER8: return take_number(m, 8, &out->number);
    case DCLS_PICKLE_BIG_ENDIAN8:
        DCLS_TRY(take_number(m, 8, &out->number));
        out->number = __builtin_bswap64(out->number);
        return DCLS_OK;
    case DCLS_PICKLE_TEXT1: return take_text(m, 1, &out->text);
    case DCLS_PICKLE_TEXT4: return take_text(m, 4, &out->text);
    case DCLS_PICKLE_TEXT8: return take_text(m, 8, &out->text);
    case DCLS_PICKLE_TWO_LINES: DCLS_TRY(take_line(m, &out->text)); return take_line(m, &out->name);
    }
    return DCLS_OK;
}

static dcls_status step(dcls_pickle_machine *m, const dcls_pickle_opcode *op, dcls_pickle_operand *arg)
{
    DCLS_TRY(take_operand(m, op->operand, arg));
    return op->run(m, arg);
}

static dcls_status run(dcls_pickle_machine *m)
{
    while (!m->out->root) {
        size_t at = m->pos;
        if (at >= DCLS_PICKLE_MAX_BYTES)
            return dcls_fail(m->ctx, DCLS_ERR_LIMIT, "a pickle of more than %zu bytes",
                             DCLS_PICKLE_MAX_BYTES);
        if (at >= m->size) return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "the pickle ends without STOP");
        dcls_pickle_operand arg = {.code = m->data[m->pos++]};
        const dcls_pickle_opcode *op = &dcls_pickle_opcodes[arg.code];
        if (!op->run)
            return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "0x%02x at byte %zu is no pickle opcode", arg.code, at);
        dcls_status status = step(m, op, &arg);
        if (status != DCLS_OK)
            return dcls_fail_within(m->ctx, status, "pickle opcode %s at byte %zu: ", op->name, at);
    }
    m->out->consumed = m->pos;
    return DCLS_OK;
}

dcls_status dcls_pickle_read(dcls_context *ctx, const unsigned char *data, size_t size, dcls_pickle *out)
{
    *out = (dcls_pickle){0};
    /* Only this much is looked at, so that storages behind a pickle do not count. */
    dcls_pickle_machine m = {.ctx = ctx, .data = data, .size = size, .out = out};
    if (m.size > DCLS_PICKLE_MAX_BYTES) m.size = DCLS_PICKLE_MAX_BYTES;
    /* There is a stack from the start, so that no opcode meets a null pointer. */
    dcls_status status = dcls_grow(ctx, &m.stack, &m.stack_capacity, 64, sizeof *m.stack);
    if (status == DCLS_OK) status = run(&m);
    free(m.stack);
    free(m.marks);
    free(m.memo);
    return status;
}
