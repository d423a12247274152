/* A whitened convolution answers its pictures with numbers of mean square 1 that do not go with each other.
 */
#include "create_util.h"

#include "data_util.h"

enum { PICTURES = 24, SIDE = 12, KERNELS = 10, OUT = SIDE - 2, PIXELS = OUT * OUT };

#define NETWORK_OF(channels, more)                                                                           \
    "{\"task\":\"segmentation\",\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},"            \
    "\"preprocess\":{\"mean\":[0.5,0.5,0.5],\"std\":[0.25,0.25,0.25]},\"nodes\":[{\"op\":\"conv\","          \
    "\"name\":\"stem\",\"weight\":\"w\",\"bias\":\"b\",\"kernel_size\":3,\"out_channels\":" channels         \
    "}" more "]}"

/* Neighbouring pixels and colours resemble each other, as they do in photographs. */
static void write_photograph(temp_dir *dir, int number)
{
    static uint32_t state = 1;
    char name[32];
    snprintf(name, sizeof name, "%s/%02d.ppm", number % 2 ? "odd" : "even", number);
    FILE *f = fopen(place(dir, name), "wb");
    assert_non_null(f);
    fprintf(f, "P6 %d %d 255\n", SIDE, SIDE);
    int light = 100;
    for (int i = 0; i < SIDE * SIDE * 3; i++) {
        state = state * 1664525u + 1013904223u;
        light += (int)(state >> 24) % 41 - 20;
        light = light < 20 ? 20 : light > 230 ? 230 : light;
        fputc(light, f);
    }
    assert_int_equal(fclose(f), 0);
}

static dcls_dataset *write_set(dcls_context *ctx, temp_dir *dir)
{
    for (int i = 0; i < PICTURES; i++)
        write_photograph(dir, i);
    return open_set(ctx, dir->path, NULL);
}

static dcls_model *create(dcls_context *ctx, const char *json)
{
    dcls_model *model;
    assert_ok(ctx, dcls_model_create(ctx, &(dcls_create_options){.arch_json = json, .seed = 3}, &model));
    return model;
}

/* None of these changes happens. */
static dcls_loader_options loader_options(void)
{
    dcls_loader_options options = dcls_loader_options_default();
    options.height = options.width = SIDE;
    options.augment =
        (dcls_augment){.flip = true, .brightness = 0.9, .contrast = 0.9, .cutout = 9, .mixup = 1};
    return options;
}

/* sums [KERNELS, KERNELS] of products of the network's outputs over all pictures. */
static void add_products(dcls_context *ctx, const dcls_model *model, const dcls_dataset *set, double *sums)
{
    dcls_loader_options options = loader_options();
    options.augment = (dcls_augment){0};
    options.batch = PICTURES;
    options.preprocess = *dcls_model_preprocess(model);
    dcls_loader *loader;
    const dcls_batch *batch;
    dcls_plan *plan;
    static float out[PICTURES * KERNELS * PIXELS];
    assert_ok(ctx, dcls_loader_create(ctx, set, &options, &loader));
    assert_ok(ctx, dcls_loader_next(ctx, loader, &batch));
    assert_ok(ctx, dcls_plan_create(ctx, model, NULL, 4, (const int64_t[]){PICTURES, 3, SIDE, SIDE}, &plan));
    assert_ok(ctx, dcls_plan_run(ctx, plan, batch->input, out));
    for (int n = 0; n < PICTURES; n++)
        for (int a = 0; a < KERNELS; a++)
            for (int b = 0; b < KERNELS; b++)
                for (int i = 0; i < PIXELS; i++)
                    sums[a * KERNELS + b] += (double)out[(n * KERNELS + a) * PIXELS + i] *
                                             (double)out[(n * KERNELS + b) * PIXELS + i];
    dcls_plan_destroy(plan);
    dcls_loader_destroy(loader);
}

static void outputs_are_white(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    dcls_dataset *set = write_set(ctx, &dir);
    dcls_model *model = create(ctx, NETWORK_OF("10", "")), *white, *again;
    const dcls_loader_options options = loader_options();
    assert_ok(ctx, dcls_model_whiten(ctx, model, "stem", set, &options, &white));
    double sums[KERNELS * KERNELS] = {0};
    add_products(ctx, white, set, sums);
    for (int a = 0; a < KERNELS; a++)
        for (int b = 0; b < KERNELS; b++) {
            const double mean = sums[a * KERNELS + b] / (PICTURES * PIXELS);
            const double want = a == b ? 1 : a % (KERNELS / 2) == b % (KERNELS / 2) ? -1 : 0;
            if (fabs(mean - want) > 0.01) fail_msg("kernels %d and %d: %g, not %g", a, b, mean, want);
        }
    /* The principal directions: the largest variance first, so that later kernels are the longer ones. */
    const dcls_tensor *weight = dcls_tensors_find(dcls_model_tensors(white), "w");
    double before = 0;
    for (int k = 0; k < KERNELS / 2; k++) {
        double square = 0;
        for (int i = 0; i < 27; i++)
            square += pow((double)((const float *)weight->data)[k * 27 + i], 2);
        assert_true(square > before);
        before = square;
    }
    assert_ok(ctx, dcls_context_set_threads(ctx, 1));
    assert_ok(ctx, dcls_model_whiten(ctx, model, "stem", set, &options, &again));
    assert_ok(ctx, dcls_context_set_threads(ctx, 0));
    assert_memory_equal(dcls_tensors_find(dcls_model_tensors(again), "w")->data, weight->data,
                        weight->nbytes);
    dcls_model_destroy(again);
    dcls_model_destroy(white);
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* Larger pictures, which scaled or random parts bring to the size of a batch. */
static void parts_of_pictures(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    dcls_dataset *set = write_set(ctx, &dir);
    dcls_model *model = create(ctx, NETWORK_OF("10", "")), *white;
    dcls_loader_options options = loader_options();
    options.height = options.width = SIDE - 4;
    check_outcome(ctx, "whole", dcls_model_whiten(ctx, model, "stem", set, &options, &white),
                  DCLS_ERR_ARGUMENT, "whitening 'stem': ");
    options.augment.scale_min = 0.8;
    options.augment.scale_max = 1.2;
    assert_ok(ctx, dcls_model_whiten(ctx, model, "stem", set, &options, &white));
    dcls_model_destroy(white);
    options.augment.scale_min = options.augment.scale_max = 0;
    options.augment.area_min = options.augment.area_max = 0.5;
    options.batch = 1;
    assert_ok(ctx, dcls_model_whiten(ctx, model, "stem", set, &options, &white));
    dcls_model_destroy(white);
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

static void other_layers_are_refused(void **state)
{
    static const struct {
        const char *network, *layer, *part;
    } cases[] = {
        {NETWORK_OF("10", ""), "steam", "whitening 'steam': there is no layer of that name"},
        {NETWORK_OF("9", ""), "stem", "it has 9 kernels"},
        {NETWORK_OF("56", ""), "stem",
         "it has 56 kernels; two for each direction make an even number, at most 54"},
        {NETWORK_OF(
             "10",
             ",{\"op\":\"conv\",\"name\":\"next\",\"weight\":\"n\",\"kernel_size\":1,\"out_channels\":2}"),
         "next", "only an ordinary convolution of the network's input"},
        {NETWORK_OF(
             "10",
             ",{\"op\":\"conv\",\"name\":\"twin\",\"inputs\":[\"input\"],\"weight\":\"w\",\"bias\":\"b2\","
             "\"kernel_size\":3,\"out_channels\":10},{\"op\":\"add\",\"name\":\"sum\",\"inputs\":[\"stem\","
             "\"twin\"]}"),
         "stem", "another layer has its weights"},
        {NETWORK_OF("10", ",{\"op\":\"relu\",\"name\":\"act\"}"), "act", "only an ordinary convolution"},
    };
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    dcls_dataset *set = write_set(ctx, &dir);
    dcls_loader_options options = loader_options();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dcls_model *model = create(ctx, cases[i].network), *white = model;
        check_outcome(ctx, cases[i].layer,
                      dcls_model_whiten(ctx, model, cases[i].layer, set, &options, &white), DCLS_ERR_ARGUMENT,
                      cases[i].part);
        assert_null(white);
        dcls_model_destroy(model);
    }
    options.height = options.width = 2;
    options.augment = (dcls_augment){0};
    dcls_model *model = create(ctx, NETWORK_OF("10", "")), *white;
    check_outcome(ctx, "small", dcls_model_whiten(ctx, model, "stem", set, &options, &white),
                  DCLS_ERR_ARGUMENT, NULL);
    dcls_model_destroy(model);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CONTEXT_TEST(outputs_are_white), CONTEXT_TEST(parts_of_pictures),
                                       CONTEXT_TEST(other_layers_are_refused)};
    return cmocka_run_group_tests_name("whiten", tests, NULL, NULL);
}
