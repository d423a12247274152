/* Contents of zip archives, through libzip loaded at run time. */
#include "formats/zip.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define LIBRARY "libzip.so.4"

/* The functions used, each a member of struct library under its own name. */
#define FUNCTIONS(X)                                                                                         \
    X(zip_source_buffer_create)                                                                              \
    X(zip_source_free)                                                                                       \
    X(zip_open_from_source)                                                                                  \
    X(zip_discard)                                                                                           \
    X(zip_get_num_entries)                                                                                   \
    X(zip_stat_index)                                                                                        \
    X(zip_fopen_index)                                                                                       \
    X(zip_fread)                                                                                             \
    X(zip_fclose)                                                                                            \
    X(zip_file_get_error)                                                                                    \
    X(zip_get_error)                                                                                         \
    X(zip_error_code_zip)                                                                                    \
    X(zip_error_init)                                                                                        \
    X(zip_error_fini)                                                                                        \
    X(zip_error_strerror)

typedef struct library {
    void *handle;
#define MEMBER(name) __typeof__(name) *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} library;

struct dcls_zip {
    library lib;
    zip_t *archive;
    dcls_zip_directory directory;
};

static dcls_status load_library(dcls_context *ctx, library *lib)
{
    lib->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool complete = lib->handle != NULL;
    /* POSIX promises that a function's address survives in a void *; ISO C has no cast for it. */
#define LOAD(name)                                                                                           \
    if (complete) {                                                                                          \
        void *symbol = dlsym(lib->handle, #name);                                                            \
        memcpy(&lib->name, &symbol, sizeof symbol);                                                          \
        complete = symbol != NULL;                                                                           \
    }
    FUNCTIONS(LOAD)
#undef LOAD
    if (!complete)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "reading PyTorch checkpoints needs libzip (" LIBRARY ")");
    return DCLS_OK;
}

/* libzip's reason for a failure; `what` names what failed. */
static dcls_status fail_as(dcls_context *ctx, const library *lib, zip_error_t *error, const char *what)
{
    bool memory = lib->zip_error_code_zip(error) == ZIP_ER_MEMORY;
    return dcls_fail(ctx, memory ? DCLS_ERR_MEMORY : DCLS_ERR_FORMAT, "zip archive: %s cannot be read: %s",
                     what, lib->zip_error_strerror(error));
}

static dcls_status open_archive(dcls_context *ctx, dcls_zip *zip, const unsigned char *data, size_t size)
{
    const library *lib = &zip->lib;
    zip_error_t error;
    lib->zip_error_init(&error);
    zip_source_t *source = lib->zip_source_buffer_create(data, size, 0, &error);
    if (source) zip->archive = lib->zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
    dcls_status status = DCLS_OK;
    if (!zip->archive) {
        status = fail_as(ctx, lib, &error, "its directory");
        if (source) lib->zip_source_free(source);
    }
    lib->zip_error_fini(&error);
    return status;
}

/* libzip must have understood the archive the way this library did. */
static dcls_status check_agreement(dcls_context *ctx, const dcls_zip *zip)
{
    const dcls_zip_directory *directory = &zip->directory;
    zip_int64_t count = zip->lib.zip_get_num_entries(zip->archive, 0);
    bool same = count >= 0 && (uint64_t)count == directory->count;
    for (size_t i = 0; i < directory->count && same; i++) {
        const dcls_zip_entry *entry = &directory->entries[i];
        zip_stat_t stat;
        same = zip->lib.zip_stat_index(zip->archive, i, ZIP_FL_ENC_RAW, &stat) == 0 &&
               strcmp(stat.name, entry->name) == 0 && stat.size == entry->size &&
               stat.comp_size == entry->packed_size && stat.crc == entry->crc &&
               stat.comp_method == entry->method;
    }
    if (!same) return dcls_fail(ctx, DCLS_ERR_FORMAT, "zip archive: its central directory is ambiguous");
    return DCLS_OK;
}

static dcls_status open_all(dcls_context *ctx, dcls_zip *zip, const unsigned char *data, size_t size)
{
    DCLS_TRY(dcls_zip_directory_read(ctx, data, size, &zip->directory));
    DCLS_TRY(load_library(ctx, &zip->lib));
    DCLS_TRY(open_archive(ctx, zip, data, size));
    return check_agreement(ctx, zip);
}

dcls_status dcls_zip_open(dcls_context *ctx, const unsigned char *data, size_t size, dcls_zip **out)
{
    *out = NULL;
    dcls_zip *zip = dcls_alloc_zero(ctx, 1, sizeof *zip);
    if (!zip) return DCLS_ERR_MEMORY;
    dcls_status status = open_all(ctx, zip, data, size);
    if (status == DCLS_OK)
        *out = zip;
    else
        dcls_zip_close(zip);
    return status;
}

void dcls_zip_close(dcls_zip *zip)
{
    if (!zip) return;
    if (zip->archive) zip->lib.zip_discard(zip->archive);
    if (zip->lib.handle) dlclose(zip->lib.handle);
    dcls_zip_directory_free(&zip->directory);
    free(zip);
}

const dcls_zip_directory *dcls_zip_contents(const dcls_zip *zip)
{
    return &zip->directory;
}

/* Reads all of the file, and then its end, which is when libzip compares the CRC. */
static bool read_whole(const dcls_zip *zip, zip_file_t *file, unsigned char *to, uint64_t size)
{
    unsigned char beyond;
    while (size > 0) {
        zip_int64_t got = zip->lib.zip_fread(file, to, size);
        if (got <= 0) return false;
        to += got;
        size -= (uint64_t)got;
    }
    return zip->lib.zip_fread(file, &beyond, 1) == 0;
}

dcls_status dcls_zip_read(dcls_context *ctx, dcls_zip *zip, size_t index, unsigned char **data)
{
    const dcls_zip_entry *entry = &zip->directory.entries[index];
    *data = NULL;
    if (entry->method != ZIP_CM_STORE)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED,
                         "entry '%s' is compressed; torch.save stores entries as they are", entry->name);
    unsigned char *memory = dcls_alloc(ctx, (size_t)entry->size, 1);
    if (!memory) return DCLS_ERR_MEMORY;
    zip_file_t *file = zip->lib.zip_fopen_index(zip->archive, index, 0);
    dcls_status status = DCLS_OK;
    if (!file)
        status = fail_as(ctx, &zip->lib, zip->lib.zip_get_error(zip->archive), entry->name);
    else if (!read_whole(zip, file, memory, entry->size))
        status = fail_as(ctx, &zip->lib, zip->lib.zip_file_get_error(file), entry->name);
    if (file) zip->lib.zip_fclose(file);
    if (status == DCLS_OK)
        *data = memory;
    else
        free(memory);
    return status;
}
