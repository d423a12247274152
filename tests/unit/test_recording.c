/* Recordings of positions: what rows hold, which files are taken up, which are left alone. */
#include "data_util.h"
#include "model_util.h"

#include "dcls_train.h"
#include "train/recording.h"

static const char network[] =
    "{\"task\":\"features\",\"input\":{\"channels\":2,\"height\":8,\"width\":8},\"nodes\":[{\"op\":\"dcls\","
    "\"name\":\"d\",\"weight\":\"d.weight\",\"P\":\"d.P\",\"version\":\"v1\",\"dilated_kernel_size\":5,"
    "\"padding\":2,\"groups\":2}],\"output\":\"d\"}";

/* Two outputs of three elements each: P has 12 numbers, 0, 0.25, .. */
static dcls_model *make_model(dcls_context *ctx, const char *dtype)
{
    char list[100];
    snprintf(list, sizeof list, "d.weight 2 1 3; d.P %s 2 2 1 3", dtype);
    dcls_tensors *set = make_tensors(ctx, list);
    const dcls_tensor *P = dcls_tensors_find(set, "d.P");
    for (int i = 0; i < 12; i++) {
        const float value = 0.25f * (float)(i % 4);
        const uint16_t half = dcls_float_to_half(value);
        const double wide = (double)value;
        const size_t size = dcls_dtype_size(P->dtype);
        char *to = (char *)(uintptr_t)P->data + (size_t)i * size;
        memcpy(to, size == 2 ? (const void *)&half : size == 8 ? (const void *)&wide : &value, size);
    }
    dcls_model *model;
    assert_ok(ctx, dcls_model_from_json(ctx, set, network, &model));
    return model;
}

static void rows_are_floats_whatever_positions_are(void **state)
{
    static const char *const dtypes[] = {"F32", "F16", "F64"};
    dcls_context *ctx = *state;
    for (int d = 0; d < 3; d++) {
        temp_dir dir = make_temp_dir();
        const char *path = temp_file(&dir, "positions.npy");
        dcls_model *model = make_model(ctx, dtypes[d]);
        dcls_recording *recording;
        float *rows;
        int64_t count;
        assert_ok(ctx, dcls_recording_open(ctx, path, model, 0, &recording));
        assert_ok(ctx, dcls_recording_add(ctx, recording, model, 7));
        dcls_recording_close(recording);
        assert_ok(ctx, dcls_recording_read(ctx, path, model, 10, &rows, &count));
        assert_int_equal(count, 1);
        assert_true(rows[0] == 7);
        for (int i = 0; i < 12; i++)
            assert_true(rows[1 + i] == 0.25f * (float)(i % 4));
        free(rows);
        dcls_model_destroy(model);
        remove_dir(&dir);
    }
}

static void files_of_others_are_left_alone(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    dcls_model *model = make_model(ctx, "F32");
    dcls_recording *recording;
    for (int64_t frames = 0; frames < 2; frames++) {
        write_text(&dir, "notes.txt", "what must not be lost");
        check_outcome(ctx, "notes", dcls_recording_open(ctx, dir.file, model, frames, &recording),
                      DCLS_ERR_FORMAT, "is not a recording");
        char text[40] = "";
        FILE *file = fopen(dir.file, "r");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        fclose(file);
        assert_string_equal(text, "what must not be lost");
    }
    dcls_model_destroy(model);
    remove_dir(&dir);
}

/* Rows of another network's recording are lost where it is begun anew, and refused where it is to go on. */
static void a_recording_is_begun_anew(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "positions.npy");
    dcls_model *model = make_model(ctx, "F32");
    dcls_recording *recording;
    float *rows;
    int64_t count;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, file);
    fprintf(file, "%-117s\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }");
    fwrite("\0\0\0\0\0\0\0\0\0\0\0\0", 1, 12, file);
    fclose(file);
    check_outcome(ctx, "other", dcls_recording_open(ctx, path, model, 1, &recording), DCLS_ERR_FORMAT,
                  "records 2 positions, the network has 12");
    assert_ok(ctx, dcls_recording_open(ctx, path, model, 0, &recording));
    assert_int_equal(dcls_recording_frames(recording), 0);
    for (int64_t step = 0; step < 3; step++)
        assert_ok(ctx, dcls_recording_add(ctx, recording, model, step));
    dcls_recording_close(recording);
    assert_ok(ctx, dcls_recording_open(ctx, path, model, 2, &recording));
    assert_int_equal(dcls_recording_frames(recording), 2);
    assert_ok(ctx, dcls_recording_add(ctx, recording, model, 9));
    dcls_recording_close(recording);
    assert_ok(ctx, dcls_recording_read(ctx, path, model, 10, &rows, &count));
    assert_int_equal(count, 3);
    assert_true(rows[0] == 0 && rows[13] == 1 && rows[26] == 9);
    free(rows);
    dcls_model_destroy(model);
    remove_dir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(rows_are_floats_whatever_positions_are),
        CONTEXT_TEST(files_of_others_are_left_alone),
        CONTEXT_TEST(a_recording_is_begun_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
