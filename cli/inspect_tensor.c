/* One tensor: statistics and first values. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "inspect.h"
#include "json_lists.h"
#include "numbers.h"
#include "output.h"
#include "shapes.h"

struct tensor_facts {
    const inspection *it;
    const dcls_tensor *tensor;
    dcls_tensor_stats stats;
    int64_t shown; /* first values */
};

static bool is_real(dcls_dtype dtype)
{
    return dtype == DCLS_F32 || dtype == DCLS_F16 || dtype == DCLS_BF16 || dtype == DCLS_F64;
}

static bool has_finite(const dcls_tensor_stats *stats)
{
    return stats->count > stats->nan + stats->inf;
}

static void text_statistics(const struct tensor_facts *facts)
{
    const dcls_tensor_stats *stats = &facts->stats;
    if (has_finite(stats))
        printf("  min %s  max %s  mean %s  std %s\n", cli_real(stats->min).text, cli_real(stats->max).text,
               cli_real(stats->mean).text, cli_real(stats->std).text);
    printf("  zeros %s", cli_grouped(stats->zero).text);
    if (is_real(facts->tensor->dtype))
        printf("  NaN %s  infinite %s", cli_grouped(stats->nan).text, cli_grouped(stats->inf).text);
    putchar('\n');
}

static void print_text(const struct tensor_facts *facts)
{
    const dcls_tensor *tensor = facts->tensor;
    char *file = cli_printable(facts->it->name), *name = cli_printable(tensor->name);
    char shape[SHAPE_TEXT];
    shape_text(shape, tensor->ndim, tensor->shape);
    printf("%s%s: %s%s\n", cli_bold(stdout), file, name, cli_plain(stdout));
    printf("  %s %s, %s, %s\n", dcls_dtype_name(tensor->dtype), shape,
           cli_counted(facts->stats.count, "value").text, cli_bytes(tensor->nbytes).text);
    if (facts->stats.count > 0) text_statistics(facts);
    for (int64_t i = 0; i < facts->shown; i++)
        printf("%s %s", i == 0 ? "  first" : "", cli_real(dcls_tensor_value(tensor, i)).text);
    if (facts->shown > 0) puts(facts->shown < facts->stats.count ? " .." : "");
    free(file);
    free(name);
}

static int print_json(const struct tensor_facts *facts)
{
    const dcls_tensor *tensor = facts->tensor;
    const dcls_tensor_stats *stats = &facts->stats;
    dcls_json_writer *json;
    dcls_status status = dcls_json_writer_create(facts->it->run->ctx, 2, &json);
    if (status != DCLS_OK) return cli_fail(facts->it->name, status, facts->it->run->ctx);
    dcls_json_write_open(json, NULL, '{');
    dcls_json_write_string(json, "file", facts->it->name);
    dcls_json_write_string(json, "name", tensor->name);
    dcls_json_write_string(json, "dtype", dcls_dtype_name(tensor->dtype));
    dcls_json_write_open(json, "shape", '[');
    for (int i = 0; i < tensor->ndim; i++)
        dcls_json_write_int(json, NULL, tensor->shape[i]);
    dcls_json_write_close(json, ']');
    dcls_json_write_int(json, "count", stats->count);
    cli_json_double_if(json, has_finite(stats), "min", stats->min);
    cli_json_double_if(json, has_finite(stats), "max", stats->max);
    cli_json_double_if(json, has_finite(stats), "mean", stats->mean);
    cli_json_double_if(json, has_finite(stats), "std", stats->std);
    dcls_json_write_int(json, "zero", stats->zero);
    dcls_json_write_int(json, "nan", stats->nan);
    dcls_json_write_int(json, "inf", stats->inf);
    dcls_json_write_open(json, "first", '[');
    for (int64_t i = 0; i < facts->shown; i++)
        dcls_json_write_double(json, NULL, dcls_tensor_value(tensor, i));
    dcls_json_write_close(json, ']');
    dcls_json_write_close(json, '}');
    int result = cli_print_json(json);
    dcls_json_writer_destroy(json);
    return result;
}

int inspect_print_tensor(const inspection *it, const dcls_tensor *tensor, const inspect_options *options)
{
    struct tensor_facts facts = {.it = it, .tensor = tensor};
    dcls_status status = dcls_tensor_statistics(it->run->ctx, tensor, &facts.stats);
    if (status != DCLS_OK) return cli_fail(it->name, status, it->run->ctx);
    const int64_t wanted = options->values == VALUES_NOT_SAID ? VALUES_SHOWN : options->values;
    facts.shown = wanted < facts.stats.count ? wanted : facts.stats.count;
    if (options->json) return print_json(&facts);
    print_text(&facts);
    return CLI_OK;
}
