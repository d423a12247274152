/* The two PyTorch checkpoints against PyTorch's own answers, through the public interface alone: from its
 * preprocessed tensors, and from the picture files. Checkpoints and answers are not part of the project:
 * without them the tests are skipped. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <unistd.h>

#include <cmocka.h>

#include <dcls_tools.h>

static dcls_context *ctx;
static char folder[4096];

static const char *path_of(char *buffer, const char *model, const char *file)
{
    snprintf(buffer, 8192, "%s/models/%s/%s", folder, model, file);
    return buffer;
}

static void must(dcls_status status)
{
    if (status) fail_msg("%s: %s", dcls_status_name(status), dcls_context_message(ctx));
}

static dcls_model *build(const char *name, const dcls_build_options *options)
{
    char path[8192];
    dcls_tensors *tensors = NULL;
    dcls_model *model = NULL;
    must(dcls_tensors_load_file(ctx, path_of(path, name, "checkpoint.pth"), &tensors));
    must(dcls_model_build(ctx, tensors, options, &model));
    return model;
}

static dcls_model *build_classifier(void)
{
    static const char *const settings[] = {"version=v1", "dilated_kernel_size=9"};
    return build("convmixer-dcls-cifar10",
                 &(dcls_build_options){
                     .arch = "convmixer", .settings = settings, .setting_count = 2, .preprocess = "cifar10"});
}

static dcls_model *build_segmenter(void)
{
    FILE *file = fopen("weights/arch/dclsseg-camvid.json", "rb");
    assert_non_null(file);
    static char text[1 << 18];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return build("dclsseg-camvid", &(dcls_build_options){.arch_json = text});
}

static dcls_tensors *load_npy(const char *model, const char *file)
{
    char path[8192];
    dcls_tensors *set = NULL;
    must(dcls_tensors_load_file(ctx, path_of(path, model, file), &set));
    return set;
}

static float *run(const dcls_model *model, dcls_algo algo, int ndim, const int64_t *shape, const float *x,
                  size_t *count)
{
    dcls_plan_options options = dcls_plan_options_default();
    options.algo = algo;
    dcls_plan *plan = NULL;
    must(dcls_plan_create(ctx, model, &options, ndim, shape, &plan));
    int64_t out[DCLS_MAX_DIMS];
    *count = 1;
    for (int d = dcls_plan_output_shape(plan, out) - 1; d >= 0; d--)
        *count *= (size_t)out[d];
    float *y = malloc(*count * sizeof *y);
    must(dcls_plan_run(ctx, plan, x, y));
    dcls_plan_destroy(plan);
    return y;
}

static void tensors_case(dcls_model *model, const char *name)
{
    static const dcls_algo algos[] = {DCLS_ALGO_AUTO, DCLS_ALGO_CONSTRUCT, DCLS_ALGO_IM2COL,
                                      DCLS_ALGO_SPARSE};
    dcls_tensors *inputs = load_npy(name, "x.npy"), *answers = load_npy(name, "logits.npy");
    const dcls_tensor *x = dcls_tensors_at(inputs, 0), *want = dcls_tensors_at(answers, 0);
    const float *ref = want->data;
    for (size_t a = 0; a < 4; a++) {
        size_t count;
        float *got = run(model, algos[a], x->ndim, x->shape, x->data, &count), most = 0, worst = 0;
        assert_int_equal(count * sizeof *got, want->nbytes);
        for (size_t i = 0; i < count; i++) {
            most = fmaxf(most, fabsf(ref[i]));
            worst = fmaxf(worst, isnan(got[i]) ? INFINITY : fabsf(got[i] - ref[i]));
        }
        printf("# %s, algorithm %d: worst difference %.3g of the largest logit\n", name, (int)algos[a],
               (double)(worst / most));
        assert_true(worst <= 1e-4f * most);
        free(got);
    }
    dcls_tensors_destroy(inputs);
    dcls_tensors_destroy(answers);
    dcls_model_destroy(model);
}

static void classifier_from_tensors(void **state)
{
    (void)state;
    tensors_case(build_classifier(), "convmixer-dcls-cifar10");
}

static void segmenter_from_tensors(void **state)
{
    (void)state;
    tensors_case(build_segmenter(), "dclsseg-camvid");
}

static int picture_filter(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static dcls_image *load_picture(const char *model, const char *kind, const char *file)
{
    char path[8192], relative[1024];
    dcls_image *image = NULL;
    snprintf(relative, sizeof relative, "%s/%s", kind, file);
    must(dcls_image_load_file(ctx, path_of(path, model, relative), 0, &image));
    return image;
}

static float *run_picture(const dcls_model *model, const dcls_image *image, size_t *count)
{
    const dcls_preprocess *pre = dcls_model_preprocess(model);
    int64_t shape[4] = {1, pre->channels};
    must(dcls_preprocess_size(ctx, pre, dcls_image_width(image), dcls_image_height(image), &shape[2],
                              &shape[3]));
    float *x = malloc((size_t)(shape[1] * shape[2] * shape[3]) * sizeof *x);
    must(dcls_preprocess_run(ctx, pre, image, x));
    float *y = run(model, DCLS_ALGO_AUTO, 4, shape, x, count);
    free(x);
    return y;
}

static size_t argmax(const float *x, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static void classifier_from_pictures(void **state)
{
    (void)state;
    char path[8192];
    const char *name = "convmixer-dcls-cifar10";
    dcls_model *model = build_classifier();
    dcls_tensors *answers = load_npy(name, "logits.npy");
    const float *ref = dcls_tensors_at(answers, 0)->data;
    struct dirent **files;
    int n = scandir(path_of(path, name, "images"), &files, picture_filter, alphasort), same = 0;
    for (int i = 0; i < n; i++) {
        dcls_image *image = load_picture(name, "images", files[i]->d_name);
        size_t count;
        float *got = run_picture(model, image, &count);
        same += argmax(got, count) == argmax(ref + (size_t)i * count, count);
        free(got);
        dcls_image_destroy(image);
        free(files[i]);
    }
    free(files);
    printf("# same top-1 as PyTorch: %d of %d pictures\n", same, n);
    assert_int_equal(n, 64);
    assert_int_equal(same, n);
    dcls_tensors_destroy(answers);
    dcls_model_destroy(model);
}

static void segmenter_from_pictures(void **state)
{
    (void)state;
    char path[8192];
    const char *name = "dclsseg-camvid";
    dcls_model *model = build_segmenter();
    struct dirent **files;
    int n = scandir(path_of(path, name, "images"), &files, picture_filter, alphasort);
    int64_t same = 0, pixels = 0;
    for (int i = 0; i < n; i++) {
        dcls_image *image = load_picture(name, "images", files[i]->d_name);
        dcls_image *mask = load_picture(name, "masks", files[i]->d_name);
        int64_t w = dcls_image_width(image), h = dcls_image_height(image);
        size_t count;
        float *logits = run_picture(model, image, &count);
        uint8_t *got = malloc((size_t)(w * h));
        must(dcls_mask_from_logits(ctx, logits, (int64_t)count / (w * h), h, w, h, w, got));
        for (int64_t p = 0; p < w * h; p++)
            same += got[p] == dcls_image_pixels(mask)[3 * p];
        pixels += w * h;
        free(got), free(logits), free(files[i]);
        dcls_image_destroy(image);
        dcls_image_destroy(mask);
    }
    free(files);
    printf("# mask pixels equal to PyTorch's: %.4f %% of %lld\n", 100.0 * (double)same / (double)pixels,
           (long long)pixels);
    assert_int_equal(n, 8);
    assert_true((double)same >= 0.999 * (double)pixels);
    dcls_model_destroy(model);
}

/* A conversion must change nothing: .bin and .json give the same bits. */
static void conversions_keep_bits(void **state)
{
    (void)state;
    char path[256], file[320];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/dcls-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    static const char *const suffixes[] = {"bin", "json"};
    dcls_model *models[2] = {build_classifier(), build_segmenter()};
    const char *const names[2] = {"convmixer-dcls-cifar10", "dclsseg-camvid"};
    for (int m = 0; m < 2; m++) {
        dcls_tensors *inputs = load_npy(names[m], "x.npy");
        const dcls_tensor *x = dcls_tensors_at(inputs, 0);
        size_t count;
        float *want = run(models[m], DCLS_ALGO_AUTO, x->ndim, x->shape, x->data, &count);
        for (int s = 0; s < 2; s++) {
            snprintf(file, sizeof file, "%s/m.%s", path, suffixes[s]);
            must(dcls_model_save(ctx, models[m], file));
            dcls_model *again = NULL;
            must(dcls_model_load_file(ctx, file, &again));
            float *got = run(again, DCLS_ALGO_AUTO, x->ndim, x->shape, x->data, &count);
            assert_memory_equal(got, want, count * sizeof *got);
            free(got);
            dcls_model_destroy(again);
            remove(file);
        }
        dcls_model *dense = NULL;
        must(dcls_model_to_dense(ctx, models[m], &dense));
        float *got = run(dense, DCLS_ALGO_AUTO, x->ndim, x->shape, x->data, &count);
        for (size_t i = 0; i < count; i++)
            assert_true(fabsf(got[i] - want[i]) <= 1e-4f * (1 + fabsf(want[i])));
        free(got), free(want);
        dcls_model_destroy(dense);
        dcls_model_destroy(models[m]);
        dcls_tensors_destroy(inputs);
    }
    rmdir(path);
}

static void no_reference(void **state)
{
    (void)state;
    skip();
}

int main(void)
{
    const char *shared = getenv("DCLS_SHARED");
    snprintf(folder, sizeof folder, "%s", shared ? shared : "../shared");
    char path[8192];
    if (dcls_context_create(&ctx)) return 1;
    const struct CMUnitTest skipped[] = {cmocka_unit_test(no_reference)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classifier_from_tensors),  cmocka_unit_test(segmenter_from_tensors),
        cmocka_unit_test(classifier_from_pictures), cmocka_unit_test(segmenter_from_pictures),
        cmocka_unit_test(conversions_keep_bits),
    };
    FILE *there = fopen(path_of(path, "convmixer-dcls-cifar10", "checkpoint.pth"), "rb");
    int failed =
        there ? cmocka_run_group_tests(tests, NULL, NULL) : cmocka_run_group_tests(skipped, NULL, NULL);
    if (there) fclose(there);
    dcls_context_destroy(ctx);
    return failed;
}
