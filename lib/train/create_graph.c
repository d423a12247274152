/* Tensors of networks that are described without them: their shapes follow from the sizes the nodes say and
 * from the channels that come in. */
#include <string.h>

#include "base/tensor.h"
#include "train/create.h"

typedef struct making {
    dcls_creation *c;
    dcls_context *ctx;
    const dcls_model *model;
    dcls_draft_node *node;
    int64_t in;
} making;

static dcls_status want(const making *m, dcls_attr attr)
{
    if (m->node->given[attr] > 0) return DCLS_OK;
    return dcls_fail(m->ctx, DCLS_ERR_FORMAT,
                     "attribute '%s' is missing: there is no tensor that would tell it",
                     dcls_attr_name(attr));
}

static bool is_there(const making *m, dcls_slot slot)
{
    const char *name = m->node->tensor[slot];
    return name == NULL || dcls_tensors_find(m->c->tensors, name) != NULL;
}

/* Tensors that several nodes name are made once. */
static dcls_status make_one(const making *m, dcls_slot slot, int ndim, const int64_t *shape)
{
    if (is_there(m, slot)) return DCLS_OK;
    dcls_creation_tensor(m->c, ndim, shape, "%s", m->node->tensor[slot]);
    return m->c->status;
}

/* out_channels, which may be "classes". */
static dcls_status resolve_out(const making *m)
{
    dcls_node *node = &m->node->node;
    DCLS_TRY(want(m, DCLS_ATTR_OUT_CHANNELS));
    if (node->out_channels != DCLS_CLASSES) return DCLS_OK;
    const int64_t said = m->c->options->classes;
    node->out_channels = said > 0 ? said : (int64_t)m->model->label_count;
    if (node->out_channels > 0) return DCLS_OK;
    return dcls_fail(m->ctx, DCLS_ERR_ARGUMENT,
                     "out_channels is \"classes\", and it is not known how many those are");
}

static dcls_status divide(const making *m, int64_t *in)
{
    const int64_t groups = m->node->node.groups;
    if (m->in % groups != 0)
        return dcls_fail(m->ctx, DCLS_ERR_FORMAT, "%lld groups do not divide the %lld channels that come in",
                         (long long)groups, (long long)m->in);
    *in = m->in / groups;
    return DCLS_OK;
}

static dcls_status make_conv(const making *m)
{
    const dcls_node *node = &m->node->node;
    const int ndim = m->model->input_ndim - 2, given = m->node->given[DCLS_ATTR_KERNEL_SIZE];
    int64_t shape[DCLS_MAX_DIMS] = {0};
    DCLS_TRY(want(m, DCLS_ATTR_KERNEL_SIZE));
    DCLS_TRY(divide(m, &shape[1]));
    shape[0] = node->out_channels;
    for (int i = 0; i < ndim; i++)
        shape[i + 2] = node->window.kernel[given > 1 ? i : 0];
    DCLS_TRY(make_one(m, DCLS_SLOT_WEIGHT, ndim + 2, shape));
    return make_one(m, DCLS_SLOT_BIAS, 1, shape);
}

static dcls_status make_dcls(const making *m)
{
    const dcls_node *node = &m->node->node;
    if (node->layer == DCLS_LAYER_2_1D || node->layer == DCLS_LAYER_3_1D)
        return dcls_fail(m->ctx, DCLS_ERR_UNSUPPORTED,
                         "a layer 2_1d or 3_1d cannot be made without its tensors");
    int64_t shape[] = {node->out_channels, 0, node->kernel_count};
    DCLS_TRY(want(m, DCLS_ATTR_KERNEL_COUNT));
    DCLS_TRY(divide(m, &shape[1]));
    const int64_t axes = node->layer == DCLS_LAYER_FULL ? m->model->input_ndim - 2 : 1;
    const int64_t own[] = {axes, shape[0], shape[1], shape[2]}, shared[] = {axes, shape[1], shape[2]};
    const int64_t *positions = node->shared_positions ? shared : own;
    const int ndim = node->shared_positions ? 3 : 4;
    DCLS_TRY(make_one(m, DCLS_SLOT_WEIGHT, 3, shape));
    DCLS_TRY(make_one(m, DCLS_SLOT_BIAS, 1, shape));
    DCLS_TRY(make_one(m, DCLS_SLOT_P, ndim, positions));
    return make_one(m, DCLS_SLOT_SIG, ndim, positions);
}

static dcls_status make_linear(const making *m)
{
    const int64_t shape[] = {m->node->node.out_channels, m->in};
    DCLS_TRY(make_one(m, DCLS_SLOT_WEIGHT, 2, shape));
    return make_one(m, DCLS_SLOT_BIAS, 1, shape);
}

static dcls_status make_vectors(const making *m)
{
    for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++)
        DCLS_TRY(make_one(m, (dcls_slot)slot, 1, &m->in));
    return DCLS_OK;
}

/* A version of max or gauss set in place of another one brings its SIG along. */
static dcls_status name_spreads(const making *m)
{
    dcls_draft_node *node = m->node;
    if (node->node.op != DCLS_OP_DCLS || !dcls_kernel_version_has_spread(node->node.version)) {
        node->tensor[DCLS_SLOT_SIG] = NULL;
        return DCLS_OK;
    }
    if (node->tensor[DCLS_SLOT_SIG] != NULL || node->tensor[DCLS_SLOT_P] == NULL) return DCLS_OK;
    const char *P = node->tensor[DCLS_SLOT_P];
    const size_t length = strlen(P);
    const bool dotted = length > 2 && strcmp(P + length - 2, ".P") == 0;
    char *name = dcls_arena_alloc(m->ctx, &m->c->settings.arena, length + sizeof ".SIG", 1);
    if (name == NULL) return DCLS_ERR_MEMORY;
    memcpy(name, P, length);
    strcpy(name + (dotted ? length - 2 : length), ".SIG");
    node->tensor[DCLS_SLOT_SIG] = name;
    return DCLS_OK;
}

static dcls_status make(dcls_context *ctx, void *arg, dcls_tensors *tensors, dcls_draft_node *node,
                        const dcls_model *model, const dcls_shape *input)
{
    dcls_creation *c = arg;
    c->tensors = tensors;
    const dcls_op_info *info = dcls_op_describe(node->node.op);
    const making m = {c, ctx, model, node, input->size[1]};
    if ((info->needs | info->may) == 0) return DCLS_OK;
    DCLS_TRY(name_spreads(&m));
    if (m.in == DCLS_ANY)
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "how many channels come in depends on the size of the input, which is open");
    if (info->sizes != 0) DCLS_TRY(resolve_out(&m));
    switch (node->node.op) {
    case DCLS_OP_CONV: return make_conv(&m);
    case DCLS_OP_DCLS: return make_dcls(&m);
    case DCLS_OP_LINEAR: return make_linear(&m);
    default: return make_vectors(&m);
    }
}

dcls_status dcls_create_graph(dcls_creation *c, const dcls_build_options *build, dcls_model **out)
{
    const dcls_maker maker = {make, c, c->options->classes};
    dcls_tensors *tensors = c->tensors;
    c->tensors = NULL;
    const dcls_status status = dcls_build_making(c->ctx, tensors, build, &maker, out);
    c->tensors = NULL; /* they are the model's, or gone */
    if (status != DCLS_OK || (*out)->palette_count == 0 || (*out)->palette_count == (*out)->label_count)
        return status;
    (*out)->palette_count = 0; /* of other classes */
    return dcls_model_describe(c->ctx, *out);
}
