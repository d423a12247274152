/*
 * Training and evaluation: data sets, batches, new networks, the training step, metrics. The rules of dcls.h
 * on errors, threads and ownership hold here too.
 *
 * Everything random depends on a seed and on what it is drawn for (an item's number, an epoch, a step), never
 * on threads or on time: the same seed gives the same bits.
 */
#ifndef DCLS_TRAIN_H
#define DCLS_TRAIN_H

#include <dcls_tools.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- data sets ---- */

#define DCLS_IGNORE (-1) /* a target that counts nowhere */

typedef enum dcls_dataset_kind {
    DCLS_DATASET_AUTO,    /* found out from what the directory holds */
    DCLS_DATASET_FOLDERS, /* CLASS/picture: classes in order of their names, unless `classes` says other */
    DCLS_DATASET_PAIRS,   /* images/NAME.* and masks/NAME.png, pixel value = class */
    DCLS_DATASET_CIFAR10  /* the binary files data_batch_N.bin or test_batch.bin */
} dcls_dataset_kind;

typedef struct dcls_dataset_options {
    dcls_dataset_kind kind;
    const char *const *classes; /* names of folders in order of class index; NULL: all folders, sorted */
    size_t class_count; /* also the number of classes of masks: larger values are ignored; 0: unknown */
    bool one_class;     /* a folder alone is a class, not an error */
    int ignore_index;   /* value of a mask that is ignored as well; negative: none */
    int64_t limit;      /* at most so many items, evenly spread over the set; 0: all */
} dcls_dataset_options;

/* AUTO, all folders, no ignored value. */
DCLS_API dcls_dataset_options dcls_dataset_options_default(void);

typedef struct dcls_dataset dcls_dataset;

/* Lists a data set; pictures are read when they are used (CIFAR-10's files at once). Items stand in the order
 * of their names. options NULL means the defaults. Folders may be nested inside those of the classes and of
 * images/, and a directory that holds nothing but one folder with a set in it stands for that set. Errors: a
 * folder that is none of `classes` or holds no picture, a picture without mask, a damaged CIFAR-10 file. Any
 * number of threads may use a set once it is open. */
DCLS_API dcls_status dcls_dataset_open(dcls_context *ctx, const char *path,
                                       const dcls_dataset_options *options, dcls_dataset **out);
DCLS_API void dcls_dataset_destroy(dcls_dataset *set);
/* Classification or segmentation. */
DCLS_API dcls_task dcls_dataset_task(const dcls_dataset *set);
DCLS_API int64_t dcls_dataset_count(const dcls_dataset *set);
/* 0 where masks do not say. */
DCLS_API size_t dcls_dataset_class_count(const dcls_dataset *set);
/* NULL where there is no name. */
DCLS_API const char *dcls_dataset_class_name(const dcls_dataset *set, size_t index);
/* A path or "FILE[INDEX]": for messages. index < count. */
DCLS_API const char *dcls_dataset_item_name(const dcls_dataset *set, int64_t index);

/* weights [classes] that even out how often classes occur (median frequency balancing): the median of their
 * frequencies over each one's, a class's frequency being its share of the targets of the items it occurs in;
 * 1 for a class that does not (Eigen and Fergus, arXiv 1411.4734). Masks are all read for that, on all
 * threads. */
DCLS_API dcls_status dcls_dataset_balance(dcls_context *ctx, const dcls_dataset *set, int64_t classes,
                                          float *weights);

#define DCLS_MASK_VALUES 256

/* counts [DCLS_MASK_VALUES]: pixels of each value, as the files have them, in the masks of at most `most`
 * items, evenly spread over the set; all 0 for classification. Read on all threads. A mask that cannot be
 * read is an error that names it. */
DCLS_API dcls_status dcls_dataset_values(dcls_context *ctx, const dcls_dataset *set, int64_t most,
                                         int64_t *counts);

/* An item as it is stored. */
typedef struct dcls_sample {
    dcls_image *image;
    int64_t label; /* class; -1 for segmentation */
    uint8_t *mask; /* [height, width] of the image, NULL for classification; 255: ignored, which the data
                      set's ignore_index and values that are no class have become */
} dcls_sample;

/* out belongs to the caller: dcls_sample_free. The message of an error does not name the picture, but does
 * name its mask. */
DCLS_API dcls_status dcls_dataset_load(dcls_context *ctx, const dcls_dataset *set, int64_t index,
                                       dcls_sample *out);
DCLS_API void dcls_sample_free(dcls_sample *sample);

/* ---- batches ---- */

#define DCLS_MAX_RAND_OPS 16

/* Random changes of training pictures, applied in this order; a zero turns one off. Masks follow the geometry
 * by nearest pixels; what lies outside the picture is ignored there. */
typedef struct dcls_augment {
    double scale_min, scale_max; /* both sides, after preprocess' resize, times a factor between them
                                    (log-uniform), then a random crop to the batch's size; the mean outside */
    /* torchvision's RandomResizedCrop to the batch's size: share of the area, aspect 3/4 to 4/3; instead of
     * preprocess' resize, not with scale or crop_padding. */
    double area_min, area_max;
    int64_t crop_padding; /* pixels of black around, then a random crop to the batch's size */
    bool flip;            /* left and right, every second time */
    /* RandAugment (arXiv 1909.13719): so many of its operations, 0 to DCLS_MAX_RAND_OPS, each of this
     * magnitude, 0 to 30; shears, moves and turns show what lies outside as scale and crop_padding do. */
    int64_t rand_ops;
    double rand_magnitude;
    /* Colour jitter as torchvision's in this order, factors 1 - x to 1 + x, hue +-x turns. */
    double brightness, contrast, saturation, hue;
    int64_t cutout; /* side of a square set to the mean, around a random centre; targets stay */
    double mixup;   /* alpha of the beta distribution by which an item is mixed with the one before it in the
                       batch; the larger share is the item's own */
    /* The same of CutMix (arXiv 1905.04899): a box of the item is the other's, as are a mask's targets in it.
     * With mixup as well, items have one or the other, as often. */
    double cutmix;
} dcls_augment;

typedef struct dcls_loader_options {
    int64_t batch, height, width; /* of the tensors that come out; height and width 0: as preprocess makes
                                     them, the same for all of a batch */
    dcls_preprocess preprocess;   /* mean, std, channels, resize; crop where augmentation sizes nothing */
    dcls_augment augment;
    bool shuffle, drop_last;
    uint64_t seed;
    int64_t cache_bytes; /* decoded pictures kept in memory */
    int ahead;           /* batches made while one is used */
} dcls_loader_options;

typedef struct dcls_batch {
    int64_t count, channels, height, width;
    int64_t target_pixels; /* 1 for classification, height * width for segmentation */
    const float *input;    /* [count, channels, height, width] */
    const int32_t *target; /* [count, target_pixels], classes or DCLS_IGNORE */
    const int32_t *mixed;  /* with mixup or CutMix: the targets of what was mixed in, else NULL */
    /* Then [count]: the share of `target`; `mixed` has the rest, unless it is ignored. */
    const float *share;
    const float *soft;    /* [count, classes, target_pixels]: the probabilities that teachers give, see
                             dcls_teacher_run, or NULL: loaders know none */
    const int64_t *index; /* [count]: items of the data set */
} dcls_batch;

/* Batches of 64 in order, as the pictures are, 1 GiB of cache, 2 batches ahead. */
DCLS_API dcls_loader_options dcls_loader_options_default(void);

typedef struct dcls_loader dcls_loader;

/* Makes batches ahead of their use, on as many threads of its own as ctx has; they keep off signals. The set
 * must outlive it; one thread uses it at a time. */
DCLS_API dcls_status dcls_loader_create(dcls_context *ctx, const dcls_dataset *set,
                                        const dcls_loader_options *options, dcls_loader **out);
/* At any time, also in the middle of an epoch. */
DCLS_API void dcls_loader_destroy(dcls_loader *loader);
DCLS_API int64_t dcls_loader_batches(const dcls_loader *loader); /* of an epoch */
/* Goes to batch `first` of an epoch, 0 <= first <= batches: order and changes depend on seed, epoch and item
 * alone. A new loader stands at the start of epoch 0. */
DCLS_API dcls_status dcls_loader_seek(dcls_context *ctx, dcls_loader *loader, int64_t epoch, int64_t first);
/* The next batch, valid until the next call of anything on this loader; *out is NULL once at an epoch's end,
 * then the next epoch begins. A picture that cannot be read is an error that names it, the first of its
 * batch; the call after goes on with the batch after. */
DCLS_API dcls_status dcls_loader_next(dcls_context *ctx, dcls_loader *loader, const dcls_batch **out);

/* ---- metrics ---- */

typedef struct dcls_metrics dcls_metrics;

typedef struct dcls_scores {
    int64_t count;              /* targets that were not ignored */
    double loss;                /* mean cross entropy */
    double top1, top5;          /* shares; for segmentation top1 is the pixel accuracy */
    double mean_class_accuracy; /* mean over classes present of their recall */
    double mean_iou;            /* mean over classes present in targets or answers */
    double calibration_error;   /* expected calibration error, 15 bins of equal width */
} dcls_scores;

/* Counts answers. Memory for a confusion matrix of many classes beyond the limit is DCLS_ERR_LIMIT. */
DCLS_API dcls_status dcls_metrics_create(dcls_context *ctx, int64_t classes, dcls_metrics **out);
DCLS_API void dcls_metrics_destroy(dcls_metrics *metrics);
/* One item's part: loss is the mean over its targets, 0 where it has none. */
typedef struct dcls_item_score {
    double loss;
    int64_t correct, targets;
} dcls_item_score;

/* logits [count, classes, pixels], target [count, pixels]: targets that are no class count nowhere. The
 * answer is the class of the largest logit, of equal ones the first. scores [count]: how each item did, or
 * NULL. */
DCLS_API void dcls_metrics_add(dcls_metrics *metrics, int64_t count, int64_t pixels, const float *logits,
                               const int32_t *target, dcls_item_score *scores);
/* All 0 before anything was counted. */
DCLS_API dcls_scores dcls_metrics_scores(const dcls_metrics *metrics);
/* [classes, classes]: row target, column answer. */
DCLS_API const int64_t *dcls_metrics_confusion(const dcls_metrics *metrics);
/* Of one class, index < classes. Intersection over union, NaN where it is neither target nor answer; share
 * of its targets that were found, NaN without targets; share of its answers that are right, NaN without
 * answers. */
DCLS_API double dcls_metrics_iou(const dcls_metrics *metrics, int64_t index);
DCLS_API double dcls_metrics_recall(const dcls_metrics *metrics, int64_t index);
DCLS_API double dcls_metrics_precision(const dcls_metrics *metrics, int64_t index);

/* ---- evaluation ---- */

/* How one item was answered. */
typedef struct dcls_evaluated {
    int64_t index; /* of the data set */
    dcls_item_score score;
    int64_t answer;    /* classification: the class of largest probability; else -1 */
    double confidence; /* classification: its probability */
    /* Segmentation, where asked for: class per pixel, [height, width] of the picture. */
    const uint8_t *answers;
} dcls_evaluated;

typedef struct dcls_evaluate_options {
    dcls_algo algo;
    int64_t batch;                     /* items run together at most; 0: 64 */
    const dcls_preprocess *preprocess; /* NULL: the model's */
    bool flip;            /* the mean of the probabilities for a picture and its mirror image .. */
    const double *scales; /* .. and for the picture with its sides times these; NULL: 1 */
    size_t scale_count;
    const int64_t *items; /* of the data set, instead of all */
    size_t item_count;
    bool answers; /* maps of answers are made */
    /* Called for every item in order, or NULL; false stops before further ones are read. */
    bool (*visit)(void *arg, const dcls_evaluated *item);
    void *arg;
} dcls_evaluate_options;

/* Number of classes a network answers with: channels of its output. DCLS_ERR_ARGUMENT where they depend on
 * the input's size. */
DCLS_API dcls_status dcls_model_classes(dcls_context *ctx, const dcls_model *model, int64_t *out);

/* Everything once, as the model says. */
DCLS_API dcls_evaluate_options dcls_evaluate_options_default(void);

/* Runs a network on a data set of its task and adds to metrics, which have as many classes as the network.
 * Maps are compared at the size of the pictures: the network's are resized bilinearly (align_corners false),
 * and a crop of the preprocessing is left out. Networks that end in a softmax count as any other. A picture
 * that cannot be read is an error that names it, an index that is no item's DCLS_ERR_ARGUMENT. Numbers depend
 * on options.batch, not on threads. */
DCLS_API dcls_status dcls_evaluate(dcls_context *ctx, const dcls_model *model, const dcls_dataset *set,
                                   const dcls_evaluate_options *options, dcls_metrics *metrics);

/* ---- new networks ---- */

typedef struct dcls_create_options {
    const char *arch;            /* "convmixer", "convnext_dcls", "deeplabv3", or NULL with .. */
    const char *arch_json;       /* .. text of a JSON model file whose convolutions state their sizes */
    const char *const *settings; /* "KEY=VALUE" or "GLOB:KEY=VALUE", see below */
    size_t setting_count;
    int64_t classes;           /* 0: those arch_json has labels for */
    const char *preprocess;    /* as in dcls_build_options */
    const char *const *labels; /* [classes] or NULL */
    uint64_t seed;
} dcls_create_options;

/* A network with fresh weights, drawn as PyTorch's layers and the published recipes draw theirs, positions
 * wider; each tensor's follow from the seed and its name. *out is the caller's.
 *
 * Settings of convmixer: dim (256), depth (8), patch_size (2), kernel_count (9; 0: dense),
 * dilated_kernel_size (9), version (v1), activation, drop_path (of the last block, 0 for the first), dropout
 * (before the classifier), channels (3). Of convnext_dcls: dims (96,192,384,768), depths (3,3,9,3),
 * patch_size (4), kernel_count (34), dilated_kernel_size (17), version, share_positions (true: blocks of a
 * stage have one P), drop_path, channels. Of deeplabv3: backbone (resnet50, resnet101), dim (64), head_dim
 * (256), kernel_count (9 elements in place of every dilated 3x3 kernel, the window being its reach; 0:
 * dilated), version, channels.
 *
 * Settings of initial weights, for all layers or those whose name matches GLOB: init (pytorch, trunc_normal,
 * kaiming_normal, dirac: pytorch but that the first kernels of dense convolutions copy a channel each),
 * position_sigma (20%: of the window's side; a number: cells, the package has 0.5), spread (0.23 for gauss;
 * for max 0.05 to 0.25 at random, the package's 0 having no gradient), norm_weight (1), layer_scale (1e-6).
 * All others set attributes of the network's layers, with arch_json also kernel_count, kernel_size and
 * out_channels. Unknown ones are DCLS_ERR_ARGUMENT. */
DCLS_API dcls_status dcls_model_create(dcls_context *ctx, const dcls_create_options *options,
                                       dcls_model **out);

typedef struct dcls_replace_options {
    const char *layers; /* glob; NULL: all that fit */
    bool dilated; /* convolutions with dilation > 1 become DCLS layers of the same reach: elements start at
                     the dense cells, with their weights, so that the network computes the same */
    int64_t depthwise;   /* dense depthwise convolutions with a side of more than 3 become DCLS ones with so
                            many elements; 0: not */
    const char *version; /* "v0", "v1", "max", "gauss"; NULL: "v1" */
    int64_t dilated_kernel_size; /* window; 0: the reach of the layer that is replaced */
    double sigma;                /* standard deviation of random first positions of `depthwise`: cells, as
                                    published */
    uint64_t seed;
} dcls_replace_options;

/* A network with convolutions replaced; model stays as it is, *out is the caller's. *layers (may be NULL) is
 * how many were; none is DCLS_ERR_ARGUMENT.
 *
 * In place of a dilated kernel the outputs stay within float tolerance, but for gauss, whose elements are at
 * least 0.27 wide: some 0.4 % of a weight are then on its neighbours. In place of a depthwise kernel the new
 * one has random elements, and of every channel the sum of squares of its kernel stays. A window wider than
 * the reach (also where version and unequal sides want equal ones) comes with that much more padding; it has
 * to be wider by an even number, else DCLS_ERR_UNSUPPORTED, as for layers that share their weight. */
DCLS_API dcls_status dcls_model_replace(dcls_context *ctx, const dcls_model *model,
                                        const dcls_replace_options *options, dcls_model **out,
                                        int64_t *layers);

/* A network for other classes, for fine-tuning: its last layer (a convolution, DCLS layer or linear one,
 * behind which pools, resizing, softmax and the like may stand) is made anew with `classes` outputs, drawn as
 * PyTorch draws it from the seed and the tensors' names; all else stays. labels [classes] or NULL: none.
 * model stays as it is, *out is the caller's; *layer (may be NULL) is the name of the layer and belongs to
 * *out. DCLS_ERR_UNSUPPORTED where no such layer makes the output. */
DCLS_API dcls_status dcls_model_new_head(dcls_context *ctx, const dcls_model *model, int64_t classes,
                                         const char *const *labels, uint64_t seed, dcls_model **out,
                                         const char **layer);

/* A network whose layer of that name begins with the principal directions of the patches it sees in the set's
 * pictures (of their second moments around 0), divided by the root of what lies along them plus 0.0005, each
 * with both signs; its bias is 0 (whitening: Jordan, arXiv 2404.00498). Pictures are made as `like` says, but
 * not mirrored, recoloured, erased or mixed. model stays as it is, *out is the caller's. The layer must be a
 * 2-D convolution of the input without groups or dilation that shares no weights, of at most 512 cells a
 * kernel, with an even number of kernels, at most two for each cell; all else is DCLS_ERR_ARGUMENT. */
DCLS_API dcls_status dcls_model_whiten(dcls_context *ctx, const dcls_model *model, const char *layer,
                                       const dcls_dataset *set, const dcls_loader_options *like,
                                       dcls_model **out);

/* ---- training ---- */

typedef enum dcls_optimizer { DCLS_SGD, DCLS_ADAMW } dcls_optimizer;

typedef struct dcls_trainer_options {
    int64_t batch, height, width; /* of every step */
    dcls_algo algo;               /* of DCLS layers */
    dcls_precision
        precision; /* bf16: where the processor has AMX or the AVX512-BF16 of AMD, dense convolutions and the
                      gradients of their weights and inputs multiply numbers rounded to bfloat16
                      and sum in float; parameters stay float, and so does everything elsewhere */
    uint64_t seed;

    double label_smoothing;
    const float *class_weights; /* [classes] or NULL */
    double lovasz; /* factor of the Lovász-softmax loss of each picture (arXiv 1705.08790), which is added to
                      the cross entropy: for segmentation without mixup; 0: none */
    /* Share of the loss that is distillation (Hinton et al., arXiv 1503.02531), 0 to 1: instead of so much of
     * the cross entropy, temperature^2 times the divergence KL(soft | softmax(logits / temperature)), its
     * mean over targets that count. Batches then have `soft`, made with the same temperature. */
    double distill, temperature;

    dcls_optimizer optimizer;
    double momentum; /* sgd */
    bool nesterov;
    double beta1, beta2, eps; /* adamw */
    double weight_decay;  /* of weights of convolutions and linear layers: not of biases, norms, positions */
    double clip_norm;     /* of the gradient of all parameters; 0: none */
    double position_rate; /* factor of the learning rate for positions */
    double spread_rate;   /* the same for spreads */
    double nudge;   /* cells that a v1 position on a whole number, where it has no slope, is moved; 0: none */
    double average; /* decay of the averaged weights (EMA); 0: none kept */
    double repulsion;          /* factor of the squared repulsive loss of positions; 0: none .. */
    int64_t repulsion_after;   /* .. which begins after so many steps */
    bool share_positions;      /* layers of one stage learn one P */
    const char *const *freeze; /* globs of tensor names that keep their values */
    size_t freeze_count;
    /* "GLOB=FACTOR": of the learning rate of tensors; the last that matches counts. */
    const char *const *rates;
    size_t rate_count;
} dcls_trainer_options;

/* AdamW as in PyTorch with a decay of 0.05 and no clipping; positions learn 5 times as fast, nudged by 0.004;
 * no average, repulsion, smoothing or distillation (temperature 1); sizes are left to be set. */
DCLS_API dcls_trainer_options dcls_trainer_options_default(void);

typedef struct dcls_trainer dcls_trainer;

typedef struct dcls_step_result {
    double loss;              /* mean over targets, and what is added, of this batch, before the step */
    double added;             /* of it: the Lovász loss, repulsion, and what distillation makes of it; the
                                 rest is cross entropy */
    double gradient_norm;     /* before clipping */
    int64_t correct, targets; /* answers that equal `target`, and how many count */
} dcls_step_result;

/* Copies the model; class_weights, freeze and rates must outlive the trainer. Threads are those of ctx now;
 * results are the same bits for any number. DCLS_ERR_LIMIT when a batch would take more memory than the
 * limit, the network with gradients, moments, averages and weights packed for their products included;
 * dcls_trainer_step can fail so too, where kernels have grown. DCLS_ERR_ARGUMENT when freeze leaves nothing
 * to learn. */
DCLS_API dcls_status dcls_trainer_create(dcls_context *ctx, const dcls_model *model,
                                         const dcls_trainer_options *options, dcls_trainer **out);
DCLS_API void dcls_trainer_destroy(dcls_trainer *trainer);
/* Forward, backward and one step of the optimiser with learning rate `rate`: a batch of options.batch items.
 * A loss or gradient that is not finite is DCLS_ERR_FORMAT, the layer where it arose named, and nothing is
 * changed. */
DCLS_API dcls_status dcls_trainer_step(dcls_context *ctx, dcls_trainer *trainer, const dcls_batch *batch,
                                       double rate, dcls_step_result *result);
/* Loss and gradients without a step: nothing is changed. */
DCLS_API dcls_status dcls_trainer_gradients(dcls_context *ctx, dcls_trainer *trainer, const dcls_batch *batch,
                                            dcls_step_result *result);
/* The gradient of the last step or dcls_trainer_gradients by a tensor of the model, in its shape; NULL for
 * one that has none. Belongs to the trainer, until the next step. */
DCLS_API const float *dcls_trainer_gradient(const dcls_trainer *trainer, const char *tensor);
/* The network with its present weights, or the averaged ones: belongs to trainer, changes with every step.
 * averaged without an average gives the present ones. */
DCLS_API const dcls_model *dcls_trainer_model(dcls_trainer *trainer, bool averaged);
DCLS_API int64_t dcls_trainer_steps(const dcls_trainer *trainer);
/* Everything the next step depends on (weights, moments, averages, number of steps) as a set that is also a
 * model file with the present weights once saved; and back into a trainer made of the same model and options.
 * note (may be NULL): text to keep with it, see dcls_trainer_note. The set is the caller's. A set that does
 * not fit is DCLS_ERR_FORMAT and nothing is changed. */
DCLS_API dcls_status dcls_trainer_store(dcls_context *ctx, const dcls_trainer *trainer, const char *note,
                                        dcls_tensors **out);
DCLS_API dcls_status dcls_trainer_restore(dcls_context *ctx, dcls_trainer *trainer,
                                          const dcls_tensors *state);
/* The note of a stored set; NULL if there is none. */
DCLS_API const char *dcls_trainer_note(const dcls_tensors *state);
/* The network of a stored set, with the weights it had, and nothing else: what the trainer to be restored is
 * made of. *out is the caller's. */
DCLS_API dcls_status dcls_trainer_stored_model(dcls_context *ctx, const dcls_tensors *state,
                                               dcls_model **out);

/* A line of a file's metadata. */
typedef struct dcls_text {
    const char *key, *value;
} dcls_text;

/* Writes dcls_trainer_model as dcls_model_save does, with texts [count] as metadata. */
DCLS_API dcls_status dcls_trainer_save_model(dcls_context *ctx, dcls_trainer *trainer, bool averaged,
                                             const dcls_text *texts, size_t count, const char *path);

/* ---- teachers ---- */

/* Networks whose answers another one learns (distillation). */
typedef struct dcls_teacher dcls_teacher;

/* Makes `count` networks ready to answer batches of the options' batch, height and width for `student`, at
 * their temperature and, where dcls_bf16_is_fast, in their precision. Models must outlive it; one thread uses
 * it at a time, and it uses those of ctx. A network of another task, other classes or another way to make
 * tensors of pictures than the student's is DCLS_ERR_ARGUMENT; *failed (may be NULL) is then which one, count
 * if none. The limit of memory counts teachers by themselves, besides what a trainer takes; where it is short
 * fewer pictures run together, which may change the last bits of answers. */
DCLS_API dcls_status dcls_teacher_create(dcls_context *ctx, const dcls_model *const *models, size_t count,
                                         const dcls_model *student, const dcls_trainer_options *options,
                                         dcls_teacher **out, size_t *failed);
DCLS_API void dcls_teacher_destroy(dcls_teacher *teacher);
/* The mean of the networks' probabilities softmax(logits / temperature) for a batch: *out [count, classes,
 * target_pixels] belongs to the teacher, until the next call. Answers that are no numbers are
 * DCLS_ERR_FORMAT. */
DCLS_API dcls_status dcls_teacher_run(dcls_context *ctx, dcls_teacher *teacher, const dcls_batch *batch,
                                      const float **out);

/* ---- positions as they move ---- */

/* The positions of all layers now and then, as a .npy file that grows: F32 [frames, 1 + positions], each row
 * the step and every distinct P of the model, in order of its nodes, as it lies in memory. The file is valid
 * after every call: rows are written before the header counts them. */
typedef struct dcls_recording dcls_recording;

/* Opens a recording of a model, or makes one; rows behind the first `frames` are cut off, and with 0 of them
 * the recording may have been another model's. Any other file is DCLS_ERR_FORMAT, a model without positions
 * DCLS_ERR_ARGUMENT. */
DCLS_API dcls_status dcls_recording_open(dcls_context *ctx, const char *path, const dcls_model *model,
                                         int64_t frames, dcls_recording **out);
DCLS_API void dcls_recording_close(dcls_recording *recording);
DCLS_API int64_t dcls_recording_frames(const dcls_recording *recording);
/* Adds a row: the model's positions now. model is the one it was opened with, or one like it. */
DCLS_API dcls_status dcls_recording_add(dcls_context *ctx, dcls_recording *recording, const dcls_model *model,
                                        int64_t step);
/* Returns when the disk has it. */
DCLS_API dcls_status dcls_recording_sync(dcls_context *ctx, dcls_recording *recording);

/* ---- learning rates ---- */

typedef enum dcls_schedule_kind {
    DCLS_SCHEDULE_CONSTANT,
    DCLS_SCHEDULE_COSINE,    /* half a period from rate to floor (Loshchilov and Hutter, arXiv 1608.03983) */
    DCLS_SCHEDULE_ONE_CYCLE, /* up and down as PyTorch's OneCycleLR with cosines; momentum stays (Smith and
                                Topin, arXiv 1708.07120) */
    DCLS_SCHEDULE_POLY       /* (1 - t)^power, as DeepLab's */
} dcls_schedule_kind;

typedef struct dcls_schedule {
    dcls_schedule_kind kind;
    double rate;                       /* the highest */
    double floor;                      /* cosine, poly: what it falls to */
    double power;                      /* poly */
    double rise;                       /* one-cycle: share of the steps that go up */
    double start_divisor, end_divisor; /* one-cycle: from rate / start_divisor to that / end_divisor */
    int64_t warmup; /* steps that rise linearly to rate, before the rest of the schedule; not for one-cycle */
    int64_t steps;  /* all, the warm-up included */
} dcls_schedule;

/* Cosine from 0.01 (recipes: 0.001) to 0; power 0.9; one-cycle 0.3, 25, 1e4 as in PyTorch; no steps. */
DCLS_API dcls_schedule dcls_schedule_default(void);
/* The learning rate of a step, counted from 0; beyond the last step that one's. Warm-up: step i of n has
 * (i + 1) / (n + 1) of the rate. */
DCLS_API double dcls_schedule_rate(const dcls_schedule *schedule, int64_t step);

#ifdef __cplusplus
}
#endif
#endif
