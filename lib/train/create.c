/* New networks: settings, tensors by name, and the way from options to a model. */
#include "train/create.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"

#define NAME_TEXT 256

#define NAME_FROM(name, fmt)                                                                                 \
    char name[NAME_TEXT];                                                                                    \
    va_list name##_args;                                                                                     \
    va_start(name##_args, fmt);                                                                              \
    vsnprintf(name, sizeof name, fmt, name##_args);                                                          \
    va_end(name##_args)

void dcls_creation_fail(dcls_creation *c, const char *fmt, ...)
{
    NAME_FROM(text, fmt);
    if (c->status == DCLS_OK) c->status = dcls_fail(c->ctx, DCLS_ERR_ARGUMENT, "%s", text);
}

/* ---- settings ------------------------------------------------------------------------------------- */

static bool fits(const dcls_setting *setting, const char *key, const char *layer)
{
    if (strcmp(setting->key, key) != 0) return false;
    return setting->glob == NULL || (layer != NULL && fnmatch(setting->glob, layer, 0) == 0);
}

const dcls_setting *dcls_creation_look(const dcls_creation *c, const char *key, const char *layer)
{
    const dcls_setting *found = NULL;
    for (size_t i = 0; i < c->settings.count; i++) {
        const dcls_setting *setting = &c->settings.items[i];
        if (!fits(setting, key, layer)) continue;
        if (found == NULL || found->glob == NULL || setting->glob != NULL) found = setting;
    }
    return found;
}

const dcls_setting *dcls_creation_find(dcls_creation *c, const char *key, const char *layer)
{
    for (size_t i = 0; i < c->settings.count; i++)
        if (fits(&c->settings.items[i], key, layer)) c->settings.items[i].used = true;
    return dcls_creation_look(c, key, layer);
}

int64_t dcls_creation_int(dcls_creation *c, const char *key, const char *layer, int64_t min, int64_t max,
                          int64_t fallback)
{
    const dcls_setting *setting = dcls_creation_find(c, key, layer);
    int64_t value = 0;
    if (setting == NULL) return fallback;
    if (dcls_parse_int(setting->value, &value) && value >= min && value <= max) return value;
    dcls_creation_fail(c, "setting '%.100s': must be a whole number from %lld to %lld", setting->text,
                       (long long)min, (long long)max);
    return fallback;
}

double dcls_creation_number(dcls_creation *c, const char *key, const char *layer, double min, double max,
                            double fallback)
{
    const dcls_setting *setting = dcls_creation_find(c, key, layer);
    double value = 0;
    if (setting == NULL) return fallback;
    if (dcls_parse_double(setting->value, &value) && value >= min && value <= max) return value;
    dcls_creation_fail(c, "setting '%.100s': must be a number from %g to %g", setting->text, min, max);
    return fallback;
}

int dcls_creation_choice(dcls_creation *c, const char *key, const char *layer, const char *const *choices,
                         int fallback)
{
    const dcls_setting *setting = dcls_creation_find(c, key, layer);
    char list[120] = "";
    if (setting == NULL) return fallback;
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], setting->value) == 0) return i;
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s'", i > 0 ? ", " : "", choices[i]);
    }
    dcls_creation_fail(c, "setting '%.100s': must be one of %s", setting->text, list);
    return fallback;
}

bool dcls_creation_flag(dcls_creation *c, const char *key, bool fallback)
{
    static const char *const CHOICES[] = {"false", "true", NULL};
    return dcls_creation_choice(c, key, NULL, CHOICES, fallback) != 0;
}

int dcls_setting_list(const dcls_setting *setting, int64_t max, int most, int64_t *values)
{
    char piece[24];
    const char *at = setting->value;
    for (int n = 0; n < most; n++) {
        const size_t length = strcspn(at, ",");
        if (length >= sizeof piece) return -1;
        memcpy(piece, at, length);
        piece[length] = '\0';
        if (!dcls_parse_int(piece, &values[n]) || values[n] < 1 || values[n] > max) return -1;
        if (at[length] == '\0') return n + 1;
        at += length + 1;
    }
    return -1;
}

void dcls_creation_list(dcls_creation *c, const char *key, int64_t max, int most, int64_t *values, int *count)
{
    const dcls_setting *setting = dcls_creation_find(c, key, NULL);
    if (setting == NULL) return;
    *count = dcls_setting_list(setting, max, most, values);
    if (*count < 0)
        dcls_creation_fail(c, "setting '%.100s': must be 1 to %d whole numbers from 1 to %lld, as in 64,128",
                           setting->text, most, (long long)max);
}

void dcls_creation_ignore(dcls_creation *c, const char *key)
{
    for (size_t i = 0; i < c->settings.count; i++)
        if (strcmp(c->settings.items[i].key, key) == 0) c->settings.items[i].used = true;
}

/* ---- tensors -------------------------------------------------------------------------------------- */

static void add_tensor(dcls_creation *c, const char *name, int ndim, const int64_t *shape)
{
    size_t bytes = 0;
    if (c->status != DCLS_OK) return;
    const uint64_t limit = dcls_context_limit(c->ctx, DCLS_LIMIT_MEMORY_BYTES);
    if (!dcls_shape_bytes(DCLS_F32, ndim, shape, &bytes) || bytes > limit || c->bytes + bytes > limit) {
        c->status = dcls_fail(c->ctx, DCLS_ERR_LIMIT,
                              "with tensor '%s' the network takes more than the %llu bytes of memory allowed",
                              name, (unsigned long long)limit);
        return;
    }
    void *data = NULL;
    c->bytes += bytes;
    c->status = dcls_tensors_add_new(c->ctx, c->tensors, name, DCLS_F32, ndim, shape, &data);
    if (c->status != DCLS_OK || bytes == 0) return;
    /* Tensors that are equal when the network is built may count as shared: a number of its own each. */
    const float number = (float)c->tensors->count;
    memset(data, 0, bytes);
    memcpy(data, &number, sizeof number);
}

void dcls_creation_tensor(dcls_creation *c, int ndim, const int64_t *shape, const char *fmt, ...)
{
    NAME_FROM(name, fmt);
    add_tensor(c, name, ndim, shape);
}

void dcls_creation_conv(dcls_creation *c, dcls_new_conv conv, const char *fmt, ...)
{
    NAME_FROM(name, fmt);
    static const char *const VERSIONS[] = {"v0", "v1", "max", "gauss", NULL};
    const int64_t in = conv.in / conv.groups;
    if (conv.kernel_count == 0) {
        const int64_t shape[] = {conv.out, in, conv.height, conv.width};
        dcls_creation_tensor(c, 4, shape, "%s.weight", name);
    } else {
        const int64_t weight[] = {conv.out, in, conv.kernel_count},
                      P[] = {2, conv.out, in, conv.kernel_count};
        const dcls_setting *said = dcls_creation_look(c, "version", name);
        int version = 1;
        for (int i = 0; said != NULL && VERSIONS[i] != NULL; i++)
            if (strcmp(VERSIONS[i], said->value) == 0) version = i;
        dcls_creation_tensor(c, 3, weight, "%s.weight", name);
        if (!conv.no_positions) dcls_creation_tensor(c, 4, P, "%s.P", name);
        if (!conv.no_positions && version >= 2) dcls_creation_tensor(c, 4, P, "%s.SIG", name);
    }
    if (!conv.no_bias) dcls_creation_tensor(c, 1, &conv.out, "%s.bias", name);
}

void dcls_creation_linear(dcls_creation *c, int64_t out, int64_t in, const char *fmt, ...)
{
    NAME_FROM(name, fmt);
    const int64_t shape[] = {out, in};
    dcls_creation_tensor(c, 2, shape, "%s.weight", name);
    dcls_creation_tensor(c, 1, &out, "%s.bias", name);
}

void dcls_creation_norm(dcls_creation *c, int64_t channels, bool moments, const char *fmt, ...)
{
    NAME_FROM(name, fmt);
    static const char *const SLOTS[] = {"weight", "bias", "running_mean", "running_var"};
    for (int i = 0; i < (moments ? 4 : 2); i++)
        dcls_creation_tensor(c, 1, &channels, "%s.%s", name, SLOTS[i]);
}

/* ---- what can be set ------------------------------------------------------------------------------- */

#define MOST_KEYS 16

typedef struct arch_row {
    const char *name;
    dcls_create_fn *create;
    const char *keys[MOST_KEYS]; /* of its own */
} arch_row;

static const arch_row ARCHS[] = {
    {"convmixer",
     dcls_create_convmixer,
     {"dim", "depth", "patch_size", "kernel_count", "activation", "drop_path", "dropout", "channels"}},
    {"convnext_dcls",
     dcls_create_convnext,
     {"dims", "depths", "patch_size", "kernel_count", "share_positions", "drop_path", "channels"}},
    {"deeplabv3", dcls_create_deeplabv3, {"backbone", "dim", "head_dim", "kernel_count", "channels"}},
};
static const arch_row GRAPH = {"a description", NULL, {NULL}};

static const char *const COMMON_KEYS[] = {"init", "position_sigma", "spread", "norm_weight", "layer_scale"};
#define COMMON_COUNT (sizeof COMMON_KEYS / sizeof COMMON_KEYS[0])

static const char *key_at(const void *of, size_t index)
{
    const arch_row *row = of;
    if (index < MOST_KEYS) return row->keys[index];
    index -= MOST_KEYS;
    if (index < COMMON_COUNT) return COMMON_KEYS[index];
    return dcls_attr_name((dcls_attr)(index - COMMON_COUNT));
}

#define KEY_COUNT (MOST_KEYS + COMMON_COUNT + DCLS_ATTR_COUNT)

static dcls_status check_keys(dcls_creation *c, const arch_row *row)
{
    for (size_t i = 0; i < c->settings.count; i++) {
        const dcls_setting *setting = &c->settings.items[i];
        bool known = false;
        for (size_t k = 0; k < KEY_COUNT && !known; k++)
            known = key_at(row, k) != NULL && strcmp(key_at(row, k), setting->key) == 0;
        if (known) continue;
        char hint[DCLS_HINT_TEXT], list[300] = "";
        dcls_hint(hint, sizeof hint, dcls_nearest(setting->key, KEY_COUNT, key_at, row));
        for (size_t k = 0; k < MOST_KEYS + COMMON_COUNT; k++)
            if (key_at(row, k) != NULL)
                snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", list[0] != '\0' ? ", " : "",
                         key_at(row, k));
        return dcls_fail(c->ctx, DCLS_ERR_ARGUMENT,
                         "setting '%s': unknown key '%s'%s: %s has %s, and attributes of its layers",
                         setting->text, setting->key, hint, row->name, list);
    }
    return DCLS_OK;
}

static const arch_row *find_arch(dcls_context *ctx, const char *name)
{
    for (size_t i = 0; i < sizeof ARCHS / sizeof ARCHS[0]; i++)
        if (strcmp(ARCHS[i].name, name) == 0) return &ARCHS[i];
    dcls_fail(ctx, DCLS_ERR_ARGUMENT, "unknown architecture '%s': there are %s, %s and %s", name,
              ARCHS[0].name, ARCHS[1].name, ARCHS[2].name);
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static dcls_status check_options(dcls_context *ctx, const dcls_create_options *o)
{
    if ((o->arch == NULL) == (o->arch_json == NULL))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "a new network needs either an architecture or a description");
    if (o->classes < 0 || o->classes > INT32_MAX)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%lld classes", (long long)o->classes);
    if (o->arch != NULL && o->classes == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a new %s needs the number of classes", o->arch);
    if (o->labels != NULL && o->classes == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "labels without the number of classes");
    return DCLS_OK;
}

/* What is left of the settings, behind the architecture's own. */
static dcls_status pass_on(dcls_creation *c, const char ***texts, size_t *count)
{
    size_t own = 0;
    for (size_t i = 0; i < c->defaults.length; i++)
        own += c->defaults.data[i] == '\n';
    *texts = dcls_alloc_zero(c->ctx, own + c->settings.count, sizeof **texts);
    *count = 0;
    if (*texts == NULL) return DCLS_ERR_MEMORY;
    char *rest = NULL;
    for (char *line = own > 0 ? strtok_r(c->defaults.data, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        (*texts)[(*count)++] = line;
    for (size_t i = 0; i < c->settings.count; i++)
        if (!c->settings.items[i].used) (*texts)[(*count)++] = c->settings.items[i].text;
    return DCLS_OK;
}

static dcls_status build(dcls_creation *c, dcls_model **out)
{
    const dcls_create_options *o = c->options;
    dcls_build_options options = {.arch = o->arch,
                                  .arch_json = o->arch_json,
                                  .preprocess = o->preprocess,
                                  .labels = o->labels,
                                  .label_count = o->labels != NULL ? (size_t)o->classes : 0};
    const char **texts = NULL;
    DCLS_TRY(pass_on(c, &texts, &options.setting_count));
    options.settings = texts;
    dcls_status status;
    if (o->arch_json != NULL) {
        status = dcls_create_graph(c, &options, out);
    } else {
        status = dcls_model_build(c->ctx, c->tensors, &options, out);
        c->tensors = NULL;
    }
    free(texts);
    return status;
}

static dcls_status create(dcls_creation *c, dcls_model **out)
{
    const dcls_create_options *o = c->options;
    const arch_row *row = o->arch != NULL ? find_arch(c->ctx, o->arch) : &GRAPH;
    if (row == NULL) return DCLS_ERR_ARGUMENT;
    DCLS_TRY(check_keys(c, row));
    for (size_t i = 0; i < COMMON_COUNT; i++)
        dcls_creation_ignore(c, COMMON_KEYS[i]); /* until initial weights are drawn */
    if (row->create != NULL) row->create(c);
    if (c->status != DCLS_OK) return c->status;
    if (c->defaults.failed) return dcls_fail(c->ctx, DCLS_ERR_MEMORY, "out of memory");
    DCLS_TRY(build(c, out));
    return dcls_initialize(c, *out);
}

dcls_status dcls_model_create(dcls_context *ctx, const dcls_create_options *options, dcls_model **out)
{
    *out = NULL;
    DCLS_TRY(check_options(ctx, options));
    dcls_creation c = {.ctx = ctx, .options = options};
    dcls_model *model = NULL;
    DCLS_TRY(dcls_settings_parse(ctx, options->settings, options->setting_count, &c.settings));
    dcls_status status = dcls_tensors_create(ctx, "", &c.tensors);
    if (status == DCLS_OK) status = create(&c, &model);
    if (status == DCLS_OK) {
        *out = model;
        model = NULL;
    }
    dcls_model_destroy(model);
    dcls_tensors_destroy(c.tensors);
    dcls_string_free(&c.defaults);
    dcls_settings_free(&c.settings);
    return status;
}
