/* bench_train [DIM DEPTH BATCH SIDE STEPS]: steps of a ConvMixer with DCLS layers (patch 2, D = 9, K = 9) on
 * random pictures, on as many threads as the process may use (taskset chooses): items per second, and where
 * the time of a step goes.
 * bench_train GRAPH.json GLOB BATCH SIDE STEPS: of the network that a file describes, tensors that match GLOB
 * frozen. PRECISION=bf16 in the environment: products of bfloat16 numbers, where the processor has
 * AVX512-BF16 or AMX. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "train/optimizer.h"
#include "train/program.h"

static dcls_context *ctx;

static void must(dcls_status status)
{
    if (status == DCLS_OK) return;
    fprintf(stderr, "bench_train: %s\n", dcls_context_message(ctx));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool is_graph(const char *arg)
{
    return strstr(arg, ".json") != NULL;
}

/* argv[1], argv[2]: width and depth, or a file and a glob. */
static dcls_model *create(const char *const *argv)
{
    char dim[32], depth[32];
    snprintf(dim, sizeof dim, "dim=%s", argv[1]);
    snprintf(depth, sizeof depth, "depth=%s", argv[2]);
    const char *const list[] = {"position_sigma=2", dim, depth};
    dcls_create_options options = {.arch = "convmixer", .settings = list, .setting_count = 3, .classes = 10};
    dcls_bytes text = {0};
    char *json = NULL;
    if (is_graph(argv[1])) {
        must(dcls_file_read(ctx, argv[1], 1 << 24, &text));
        options.arch = NULL;
        options.arch_json = json = strndup((const char *)text.data, text.size);
        options.setting_count = 1;
    }
    dcls_model *fresh, *model;
    must(dcls_model_create(ctx, &options, &fresh));
    must(dcls_model_writable_copy(ctx, fresh, &model));
    dcls_model_destroy(fresh);
    free(text.data);
    free(json);
    return model;
}

static dcls_batch fill(long count, long side)
{
    const int64_t floats = count * 3 * side * side;
    float *input = malloc((size_t)floats * sizeof *input);
    int32_t *target = malloc((size_t)count * sizeof *target);
    dcls_rng rng = {1};
    for (int64_t i = 0; i < floats; i++)
        input[i] = (float)dcls_rng_normal(&rng);
    for (long i = 0; i < count; i++)
        target[i] = (int32_t)(i % 10);
    return (dcls_batch){.count = count,
                        .channels = 3,
                        .height = side,
                        .width = side,
                        .target_pixels = 1,
                        .input = input,
                        .target = target};
}

static void print_layers(const dcls_program *p, int steps, double inside)
{
    double *seconds = malloc(2 * (size_t)p->layer_count * sizeof *seconds), all = 0;
    must(dcls_program_times(ctx, (dcls_program *)(uintptr_t)p, seconds));
    printf("%-18s %-18s %10s %10s\n", "layer", "node", "forward ms", "back ms");
    for (int l = 0; l < p->layer_count; l++) {
        const double *s = seconds + 2 * l;
        all += s[0] + s[1];
        printf("%-18s %-18s %10.3f %10.3f\n", p->layers[l].kind->name,
               p->layers[l].node ? p->layers[l].node->name : "", s[0] / steps / p->threads * 1e3,
               s[1] / steps / p->threads * 1e3);
    }
    printf("in layers %.1f ms of %.1f ms a step\n", all / steps / p->threads * 1e3, inside / steps * 1e3);
    free(seconds);
}

int main(int argc, char **argv)
{
    const char *args[] = {argv[0], "64", "5", "256", "32", "10"};
    for (int i = 1; i < argc && i < 6; i++)
        args[i] = argv[i];
    const long count = atol(args[3]), side = atol(args[4]), steps = atol(args[5]);
    must(dcls_context_create(&ctx));
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, (uint64_t)20 << 30);
    dcls_model *model = create(args);
    dcls_batch batch = fill(count, side);
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = count;
    options.height = options.width = side;
    const char *precision = getenv("PRECISION");
    if (precision != NULL && strcmp(precision, "bf16") == 0) options.precision = DCLS_PRECISION_BF16;
    dcls_parameters parameters;
    dcls_program *program;
    dcls_optimizer_state *optimizer;
    const char *const freeze[] = {args[2]};
    must(dcls_parameters_create(ctx, model, freeze, is_graph(args[1]), &parameters));
    must(dcls_program_create(ctx, model, &parameters, &options, NULL, &program));
    must(dcls_optimizer_create(ctx, &options, &parameters, &optimizer));
    double *times = malloc((size_t)steps * sizeof *times), all = 0;
    for (long step = -2; step < steps; step++) {
        dcls_step_result result;
        if (step == 0) must(dcls_program_times(ctx, program, NULL));
        const double start = now();
        must(dcls_program_run(ctx, program, &batch, (uint64_t)step, &result));
        dcls_program_commit(program);
        must(dcls_optimizer_step(ctx, optimizer, 1e-3, program->threads, NULL));
        if (step < 0) continue;
        times[step] = now() - start;
        all += times[step];
    }
    qsort(times, (size_t)steps, sizeof *times, by_size);
    print_layers(program, (int)steps, all);
    printf("%s%s/%s, batch %ld, %ldx%ld, %d threads: median %.1f ms a step, %.0f items/s; best "
           "%.0f items/s\n",
           is_graph(args[1]) ? "" : "ConvMixer-", args[1], args[2], count, side, side, program->threads,
           times[steps / 2] * 1e3, (double)count / times[steps / 2], (double)count / times[0]);
    dcls_optimizer_destroy(optimizer);
    dcls_program_destroy(program);
    dcls_parameters_free(&parameters);
    dcls_model_destroy(model);
    dcls_context_destroy(ctx);
    free(times);
    return 0;
}
