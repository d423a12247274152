/* The table of operations and attributes, and setting attributes from JSON or text. */
#include "model/attributes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SLOT(name) (1u << DCLS_SLOT_##name)
#define ATTR(name) (1u << DCLS_ATTR_##name)

#define AFFINE        (SLOT(WEIGHT) | SLOT(BIAS))
#define MOMENTS       (SLOT(RUNNING_MEAN) | SLOT(RUNNING_VAR))
#define MOVING_WINDOW (ATTR(STRIDE) | ATTR(PADDING))
#define CONVOLUTION   (MOVING_WINDOW | ATTR(GROUPS) | ATTR(PADDING_MODE))
#define DCLS_LAYER    (ATTR(DILATED_KERNEL_SIZE) | ATTR(VERSION) | ATTR(LAYER) | ATTR(FLAT_DIM) | CONVOLUTION)
#define POOL          (ATTR(KERNEL_SIZE) | MOVING_WINDOW | ATTR(CEIL_MODE))
#define RESIZE        (ATTR(MODE) | ATTR(ALIGN_CORNERS) | ATTR(SIZE) | ATTR(SCALE))

#define CONV_SIZES (ATTR(OUT_CHANNELS) | ATTR(KERNEL_SIZE))
#define DCLS_SIZES (ATTR(OUT_CHANNELS) | ATTR(KERNEL_COUNT) | ATTR(SHARED_POSITIONS))

#define MANY_INPUTS 4096

static const dcls_op_info OPS[DCLS_OP_COUNT] = {
    [DCLS_OP_CONV] = {"conv", 1, 1, SLOT(WEIGHT), SLOT(BIAS), CONVOLUTION | ATTR(DILATION), 0, CONV_SIZES},
    [DCLS_OP_DCLS] = {"dcls", 1, 1, SLOT(WEIGHT) | SLOT(P), SLOT(SIG) | SLOT(BIAS), DCLS_LAYER,
                      ATTR(DILATED_KERNEL_SIZE) | ATTR(VERSION), DCLS_SIZES},
    [DCLS_OP_LINEAR] = {"linear", 1, 1, SLOT(WEIGHT), SLOT(BIAS), 0, 0, ATTR(OUT_CHANNELS)},
    [DCLS_OP_BATCH_NORM] = {"batch_norm", 1, 1, MOMENTS, AFFINE, ATTR(EPS), 0, 0},
    [DCLS_OP_LAYER_NORM] = {"layer_norm", 1, 1, 0, AFFINE, ATTR(EPS), 0, 0},
    [DCLS_OP_RELU] = {"relu", 1, 1, 0, 0, 0, 0, 0},
    [DCLS_OP_GELU] = {"gelu", 1, 1, 0, 0, ATTR(APPROXIMATE), 0, 0},
    [DCLS_OP_SIGMOID] = {"sigmoid", 1, 1, 0, 0, 0, 0, 0},
    [DCLS_OP_SOFTMAX] = {"softmax", 1, 1, 0, 0, 0, 0, 0},
    [DCLS_OP_MAX_POOL] = {"max_pool", 1, 1, 0, 0, POOL | ATTR(DILATION), ATTR(KERNEL_SIZE), 0},
    [DCLS_OP_AVG_POOL] = {"avg_pool", 1, 1, 0, 0, POOL | ATTR(COUNT_INCLUDE_PAD), ATTR(KERNEL_SIZE), 0},
    [DCLS_OP_GLOBAL_AVG_POOL] = {"global_avg_pool", 1, 1, 0, 0, ATTR(FLATTEN), 0, 0},
    [DCLS_OP_GLOBAL_MAX_POOL] = {"global_max_pool", 1, 1, 0, 0, ATTR(FLATTEN), 0, 0},
    [DCLS_OP_ADD] = {"add", 2, 2, 0, 0, 0, 0, 0},
    [DCLS_OP_MUL] = {"mul", 2, 2, 0, 0, 0, 0, 0},
    [DCLS_OP_LAYER_SCALE] = {"layer_scale", 1, 1, SLOT(WEIGHT), 0, 0, 0, 0},
    [DCLS_OP_CONCAT] = {"concat", 1, MANY_INPUTS, 0, 0, 0, 0, 0},
    [DCLS_OP_FLATTEN] = {"flatten", 1, 1, 0, 0, 0, 0, 0},
    [DCLS_OP_RESIZE] = {"resize", 1, 2, 0, 0, RESIZE, 0, 0},
    [DCLS_OP_DROPOUT] = {"dropout", 1, 1, 0, 0, ATTR(PROBABILITY), 0, 0},
    [DCLS_OP_DROP_PATH] = {"drop_path", 1, 1, 0, 0, ATTR(PROBABILITY), 0, 0},
    [DCLS_OP_IDENTITY] = {"identity", 1, 1, 0, 0, 0, 0, 0},
};

static const char *const SLOT_NAMES[DCLS_SLOT_COUNT] = {"weight", "bias",         "P",
                                                        "SIG",    "running_mean", "running_var"};
static const size_t SLOT_FIELDS[DCLS_SLOT_COUNT] = {
    offsetof(dcls_node, weight), offsetof(dcls_node, bias),         offsetof(dcls_node, P),
    offsetof(dcls_node, SIG),    offsetof(dcls_node, running_mean), offsetof(dcls_node, running_var),
};

typedef enum attr_type {
    TYPE_INT,
    TYPE_INTS,    /* one, or one per spatial dimension */
    TYPE_PADDING, /* TYPE_INTS or "same" */
    TYPE_COUNT,   /* TYPE_INT or "classes" */
    TYPE_FLOAT,
    TYPE_DOUBLE,
    TYPE_DOUBLES,
    TYPE_BOOL,
    TYPE_CHOICE
} attr_type;

typedef struct choice {
    const char *name;
    int value;
} choice;

typedef struct attr_info {
    const char *name;
    attr_type type;
    size_t offset, size; /* of its field in dcls_node; of one element where it is an array */
    double min, max, fallback;
    const choice *choices; /* the first one of a value is the one written; ended by a NULL name */
} attr_info;

static const choice VERSIONS[] = {
    {"v0", DCLS_V0}, {"v1", DCLS_V1}, {"max", DCLS_MAX}, {"gauss", DCLS_GAUSS}, {NULL, 0}};
static const choice LAYERS[] = {{"dcls", DCLS_LAYER_FULL},
                                {"2_1d", DCLS_LAYER_2_1D},
                                {"3_1d", DCLS_LAYER_3_1D},
                                {"2dK1d", DCLS_LAYER_2DK1D},
                                {NULL, 0}};
static const choice PAD_MODES[] = {{"zeros", DCLS_PAD_ZEROS},
                                   {"reflect", DCLS_PAD_REFLECT},
                                   {"replicate", DCLS_PAD_REPLICATE},
                                   {"circular", DCLS_PAD_CIRCULAR},
                                   {NULL, 0}};
static const choice GELU_FORMS[] = {{"none", 0}, {"tanh", 1}, {NULL, 0}};
static const choice MODES[] = {{"nearest", DCLS_INTERP_NEAREST},
                               {"bilinear", DCLS_INTERP_LINEAR},
                               {"linear", DCLS_INTERP_LINEAR},
                               {"trilinear", DCLS_INTERP_LINEAR},
                               {NULL, 0}};

#define FIELD(member)   offsetof(dcls_node, member), sizeof(((dcls_node *)0)->member)
#define ELEMENT(member) offsetof(dcls_node, member), sizeof(((dcls_node *)0)->member[0])

/* Window sizes stay far below what int64_t holds, so that sums and products of a few of them cannot overflow.
 */
#define WINDOW_MAX 1048576.0

static const attr_info ATTRS[DCLS_ATTR_COUNT] = {
    [DCLS_ATTR_DILATED_KERNEL_SIZE] = {"dilated_kernel_size", TYPE_INTS, ELEMENT(window.kernel), 1,
                                       WINDOW_MAX, 0, NULL},
    [DCLS_ATTR_VERSION] = {"version", TYPE_CHOICE, FIELD(version), 0, 0, 0, VERSIONS},
    [DCLS_ATTR_LAYER] = {"layer", TYPE_CHOICE, FIELD(layer), 0, 0, DCLS_LAYER_FULL, LAYERS},
    [DCLS_ATTR_FLAT_DIM] = {"flat_dim", TYPE_INT, FIELD(flat_dim), 0, 1, 0, NULL},
    [DCLS_ATTR_KERNEL_SIZE] = {"kernel_size", TYPE_INTS, ELEMENT(window.kernel), 1, WINDOW_MAX, 0, NULL},
    [DCLS_ATTR_STRIDE] = {"stride", TYPE_INTS, ELEMENT(window.stride), 1, WINDOW_MAX, 1, NULL},
    [DCLS_ATTR_PADDING] = {"padding", TYPE_PADDING, ELEMENT(window.pad_before), 0, WINDOW_MAX, 0, NULL},
    [DCLS_ATTR_DILATION] = {"dilation", TYPE_INTS, ELEMENT(window.dilation), 1, WINDOW_MAX, 1, NULL},
    [DCLS_ATTR_GROUPS] = {"groups", TYPE_INT, FIELD(groups), 1, INT32_MAX, 1, NULL},
    [DCLS_ATTR_PADDING_MODE] = {"padding_mode", TYPE_CHOICE, FIELD(window.pad_mode), 0, 0, DCLS_PAD_ZEROS,
                                PAD_MODES},
    [DCLS_ATTR_CEIL_MODE] = {"ceil_mode", TYPE_BOOL, FIELD(window.ceil_mode), 0, 0, 0, NULL},
    [DCLS_ATTR_COUNT_INCLUDE_PAD] = {"count_include_pad", TYPE_BOOL, FIELD(window.count_include_pad), 0, 0, 1,
                                     NULL},
    [DCLS_ATTR_EPS] = {"eps", TYPE_FLOAT, FIELD(eps), 0, 1, 1e-5, NULL},
    [DCLS_ATTR_APPROXIMATE] = {"approximate", TYPE_CHOICE, FIELD(approximate), 0, 0, 0, GELU_FORMS},
    [DCLS_ATTR_FLATTEN] = {"flatten", TYPE_BOOL, FIELD(flatten), 0, 0, 0, NULL},
    [DCLS_ATTR_PROBABILITY] = {"p", TYPE_DOUBLE, FIELD(p), 0, 1, 0, NULL},
    [DCLS_ATTR_MODE] = {"mode", TYPE_CHOICE, FIELD(interpolation), 0, 0, DCLS_INTERP_NEAREST, MODES},
    [DCLS_ATTR_ALIGN_CORNERS] = {"align_corners", TYPE_BOOL, FIELD(align_corners), 0, 0, 0, NULL},
    [DCLS_ATTR_SIZE] = {"size", TYPE_INTS, ELEMENT(size), 1, WINDOW_MAX, 0, NULL},
    [DCLS_ATTR_SCALE] = {"scale", TYPE_DOUBLES, ELEMENT(scale), 1e-6, WINDOW_MAX, 0, NULL},
    [DCLS_ATTR_OUT_CHANNELS] = {"out_channels", TYPE_COUNT, FIELD(out_channels), 1, INT32_MAX, 0, NULL},
    [DCLS_ATTR_KERNEL_COUNT] = {"kernel_count", TYPE_INT, FIELD(kernel_count), 1, WINDOW_MAX, 0, NULL},
    [DCLS_ATTR_SHARED_POSITIONS] = {"shared_positions", TYPE_BOOL, FIELD(shared_positions), 0, 0, 0, NULL},
};

static bool is_list(attr_type type)
{
    return type == TYPE_INTS || type == TYPE_PADDING || type == TYPE_DOUBLES;
}

static bool is_whole(attr_type type)
{
    return type == TYPE_INT || type == TYPE_INTS || type == TYPE_PADDING || type == TYPE_COUNT;
}

/* ---- names ---------------------------------------------------------------------------------------- */

const dcls_op_info *dcls_op_describe(dcls_op op)
{
    return &OPS[op];
}

const char *dcls_op_name(dcls_op op)
{
    return OPS[op].name;
}

int dcls_op_from_name(const char *name)
{
    for (int i = 0; i < DCLS_OP_COUNT; i++)
        if (strcmp(OPS[i].name, name) == 0) return i;
    return -1;
}

const char *dcls_attr_name(dcls_attr attr)
{
    return ATTRS[attr].name;
}

int dcls_attr_from_name(const char *name)
{
    for (int i = 0; i < DCLS_ATTR_COUNT; i++)
        if (strcmp(ATTRS[i].name, name) == 0) return i;
    return -1;
}

const char *dcls_slot_name(dcls_slot slot)
{
    return SLOT_NAMES[slot];
}

const dcls_tensor *dcls_node_tensor(const dcls_node *node, dcls_slot slot)
{
    const dcls_tensor *tensor;
    memcpy(&tensor, (const char *)node + SLOT_FIELDS[slot], sizeof tensor);
    return tensor;
}

void dcls_node_set_tensor(dcls_node *node, dcls_slot slot, const dcls_tensor *tensor)
{
    memcpy((char *)node + SLOT_FIELDS[slot], &tensor, sizeof tensor);
}

/* ---- values --------------------------------------------------------------------------------------- */

/* A value as given, before its attribute's type is looked at. */
typedef struct given_value {
    enum { GIVEN_NUMBERS, GIVEN_TEXT, GIVEN_BOOL } kind;
    int count; /* of numbers; 0 when there were none or too many */
    bool bracketed;
    double number[DCLS_MAX_SPATIAL];
    const char *text;
    bool flag;
} given_value;

static void store(dcls_node *node, const attr_info *info, int index, double value)
{
    char *field = (char *)node + info->offset + (size_t)index * info->size;
    const int64_t wide =
        is_whole(info->type) || info->type == TYPE_CHOICE || info->type == TYPE_BOOL ? (int64_t)value : 0;
    const int narrow = (int)wide;
    const bool flag = wide != 0;
    const float single = (float)value;
    switch (info->type) {
    case TYPE_FLOAT: memcpy(field, &single, sizeof single); break;
    case TYPE_DOUBLE:
    case TYPE_DOUBLES: memcpy(field, &value, sizeof value); break;
    default:
        if (info->size == sizeof wide) memcpy(field, &wide, sizeof wide);
        if (info->size == sizeof narrow) memcpy(field, &narrow, sizeof narrow);
        if (info->size == sizeof flag) memcpy(field, &flag, sizeof flag);
        break;
    }
}

static double fetch(const dcls_node *node, const attr_info *info, int index)
{
    const char *field = (const char *)node + info->offset + (size_t)index * info->size;
    double real = 0;
    float single = 0;
    int64_t wide = 0;
    int narrow = 0;
    bool flag = false;
    switch (info->type) {
    case TYPE_FLOAT: memcpy(&single, field, sizeof single); return (double)single;
    case TYPE_DOUBLE:
    case TYPE_DOUBLES: memcpy(&real, field, sizeof real); return real;
    default:
        if (info->size == sizeof wide) memcpy(&wide, field, sizeof wide);
        if (info->size == sizeof narrow) memcpy(&narrow, field, sizeof narrow);
        if (info->size == sizeof flag) memcpy(&flag, field, sizeof flag);
        return (double)(wide + narrow + (flag ? 1 : 0));
    }
}

void dcls_attr_defaults(dcls_node *node)
{
    for (int i = 0; i < DCLS_ATTR_COUNT; i++)
        for (int k = 0; k < (is_list(ATTRS[i].type) ? DCLS_MAX_SPATIAL : 1); k++)
            store(node, &ATTRS[i], k, ATTRS[i].fallback);
}

void dcls_attr_set_int(dcls_draft_node *node, dcls_attr attr, int64_t value)
{
    store(&node->node, &ATTRS[attr], 0, (double)value);
    node->given[attr] = 1;
}

static dcls_status fail_choice(dcls_context *ctx, const attr_info *info, const char *text)
{
    char list[200] = "";
    size_t used = 0;
    for (const choice *c = info->choices; c->name != NULL && used < sizeof list; c++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s'%s'", used > 0 ? ", " : "", c->name);
    if (text == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' must be one of %s", info->name, list);
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' is '%s', must be one of %s", info->name, text,
                     list);
}

/* text is NULL when the value given is no string. */
static dcls_status set_choice(dcls_context *ctx, dcls_draft_node *node, const attr_info *info,
                              const char *text)
{
    for (const choice *c = info->choices; text != NULL && c->name != NULL; c++) {
        if (strcmp(c->name, text) == 0) {
            store(&node->node, info, 0, c->value);
            return DCLS_OK;
        }
    }
    return fail_choice(ctx, info, text);
}

static dcls_status set_numbers(dcls_context *ctx, dcls_draft_node *node, const attr_info *info,
                               const given_value *value)
{
    const char *what = is_whole(info->type) ? "a whole number" : "a number";
    if (value->kind != GIVEN_NUMBERS || value->count == 0 || (!is_list(info->type) && value->bracketed))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' must be %s%s%s", info->name, what,
                         is_list(info->type) ? " or a list of up to three" : "",
                         info->type == TYPE_PADDING ? " or \"same\""
                         : info->type == TYPE_COUNT ? " or \"classes\""
                                                    : "");
    for (int i = 0; i < value->count; i++) {
        const double number = value->number[i];
        char shown[40];
        dcls_format_double(shown, sizeof shown, number);
        if (is_whole(info->type) && number != floor(number))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' is %s, must be %s", info->name, shown,
                             what);
        if (!(number >= info->min && number <= info->max))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' is %s, must be %g to %.0f", info->name,
                             shown, info->min, info->max);
        store(&node->node, info, i, number);
    }
    return DCLS_OK;
}

static dcls_status set_value(dcls_context *ctx, dcls_draft_node *node, dcls_attr attr,
                             const given_value *value)
{
    const attr_info *info = &ATTRS[attr];
    int count = 1;
    if (info->type == TYPE_CHOICE) {
        DCLS_TRY(set_choice(ctx, node, info, value->kind == GIVEN_TEXT ? value->text : NULL));
    } else if (info->type == TYPE_BOOL) {
        if (value->kind != GIVEN_BOOL)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' must be true or false", info->name);
        store(&node->node, info, 0, value->flag);
    } else if (info->type == TYPE_PADDING && value->kind == GIVEN_TEXT && strcmp(value->text, "same") == 0) {
        store(&node->node, info, 0, DCLS_PAD_SAME);
    } else if (info->type == TYPE_COUNT && value->kind == GIVEN_TEXT && strcmp(value->text, "classes") == 0) {
        store(&node->node, info, 0, DCLS_CLASSES);
    } else {
        DCLS_TRY(set_numbers(ctx, node, info, value));
        count = value->count;
    }
    node->given[attr] = (uint8_t)count;
    return DCLS_OK;
}

dcls_status dcls_attr_set_json(dcls_context *ctx, dcls_draft_node *node, dcls_attr attr,
                               const dcls_json *json)
{
    given_value value = {.kind = GIVEN_NUMBERS};
    if (dcls_json_kind_of(json) == DCLS_JSON_STRING) {
        value.kind = GIVEN_TEXT;
        value.text = dcls_json_as_string(json);
    } else if (dcls_json_as_bool(json, &value.flag)) {
        value.kind = GIVEN_BOOL;
    } else if (dcls_json_as_double(json, &value.number[0])) {
        value.count = 1;
    } else if (dcls_json_count(json) <= DCLS_MAX_SPATIAL) {
        value.bracketed = true;
        for (size_t i = 0; i < dcls_json_count(json); i++) {
            if (!dcls_json_as_double(dcls_json_at(json, i), &value.number[i])) {
                value.count = 0;
                break;
            }
            value.count++;
        }
    }
    return set_value(ctx, node, attr, &value);
}

/* "5", "5,9", .. */
static void split_numbers(const char *text, given_value *value)
{
    char piece[64];
    for (;;) {
        const size_t length = strcspn(text, ",");
        if (length >= sizeof piece || value->count == DCLS_MAX_SPATIAL) break;
        memcpy(piece, text, length);
        piece[length] = '\0';
        if (!dcls_parse_double(piece, &value->number[value->count])) break;
        value->count++;
        if (text[length] == '\0') return;
        text += length + 1;
    }
    value->count = 0;
}

dcls_status dcls_attr_set_text(dcls_context *ctx, dcls_draft_node *node, dcls_attr attr, const char *text)
{
    const attr_type type = ATTRS[attr].type;
    given_value value = {.kind = GIVEN_TEXT, .text = text};
    if (type == TYPE_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        value.kind = GIVEN_BOOL;
        value.flag = text[0] == 't';
    } else if (type != TYPE_CHOICE && !(type == TYPE_PADDING && strcmp(text, "same") == 0)) {
        value.kind = GIVEN_NUMBERS;
        split_numbers(text, &value);
        value.bracketed = value.count > 1;
    }
    return set_value(ctx, node, attr, &value);
}

/* ---- writing -------------------------------------------------------------------------------------- */

static void write_number(dcls_json_out *out, const attr_info *info, double value)
{
    if (info->type == TYPE_FLOAT)
        dcls_json_float(out, (float)value);
    else if (is_whole(info->type))
        dcls_json_int(out, (int64_t)value);
    else
        dcls_json_double(out, value);
}

/* The values of a list as they would be given: the dilated kernel size of a layer that learns positions along
 * one dimension stands at one place of the window. */
static int given_values(const dcls_node *node, dcls_attr attr, int ndim, double values[DCLS_MAX_SPATIAL])
{
    const attr_info *info = &ATTRS[attr];
    if (!is_list(info->type)) ndim = 1;
    for (int i = 0; i < ndim; i++)
        values[i] = fetch(node, info, i);
    if (attr != DCLS_ATTR_DILATED_KERNEL_SIZE || node->layer == DCLS_LAYER_FULL) return ndim;
    values[0] = values[node->layer == DCLS_LAYER_2DK1D ? node->flat_dim : ndim - 1];
    return 1;
}

static void write_list(dcls_json_out *out, const attr_info *info, int count, const double *values)
{
    bool equal = true;
    for (int i = 1; i < count; i++)
        equal = equal && values[i] == values[0];
    if (equal) {
        write_number(out, info, values[0]);
        return;
    }
    dcls_json_begin(out, '[');
    for (int i = 0; i < count; i++)
        write_number(out, info, values[i]);
    dcls_json_end(out, ']');
}

static bool is_pool(dcls_op op)
{
    return op == DCLS_OP_MAX_POOL || op == DCLS_OP_AVG_POOL;
}

static bool is_default(const dcls_node *node, dcls_attr attr, int count, const double *values)
{
    if (OPS[node->op].required & (1u << attr)) return false;
    if (attr == DCLS_ATTR_STRIDE && is_pool(node->op))
        return false; /* there it defaults to the kernel size */
    const attr_info *info = &ATTRS[attr];
    const double fallback = info->type == TYPE_FLOAT ? (double)(float)info->fallback : info->fallback;
    for (int i = 0; i < count; i++)
        if (values[i] != fallback) return false;
    return true;
}

void dcls_attr_write(dcls_json_out *out, const dcls_node *node, dcls_attr attr)
{
    const attr_info *info = &ATTRS[attr];
    const dcls_window *window = &node->window;
    double values[DCLS_MAX_SPATIAL] = {0};
    const int count = given_values(node, attr, window->ndim, values);
    bool lopsided = false;
    for (int i = 0; i < window->ndim && attr == DCLS_ATTR_PADDING; i++)
        lopsided = lopsided || window->pad_before[i] != window->pad_after[i];
    if (!lopsided && is_default(node, attr, count, values)) return;

    dcls_json_key(out, info->name);
    if (lopsided) {
        dcls_json_string(out, "same");
    } else if (info->type == TYPE_BOOL) {
        dcls_json_bool(out, values[0] != 0);
    } else if (info->type == TYPE_CHOICE) {
        const choice *c = info->choices;
        while (c->name != NULL && c->value != (int)values[0])
            c++;
        dcls_json_string(out, c->name);
    } else {
        write_list(out, info, count, values);
    }
}
