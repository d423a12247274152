/* Reading what a model says besides its nodes. */
#include "model/header.h"

#include <math.h>
#include <string.h>

static const char *const FILTERS[] = {"nearest", "bilinear", "bicubic"};
static const char *const TASKS[] = {"classification", "segmentation", "features"};

static const char *string_at(const void *of, size_t index)
{
    return ((const char *const *)of)[index];
}

static dcls_status check_members(dcls_context *ctx, const dcls_json *object, const char *where,
                                 const char *const *known, size_t count)
{
    if (dcls_json_kind_of(object) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s must be an object, not %s", where,
                         dcls_json_kind_text(object));
    for (size_t i = 0; i < dcls_json_count(object); i++) {
        const char *key = dcls_json_name(dcls_json_at(object, i));
        size_t k = 0;
        while (k < count && strcmp(known[k], key) != 0)
            k++;
        char hint[DCLS_HINT_TEXT];
        if (k == count)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s has an unknown member '%s'%s", where, key,
                             dcls_hint(hint, sizeof hint, dcls_nearest(key, count, string_at, known)));
    }
    return DCLS_OK;
}
#define CHECK_MEMBERS(ctx, object, where, known)                                                             \
    DCLS_TRY(check_members(ctx, object, where, known, sizeof(known) / sizeof(known)[0]))

/* Index of a string member among choices; *out keeps its value where the member is absent. */
static dcls_status read_choice(dcls_context *ctx, const dcls_json *value, const char *key,
                               const char *const *choices, int count, int *out)
{
    if (value == NULL) return DCLS_OK;
    const char *text = dcls_json_as_string(value);
    for (int i = 0; i < count && text != NULL; i++) {
        if (strcmp(choices[i], text) == 0) {
            *out = i;
            return DCLS_OK;
        }
    }
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' must be one of \"%s\", \"%s\", \"%s\"", key, choices[0],
                     choices[1], choices[2]);
}

#define LARGEST_SIDE 1048576

static dcls_status read_size(dcls_context *ctx, const dcls_json *object, const char *where, const char *key,
                             int64_t *out)
{
    const dcls_json *value = dcls_json_find(object, key);
    if (dcls_json_as_int(value, out) && *out >= 1 && *out <= LARGEST_SIDE) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s: '%s' must be a whole number from 1 to %d", where, key,
                     LARGEST_SIDE);
}

static dcls_status read_input(dcls_context *ctx, dcls_model *model, const dcls_json *input)
{
    static const char *const KNOWN[] = {"channels", "depth", "height", "width"};
    if (input == NULL) return dcls_fail(ctx, DCLS_ERR_FORMAT, "the model has no 'input'");
    CHECK_MEMBERS(ctx, input, "'input'", KNOWN);
    if (dcls_json_find(input, "depth") != NULL && dcls_json_find(input, "height") == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'input' has a depth but no height");
    model->input_ndim = 0;
    model->input_shape[model->input_ndim++] = DCLS_ANY;
    DCLS_TRY(read_size(ctx, input, "'input'", KNOWN[0], &model->input_shape[model->input_ndim++]));
    for (int i = 1; i < 4; i++) {
        const dcls_json *value = dcls_json_find(input, KNOWN[i]);
        const char *text = dcls_json_as_string(value);
        if (value == NULL && i < 3) continue;
        int64_t *size = &model->input_shape[model->input_ndim++];
        *size = DCLS_ANY;
        if (text != NULL && strcmp(text, "any") == 0) continue;
        const dcls_status status = read_size(ctx, input, "'input'", KNOWN[i], size);
        if (status != DCLS_OK)
            return dcls_fail(ctx, status, "'input': '%s' must be a whole number from 1 to %d or \"any\"",
                             KNOWN[i], LARGEST_SIDE);
    }
    return DCLS_OK;
}

/* ---- preprocessing -------------------------------------------------------------------------------- */

static dcls_status read_resize(dcls_context *ctx, dcls_preprocess *p, const dcls_json *resize)
{
    static const char *const KNOWN[] = {"shorter", "height", "width"};
    static const char WHERE[] = "'resize' of 'preprocess'";
    if (dcls_json_kind_of(resize) <= DCLS_JSON_NULL) return DCLS_OK;
    CHECK_MEMBERS(ctx, resize, WHERE, KNOWN);
    if (dcls_json_find(resize, "shorter") != NULL) {
        if (dcls_json_count(resize) != 1)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s must have either 'shorter' or 'height' and 'width'",
                             WHERE);
        p->resize = DCLS_RESIZE_SHORTER;
        DCLS_TRY(read_size(ctx, resize, WHERE, "shorter", &p->resize_height));
        p->resize_width = p->resize_height;
        return DCLS_OK;
    }
    p->resize = DCLS_RESIZE_EXACT;
    DCLS_TRY(read_size(ctx, resize, WHERE, "height", &p->resize_height));
    return read_size(ctx, resize, WHERE, "width", &p->resize_width);
}

static dcls_status read_crop(dcls_context *ctx, dcls_preprocess *p, const dcls_json *crop)
{
    static const char *const KNOWN[] = {"height", "width"};
    static const char WHERE[] = "'crop' of 'preprocess'";
    if (dcls_json_kind_of(crop) <= DCLS_JSON_NULL) return DCLS_OK;
    CHECK_MEMBERS(ctx, crop, WHERE, KNOWN);
    DCLS_TRY(read_size(ctx, crop, WHERE, "height", &p->crop_height));
    return read_size(ctx, crop, WHERE, "width", &p->crop_width);
}

/* One number per channel, or one for all. */
static dcls_status read_per_channel(dcls_context *ctx, const dcls_json *value, const char *key, int channels,
                                    bool positive, float out[3])
{
    if (value == NULL) return DCLS_OK;
    const size_t count = dcls_json_count(value);
    double number = 0;
    const bool one = dcls_json_as_double(value, &number);
    for (int i = 0; i < channels && i < 3; i++) {
        const bool good = one || (count == (size_t)channels &&
                                  dcls_json_as_double(dcls_json_at(value, (size_t)i), &number));
        if (!good)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' of 'preprocess' must be a number or a list of %d",
                             key, channels);
        if (fabs(number) > 1e6 || (positive && number < 1e-6))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' of 'preprocess' is out of range", key);
        out[i] = (float)number;
    }
    return DCLS_OK;
}

static dcls_status read_preprocess(dcls_context *ctx, dcls_model *model, const dcls_json *object)
{
    static const char *const KNOWN[] = {"resize", "filter", "crop", "mean", "std"};
    dcls_preprocess *p = &model->preprocess;
    const int64_t channels = model->input_shape[1];
    p->channels = (int)channels;
    if (dcls_json_kind_of(object) <= DCLS_JSON_NULL) return DCLS_OK;
    CHECK_MEMBERS(ctx, object, "'preprocess'", KNOWN);
    if (model->input_ndim != 4 || (channels != 3 && channels != 1))
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "'preprocess' is for pictures: an input of height, width and 3 channels or 1");
    int filter = (int)p->filter;
    DCLS_TRY(read_choice(ctx, dcls_json_find(object, "filter"), "filter", FILTERS, 3, &filter));
    p->filter = (dcls_filter)filter;
    DCLS_TRY(read_resize(ctx, p, dcls_json_find(object, "resize")));
    DCLS_TRY(read_crop(ctx, p, dcls_json_find(object, "crop")));
    DCLS_TRY(read_per_channel(ctx, dcls_json_find(object, "mean"), "mean", p->channels, false, p->mean));
    return read_per_channel(ctx, dcls_json_find(object, "std"), "std", p->channels, true, p->std);
}

/* ---- labels and palette --------------------------------------------------------------------------- */

dcls_status dcls_model_copy_labels(dcls_context *ctx, dcls_model *model, const char *const *labels,
                                   size_t count)
{
    model->label_count = 0;
    model->labels = dcls_arena_alloc(ctx, &model->arena, count, sizeof *model->labels);
    if (model->labels == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        model->labels[i] = dcls_arena_strdup(ctx, &model->arena, labels[i]);
        if (model->labels[i] == NULL) return DCLS_ERR_MEMORY;
    }
    model->label_count = count;
    return DCLS_OK;
}

static dcls_status read_labels(dcls_context *ctx, dcls_model *model, const dcls_json *labels)
{
    if (dcls_json_kind_of(labels) <= DCLS_JSON_NULL) return DCLS_OK;
    const size_t count = dcls_json_count(labels);
    const char **names = dcls_arena_alloc(ctx, &model->arena, count, sizeof *names);
    if (names == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        names[i] = dcls_json_as_string(dcls_json_at(labels, i));
        if (names[i] == NULL)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "'labels': label %zu is not a string", i);
    }
    if (dcls_json_kind_of(labels) != DCLS_JSON_ARRAY)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'labels' must be a list of strings");
    return dcls_model_copy_labels(ctx, model, names, count);
}

#define MOST_COLORS 256

static dcls_status read_palette(dcls_context *ctx, dcls_model *model, const dcls_json *palette)
{
    if (dcls_json_kind_of(palette) <= DCLS_JSON_NULL) return DCLS_OK;
    const size_t count = dcls_json_count(palette);
    if (dcls_json_kind_of(palette) != DCLS_JSON_ARRAY || count < 1 || count > MOST_COLORS)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'palette' must be a list of 1 to %d colours", MOST_COLORS);
    model->palette = dcls_arena_alloc(ctx, &model->arena, count, sizeof *model->palette);
    if (model->palette == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const dcls_json *color = dcls_json_at(palette, i);
        bool good = dcls_json_count(color) == 3;
        for (size_t k = 0; k < 3 && good; k++) {
            int64_t level = -1;
            good = dcls_json_as_int(dcls_json_at(color, k), &level) && level >= 0 && level <= 255;
            if (good) model->palette[i][k] = (uint8_t)level;
        }
        if (!good)
            return dcls_fail(ctx, DCLS_ERR_FORMAT,
                             "'palette': colour %zu must be three numbers from 0 to 255", i);
    }
    model->palette_count = count;
    return DCLS_OK;
}

dcls_status dcls_header_read(dcls_context *ctx, dcls_draft *draft, const dcls_json *object)
{
    static const char *const KNOWN[] = {"task",    "input", "preprocess", "labels",
                                        "palette", "nodes", "output"};
    dcls_model *model = draft->model;
    CHECK_MEMBERS(ctx, object, "the model", KNOWN);
    int task = (int)model->task;
    DCLS_TRY(read_choice(ctx, dcls_json_find(object, "task"), "task", TASKS, 3, &task));
    model->task = (dcls_task)task;
    DCLS_TRY(read_input(ctx, model, dcls_json_find(object, "input")));
    DCLS_TRY(read_preprocess(ctx, model, dcls_json_find(object, "preprocess")));
    DCLS_TRY(read_labels(ctx, model, dcls_json_find(object, "labels")));
    return read_palette(ctx, model, dcls_json_find(object, "palette"));
}

/* ---- what members say of each other --------------------------------------------------------------- */

static dcls_status check_preprocess(dcls_context *ctx, const dcls_model *model)
{
    const dcls_preprocess *p = &model->preprocess;
    const int64_t *input = model->input_shape;
    const bool crop = p->crop_height > 0;
    if (model->task == DCLS_TASK_SEGMENTATION && crop)
        return dcls_fail(
            ctx, DCLS_ERR_FORMAT,
            "a segmentation model cannot crop in 'preprocess': its mask would not cover the picture");
    if (!crop && p->resize != DCLS_RESIZE_EXACT) return DCLS_OK;
    const int64_t height = crop ? p->crop_height : p->resize_height,
                  width = crop ? p->crop_width : p->resize_width;
    if ((input[2] != DCLS_ANY && input[2] != height) || (input[3] != DCLS_ANY && input[3] != width))
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "'preprocess' gives pictures of %lldx%lld, which 'input' does not take",
                         (long long)height, (long long)width);
    return DCLS_OK;
}

dcls_status dcls_header_check(dcls_context *ctx, const dcls_model *model)
{
    if (model->input_ndim == 4) DCLS_TRY(check_preprocess(ctx, model));
    if (model->task == DCLS_TASK_SEGMENTATION && model->input_ndim != 4)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "segmentation needs an input of height and width");
    return DCLS_OK;
}

/* ---- writing -------------------------------------------------------------------------------------- */

static void write_size(dcls_json_out *out, const char *key, int64_t size)
{
    dcls_json_key(out, key);
    if (size == DCLS_ANY)
        dcls_json_string(out, "any");
    else
        dcls_json_int(out, size);
}

static void write_input(dcls_json_out *out, const dcls_model *model)
{
    static const char *const AXES[] = {"depth", "height", "width"};
    dcls_json_key(out, "input");
    dcls_json_begin(out, '{');
    write_size(out, "channels", model->input_shape[1]);
    for (int i = 2; i < model->input_ndim; i++)
        write_size(out, AXES[i + 3 - model->input_ndim], model->input_shape[i]);
    dcls_json_end(out, '}');
}

static void write_floats(dcls_json_out *out, const char *key, const float *values, int count)
{
    dcls_json_key(out, key);
    dcls_json_begin(out, '[');
    for (int i = 0; i < count; i++)
        dcls_json_float(out, values[i]);
    dcls_json_end(out, ']');
}

static void write_height_width(dcls_json_out *out, int64_t height, int64_t width)
{
    dcls_json_begin(out, '{');
    write_size(out, "height", height);
    write_size(out, "width", width);
    dcls_json_end(out, '}');
}

void dcls_preprocess_write(dcls_json_out *out, const dcls_preprocess *p)
{
    dcls_json_begin(out, '{');
    dcls_json_key(out, "resize");
    if (p->resize == DCLS_RESIZE_NONE) {
        dcls_json_null(out);
    } else if (p->resize == DCLS_RESIZE_EXACT) {
        write_height_width(out, p->resize_height, p->resize_width);
    } else {
        dcls_json_begin(out, '{');
        write_size(out, "shorter", p->resize_height);
        dcls_json_end(out, '}');
    }
    dcls_json_key(out, "filter");
    dcls_json_string(out, FILTERS[p->filter]);
    dcls_json_key(out, "crop");
    if (p->crop_height > 0)
        write_height_width(out, p->crop_height, p->crop_width);
    else
        dcls_json_null(out);
    write_floats(out, "mean", p->mean, p->channels);
    write_floats(out, "std", p->std, p->channels);
    dcls_json_end(out, '}');
}

void dcls_labels_write(dcls_json_out *out, const dcls_model *model)
{
    dcls_json_begin(out, '[');
    for (size_t i = 0; i < model->label_count; i++)
        dcls_json_string(out, model->labels[i]);
    dcls_json_end(out, ']');
}

void dcls_palette_write(dcls_json_out *out, const dcls_model *model)
{
    dcls_json_begin(out, '[');
    for (size_t i = 0; i < model->palette_count; i++) {
        dcls_json_begin(out, '[');
        for (int k = 0; k < 3; k++)
            dcls_json_int(out, model->palette[i][k]);
        dcls_json_end(out, ']');
    }
    dcls_json_end(out, ']');
}

bool dcls_model_takes_pictures(const dcls_model *model)
{
    return model->input_ndim == 4 && (model->preprocess.channels == 3 || model->preprocess.channels == 1);
}

void dcls_header_write(dcls_json_out *out, const dcls_model *model)
{
    dcls_json_key(out, "task");
    dcls_json_string(out, TASKS[model->task]);
    write_input(out, model);
    if (dcls_model_takes_pictures(model)) {
        dcls_json_key(out, "preprocess");
        dcls_preprocess_write(out, &model->preprocess);
    }
    if (model->label_count > 0) {
        dcls_json_key(out, "labels");
        dcls_labels_write(out, model);
    }
    if (model->palette_count > 0) {
        dcls_json_key(out, "palette");
        dcls_palette_write(out, model);
    }
}
