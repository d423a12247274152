/* The tensors of the built-in architectures, under the key names lib/model/arch_*.c look for. */
#include <stdio.h>
#include <string.h>

#include "train/create.h"

#define MOST_CHANNELS 65536
#define MOST_BLOCKS   1000
#define MOST_CELLS    1023 /* side of a dense kernel */
#define MOST_ELEMENTS 65536
#define MOST_STAGES   8

/* DCLS layers take "version" and "dilated_kernel_size" from the settings; a network without any would not
 * know what they are for, but a twin may well have been asked for with one setting changed. */
static void say_layers(dcls_creation *c, bool any, const char *window)
{
    if (any) {
        dcls_string_puts(&c->defaults, "version=v1\n");
        if (window != NULL) dcls_string_printf(&c->defaults, "dilated_kernel_size=%s\n", window);
        return;
    }
    dcls_creation_ignore(c, "version");
    dcls_creation_ignore(c, "dilated_kernel_size");
}

/* A depthwise layer: K elements, or a dense kernel of the window's size. */
static dcls_new_conv depthwise(dcls_creation *c, int64_t dim, int64_t count, int64_t window,
                               const char *layer)
{
    dcls_new_conv conv = {.out = dim, .in = dim, .groups = dim, .height = window, .width = window};
    conv.kernel_count = dcls_creation_int(c, "kernel_count", layer, 0, MOST_ELEMENTS, count);
    if (conv.kernel_count > 0) return conv;
    const dcls_setting *said = dcls_creation_look(c, "dilated_kernel_size", layer);
    if (said == NULL) return conv;
    int64_t sides[2] = {1, 1};
    const int given = dcls_setting_list(said, MOST_CELLS, 2, sides);
    if (given < 0)
        dcls_creation_fail(c, "setting '%.100s': a dense kernel has sides from 1 to %d", said->text,
                           MOST_CELLS);
    if (given == 1) sides[1] = sides[0];
    conv.height = sides[0];
    conv.width = sides[1];
    return conv;
}

#define DEFAULT_CHANNELS 3

void dcls_create_convmixer(dcls_creation *c)
{
    const int64_t dim = dcls_creation_int(c, "dim", NULL, 1, MOST_CHANNELS, 256),
                  depth = dcls_creation_int(c, "depth", NULL, 1, MOST_BLOCKS, 8),
                  patch = dcls_creation_int(c, "patch_size", NULL, 1, MOST_CELLS, 2),
                  channels = dcls_creation_int(c, "channels", NULL, 1, MOST_CHANNELS, DEFAULT_CHANNELS);
    bool any = false;
    dcls_creation_conv(
        c, (dcls_new_conv){.out = dim, .in = channels, .groups = 1, .height = patch, .width = patch}, "0");
    dcls_creation_norm(c, dim, true, "2");
    for (int i = 3; i < depth + 3 && c->status == DCLS_OK; i++) {
        char name[40];
        snprintf(name, sizeof name, "%d.0.fn.0", i);
        const dcls_new_conv conv = depthwise(c, dim, 9, 9, name);
        any = any || conv.kernel_count > 0;
        dcls_creation_conv(c, conv, "%s", name);
        dcls_creation_norm(c, dim, true, "%d.0.fn.2", i);
        dcls_creation_conv(c, (dcls_new_conv){.out = dim, .in = dim, .groups = 1, .height = 1, .width = 1},
                           "%d.1", i);
        dcls_creation_norm(c, dim, true, "%d.3", i);
    }
    dcls_creation_linear(c, c->options->classes, dim, "%d", (int)depth + 5);
    say_layers(c, any, "9");
}

/* ---- ConvNeXt --------------------------------------------------------------------------------------- */

typedef struct stage {
    int number;
    int64_t dim, before, blocks, patch;
    bool share;
} stage;

static bool create_stage(dcls_creation *c, const stage *s)
{
    const int downsample = s->number == 0 ? 0 : 1;
    bool any = false;
    dcls_creation_conv(c,
                       (dcls_new_conv){.out = s->dim,
                                       .in = s->before,
                                       .groups = 1,
                                       .height = downsample ? 2 : s->patch,
                                       .width = downsample ? 2 : s->patch},
                       "downsample_layers.%d.%d", s->number, downsample);
    dcls_creation_norm(c, downsample ? s->before : s->dim, false, "downsample_layers.%d.%d", s->number,
                       1 - downsample);
    for (int j = 0; j < s->blocks && c->status == DCLS_OK; j++) {
        char name[60];
        snprintf(name, sizeof name, "stages.%d.%d.dwconv", s->number, j);
        dcls_new_conv conv = depthwise(c, s->dim, 34, 7, name);
        any = any || conv.kernel_count > 0;
        conv.no_positions = s->share && j > 0;
        dcls_creation_conv(c, conv, "%s", name);
        dcls_creation_norm(c, s->dim, false, "stages.%d.%d.norm", s->number, j);
        dcls_creation_linear(c, 4 * s->dim, s->dim, "stages.%d.%d.pwconv1", s->number, j);
        dcls_creation_linear(c, s->dim, 4 * s->dim, "stages.%d.%d.pwconv2", s->number, j);
        dcls_creation_tensor(c, 1, &s->dim, "stages.%d.%d.gamma", s->number, j);
    }
    return any;
}

void dcls_create_convnext(dcls_creation *c)
{
    int64_t dims[MOST_STAGES] = {96, 192, 384, 768}, depths[MOST_STAGES] = {3, 3, 9, 3};
    int stages = 4, count = 4;
    stage s = {.before = dcls_creation_int(c, "channels", NULL, 1, MOST_CHANNELS, DEFAULT_CHANNELS),
               .patch = dcls_creation_int(c, "patch_size", NULL, 1, MOST_CELLS, 4),
               .share = dcls_creation_flag(c, "share_positions", true)};
    dcls_creation_list(c, "dims", MOST_CHANNELS, MOST_STAGES, dims, &stages);
    dcls_creation_list(c, "depths", MOST_BLOCKS, MOST_STAGES, depths, &count);
    if (stages != count) dcls_creation_fail(c, "dims has %d stages, depths has %d", stages, count);
    bool any = false;
    for (; s.number < stages && c->status == DCLS_OK; s.number++) {
        s.dim = dims[s.number];
        s.blocks = depths[s.number];
        any = create_stage(c, &s) || any;
        s.before = s.dim;
    }
    dcls_creation_norm(c, s.before, false, "norm");
    dcls_creation_linear(c, c->options->classes, s.before, "head");
    say_layers(c, any, "17");
}

/* ---- DeepLabV3 -------------------------------------------------------------------------------------- */

typedef struct deeplab {
    dcls_creation *c;
    int64_t kernel_count, channels;
    bool any;
} deeplab;

static void conv_norm(deeplab *d, int64_t out, int64_t side, int dilation, const char *conv, const char *norm)
{
    dcls_new_conv form = {
        .out = out, .in = d->channels, .groups = 1, .height = side, .width = side, .no_bias = true};
    if (dilation > 1) form.kernel_count = d->kernel_count;
    if (form.kernel_count > 0) {
        d->any = true;
        dcls_string_printf(&d->c->defaults, "%s:dilated_kernel_size=%d\n", conv, 2 * dilation + 1);
    }
    dcls_creation_conv(d->c, form, "%s", conv);
    dcls_creation_norm(d->c, out, true, "%s", norm);
    d->channels = out;
}

#define EXPANSION 4

static void create_bottleneck(deeplab *d, int layer, int block, int64_t width, int dilation)
{
    static const char *const PARTS[] = {"1", "2", "3"};
    char prefix[60], conv[80], norm[80];
    const int64_t in = d->channels;
    snprintf(prefix, sizeof prefix, "backbone.layer%d.%d", layer, block);
    for (int i = 0; i < 3; i++) {
        snprintf(conv, sizeof conv, "%s.conv%s", prefix, PARTS[i]);
        snprintf(norm, sizeof norm, "%s.bn%s", prefix, PARTS[i]);
        conv_norm(d, i == 2 ? width * EXPANSION : width, i == 1 ? 3 : 1, i == 1 ? dilation : 1, conv, norm);
    }
    if (block > 0) return;
    snprintf(conv, sizeof conv, "%s.downsample.0", prefix);
    snprintf(norm, sizeof norm, "%s.downsample.1", prefix);
    d->channels = in;
    conv_norm(d, width * EXPANSION, 1, 1, conv, norm);
}

static void create_aspp(deeplab *d, int64_t head)
{
    static const int RATES[] = {1, 12, 24, 36};
    char conv[80], norm[80];
    const int64_t features = d->channels;
    for (int i = 0; i < 4; i++) {
        snprintf(conv, sizeof conv, "classifier.0.convs.%d.0", i);
        snprintf(norm, sizeof norm, "classifier.0.convs.%d.1", i);
        d->channels = features;
        conv_norm(d, head, i == 0 ? 1 : 3, RATES[i], conv, norm);
    }
    d->channels = features;
    conv_norm(d, head, 1, 1, "classifier.0.convs.4.1", "classifier.0.convs.4.2");
    d->channels = 5 * head;
    conv_norm(d, head, 1, 1, "classifier.0.project.0", "classifier.0.project.1");
}

void dcls_create_deeplabv3(dcls_creation *c)
{
    static const char *const BACKBONES[] = {"resnet50", "resnet101", NULL};
    static const int BLOCKS[][4] = {{3, 4, 6, 3}, {3, 4, 23, 3}};
    static const int FIRST[] = {1, 1, 1, 2}, DILATION[] = {1, 1, 2, 4};
    const int64_t dim = dcls_creation_int(c, "dim", NULL, 1, 4096, 64),
                  head = dcls_creation_int(c, "head_dim", NULL, 1, 4096, 256);
    const int backbone = dcls_creation_choice(c, "backbone", NULL, BACKBONES, 0);
    deeplab d = {.c = c,
                 .kernel_count = dcls_creation_int(c, "kernel_count", NULL, 0, MOST_ELEMENTS, 9),
                 .channels = dcls_creation_int(c, "channels", NULL, 1, MOST_CHANNELS, DEFAULT_CHANNELS)};
    conv_norm(&d, dim, 7, 1, "backbone.conv1", "backbone.bn1");
    for (int layer = 0; layer < 4; layer++)
        for (int block = 0; block < BLOCKS[backbone][layer] && c->status == DCLS_OK; block++)
            create_bottleneck(&d, layer + 1, block, dim << layer,
                              block == 0 ? FIRST[layer] : DILATION[layer]);
    create_aspp(&d, head);
    conv_norm(&d, head, 3, 1, "classifier.1", "classifier.2");
    dcls_creation_conv(
        c, (dcls_new_conv){.out = c->options->classes, .in = head, .groups = 1, .height = 1, .width = 1},
        "classifier.4");
    say_layers(c, d.any, NULL);
}
