/* Checkpoints of PyTorch before 1.6: four pickles (a magic number, the protocol, facts about the machine, the
 * value itself), a fifth with the keys of the storages, then the storages in that order, each behind its
 * number of elements. */
#include <stdlib.h>
#include <string.h>

#include "formats/little_endian.h"
#include "formats/pytorch.h"

#define PROTOCOL 1001

typedef struct stream {
    dcls_context *ctx;
    const unsigned char *data;
    size_t size, pos;
} stream;

static dcls_status next_pickle(stream *s, const char *what, dcls_pickle *out)
{
    dcls_status status = dcls_pickle_read(s->ctx, s->data + s->pos, s->size - s->pos, out);
    if (status != DCLS_OK) return dcls_fail_within(s->ctx, status, "%s: ", what);
    s->pos += out->consumed;
    return DCLS_OK;
}

static bool is_magic(const dcls_pickle_value *value)
{
    static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return value->kind == DCLS_PICKLE_BIG && value->text.length == sizeof magic &&
           memcmp(value->text.data, magic, sizeof magic) == 0;
}

static bool is_protocol(const dcls_pickle_value *value)
{
    return value->kind == DCLS_PICKLE_INT && value->integer == PROTOCOL;
}

static bool is_little_endian(const dcls_pickle_value *value)
{
    const dcls_pickle_value *flag = dcls_pickle_get(value, "little_endian");
    return flag && flag->kind == DCLS_PICKLE_BOOL && flag->integer;
}

/* One of the small pickles at the start, of which only one thing is asked. */
static dcls_status expect(stream *s, const char *what, bool (*test)(const dcls_pickle_value *),
                          dcls_status status, const char *complaint)
{
    dcls_pickle pickle;
    dcls_status result = next_pickle(s, what, &pickle);
    if (result == DCLS_OK && !test(pickle.root)) result = dcls_fail(s->ctx, status, "%s", complaint);
    dcls_pickle_free(&pickle);
    return result;
}

static dcls_status read_preamble(stream *s)
{
    DCLS_TRY(expect(s, "magic number", is_magic, DCLS_ERR_FORMAT,
                    "a pickle without PyTorch's magic number, not a checkpoint of torch.save"));
    DCLS_TRY(
        expect(s, "protocol number", is_protocol, DCLS_ERR_UNSUPPORTED, "a checkpoint of unknown protocol"));
    return expect(s, "system information", is_little_endian, DCLS_ERR_UNSUPPORTED,
                  "not saved on a little-endian machine, which is not supported");
}

/* All storages must be known before the first is met in the file: their element sizes stand in the pickle
 * alone. */
static dcls_status register_storages(dcls_torch_reader *r, const dcls_pickle *pickle)
{
    for (const dcls_pickle_value *value = pickle->persistent; value; value = value->next) {
        const dcls_pickle_value *id = value->object.args;
        bool module =
            id->kind == DCLS_PICKLE_TUPLE && id->count > 0 && dcls_pickle_is_text(id->items[0], "module");
        size_t index = 0;
        if (!module) DCLS_TRY(dcls_torch_storage_of(r, value, &index));
    }
    return DCLS_OK;
}

/* Finds the storage a key in the list means. */
static dcls_status expected_storage(dcls_torch_reader *r, const dcls_pickle_value *key,
                                    dcls_torch_storage **out)
{
    bool text = key->kind == DCLS_PICKLE_TEXT && !memchr(key->text.data, 0, key->text.length);
    if (!text) return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "a storage key is no plain string");
    const char *name = dcls_arena_strndup(r->ctx, &r->names, key->text.data, key->text.length);
    if (!name) return DCLS_ERR_MEMORY;
    int64_t index = dcls_map_find(&r->by_key, name);
    if (index < 0 || r->storages[index].content)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "storage '%s' is %s", name,
                         index < 0 ? "used by no tensor" : "in the file twice");
    *out = &r->storages[index];
    return DCLS_OK;
}

/* A storage in the file: its number of elements in 8 bytes, then these. */
static dcls_status locate_storage(stream *s, dcls_torch_storage *storage)
{
    size_t left = s->size - s->pos;
    uint64_t nbytes = 0;
    if (left < 8)
        return dcls_fail(s->ctx, DCLS_ERR_FORMAT, "the file ends before storage '%s'", storage->key);
    uint64_t numel = dcls_little_endian(s->data + s->pos, 8);
    if (numel != storage->numel)
        return dcls_fail(s->ctx, DCLS_ERR_FORMAT, "storage '%s' has %llu elements where %llu are needed",
                         storage->key, (unsigned long long)numel, (unsigned long long)storage->numel);
    if (__builtin_mul_overflow(numel, storage->itemsize, &nbytes) || nbytes > left - 8)
        return dcls_fail(s->ctx, DCLS_ERR_FORMAT, "the file ends inside storage '%s'", storage->key);
    storage->content = s->data + s->pos + 8;
    s->pos += 8 + (size_t)nbytes;
    return DCLS_OK;
}

static dcls_status locate_storages(stream *s, dcls_torch_reader *r, const dcls_pickle_value *keys)
{
    if (keys->kind != DCLS_PICKLE_LIST)
        return dcls_fail(s->ctx, DCLS_ERR_FORMAT, "the storage keys are no list");
    for (size_t i = 0; i < keys->count; i++) {
        dcls_torch_storage *storage = NULL;
        DCLS_TRY(expected_storage(r, keys->items[i], &storage));
        DCLS_TRY(locate_storage(s, storage));
    }
    if (s->pos != s->size)
        return dcls_fail(s->ctx, DCLS_ERR_FORMAT, "%zu bytes follow the last storage", s->size - s->pos);
    return DCLS_OK;
}

static dcls_status load(dcls_torch_reader *r, const dcls_torch_storage *storage, size_t size,
                        unsigned char **data)
{
    if (!storage->content)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "storage '%s' is missing from the file", storage->key);
    *data = dcls_alloc(r->ctx, size, 1);
    if (!*data) return DCLS_ERR_MEMORY;
    memcpy(*data, storage->content, size);
    return DCLS_OK;
}

static dcls_status read_value(stream *s, dcls_torch_reader *r, const dcls_pickle *pickle, const char *key)
{
    dcls_pickle keys;
    DCLS_TRY(register_storages(r, pickle));
    dcls_status status = next_pickle(s, "storage keys", &keys);
    if (status == DCLS_OK) status = locate_storages(s, r, keys.root);
    dcls_pickle_free(&keys);
    return status == DCLS_OK ? dcls_torch_collect(r, pickle->root, key) : status;
}

dcls_status dcls_torch_read_legacy(dcls_context *ctx, const dcls_bytes *bytes, const char *key,
                                   dcls_tensors **out)
{
    stream s = {.ctx = ctx, .data = bytes->data, .size = bytes->size};
    dcls_pickle pickle = {0};
    dcls_torch_reader reader = {.ctx = ctx};
    *out = NULL;
    dcls_status status = read_preamble(&s);
    if (status == DCLS_OK) status = next_pickle(&s, "checkpoint", &pickle);
    if (status == DCLS_OK) status = dcls_torch_reader_init(ctx, "pytorch legacy", s.size, &reader);
    reader.load = load;
    if (status == DCLS_OK) status = read_value(&s, &reader, &pickle, key);
    status = dcls_torch_reader_finish(&reader, status, out);
    dcls_pickle_free(&pickle);
    return status;
}
