/* Initial weights, drawn as PyTorch's layers and the published recipes draw theirs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/create.h"
#include "train/positions.h"

typedef enum scheme {
    SCHEME_PYTORCH,        /* nn.ConvNd, nn.Linear, Dcls: kaiming_uniform with a = sqrt 5, biases alike */
    SCHEME_TRUNC_NORMAL,   /* ConvNeXt: normal 0.02, biases 0 */
    SCHEME_KAIMING_NORMAL, /* torchvision's ResNet: normal, fan out of a relu, biases as PyTorch's */
    SCHEME_DIRAC,          /* PyTorch's, but the first kernels hand on their channel (torch.nn.init.dirac_) */
} scheme;

static const char *const SCHEMES[] = {"pytorch", "trunc_normal", "kaiming_normal", "dirac", NULL};

#define CONVNEXT_SIGMA 0.02
#define CONVNEXT_SCALE 1e-6
#define POSITION_SHARE 0.2 /* of the window; the package's 0.5 cells are a clump in wide ones */

/* FNV-1a, 64 bits. */
dcls_rng dcls_tensor_rng(uint64_t seed, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return dcls_rng_stream(seed, hash);
}

float *dcls_created_values(const dcls_tensor *tensor)
{
    float *values = NULL;
    memcpy(&values, &tensor->data, sizeof values);
    return values;
}

static size_t count_of(const dcls_tensor *tensor)
{
    return tensor->nbytes / sizeof(float);
}

static void fill(const dcls_tensor *tensor, double value)
{
    float *values = dcls_created_values(tensor);
    for (size_t i = 0; i < count_of(tensor); i++)
        values[i] = (float)value;
}

static void fill_uniform(const dcls_tensor *tensor, uint64_t seed, double low, double high)
{
    dcls_rng rng = dcls_tensor_rng(seed, tensor->name);
    float *values = dcls_created_values(tensor);
    for (size_t i = 0; i < count_of(tensor); i++)
        values[i] = (float)(low + (high - low) * dcls_rng_uniform(&rng));
}

static void fill_normal(const dcls_tensor *tensor, uint64_t seed, double sigma)
{
    dcls_rng rng = dcls_tensor_rng(seed, tensor->name);
    float *values = dcls_created_values(tensor);
    for (size_t i = 0; i < count_of(tensor); i++)
        values[i] = (float)(sigma * dcls_rng_normal(&rng));
}

void dcls_draw_positions(dcls_rng *rng, const dcls_kernel *k, dcls_position_sigma sigma, float *P)
{
    const int64_t per_axis = k->position_rows * k->count;
    for (int j = 0; j < k->ndim; j++) {
        const double limit = (double)(k->size[j] / 2);
        const double deviation = sigma.cells + sigma.share * (double)k->size[j];
        for (int64_t i = 0; i < per_axis; i++) {
            const double p = deviation * dcls_rng_normal(rng);
            P[j * per_axis + i] = (float)fmax(-limit, fmin(limit, p));
        }
    }
}

/* ---- by node ---------------------------------------------------------------------------------------- */

typedef struct start {
    dcls_creation *c;
    const dcls_node *node;
    scheme scheme;
} start;

static scheme scheme_of(dcls_creation *c, const dcls_node *node)
{
    static const char BACKBONE[] = "backbone.";
    const char *arch = c->options->arch != NULL ? c->options->arch : "";
    scheme fallback = SCHEME_PYTORCH;
    if (strcmp(arch, "convnext_dcls") == 0) fallback = SCHEME_TRUNC_NORMAL;
    if (strcmp(arch, "deeplabv3") == 0 && strncmp(node->name, BACKBONE, sizeof BACKBONE - 1) == 0)
        fallback = SCHEME_KAIMING_NORMAL;
    return (scheme)dcls_creation_choice(c, "init", node->name, SCHEMES, (int)fallback);
}

/* Elements of a kernel, over all axes behind [out, in/groups]. */
static double kernel_elements(const dcls_tensor *weight)
{
    double elements = 1;
    for (int i = 2; i < weight->ndim; i++)
        elements *= (double)weight->shape[i];
    return elements;
}

/* Kernel o becomes one that copies channel o, for as many as there are of both. */
static void hand_on_channels(const dcls_node *node, const dcls_tensor *tensor)
{
    if (node->op != DCLS_OP_CONV || node->groups != 1) return;
    const dcls_window *w = &node->window;
    const int64_t in = tensor->shape[1], out = tensor->shape[0];
    int64_t cells = 1, centre = 0;
    for (int d = 0; d < w->ndim; d++) {
        centre = centre * w->kernel[d] + w->kernel[d] / 2;
        cells *= w->kernel[d];
    }
    float *values = dcls_created_values(tensor);
    for (int64_t o = 0; o < out && o < in; o++, values += in * cells) {
        memset(values, 0, (size_t)(in * cells) * sizeof *values);
        values[o * cells + centre] = 1;
    }
}

static void start_weight(const start *s, const dcls_tensor *tensor)
{
    const uint64_t seed = s->c->options->seed;
    const double elements = kernel_elements(tensor), bound = 1 / sqrt((double)tensor->shape[1] * elements);
    switch (s->scheme) {
    case SCHEME_PYTORCH: fill_uniform(tensor, seed, -bound, bound); break;
    case SCHEME_DIRAC:
        fill_uniform(tensor, seed, -bound, bound);
        hand_on_channels(s->node, tensor);
        break;
    case SCHEME_TRUNC_NORMAL: fill_normal(tensor, seed, CONVNEXT_SIGMA); break;
    case SCHEME_KAIMING_NORMAL:
        fill_normal(tensor, seed, sqrt(2 / ((double)tensor->shape[0] * elements)));
        break;
    }
}

static void start_bias(const start *s, const dcls_tensor *tensor)
{
    const dcls_tensor *weight = s->node->weight;
    const double bound = 1 / sqrt((double)weight->shape[1] * kernel_elements(weight));
    if (s->scheme == SCHEME_TRUNC_NORMAL)
        fill(tensor, 0);
    else
        fill_uniform(tensor, s->c->options->seed, -bound, bound);
}

/* "2" cells, or "25%" of the window's side. */
static dcls_position_sigma sigma_of(const start *s)
{
    const dcls_setting *said = dcls_creation_find(s->c, "position_sigma", s->node->name);
    dcls_position_sigma sigma = {.share = POSITION_SHARE};
    if (said == NULL) return sigma;
    char text[40] = "";
    const size_t length = strlen(said->value);
    const bool percent = length > 0 && said->value[length - 1] == '%';
    double value = 0;
    if (length < sizeof text) memcpy(text, said->value, percent ? length - 1 : length);
    if (!dcls_parse_double(text, &value) || !(value >= 0 && value <= 1e6)) {
        dcls_creation_fail(s->c,
                           "setting '%.100s': must be a number of cells, or as 25%% a share of the window",
                           said->text);
        return sigma;
    }
    dcls_position_sigma found = {.cells = value};
    if (percent) found = (dcls_position_sigma){.share = value / 100};
    return found;
}

static void start_positions(const start *s, const dcls_tensor *tensor)
{
    dcls_kernel k;
    dcls_node_kernel(s->node, &k);
    dcls_rng rng = dcls_tensor_rng(s->c->options->seed, tensor->name);
    dcls_draw_positions(&rng, &k, sigma_of(s), dcls_created_values(tensor));
}

static void start_spreads(const start *s, const dcls_tensor *tensor)
{
    const double spread = dcls_creation_number(s->c, "spread", s->node->name, 0, 1e6, -1);
    if (spread >= 0 || s->node->version == DCLS_GAUSS)
        fill(tensor, spread >= 0 ? spread : DCLS_SPREAD_GAUSS);
    else
        fill_uniform(tensor, s->c->options->seed, DCLS_SPREAD_MAX_LEAST, DCLS_SPREAD_MAX_MOST);
}

static void start_layer(const start *s, dcls_slot slot, const dcls_tensor *tensor)
{
    switch (slot) {
    case DCLS_SLOT_BIAS: start_bias(s, tensor); break;
    case DCLS_SLOT_P: start_positions(s, tensor); break;
    case DCLS_SLOT_SIG: start_spreads(s, tensor); break;
    default: start_weight(s, tensor); break;
    }
}

static void start_norm(const start *s, dcls_slot slot, const dcls_tensor *tensor)
{
    double value = slot == DCLS_SLOT_RUNNING_VAR ? 1 : 0;
    if (slot == DCLS_SLOT_WEIGHT)
        value = dcls_creation_number(s->c, "norm_weight", s->node->name, -1e6, 1e6, 1);
    fill(tensor, value);
}

static void start_tensor(const start *s, dcls_slot slot, const dcls_tensor *tensor)
{
    switch (s->node->op) {
    case DCLS_OP_CONV:
    case DCLS_OP_DCLS:
    case DCLS_OP_LINEAR: start_layer(s, slot, tensor); break;
    case DCLS_OP_LAYER_SCALE:
        fill(tensor, dcls_creation_number(s->c, "layer_scale", s->node->name, 0, 1e6, CONVNEXT_SCALE));
        break;
    default: start_norm(s, slot, tensor); break;
    }
}

static void start_node(dcls_creation *c, const dcls_model *model, const dcls_node *node, bool *done)
{
    const start s = {c, node, scheme_of(c, node)};
    for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
        const dcls_tensor *tensor = dcls_node_tensor(node, (dcls_slot)slot);
        if (tensor == NULL) continue;
        const size_t index = (size_t)(tensor - model->tensors->items);
        if (!done[index]) start_tensor(&s, (dcls_slot)slot, tensor);
        done[index] = true;
    }
}

/* Settings for layers that are not there help nobody. */
static dcls_status check_used(dcls_creation *c)
{
    for (size_t i = 0; i < c->settings.count; i++) {
        const dcls_setting *setting = &c->settings.items[i];
        if (setting->used || setting->glob == NULL || dcls_attr_from_name(setting->key) >= 0) continue;
        return dcls_fail(c->ctx, DCLS_ERR_ARGUMENT, "setting '%s': no layer that has it matches '%s'",
                         setting->text, setting->glob);
    }
    return DCLS_OK;
}

dcls_status dcls_initialize_node(dcls_context *ctx, const dcls_model *model, const dcls_node *node,
                                 uint64_t seed)
{
    const dcls_create_options options = {.seed = seed};
    dcls_creation c = {.ctx = ctx, .options = &options};
    bool *done = dcls_alloc_zero(ctx, model->tensors->count, sizeof *done);
    if (done == NULL) return DCLS_ERR_MEMORY;
    start_node(&c, model, node, done);
    free(done);
    return c.status;
}

dcls_status dcls_initialize(dcls_creation *c, dcls_model *model)
{
    bool *done = dcls_alloc_zero(c->ctx, model->tensors->count, sizeof *done);
    if (done == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < c->settings.count; i++)
        c->settings.items[i].used = false;
    for (size_t i = 0; i < model->node_count; i++)
        start_node(c, model, &model->nodes[i], done);
    free(done);
    return c->status == DCLS_OK ? check_used(c) : c->status;
}
