/* Inside the pickle reader: the machine the opcodes work on, and what they are made of. */
#ifndef DCLS_FORMATS_PICKLE_MACHINE_H
#define DCLS_FORMATS_PICKLE_MACHINE_H

#include "formats/pickle.h"

typedef struct dcls_pickle_machine {
    dcls_context *ctx;
    const unsigned char *data;
    size_t size, pos;
    dcls_pickle_value **stack;
    size_t height, stack_capacity;
    size_t *marks; /* stack heights at which MARK was met */
    size_t mark_count, mark_capacity;
    dcls_pickle_value **memo; /* NULL: not set */
    size_t memo_count, memo_capacity;
    size_t value_count;
    dcls_pickle *out;
} dcls_pickle_machine;

/* What stands behind an opcode in the stream. */
typedef struct dcls_pickle_operand {
    unsigned char code;
    uint64_t number;
    dcls_pickle_text text, name;
} dcls_pickle_operand;

typedef enum dcls_pickle_operand_kind {
    DCLS_PICKLE_NO_OPERAND,
    DCLS_PICKLE_NUMBER1,
    DCLS_PICKLE_NUMBER2,
    DCLS_PICKLE_NUMBER4,
    DCLS_PICKLE_SIGNED4,
    DCLS_PICKLE_NUMBER8,
    DCLS_PICKLE_BIG_ENDIAN8,
    DCLS_PICKLE_TEXT1, /* a length in 1, 4 or 8 bytes, then as many bytes */
    DCLS_PICKLE_TEXT4,
    DCLS_PICKLE_TEXT8,
    DCLS_PICKLE_TWO_LINES
} dcls_pickle_operand_kind;

typedef struct dcls_pickle_opcode {
    const char *name;
    dcls_pickle_operand_kind operand;
    dcls_status (*run)(dcls_pickle_machine *m, const dcls_pickle_operand *arg); /* NULL: no such opcode */
} dcls_pickle_opcode;

extern const dcls_pickle_opcode dcls_pickle_opcodes[256];

/* Height of the last mark, 0 without one: nothing may be taken from below. */
size_t dcls_pickle_floor(const dcls_pickle_machine *m);
/* Fails unless `count` values stand above the last mark. */
dcls_status dcls_pickle_need(dcls_pickle_machine *m, size_t count);
dcls_status dcls_pickle_push(dcls_pickle_machine *m, dcls_pickle_value *value);
dcls_status dcls_pickle_pop(dcls_pickle_machine *m, dcls_pickle_value **out);
/* Takes the last mark away; values from *from up to the height stood above it and are still on the stack. */
dcls_status dcls_pickle_take_mark(dcls_pickle_machine *m, size_t *from);
/* Counts values against their limit. */
dcls_status dcls_pickle_charge(dcls_pickle_machine *m, size_t count);
dcls_status dcls_pickle_new(dcls_pickle_machine *m, dcls_pickle_kind kind, dcls_pickle_value **out);
dcls_status dcls_pickle_push_new(dcls_pickle_machine *m, dcls_pickle_kind kind, dcls_pickle_value **out);
dcls_status dcls_pickle_append(dcls_pickle_machine *m, dcls_pickle_value *to, dcls_pickle_value *const *items,
                               size_t count);
/* Moves the stack's values from `from` on into the container right below them, which stays. A dict takes keys
 * and values, a list or set takes items; an object, which may stand for either, takes what it is given first
 * and then only that. */
dcls_status dcls_pickle_fill(dcls_pickle_machine *m, size_t from, dcls_pickle_kind kind);
/* Replaces the stack's values from `from` on by one tuple of them. */
dcls_status dcls_pickle_make_tuple(dcls_pickle_machine *m, size_t from);
/* Puts the top of the stack into the memo. */
dcls_status dcls_pickle_remember(dcls_pickle_machine *m, uint64_t index);

#endif
