/* What a recipe can say. */
#include <stdint.h>
#include <string.h>

#include "train/recipe.h"

#define AT(member)          offsetof(dcls_recipe, member), 0
#define LIST(member, count) offsetof(dcls_recipe, member), offsetof(dcls_recipe, count)

/* SIZE and RANGE set a member and the next one. */
#define NEXT(type, member, next)                                                                             \
    _Static_assert(offsetof(type, next) == offsetof(type, member) + sizeof(((type *)0)->member),             \
                   #next " must follow " #member)
NEXT(dcls_loader_options, height, width);
NEXT(dcls_augment, scale_min, scale_max);
NEXT(dcls_augment, area_min, area_max);

#define TEXT    DCLS_RECIPE_TEXT
#define PATH    DCLS_RECIPE_PATH
#define INT     DCLS_RECIPE_INT
#define SIZE    DCLS_RECIPE_SIZE
#define REAL    DCLS_RECIPE_REAL
#define RANGE   DCLS_RECIPE_RANGE
#define FLAG    DCLS_RECIPE_FLAG
#define CHOICE  DCLS_RECIPE_CHOICE
#define NAME    DCLS_RECIPE_NAME
#define STRINGS DCLS_RECIPE_LIST
#define PATHS   DCLS_RECIPE_PATHS
#define WEIGHTS DCLS_RECIPE_WEIGHTS

#define LARGE 9007199254740991.0 /* 2^53 - 1 */

static const dcls_recipe_row ROWS[] = {
    {"model.file", PATH, AT(model_file), 0, 0, NULL, NULL, "model", "model to go on with"},
    {"model.arch", NAME, AT(create.arch), 0, 0, "convmixer|convnext_dcls|deeplabv3", NULL, "arch",
     "architecture of a new network"},
    {"model.graph", PATH, AT(graph), 0, 0, NULL, NULL, "graph",
     "JSON model file that describes a new network"},
    {"model.settings", STRINGS, LIST(create.settings, create.setting_count), 0, 0, NULL, NULL, "set",
     "setting of the new network, KEY=VALUE or GLOB:KEY=VALUE"},
    {"model.classes", INT, AT(create.classes), 0, 65536, NULL, "0", "classes",
     "number of classes; 0: as many as the data has"},
    {"model.labels", STRINGS, LIST(create.labels, label_count), 0, 0, NULL, NULL, "labels",
     "names of classes, or a file with one a line; none: as the data has them"},
    {"model.preprocess", TEXT, AT(create.preprocess), 0, 0, NULL, NULL, "preprocess",
     "how pictures become input: imagenet, imagenet-bicubic, cifar10 or none"},
    {"model.whiten", TEXT, AT(whiten), 0, 0, NULL, NULL, "whiten",
     "convolution of the input that begins with the principal directions of the pictures' patches"},

    {"replace.dilated", FLAG, AT(replace.dilated), 0, 0, NULL, "false", "replace-dilated",
     "dilated convolutions become DCLS layers that compute the same"},
    {"replace.depthwise", INT, AT(replace.depthwise), 0, 65536, NULL, "0", "replace-depthwise",
     "dense depthwise convolutions become DCLS layers of so many elements; 0: not"},
    {"replace.layers", TEXT, AT(replace.layers), 0, 0, NULL, NULL, "replace-layers",
     "only layers whose name matches this glob"},
    {"replace.version", NAME, AT(replace.version), 0, 0, "v0|v1|max|gauss", "v1", "replace-version",
     "version of the new layers"},
    {"replace.dilated_kernel_size", INT, AT(replace.dilated_kernel_size), 0, 65536, NULL, "0", NULL,
     "window of the new layers; 0: the reach of the old"},
    {"replace.sigma", REAL, AT(replace.sigma), 0, 65536, NULL, "0.5", NULL,
     "standard deviation of random first positions, cells"},

    {"data.train", PATH, AT(train), 0, 0, NULL, NULL, "train", "folder of the training data"},
    {"data.val", PATH, AT(val), 0, 0, NULL, NULL, "val", "folder of the validation data"},
    {"data.kind", CHOICE, AT(data.kind), 0, 0, "auto|folders|pairs|cifar10", "auto", "data-kind",
     "layout of the data"},
    {"data.classes", STRINGS, LIST(data.classes, class_count), 0, 0, NULL, NULL, NULL,
     "folders in order of class index"},
    {"data.class_count", INT, AT(mask_classes), 0, 65536, NULL, "0", NULL,
     "number of classes of masks, larger values being ignored; 0: as the network has"},
    {"data.ignore", INT, AT(ignore), -1, 255, NULL, "-1", "ignore",
     "value of masks that does not count; -1: none"},
    {"data.limit", INT, AT(data.limit), 0, LARGE, NULL, "0", "limit",
     "at most so many training pictures, evenly spread; 0: all"},
    {"data.val_limit", INT, AT(val_limit), 0, LARGE, NULL, "0", "val-limit",
     "at most so many validation pictures, evenly spread; 0: all"},
    {"data.cache", INT, AT(cache_mib), 0, 1 << 20, NULL, "1024", "cache",
     "MiB of decoded pictures kept in memory"},

    {"batch", INT, AT(loader.batch), 1, 65536, NULL, "64", "batch", "pictures of a step"},
    {"size", SIZE, AT(loader.height), 1, 65536, NULL, "32,32", "size",
     "height and width of training pictures, or one side of both"},

    {"augment.scale", RANGE, AT(loader.augment.scale_min), 0, 100, NULL, "0,0", "scale",
     "factors of size, then a random crop, mostly for masks; 0,0: none"},
    {"augment.area", RANGE, AT(loader.augment.area_min), 0, 1, NULL, "0,0", "area",
     "shares of the area of a random crop, mostly for classes; 0,0: none"},
    {"augment.crop_padding", INT, AT(loader.augment.crop_padding), 0, 65536, NULL, "0", "crop-padding",
     "pixels of black around, then a random crop; 0: none"},
    {"augment.flip", FLAG, AT(loader.augment.flip), 0, 0, NULL, "true", "flip",
     "swap left and right at random"},
    {"augment.rand_ops", INT, AT(loader.augment.rand_ops), 0, DCLS_MAX_RAND_OPS, NULL, "0", "rand-ops",
     "operations of RandAugment on a picture; 0: none"},
    {"augment.rand_magnitude", REAL, AT(loader.augment.rand_magnitude), 0, 30, NULL, "9", "rand-magnitude",
     "magnitude of each, 30 the largest"},
    {"augment.brightness", REAL, AT(loader.augment.brightness), 0, 10, NULL, "0", NULL,
     "largest random change of brightness; 0: none"},
    {"augment.contrast", REAL, AT(loader.augment.contrast), 0, 10, NULL, "0", NULL,
     "largest random change of contrast; 0: none"},
    {"augment.saturation", REAL, AT(loader.augment.saturation), 0, 10, NULL, "0", NULL,
     "largest random change of saturation; 0: none"},
    {"augment.hue", REAL, AT(loader.augment.hue), 0, 0.5, NULL, "0", NULL,
     "largest random change of hue; 0: none"},
    {"augment.cutout", INT, AT(loader.augment.cutout), 0, 65536, NULL, "0", "cutout",
     "side of a square that is erased; 0: none"},
    {"augment.mixup", REAL, AT(loader.augment.mixup), 0, 100, NULL, "0", "mixup",
     "alpha of mixing pairs of pictures; 0: none"},
    {"augment.cutmix", REAL, AT(loader.augment.cutmix), 0, 100, NULL, "0", "cutmix",
     "alpha of boxes that are another picture's; 0: none"},

    {"optimizer.kind", CHOICE, AT(trainer.optimizer), 0, 0, "sgd|adamw", "adamw", "optimizer", "how to step"},
    {"optimizer.momentum", REAL, AT(trainer.momentum), 0, 1, NULL, "0.9", "momentum", "momentum of sgd"},
    {"optimizer.nesterov", FLAG, AT(trainer.nesterov), 0, 0, NULL, "false", NULL,
     "Nesterov's momentum, of sgd"},
    {"optimizer.beta1", REAL, AT(trainer.beta1), 0, 0.999999, NULL, "0.9", NULL,
     "decay of the mean of gradients, of adamw"},
    {"optimizer.beta2", REAL, AT(trainer.beta2), 0, 0.999999999, NULL, "0.999", NULL,
     "decay of the mean of their squares, of adamw"},
    {"optimizer.eps", REAL, AT(trainer.eps), 0, 1, NULL, "1e-8", NULL,
     "added to the root of the latter, of adamw"},
    {"optimizer.weight_decay", REAL, AT(trainer.weight_decay), 0, 100, NULL, "0.05", "weight-decay",
     "decay of weights of convolutions and linear layers"},
    {"optimizer.clip_norm", REAL, AT(trainer.clip_norm), 0, 1e9, NULL, "0", "clip-norm",
     "gradients longer than this are shortened to it; 0: none"},
    {"optimizer.position_rate", REAL, AT(trainer.position_rate), 0, 1e6, NULL, "5", "position-rate",
     "factor of the learning rate for positions"},
    {"optimizer.spread_rate", REAL, AT(trainer.spread_rate), 0, 1e6, NULL, "1", "spread-rate",
     "factor of the learning rate for spreads"},
    {"optimizer.nudge", REAL, AT(trainer.nudge), 0, 0.5, NULL, "0.004", NULL,
     "cells that v1 positions on whole numbers are moved; 0: none"},
    {"optimizer.freeze", STRINGS, LIST(trainer.freeze, trainer.freeze_count), 0, 0, NULL, NULL, "freeze",
     "tensors whose name matches this glob keep their values"},
    {"optimizer.rates", STRINGS, LIST(trainer.rates, trainer.rate_count), 0, 0, NULL, NULL, "rate-of",
     "factor of the learning rate of tensors whose name matches, GLOB=FACTOR"},

    {"schedule.kind", CHOICE, AT(schedule.kind), 0, 0, "constant|cosine|onecycle|poly", "cosine", "schedule",
     "course of the rate"},
    {"schedule.rate", REAL, AT(schedule.rate), 0, 1e6, NULL, "0.001", "rate", "highest learning rate"},
    {"schedule.epochs", INT, AT(epochs), 1, 1e9, NULL, "30", "epochs", "times the training data is seen"},
    {"schedule.warmup", REAL, AT(warmup_epochs), 0, 1e9, NULL, "0", "warmup",
     "epochs of linear warm-up; 0: none"},
    {"schedule.floor", REAL, AT(schedule.floor), 0, 1e6, NULL, "0", NULL,
     "rate that cosine and poly fall to"},
    {"schedule.power", REAL, AT(schedule.power), 0, 100, NULL, "0.9", NULL, "exponent of poly"},
    {"schedule.rise", REAL, AT(schedule.rise), 0, 1, NULL, "0.3", NULL, "share of one-cycle that goes up"},
    {"schedule.start_divisor", REAL, AT(schedule.start_divisor), 1, 1e12, NULL, "25", NULL,
     "one-cycle starts at rate / this"},
    {"schedule.end_divisor", REAL, AT(schedule.end_divisor), 1, 1e12, NULL, "10000", NULL,
     "one-cycle ends at its start / this"},

    {"loss.label_smoothing", REAL, AT(trainer.label_smoothing), 0, 0.999, NULL, "0", "label-smoothing",
     "share of the target spread over all classes; 0: none"},
    {"loss.class_weights", WEIGHTS, LIST(trainer.class_weights, class_weight_count), 0, 1e9, NULL, NULL,
     "class-weights", "weights of classes, or 'balanced'"},
    {"loss.lovasz", REAL, AT(trainer.lovasz), 0, 1e6, NULL, "0", "lovasz",
     "factor of the Lovász loss of segmentation, added; 0: none"},
    {"loss.repulsion", REAL, AT(trainer.repulsion), 0, 1e9, NULL, "0", "repulsion",
     "factor of the squared repulsive loss of positions; 0: none"},
    {"loss.repulsion_after", REAL, AT(repulsion_epochs), 0, 1e9, NULL, "0", "repulsion-after",
     "epochs before the repulsive loss begins"},

    {"distill.teachers", PATHS, LIST(teachers, teacher_count), 0, 0, NULL, NULL, "teacher",
     "model whose answers to the training pictures are learned; of several their mean"},
    {"distill.share", REAL, AT(distill_share), 0, 1, NULL, "0.5", "teacher-share",
     "share of the loss that is theirs, the rest being that of the data"},
    {"distill.temperature", REAL, AT(trainer.temperature), 0.01, 1000, NULL, "1", "temperature",
     "what logits are divided by before they are compared with the teachers'"},

    {"share_positions", FLAG, AT(trainer.share_positions), 0, 0, NULL, "false", "share-positions",
     "layers of a stage learn one P"},
    {"average", REAL, AT(trainer.average), 0, 0.99999999, NULL, "0", "average",
     "decay of averaged weights; 0: none"},
    {"algo", CHOICE, AT(trainer.algo), 0, 0, "auto|construct|im2col|sparse", "auto", "algo",
     "how DCLS layers are computed"},
    {"precision", CHOICE, AT(trainer.precision), 0, 0, "fp32|bf16", "fp32", "precision",
     "what dense convolutions multiply; bf16 needs AMX or the AVX512-BF16 of AMD, else fp32"},
    {"seed", INT, AT(seed), 0, LARGE, NULL, "0", "seed", "seed of everything random"},
    {"validate_every", INT, AT(validate_every), 0, 1e9, NULL, "1", "validate-every",
     "epochs between validations; 0: none"},
    {"record_positions", INT, AT(record_positions), 0, 1e9, NULL, "0", "record-positions",
     "steps between recorded positions; 0: none"},
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])

size_t dcls_recipe_rows(const dcls_recipe_row **rows)
{
    *rows = ROWS;
    return ROW_COUNT;
}

const dcls_recipe_row *dcls_recipe_find(const char *key)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (strcmp(ROWS[i].key, key) == 0) return &ROWS[i];
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (ROWS[i].flag != NULL && strcmp(ROWS[i].flag, key) == 0) return &ROWS[i];
    return NULL;
}

/* ---- names from elsewhere --------------------------------------------------------------------------- */

static const char *const MEANT[][2] = {
    {"lr", "schedule.rate"},
    {"steps", "schedule.epochs"},
    {"max_steps", "schedule.epochs"},
    {"learning_rate", "schedule.rate"},
    {"base_lr", "schedule.rate"},
    {"max_lr", "schedule.rate"},
    {"lr_scheduler", "schedule.kind"},
    {"scheduler", "schedule.kind"},
    {"sched", "schedule.kind"},
    {"min_lr", "schedule.floor"},
    {"epoch", "schedule.epochs"},
    {"num_epochs", "schedule.epochs"},
    {"warmup_epochs", "schedule.warmup"},
    {"batch_size", "batch"},
    {"wd", "optimizer.weight_decay"},
    {"decay", "optimizer.weight_decay"},
    {"opt", "optimizer.kind"},
    {"clip_grad", "optimizer.clip_norm"},
    {"grad_clip", "optimizer.clip_norm"},
    {"max_norm", "optimizer.clip_norm"},
    {"betas", "optimizer.beta2"},
    {"smoothing", "loss.label_smoothing"},
    {"weights", "model.file"},
    {"pretrained", "model.file"},
    {"checkpoint", "model.file"},
    {"finetune", "model.file"},
    {"num_classes", "model.classes"},
    {"ema", "average"},
    {"ema_decay", "average"},
    {"model_ema_decay", "average"},
    {"resize", "size"},
    {"img_size", "size"},
    {"image_size", "size"},
    {"input_size", "size"},
    {"crop_size", "size"},
    {"ignore_index", "data.ignore"},
    {"data", "data.train"},
    {"data_path", "data.train"},
    {"train_dir", "data.train"},
    {"val_dir", "data.val"},
    {"validation", "data.val"},
    {"hflip", "augment.flip"},
    {"random_state", "seed"},
    {"teacher_model", "distill.teachers"},
    {"teacher_path", "distill.teachers"},
    {"distillation_alpha", "distill.share"},
    {"distillation_tau", "distill.temperature"},
};

const char *dcls_recipe_meant(const char *name)
{
    char plain[40];
    const char *dot = strrchr(name, '.'), *last = dot != NULL ? dot + 1 : name;
    const size_t length = strlen(last);
    if (length >= sizeof plain) return NULL;
    for (size_t i = 0; i <= length; i++)
        plain[i] = last[i] == '-' ? '_' : last[i];
    for (size_t i = 0; i < sizeof MEANT / sizeof MEANT[0]; i++)
        if (strcmp(MEANT[i][0], plain) == 0) return MEANT[i][1];
    return NULL;
}

const char *dcls_recipe_flag_meant(const char *name)
{
    const char *key = dcls_recipe_meant(name);
    return key != NULL ? dcls_recipe_find(key)->flag : NULL;
}
