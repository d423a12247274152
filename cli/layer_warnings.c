#include "layer_warnings.h"

#include "numbers.h"
#include "output.h"

#define SHOWN 3 /* a wrong setting makes one line per layer */

static void print_warnings(const cli *run, const char *subject, const dcls_report *report)
{
    size_t count = 0;
    while (dcls_report_warning(report, count) != NULL)
        count++;
    const size_t shown = count > SHOWN + 1 ? SHOWN : count;
    for (size_t i = 0; i < shown; i++)
        cli_warn(run, subject, "%s", dcls_report_warning(report, i));
    if (shown < count)
        cli_warn(run, subject, "%s more like these; dcls inspect shows all",
                 cli_grouped((int64_t)(count - shown)).text);
}

void cli_warn_of_layers(const cli *run, const char *subject, const dcls_layer_source *source,
                        const cli_list *layers)
{
    dcls_report *report;
    if (run->common.quiet) return;
    if (dcls_report_create_layers(run->ctx, source, layers->items, layers->count, false, &report) != DCLS_OK)
        return;
    print_warnings(run, subject, report);
    dcls_report_destroy(report);
}
