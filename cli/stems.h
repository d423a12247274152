/* Names of output files: each input's stem, with a running number where stems are equal. May be used by
 * several threads. */
#ifndef DCLS_CLI_STEMS_H
#define DCLS_CLI_STEMS_H

#include <stdint.h>

typedef struct stems stems;

stems *stems_create(void);
void stems_destroy(stems *set);
/* A stem no earlier call returned: the file name in path without its suffix, "stdin" for "-"; then NAME-2,
 * NAME-3. To be freed. */
char *stems_take(stems *set, const char *path);
/* A stem for one item of a batch: STEM.INDEX, made unique in the same way. To be freed. */
char *stems_take_item(stems *set, const char *stem, int64_t index);

#endif
