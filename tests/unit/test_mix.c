/* Items mixed with each other: mixup and CutMix. */
#include "tests/unit/loader_util.h"

#include <math.h>

#include "train/augment.h"

/* The variance of a beta distribution with both parameters alpha is 1 / (4 (2 alpha + 1)). */
static void shares_are_beta(void **state)
{
    (void)state;
    static const double alphas[] = {0.01, 0.2, 1, 5};
    for (size_t i = 0; i < sizeof alphas / sizeof *alphas; i++) {
        enum { DRAWS = 40000 };
        double sum = 0, wanted = 1 / (4 * (2 * alphas[i] + 1));
        for (uint64_t k = 0; k < DRAWS; k++) {
            dcls_rng rng = dcls_rng_stream(11, k);
            double share = (double)dcls_mixup_share(&rng, alphas[i]);
            assert_true(share >= 0.5 && share <= 1);
            sum += (share - 0.5) * (share - 0.5);
        }
        assert_true(fabs(sum / DRAWS - wanted) < 0.02 * wanted);
    }
}

static void mixup(void **state)
{
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    dcls_loader_options options = small_options();
    options.augment.mixup = 0.8;
    dcls_loader *loader = open_loader(*state, set, &options);
    for (int b = 0; b < 3; b++) {
        const dcls_batch *batch = next(*state, loader);
        for (int i = 0; i < batch->count; i++) {
            int64_t own = batch->index[i], other = batch->index[(i + batch->count - 1) % batch->count];
            float share = batch->share[i];
            assert_true(share >= 0.5f && share <= 1);
            assert_int_equal(batch->target[i], own >= 5);
            assert_int_equal(batch->mixed[i], other >= 5);
            for (int x = 0; x < 6; x++) {
                double wanted = (share * (double)(own + x) + (1 - share) * (double)(other + x)) / 255;
                assert_true(fabs(batch->input[i * 90 + x] - wanted) < 1e-6);
            }
        }
    }
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* A box of what came before it in the batch, whose share of the picture counts; by mixup as well, as often.
 */
static void cutmix(void **state)
{
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    int cuts = 0, blends = 0;
    for (int both = 0; both < 2; both++) {
        dcls_loader_options options = small_options();
        options.augment.cutmix = 1;
        options.augment.mixup = both ? 1 : 0;
        dcls_loader *loader = open_loader(*state, set, &options);
        for (int b = 0; b < 60; b++) {
            const dcls_batch *batch = next(*state, loader);
            if (batch == NULL) continue; /* the end of an epoch */
            for (int i = 0; i < batch->count; i++) {
                const int64_t own = batch->index[i],
                              other = batch->index[(i + batch->count - 1) % batch->count];
                int whole = 0, theirs = 0;
                if (own == other) continue;
                for (int x = 0; x < 30; x++) {
                    const double value = (double)batch->input[i * 90 + x] * 255 - x % 6;
                    whole += fabs(value - (double)own) < 1e-3;
                    theirs += fabs(value - (double)other) < 1e-3;
                }
                assert_int_equal(batch->target[i], own >= 5);
                assert_int_equal(batch->mixed[i], other >= 5);
                if (whole + theirs < 30) {
                    blends++;
                    continue;
                }
                cuts++;
                if (!(fabs((double)batch->share[i] - whole / 30.0) < 1e-6))
                    fail_msg("a share of %g, %d of 30 pixels", (double)batch->share[i], whole);
            }
        }
        if (both == 0) assert_int_equal(blends, 0);
        dcls_loader_destroy(loader);
    }
    assert_true(cuts > 180 && blends > 40 && blends < 110);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* Targets of masks come along in the box, and count in full. */
static void cutmix_of_masks(void **state)
{
    temp_dir dir = make_temp_dir();
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "images/%d.ppm", i);
        write_picture(&dir, name, 6, 5, 60 * i, 200);
        snprintf(name, sizeof name, "masks/%d.png", i);
        write_mask(*state, &dir, name, 6, 5, 60 * i);
    }
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    dcls_loader_options options = small_options();
    options.augment.cutmix = 1;
    dcls_loader *loader = open_loader(*state, set, &options);
    int strange = 0;
    for (int b = 0; b < 30; b++) {
        const dcls_batch *batch = next(*state, loader);
        if (batch == NULL) continue;
        for (int i = 0; i < batch->count; i++)
            for (int x = 0; x < 30; x++) {
                const int red = (int)lrint((double)batch->input[i * 90 + x] * 255) - x % 6;
                assert_true(batch->share[i] == 1);
                assert_int_equal(batch->target[i * 30 + x], red + x % 6 + x / 6 * 10);
                strange += red != 60 * (int)batch->index[i];
            }
    }
    assert_true(strange > 300);
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(shares_are_beta),
        CONTEXT_TEST(mixup),
        CONTEXT_TEST(cutmix),
        CONTEXT_TEST(cutmix_of_masks),
    };
    return cmocka_run_group_tests_name("mix", tests, NULL, NULL);
}
