/* An inert pickle reader: it builds a graph of plain values and never runs anything. A global is only its
 * name; calling one, building state into it or filling it leaves a record of what was asked for
 * (DCLS_PICKLE_OBJECT). Protocols 2 to 5, without the text opcodes of protocols 0 and 1, extension codes and
 * out-of-band buffers. */
#ifndef DCLS_FORMATS_PICKLE_H
#define DCLS_FORMATS_PICKLE_H

#include "base/mem.h"

/* Bounds on what one pickle may ask for; each is far above what torch.save writes for the largest networks.
 */
#define DCLS_PICKLE_MAX_BYTES  ((size_t)256 << 20)
#define DCLS_PICKLE_MAX_VALUES ((size_t)1 << 21)
#define DCLS_PICKLE_MAX_STACK  ((size_t)1 << 20)
#define DCLS_PICKLE_MAX_MARKS  ((size_t)1 << 16)

typedef enum dcls_pickle_kind {
    DCLS_PICKLE_NONE,
    DCLS_PICKLE_BOOL,  /* integer */
    DCLS_PICKLE_INT,   /* integer */
    DCLS_PICKLE_BIG,   /* integer beyond 64 bits; text: two's complement, little-endian */
    DCLS_PICKLE_FLOAT, /* real */
    DCLS_PICKLE_TEXT,  /* text; UTF-8 is not checked */
    DCLS_PICKLE_BYTES, /* text */
    DCLS_PICKLE_TUPLE, /* items */
    DCLS_PICKLE_LIST,  /* items */
    DCLS_PICKLE_SET,   /* items */
    DCLS_PICKLE_DICT,  /* items: key, value, key, value, ..; object.state if it has attributes */
    DCLS_PICKLE_GLOBAL,
    DCLS_PICKLE_OBJECT,    /* object, and items as in DICT or LIST, whichever it was filled as */
    DCLS_PICKLE_PERSISTENT /* object.args: the persistent id */
} dcls_pickle_kind;

typedef struct dcls_pickle_value dcls_pickle_value;

typedef struct dcls_pickle_text {
    const char *data; /* points into the pickle, not terminated */
    size_t length;
} dcls_pickle_text;

/* Values are shared and may contain themselves: whoever walks them bounds the walk. */
struct dcls_pickle_value {
    dcls_pickle_kind kind;
    bool keyed;     /* OBJECT: items are key, value, .. */
    uint32_t visit; /* for walkers: the number of the last walk that came here */
    union {
        int64_t integer;
        double real;
        dcls_pickle_text text;
        struct {
            dcls_pickle_text module, name;
        } global;
        struct {
            dcls_pickle_value *callable; /* GLOBAL, OBJECT or PERSISTENT */
            dcls_pickle_value *args;     /* TUPLE */
            dcls_pickle_value *state;    /* from BUILD, or NULL */
        } object;
    };
    dcls_pickle_value **items;
    size_t count, capacity;
    dcls_pickle_value *next; /* links of the lists in dcls_pickle */
};

typedef struct dcls_pickle {
    dcls_pickle_value *root;
    size_t consumed;               /* bytes up to and including STOP */
    dcls_pickle_value *growable;   /* all values that own an items array */
    dcls_pickle_value *persistent; /* all persistent ids, latest first */
    dcls_arena arena;
} dcls_pickle;

/* Reads one pickle from the start of data; what follows its STOP is left alone. data must outlive *out, which
 * is to be freed with dcls_pickle_free() in success and failure alike. */
dcls_status dcls_pickle_read(dcls_context *ctx, const unsigned char *data, size_t size, dcls_pickle *out);
void dcls_pickle_free(dcls_pickle *pickle);

bool dcls_pickle_is_text(const dcls_pickle_value *value, const char *text);
bool dcls_pickle_is_global(const dcls_pickle_value *value, const char *module, const char *name);
/* The value of a text key in a DICT or keyed OBJECT; the last one if there are several, as assignment has it.
 * NULL if absent or if mapping is NULL or of another kind. */
dcls_pickle_value *dcls_pickle_get(const dcls_pickle_value *mapping, const char *key);
/* "an integer", "a dict of 3 entries", "an object of argparse.Namespace", .. Returns buffer. */
const char *dcls_pickle_describe(const dcls_pickle_value *value, char *buffer, size_t size);
#define DCLS_PICKLE_DESCRIBE 160

#endif
