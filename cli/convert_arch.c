#include <stdlib.h>

#include "convert.h"
#include "labels.h"

int convert_load_labels(struct convert *convert)
{
    cli_labels labels = {0};
    const char *path = convert->options->labels;
    const int status = path != NULL ? cli_labels_load(convert->run, path, &labels) : CLI_OK;
    convert->labels = labels.items;
    convert->label_count = labels.count;
    return status;
}

void convert_arch_free(struct convert *convert)
{
    for (size_t i = 0; i < convert->label_count; i++)
        free(convert->labels[i]);
    free(convert->labels);
    free(convert->arch_json);
}
