#include "mask_values.h"

#include <inttypes.h>
#include <stdlib.h>

#include "alloc.h"
#include "output.h"

#define MOST_MASKS  200 /* read: so many take some tenths of a second */
#define MOST_VALUES 5   /* named */

static bool is_ignored(const cli_mask_check *check, int value)
{
    return value == 255 || value == check->ignore;
}

static bool is_strange(const cli_mask_check *check, const int64_t *counts, int value)
{
    return counts[value] > 0 && value >= check->classes && !is_ignored(check, value);
}

/* "12", "12 and 77", "12, 77, 78, .." */
static char *list_strange(const cli_mask_check *check, const int64_t *counts)
{
    char *text = cli_copy("");
    int found = 0, listed = 0;
    for (int v = 0; v < 256; v++)
        found += is_strange(check, counts, v);
    for (int v = 0; v < 256 && listed < MOST_VALUES; v++) {
        if (!is_strange(check, counts, v)) continue;
        listed++;
        const char *between = listed == 1 ? "" : listed == found ? " and " : ", ";
        char *longer = cli_format("%s%s%d", text, between, v);
        free(text);
        text = longer;
    }
    if (listed == found) return text;
    char *longer = cli_format("%s, ..", text);
    free(text);
    return longer;
}

static int refuse(const char *path, const cli_mask_check *check, const int64_t *counts)
{
    char *strange = list_strange(check, counts);
    if (strange[0] != '\0')
        cli_error(
            path,
            "no pixel of the masks is of a class: their values are %s, the network has classes 0 to %" PRId64,
            strange, check->classes - 1);
    else
        cli_error(path, "no pixel of the masks is of a class: all are ignored");
    free(strange);
    return CLI_BAD_INPUT;
}

int cli_check_masks(const cli *run, const char *path, const dcls_dataset *set, const cli_mask_check *check)
{
    int64_t counts[DCLS_MASK_VALUES], right = 0;
    if (dcls_dataset_task(set) != DCLS_TASK_SEGMENTATION) return CLI_OK;
    const dcls_status status = dcls_dataset_values(run->ctx, set, MOST_MASKS, counts);
    if (status != DCLS_OK) return cli_fail(path, status, run->ctx);
    bool strange = false;
    for (int v = 0; v < DCLS_MASK_VALUES; v++) {
        if (v < check->classes && !is_ignored(check, v)) right += counts[v];
        strange = strange || is_strange(check, counts, v);
    }
    if (right == 0) return refuse(path, check, counts);
    if (!strange || check->silent) return CLI_OK;
    char *values = list_strange(check, counts);
    cli_warn(run, path, "pixels of value %s do not count: the network has classes 0 to %" PRId64, values,
             check->classes - 1);
    free(values);
    return CLI_OK;
}
