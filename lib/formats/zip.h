/* Zip archives in memory, read strictly: what torch.save writes passes, anything two readers could understand
 * differently does not. Contents come through libzip, opened with dlopen for as long as an archive is open,
 * so that runs that never meet an archive do not load it. */
#ifndef DCLS_FORMATS_ZIP_H
#define DCLS_FORMATS_ZIP_H

#include "base/mem.h"

typedef struct dcls_zip_entry {
    const char *name;
    uint64_t packed_size, size;
    uint64_t begin, data; /* of the local header and of the content, in bytes from the start of the archive */
    uint32_t crc;
    uint16_t flags, method;
} dcls_zip_entry;

typedef struct dcls_zip_directory {
    dcls_zip_entry *entries; /* in the central directory's order */
    size_t count;
    dcls_map index; /* name -> position in entries */
    dcls_arena names;
} dcls_zip_directory;

/* Reads the central directory and checks it: every local header says the same, entries and directory fill the
 * archive from its first to its last byte without gap or overlap, no name occurs twice or holds a NUL,
 * nothing is encrypted or on another disk. *out is to be freed in success and failure alike. */
dcls_status dcls_zip_directory_read(dcls_context *ctx, const unsigned char *data, size_t size,
                                    dcls_zip_directory *out);
void dcls_zip_directory_free(dcls_zip_directory *directory);

typedef struct dcls_zip dcls_zip;

/* data must outlive *out. */
dcls_status dcls_zip_open(dcls_context *ctx, const unsigned char *data, size_t size, dcls_zip **out);
void dcls_zip_close(dcls_zip *zip);
const dcls_zip_directory *dcls_zip_contents(const dcls_zip *zip);
/* The entry's bytes, CRC checked, in memory from dcls_alloc() that is the caller's. Compressed entries are
 * DCLS_ERR_UNSUPPORTED, so that an archive never holds more than its own size. */
dcls_status dcls_zip_read(dcls_context *ctx, dcls_zip *zip, size_t index, unsigned char **data);

#endif
