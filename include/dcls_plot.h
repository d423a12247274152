/*
 * Pictures: what layers learned, how training went, what was answered right and wrong. Files of them need
 * cairo at run time and are DCLS_ERR_UNSUPPORTED where it is not installed. The rules of dcls.h on errors,
 * threads and ownership hold here too; the same input gives the same bytes.
 */
#ifndef DCLS_PLOT_H
#define DCLS_PLOT_H

#include <dcls_analysis.h>
#include <dcls_train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- pictures of what layers learned ---- */

typedef enum dcls_plot_kind {
    DCLS_PLOT_POSITIONS, /* every element in the window: area |weight|, colour sign, ring spread */
    DCLS_PLOT_DENSITY,   /* per layer, where elements lie, all channels together */
    DCLS_PLOT_KERNELS,   /* constructed dense kernels as signed heat maps */
    DCLS_PLOT_HISTOGRAM, /* positions, spreads, weights, distances from the centre */
    DCLS_PLOT_FIELD      /* theoretical and effective receptive field */
} dcls_plot_kind;

/* HTML is not a picture but a report on all layers and costs for a browser, in one file: kind, width and
 * scale do not matter to it. */
typedef enum dcls_plot_format {
    DCLS_PLOT_PNG,
    DCLS_PLOT_SVG,
    DCLS_PLOT_PDF,
    DCLS_PLOT_HTML
} dcls_plot_format;

typedef struct dcls_plot_options {
    dcls_plot_kind kind;
    dcls_plot_format format;
    const char *title;         /* NULL: none */
    const char *const *layers; /* globs of names, at least one must match; none: all DCLS
                                  layers; a field is the last matching operation's, or the last map's */
    size_t layer_count;
    const int64_t (*channels)[2]; /* ranges first..last of output channels; none: as many as fit well */
    size_t channel_count;
    double width; /* of the page: points, or pixels at scale 1; from 320 to 4000 */
    double scale; /* PNG: pixels to the unit, 0.25 to 16 */

    /* field, and the HTML report of a model */
    int ndim; /* input [N, C, spatial..] with N ignored and no open size */
    int64_t shape[DCLS_MAX_DIMS];
    uint64_t seed; /* field: of the random inputs and signs */
} dcls_plot_options;

/* Positions of all layers as PNG, 960 wide. */
DCLS_API dcls_plot_options dcls_plot_options_default(void);

/* The format a path's suffix names (.png .svg .pdf .html); DCLS_ERR_ARGUMENT for another one. */
DCLS_API dcls_status dcls_plot_format_for_path(dcls_context *ctx, const char *path, dcls_plot_format *out);

/* Draws a picture into path, whole or not at all; "-" is standard output. The same source and options give
 * the same bytes. DCLS_ERR_ARGUMENT where no layer or channel is left to draw, and for a field without a
 * model; DCLS_ERR_UNSUPPORTED where cairo is not installed; DCLS_ERR_LIMIT for a picture larger than 32767
 * pixels a side. Pictures are explained in dcls-plot(1). */
DCLS_API dcls_status dcls_plot_save(dcls_context *ctx, const dcls_layer_source *source,
                                    const dcls_plot_options *options, const char *path);

/* Densities as lines of text at most `columns` wide, Unicode blocks, UTF-8; colors: with ANSI escape
 * sequences of 256 colours. *text is to be released with free(). Of options, layers and channels count. */
DCLS_API dcls_status dcls_plot_terminal(dcls_context *ctx, const dcls_layer_source *source,
                                        const dcls_plot_options *options, int columns, bool colors,
                                        char **text);

/* ---- pictures of results ---- */

/* Which class is taken for which: confusion [classes, classes], row target, column answer, shown as shares of
 * its row. labels [classes] or NULL. Of options, format (not HTML), title and scale count. "-" is standard
 * output. */
DCLS_API dcls_status dcls_confusion_save(dcls_context *ctx, int64_t classes, const int64_t *confusion,
                                         const char *const *labels, const dcls_plot_options *options,
                                         const char *path);

/* One item of a data set and how it was answered. */
typedef struct dcls_case {
    const char *name;
    const dcls_image *image;
    dcls_item_score score;
    int64_t target, answer; /* classification: classes .. */
    double confidence;      /* .. and the probability of the answer */
    const uint8_t *mask;    /* segmentation: targets per pixel, 255 ignored; else NULL */
    const uint8_t *answers; /* answers per pixel */
} dcls_case;

/* A PNG with the picture and what was right and wrong. palette [classes, 3], labels [classes] or NULL. */
DCLS_API dcls_status dcls_case_save(dcls_context *ctx, const dcls_case *item, int64_t classes,
                                    const uint8_t *palette, const char *const *labels, const char *path);

/* Many classified pictures on one page, large ones reduced. Of options, format (not HTML), title, width and
 * scale count. */
DCLS_API dcls_status dcls_cases_save(dcls_context *ctx, const dcls_case *items, size_t count, int64_t classes,
                                     const char *const *labels, const dcls_plot_options *options,
                                     const char *path);

/* A log of dcls train. */
typedef struct dcls_curves_source {
    const char *name; /* for legends and messages */
    const char *text; /* [size] */
    size_t size;
} dcls_curves_source;

/* Loss, share of right answers and learning rate of 1 to 16 runs over each other. Of options, format (not
 * HTML), title, width (the height is two thirds of it, and more for many runs) and scale count. A log that is
 * none is DCLS_ERR_FORMAT, its name and line named; a last line without its end is left out. A log without a
 * step is in the legend alone; where all are, that is DCLS_ERR_FORMAT. */
DCLS_API dcls_status dcls_curves_save(dcls_context *ctx, size_t count, const dcls_curves_source *logs,
                                      const dcls_plot_options *options, const char *path);

/* The positions of a recording moving, as an animated PNG: the picture of DCLS_PLOT_POSITIONS for some rows
 * of the file, with weights as model has them. Of options, title, layers, channels, width and scale count.
 * frames: how many at most; seconds: how long they take together; plays: how often, 0 for ever. A recording
 * of another network is DCLS_ERR_FORMAT. */
typedef struct dcls_moving_options {
    int64_t frames;
    double seconds;
    int64_t plays;
} dcls_moving_options;

DCLS_API dcls_status dcls_moving_save(dcls_context *ctx, const char *recording, const dcls_model *model,
                                      const dcls_plot_options *options, const dcls_moving_options *moving,
                                      const char *path);

#ifdef __cplusplus
}
#endif

#endif
