/* What a caller says about a network beyond its tensors: "KEY=VALUE" for every DCLS layer or for the
 * architecture, "GLOB:KEY=VALUE" for the layers whose name matches. */
#ifndef DCLS_MODEL_SETTINGS_H
#define DCLS_MODEL_SETTINGS_H

#include "model/draft.h"

typedef struct dcls_setting {
    const char *text; /* as given, for messages */
    const char *glob; /* NULL: none */
    const char *key, *value;
    bool used;
} dcls_setting;

typedef struct dcls_settings {
    dcls_setting *items;
    size_t count;
    bool sizes; /* sizes of tensors can be set too: they are still to be made */
    dcls_arena arena;
} dcls_settings;

dcls_status dcls_settings_parse(dcls_context *ctx, const char *const *texts, size_t count,
                                dcls_settings *out);
void dcls_settings_free(dcls_settings *settings);

/* An architecture's own key: the index of its value among choices (ended by NULL), 0 if it is not set. */
dcls_status dcls_settings_choice(dcls_context *ctx, dcls_settings *settings, const char *key,
                                 const char *const *choices, int *out);

/* An architecture's own key with a number; *out stays as it is if it is not set. */
dcls_status dcls_settings_number(dcls_context *ctx, dcls_settings *settings, const char *key, double min,
                                 double max, double *out);

/* Sets attributes of nodes, plain settings before those with a glob, each in the order given. A setting that
 * nothing took is an error; what a state dict cannot say (version and dilated_kernel_size) must then be
 * there. */
dcls_status dcls_settings_apply(dcls_context *ctx, dcls_settings *settings, dcls_draft_node *nodes,
                                size_t count);

#endif
