/* The helpers architectures are written with. */
#include "model/arch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEY_TEXT 256

typedef struct key {
    char text[KEY_TEXT];
} key;

__attribute__((format(printf, 1, 0))) static key key_of(const char *fmt, va_list args)
{
    key k;
    vsnprintf(k.text, sizeof k.text, fmt, args);
    return k;
}

#define KEY_FROM(name, fmt)                                                                                  \
    va_list name##_args;                                                                                     \
    va_start(name##_args, fmt);                                                                              \
    const key name = key_of(fmt, name##_args);                                                               \
    va_end(name##_args)

const dcls_tensor *dcls_build_find(const dcls_builder *b, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    return dcls_tensors_find(b->tensors, name.text);
}

/* A tensor of that name behind a prefix, as modules give it that hold the network; NULL if there is none. */
static const char *find_prefixed(const dcls_tensors *tensors, const char *name)
{
    const size_t length = strlen(name);
    for (size_t i = 0; i < dcls_tensors_count(tensors); i++) {
        const char *other = dcls_tensors_at(tensors, i)->name;
        const size_t whole = strlen(other);
        if (whole > length + 1 && other[whole - length - 1] == '.' &&
            strcmp(other + whole - length, name) == 0)
            return other;
    }
    return NULL;
}

static void fail_missing(dcls_builder *b, const char *name)
{
    const char *other = find_prefixed(b->tensors, name), *module = b->tensors->module;
    if (other == NULL)
        dcls_build_fail(b, "tensor '%s%s' is missing", module, name);
    else
        dcls_build_fail(b, "tensor '%s%s' is missing, but there is '%s%s': take the module '%s%.*s' alone",
                        module, name, module, other, module, (int)(strlen(other) - strlen(name) - 1), other);
}

const dcls_tensor *dcls_build_tensor(dcls_builder *b, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    const dcls_tensor *tensor = dcls_tensors_find(b->tensors, name.text);
    if (tensor == NULL) fail_missing(b, name.text);
    return tensor;
}

void dcls_build_fail(dcls_builder *b, const char *fmt, ...)
{
    KEY_FROM(text, fmt);
    if (b->status == DCLS_OK) b->status = dcls_fail(b->ctx, DCLS_ERR_FORMAT, "%s", text.text);
}

void dcls_build_from(dcls_builder *b, const char *value, int64_t channels)
{
    b->value = value;
    b->channels = channels;
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

/* A node fed by the current value and, unless it is NULL, another one. */
static dcls_draft_node *add_node(dcls_builder *b, dcls_op op, const char *other, const char *name)
{
    dcls_draft_node *node = NULL;
    const int inputs = other != NULL ? 2 : 1;
    if (b->status == DCLS_OK) b->status = dcls_draft_add(b->ctx, b->draft, op, name, &node);
    if (b->status == DCLS_OK) b->status = dcls_draft_connect(b->ctx, b->draft, node, inputs, 0, b->value);
    if (b->status == DCLS_OK && other != NULL)
        b->status = dcls_draft_connect(b->ctx, b->draft, node, inputs, 1, other);
    if (b->status != DCLS_OK) return NULL;
    b->value = node->node.name;
    return node;
}

/* Gives a node the tensor NAME.SLOT if the state dict has it. */
static void take_tensor(dcls_builder *b, dcls_draft_node *node, dcls_slot slot)
{
    const dcls_tensor *tensor = dcls_build_find(b, "%s.%s", node->node.name, dcls_slot_name(slot));
    if (tensor != NULL) node->tensor[slot] = tensor->name;
}

dcls_draft_node *dcls_build_op(dcls_builder *b, dcls_op op, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    return add_node(b, op, NULL, name.text);
}

void dcls_build_drop(dcls_builder *b, dcls_op op, double p, const char *fmt, ...)
{
    if (!(p > 0)) return;
    KEY_FROM(name, fmt);
    dcls_draft_node *node = add_node(b, op, NULL, name.text);
    if (node != NULL) node->node.p = p;
}

dcls_draft_node *dcls_build_join(dcls_builder *b, dcls_op op, const char *other, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    return add_node(b, op, other, name.text);
}

void dcls_build_act(dcls_builder *b, dcls_act act, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    dcls_draft_node *node = add_node(b, act == DCLS_ACT_RELU ? DCLS_OP_RELU : DCLS_OP_GELU, NULL, name.text);
    if (node != NULL && act == DCLS_ACT_GELU_TANH) dcls_attr_set_int(node, DCLS_ATTR_APPROXIMATE, 1);
}

void dcls_build_norm(dcls_builder *b, dcls_op op, double eps, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    dcls_draft_node *node = add_node(b, op, NULL, name.text);
    if (node == NULL) return;
    node->node.eps = (float)eps;
    const unsigned slots = dcls_op_describe(op)->needs | dcls_op_describe(op)->may;
    for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++)
        if ((slots >> slot) & 1) take_tensor(b, node, (dcls_slot)slot);
}

void dcls_build_layer_scale(dcls_builder *b, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    dcls_draft_node *node = add_node(b, DCLS_OP_LAYER_SCALE, NULL, name.text);
    const dcls_tensor *tensor = dcls_build_tensor(b, "%s", name.text);
    if (node != NULL && tensor != NULL) node->tensor[DCLS_SLOT_WEIGHT] = tensor->name;
}

void dcls_build_linear(dcls_builder *b, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    dcls_draft_node *node = add_node(b, DCLS_OP_LINEAR, NULL, name.text);
    const dcls_tensor *weight = dcls_build_tensor(b, "%s.weight", name.text);
    if (node == NULL || weight == NULL) return;
    take_tensor(b, node, DCLS_SLOT_WEIGHT);
    take_tensor(b, node, DCLS_SLOT_BIAS);
    b->channels = weight->shape[0];
}

/* ---- convolutions --------------------------------------------------------------------------------- */

/* The set belongs to the network that is being built: a matrix becomes the weight of a 1x1 convolution in
 * place. */
static void reshape_matrix(dcls_builder *b, const char *name)
{
    const int64_t index = dcls_map_find(&b->tensors->index, name);
    dcls_tensor *tensor = &b->tensors->items[index];
    tensor->shape[2] = tensor->shape[3] = 1;
    tensor->ndim = 4;
}

static void set_window(dcls_draft_node *node, const dcls_conv_form *form, const dcls_tensor *weight)
{
    for (int i = 0; i < 2 && form->stride == 0; i++)
        node->node.window.stride[i] = weight->ndim == 4 ? weight->shape[i + 2] : 1;
    node->given[DCLS_ATTR_STRIDE] = 2;
    if (form->stride > 0) dcls_attr_set_int(node, DCLS_ATTR_STRIDE, form->stride);
    if (node->node.op == DCLS_OP_DCLS)
        dcls_attr_set_int(node, DCLS_ATTR_PADDING, DCLS_PAD_HALF);
    else
        dcls_attr_set_int(node, DCLS_ATTR_PADDING, form->same ? DCLS_PAD_SAME : form->padding);
    if (form->dilation > 0 && node->node.op == DCLS_OP_CONV)
        dcls_attr_set_int(node, DCLS_ATTR_DILATION, form->dilation);
}

static void take_positions(dcls_builder *b, dcls_draft_node *node, const dcls_conv_form *form)
{
    take_tensor(b, node, DCLS_SLOT_P);
    take_tensor(b, node, DCLS_SLOT_SIG);
    if (form->P != NULL) node->tensor[DCLS_SLOT_P] = form->P;
    if (form->SIG != NULL) node->tensor[DCLS_SLOT_SIG] = form->SIG;
}

void dcls_build_conv(dcls_builder *b, dcls_conv_form form, const char *fmt, ...)
{
    KEY_FROM(name, fmt);
    const dcls_tensor *weight = dcls_build_tensor(b, "%s.weight", name.text);
    if (b->status != DCLS_OK || weight == NULL) return;
    if (weight->ndim == 2) reshape_matrix(b, weight->name);
    const bool dcls = dcls_build_find(b, "%s.P", name.text) != NULL || (form.P != NULL && weight->ndim == 3);
    dcls_draft_node *node = add_node(b, dcls ? DCLS_OP_DCLS : DCLS_OP_CONV, NULL, name.text);
    if (node == NULL) return;
    take_tensor(b, node, DCLS_SLOT_WEIGHT);
    take_tensor(b, node, DCLS_SLOT_BIAS);
    if (dcls) take_positions(b, node, &form);
    set_window(node, &form, weight);
    const int64_t in = weight->ndim > 1 ? weight->shape[1] : 0;
    const bool pointwise = weight->ndim == 4 && weight->shape[2] == 1 && weight->shape[3] == 1;
    if (pointwise && in != b->channels && node->node.op == DCLS_OP_CONV)
        dcls_build_fail(b, "tensor '%s%s' is for %lld channels, there are %lld", b->tensors->module,
                        weight->name, (long long)in, (long long)b->channels);
    if (in > 0 && b->channels % in == 0 && b->channels / in <= INT32_MAX)
        dcls_attr_set_int(node, DCLS_ATTR_GROUPS, b->channels / in);
    b->channels = weight->ndim > 0 ? weight->shape[0] : 0;
}

/* ---- the list of architectures -------------------------------------------------------------------- */

static const struct {
    const char *name;
    dcls_arch_fn *build;
} ARCHS[] = {
    {"convmixer", dcls_arch_convmixer},
    {"convnext_dcls", dcls_arch_convnext},
    {"deeplabv3", dcls_arch_deeplabv3},
};

dcls_status dcls_arch_build(dcls_context *ctx, const char *arch, dcls_draft *draft, dcls_settings *settings,
                            bool *expected)
{
    dcls_builder b = {.ctx = ctx,
                      .draft = draft,
                      .tensors = draft->model->tensors,
                      .settings = settings,
                      .value = "input",
                      .expected = expected};
    for (size_t i = 0; i < sizeof ARCHS / sizeof ARCHS[0]; i++) {
        if (strcmp(ARCHS[i].name, arch) != 0) continue;
        ARCHS[i].build(&b);
        return b.status == DCLS_OK ? DCLS_OK : dcls_fail_within(ctx, b.status, "architecture %s: ", arch);
    }
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "unknown architecture '%s': there are %s, %s and %s", arch,
                     ARCHS[0].name, ARCHS[1].name, ARCHS[2].name);
}
