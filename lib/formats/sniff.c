/* What kind of file some bytes are. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/magic.h"
#include "formats/formats.h"
#include "formats/little_endian.h"

static bool contains(const unsigned char *data, size_t size, const char *word)
{
    return memmem(data, size, word, strlen(word)) != NULL;
}

/* ---- zip ---- */

#define ZIP_HEAD ((size_t)64 << 10) /* holds the names of the first entries */
#define ZIP_TAIL ((size_t)1 << 20)  /* holds the central directory */

static bool zip_mentions(const unsigned char *data, size_t size, const char *word)
{
    size_t head = size < ZIP_HEAD ? size : ZIP_HEAD, tail = size < ZIP_TAIL ? size : ZIP_TAIL;
    return contains(data, head, word) || contains(data + size - tail, tail, word);
}

static dcls_format sniff_zip(const unsigned char *data, size_t size, const char **looks_like)
{
    if (zip_mentions(data, size, "data.pkl")) return DCLS_FORMAT_PYTORCH_ZIP;
    if (zip_mentions(data, size, ".npy"))
        *looks_like = "an .npz archive (take the .npy files out of it)";
    else
        *looks_like = "a ZIP archive without a PyTorch checkpoint in it";
    return DCLS_FORMAT_UNKNOWN;
}

/* ---- pickle ---- */

/* PyTorch before 1.6 begins with a pickle of a number of its own: LONG1, 10 bytes. */
#define TORCH_NUMBER "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"

static dcls_format sniff_pickle(const unsigned char *data, size_t size, const char **looks_like)
{
    size_t at = 2, length = sizeof TORCH_NUMBER - 1;
    if (size >= 11 && data[2] == 0x95) at = 11; /* protocol 4 wraps it in a frame */
    if (size >= at + length && memcmp(data + at, TORCH_NUMBER, length) == 0)
        return DCLS_FORMAT_PYTORCH_LEGACY;
    *looks_like = "a Python pickle, but not one PyTorch wrote";
    return DCLS_FORMAT_UNKNOWN;
}

/* ---- safetensors ---- */

/* A header's length, at most 4 GiB, and its opening brace: four zero bytes before the brace are in no other
 * kind of file known here. White space before the brace is a mistake that the reader names better. */
static bool is_safetensors(const unsigned char *data, size_t size)
{
    return size >= 9 && dcls_little_endian(data, 8) <= UINT32_MAX && (data[8] == '{' || isspace(data[8]));
}

/* The same with an absurd length, which must not look like text. */
static bool is_absurd_safetensors(const unsigned char *data, size_t size)
{
    if (size < 9 || data[8] != '{') return false;
    for (int i = 0; i < 8; i++)
        if (data[i] >= 0x80 || (data[i] < 0x20 && !isspace(data[i]))) return true;
    return false;
}

/* ---- text ---- */

static bool begins_with(const unsigned char *data, size_t size, const char *word)
{
    size_t length = strlen(word);
    return size >= length && strncasecmp((const char *)data, word, length) == 0;
}

static dcls_format sniff_text(const unsigned char *data, size_t size, const char **looks_like)
{
    if (begins_with(data, size, "\xEF\xBB\xBF")) {
        data += 3;
        size -= 3;
    }
    while (size > 0 && isspace(*data)) {
        data++;
        size--;
    }
    if (size > 0 && (*data == '{' || *data == '[')) return DCLS_FORMAT_JSON;
    if (begins_with(data, size, "<!doctype html") || begins_with(data, size, "<html"))
        *looks_like = "an HTML page (a download that went wrong?)";
    else if (begins_with(data, size, "<?xml") || begins_with(data, size, "<svg"))
        *looks_like = "an XML document";
    return DCLS_FORMAT_UNKNOWN;
}

/* A protobuf whose field 1 is a small number (the version of the format) followed by the producer's name, the
 * graph or the operator sets. */
static bool is_onnx(const unsigned char *data, size_t size)
{
    static const char fields[] = {0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42};
    return size > 3 && data[0] == 0x08 && data[1] > 0 && data[1] < 32 &&
           memchr(fields, data[2], sizeof fields) != NULL;
}

dcls_format dcls_format_sniff(const unsigned char *data, size_t size, const char **looks_like)
{
    *looks_like = NULL;
    if (is_safetensors(data, size)) return DCLS_FORMAT_SAFETENSORS;
    const dcls_magic *magic = dcls_magic_find(data, size);
    *looks_like = size == 0 ? "an empty file" : magic != NULL ? magic->phrase : NULL;
    if (*looks_like != NULL) return DCLS_FORMAT_UNKNOWN;
    if (size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0) return DCLS_FORMAT_NPY;
    if (size >= 4 && memcmp(data, "PK\x03\x04", 4) == 0) return sniff_zip(data, size, looks_like);
    if (is_absurd_safetensors(data, size)) return DCLS_FORMAT_SAFETENSORS;
    if (size >= 2 && data[0] == 0x80 && data[1] >= 2 && data[1] <= 5)
        return sniff_pickle(data, size, looks_like);
    if (is_onnx(data, size)) {
        *looks_like = "an ONNX model (dcls writes ONNX but does not read it)";
        return DCLS_FORMAT_UNKNOWN;
    }
    return sniff_text(data, size, looks_like);
}
