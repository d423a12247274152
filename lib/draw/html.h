/* What the parts of the report share: html.c writes the page, html_layers.c the layers in its data. */
#ifndef DCLS_DRAW_HTML_H
#define DCLS_DRAW_HTML_H

#include "base/text.h"
#include "draw/plot.h"

typedef struct dcls_html {
    dcls_plot *plot;
    const dcls_report *report; /* NULL for a state dict */
    dcls_json_out json;
} dcls_html;

/* Numbers as short as a picture needs them: a multiple of 1/steps. */
void dcls_html_rounded(dcls_html *h, double value, double steps);
void dcls_html_key_rounded(dcls_html *h, const char *key, double value, double steps);
void dcls_html_key_int(dcls_html *h, const char *key, int64_t value);
void dcls_html_key_string(dcls_html *h, const char *key, const char *value);
void dcls_html_key_begin(dcls_html *h, const char *key, char bracket);

/* The member "layers". */
dcls_status dcls_html_put_layers(dcls_html *h);

#endif
