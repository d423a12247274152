/* What kind of file some bytes are. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "formats/formats.h"
#include "formats/little_endian.h"

typedef struct magic {
    size_t offset, length;
    const char *bytes, *phrase;
} magic;

#define MAGIC(offset, bytes, phrase)                                                                         \
    {                                                                                                        \
        offset, sizeof(bytes) - 1, bytes, phrase                                                             \
    }

/* Kinds of files people hand over by mistake; those whose first bytes can start no format read here. */
static const magic magics[] = {
    MAGIC(0, "version https://git-lfs", "a Git LFS pointer (the file itself was not downloaded)"),
    MAGIC(0, "\x89PNG\r\n\x1a\n", "a PNG picture"),
    MAGIC(0, "\xff\xd8\xff", "a JPEG picture"),
    MAGIC(0, "GIF87a", "a GIF picture"),
    MAGIC(0, "GIF89a", "a GIF picture"),
    MAGIC(8, "WEBP", "a WebP picture"),
    MAGIC(0, "II*\0", "a TIFF picture"),
    MAGIC(0, "MM\0*", "a TIFF picture"),
    MAGIC(0, "P5\n", "a PGM picture"),
    MAGIC(0, "P6\n", "a PPM picture"),
    MAGIC(0, "\x1f\x8b", "a gzip archive"),
    MAGIC(0, "BZh", "a bzip2 archive"),
    MAGIC(0,
          "\xfd"
          "7zXZ",
          "an xz archive"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "a Zstandard archive"),
    MAGIC(0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    MAGIC(257, "ustar", "a tar archive"),
    MAGIC(0, "PK\x05\x06", "an empty ZIP archive"),
    MAGIC(0, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras?)"),
    MAGIC(0, "GGUF", "a GGUF model"),
    MAGIC(4, "TFL3", "a TensorFlow Lite model"),
    MAGIC(0,
          "\x7f"
          "ELF",
          "an ELF program or library"),
    MAGIC(0, "%PDF", "a PDF document"),
};

static const char *find_magic(const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const magic *m = &magics[i];
        if (size >= m->offset + m->length && memcmp(data + m->offset, m->bytes, m->length) == 0)
            return m->phrase;
    }
    return NULL;
}

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
    *looks_like = size == 0 ? "an empty file" : find_magic(data, size);
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
