/* Settings of the form KEY=VALUE and GLOB:KEY=VALUE. */
#include "model/settings.h"

#include <fnmatch.h>
#include <string.h>

static dcls_status parse_one(dcls_context *ctx, dcls_arena *arena, const char *text, dcls_setting *out)
{
    const char *equals = strchr(text, '=');
    const char *colon = equals != NULL ? memrchr(text, ':', (size_t)(equals - text)) : NULL;
    const char *key = colon != NULL ? colon + 1 : text;
    if (equals == NULL || equals == key || colon == text || equals[1] == '\0')
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s' must be KEY=VALUE or GLOB:KEY=VALUE", text);
    out->text = dcls_arena_strdup(ctx, arena, text);
    out->key = dcls_arena_strndup(ctx, arena, key, (size_t)(equals - key));
    out->value = dcls_arena_strdup(ctx, arena, equals + 1);
    if (out->text == NULL || out->key == NULL || out->value == NULL) return DCLS_ERR_MEMORY;
    if (colon == NULL) return DCLS_OK;
    out->glob = dcls_arena_strndup(ctx, arena, text, (size_t)(colon - text));
    return out->glob != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

dcls_status dcls_settings_parse(dcls_context *ctx, const char *const *texts, size_t count, dcls_settings *out)
{
    *out = (dcls_settings){0};
    out->items = dcls_arena_alloc(ctx, &out->arena, count, sizeof *out->items);
    if (out->items == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const dcls_status status = parse_one(ctx, &out->arena, texts[i], &out->items[i]);
        if (status != DCLS_OK) {
            dcls_settings_free(out);
            return status;
        }
    }
    out->count = count;
    return DCLS_OK;
}

void dcls_settings_free(dcls_settings *settings)
{
    dcls_arena_free(&settings->arena);
    *settings = (dcls_settings){0};
}

dcls_status dcls_settings_choice(dcls_context *ctx, dcls_settings *settings, const char *key,
                                 const char *const *choices, int *out)
{
    *out = 0;
    for (size_t i = 0; i < settings->count; i++) {
        dcls_setting *setting = &settings->items[i];
        if (setting->glob != NULL || strcmp(setting->key, key) != 0) continue;
        dcls_string names = {0};
        int k = 0;
        for (; choices[k] != NULL && strcmp(choices[k], setting->value) != 0; k++)
            dcls_string_printf(&names, "%s'%s'", k > 0 ? ", " : "", choices[k]);
        if (choices[k] == NULL)
            dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s': must be one of %s", setting->text,
                      names.failed ? "" : names.data);
        dcls_string_free(&names);
        if (choices[k] == NULL) return DCLS_ERR_ARGUMENT;
        setting->used = true;
        *out = k;
    }
    return DCLS_OK;
}

dcls_status dcls_settings_number(dcls_context *ctx, dcls_settings *settings, const char *key, double min,
                                 double max, double *out)
{
    for (size_t i = 0; i < settings->count; i++) {
        dcls_setting *setting = &settings->items[i];
        if (setting->glob != NULL || strcmp(setting->key, key) != 0) continue;
        double value = 0;
        if (!dcls_parse_double(setting->value, &value) || !(value >= min && value <= max))
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s': must be a number from %g to %g",
                             setting->text, min, max);
        setting->used = true;
        *out = value;
    }
    return DCLS_OK;
}

/* ---- applying ------------------------------------------------------------------------------------- */

static bool names_node(const dcls_setting *setting, const dcls_node *node)
{
    if (setting->glob == NULL) return node->op == DCLS_OP_DCLS;
    return fnmatch(setting->glob, node->name, 0) == 0;
}

static const char *attr_at(const void *of, size_t index)
{
    (void)of;
    return dcls_attr_name((dcls_attr)index);
}

static dcls_status fail_key(dcls_context *ctx, const dcls_setting *setting, bool sizes)
{
    char hint[DCLS_HINT_TEXT], list[400];
    dcls_hint(hint, sizeof hint, dcls_nearest(setting->key, DCLS_ATTR_COUNT, attr_at, NULL));
    dcls_attr_list(list, sizeof list, DCLS_OP_DCLS, sizes);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s': unknown key '%s'%s: DCLS layers have %s",
                     setting->text, setting->key, hint, list);
}

static dcls_status apply_one(dcls_context *ctx, dcls_setting *setting, bool sizes, dcls_draft_node *nodes,
                             size_t count)
{
    const int attr = dcls_attr_from_name(setting->key);
    if (attr < 0) return fail_key(ctx, setting, sizes);
    size_t named = 0;
    for (size_t i = 0; i < count; i++) {
        dcls_draft_node *node = &nodes[i];
        if (!names_node(setting, &node->node)) continue;
        named++;
        const dcls_op_info *info = dcls_op_describe(node->node.op);
        if (!(((info->attributes | (sizes ? info->sizes : 0)) >> attr) & 1)) continue;
        if (dcls_attr_set_text(ctx, node, (dcls_attr)attr, setting->value) != DCLS_OK)
            return dcls_fail_within(ctx, DCLS_ERR_ARGUMENT, "setting '%s': ", setting->text);
        setting->used = true;
    }
    if (setting->used) return DCLS_OK;
    if (setting->glob == NULL && named == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s': there is no DCLS layer", setting->text);
    if (named == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s': no layer's name matches '%s'", setting->text,
                         setting->glob);
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "setting '%s': none of the layers has '%s'", setting->text,
                     setting->key);
}

static bool sets(const dcls_settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->count; i++)
        if (strcmp(settings->items[i].key, key) == 0) return true;
    return false;
}

static dcls_status check_complete(dcls_context *ctx, const dcls_settings *settings,
                                  const dcls_draft_node *draft)
{
    const dcls_node *node = &draft->node;
    if (node->op != DCLS_OP_DCLS) return DCLS_OK;
    if (draft->given[DCLS_ATTR_VERSION] == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "layer '%s': its tensors do not tell the version: set version=%s", node->name,
                         draft->tensor[DCLS_SLOT_SIG] != NULL ? "max or version=gauss" : "v0 or version=v1");
    if (draft->given[DCLS_ATTR_DILATED_KERNEL_SIZE] == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "layer '%s': its tensors do not tell the window: set dilated_kernel_size=N or N,M",
                         node->name);
    if (sets(settings, "flat_dim") && node->flat_dim != 0 && node->layer != DCLS_LAYER_2DK1D)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "layer '%s': flat_dim is for layer=2dK1d alone", node->name);
    return DCLS_OK;
}

dcls_status dcls_settings_apply(dcls_context *ctx, dcls_settings *settings, dcls_draft_node *nodes,
                                size_t count)
{
    for (int with_glob = 0; with_glob < 2; with_glob++)
        for (size_t i = 0; i < settings->count; i++) {
            dcls_setting *setting = &settings->items[i];
            if (!setting->used && (setting->glob != NULL) == (with_glob == 1))
                DCLS_TRY(apply_one(ctx, setting, settings->sizes, nodes, count));
        }
    for (size_t i = 0; i < count; i++)
        DCLS_TRY(check_complete(ctx, settings, &nodes[i]));
    return DCLS_OK;
}
