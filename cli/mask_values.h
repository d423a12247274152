/* Masks whose values are not the classes of a network. */
#ifndef DCLS_CLI_MASK_VALUES_H
#define DCLS_CLI_MASK_VALUES_H

#include "cli.h"
#include "dcls_train.h"

typedef struct cli_mask_check {
    int64_t classes, ignore; /* ignore -1: none besides 255 */
    bool silent;             /* values that are no class are meant */
} cli_mask_check;

/* Reads the masks of a set, a few hundred where there are more; other sets pass. An error where no pixel is
 * of a class, a warning where values are neither classes nor ignored. Reported; returns the exit status. */
int cli_check_masks(const cli *run, const char *path, const dcls_dataset *set, const cli_mask_check *check);

#endif
