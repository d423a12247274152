/* Recipes: files, bases, flags, ranges, what is refused and how it is said; and that what is written reads
 * back the same. */
#include "format_util.h"

#include <math.h>

#include "dcls_recipe.h"

static dcls_recipe *read_recipe(dcls_context *ctx, const char *json)
{
    dcls_recipe *recipe;
    assert_ok(ctx, dcls_recipe_create(ctx, &recipe));
    assert_ok(ctx, dcls_recipe_read(ctx, recipe, json, NULL));
    return recipe;
}

static void defaults(void **state)
{
    dcls_context *ctx = *state;
    dcls_recipe *recipe = read_recipe(ctx, "{}");
    assert_null(recipe->model_file);
    assert_null(recipe->create.arch);
    assert_int_equal(recipe->loader.batch, 64);
    assert_int_equal(recipe->trainer.optimizer, DCLS_ADAMW);
    assert_true(recipe->trainer.beta2 == 0.999);
    assert_true(recipe->trainer.position_rate == 5);
    assert_true(recipe->loader.augment.flip && recipe->loader.shuffle && recipe->loader.drop_last);
    assert_int_equal(recipe->ignore, -1);
    assert_int_equal(recipe->schedule.kind, DCLS_SCHEDULE_COSINE);
    assert_true(recipe->schedule.end_divisor == 1e4);
    assert_string_equal(recipe->replace.version, "v1");
    /* a recipe that says nothing and options that say nothing mean the same */
    const dcls_trainer_options trainer = dcls_trainer_options_default();
    assert_true(recipe->trainer.momentum == trainer.momentum && recipe->trainer.beta1 == trainer.beta1);
    assert_true(recipe->trainer.eps == trainer.eps && recipe->trainer.weight_decay == trainer.weight_decay);
    assert_true(recipe->trainer.position_rate == trainer.position_rate);
    assert_true(recipe->trainer.spread_rate == trainer.spread_rate);
    assert_true(recipe->trainer.nudge == trainer.nudge);
    assert_true(recipe->trainer.clip_norm == trainer.clip_norm && recipe->trainer.average == trainer.average);
    const dcls_schedule schedule = dcls_schedule_default();
    assert_true(recipe->schedule.power == schedule.power && recipe->schedule.rise == schedule.rise);
    assert_true(recipe->schedule.start_divisor == schedule.start_divisor);
    dcls_recipe_destroy(recipe);
    /* the table's own texts set what they are for */
    assert_ok(ctx, dcls_recipe_create(ctx, &recipe));
    for (size_t i = 0; i < dcls_recipe_key_count(); i++) {
        const dcls_recipe_key key = dcls_recipe_key_at(i);
        assert_non_null(key.text);
        if (key.fallback != NULL) assert_ok(ctx, dcls_recipe_set(ctx, recipe, key.key, key.fallback));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(key.key, dcls_recipe_key_at(k).key);
            if (key.flag != NULL && dcls_recipe_key_at(k).flag != NULL)
                assert_string_not_equal(key.flag, dcls_recipe_key_at(k).flag);
        }
    }
    dcls_recipe_destroy(recipe);
}

static const char WHOLE[] =
    "{\"about\": {\"result\": 94.1, \"anything\": [1, {}]},"
    " \"model\": {\"arch\": \"convmixer\", \"settings\": {\"dim\": 64, \"dims\": [8, 16], \"3.*:version\": "
    "\"gauss\","
    "   \"drop_path\": 0.1}, \"labels\": [\"cat\", \"dog, or not\"], \"preprocess\": \"cifar10\"},"
    " \"replace\": {\"dilated\": true, \"layers\": \"*.conv2\"},"
    " \"data\": {\"train\": \"/data/train\", \"val\": \"val\", \"kind\": \"folders\", \"classes\": [\"cat\", "
    "\"dog\"], "
    "   \"limit\": 100, \"cache\": 3},"
    " \"batch\": 128, \"size\": [360, 480],"
    " \"augment\": {\"scale\": [0.5, 2], \"flip\": false, \"hue\": 0.1, \"mixup\": 0.2},"
    " \"optimizer\": {\"kind\": \"sgd\", \"momentum\": 0.95, \"nesterov\": true, \"freeze\": [\"stem.*\", "
    "\"*.P\"], \"rates\": [\"head.*=0.5\"]},"
    " \"schedule\": {\"kind\": \"poly\", \"rate\": 0.05, \"epochs\": 12, \"warmup\": 1.5},"
    " \"loss\": {\"label_smoothing\": 0.1, \"class_weights\": [1, 0.1], \"repulsion\": 3, "
    "\"repulsion_after\": 2.5},"
    " \"average\": 0.999, \"seed\": 9007199254740991, \"algo\": \"sparse\"}";

static void expect_whole(dcls_context *ctx, dcls_recipe *recipe)
{
    assert_ok(ctx, dcls_recipe_check(ctx, recipe));
    assert_string_equal(recipe->create.arch, "convmixer");
    assert_int_equal(recipe->create.setting_count, 4);
    assert_string_equal(recipe->create.settings[0], "dim=64");
    assert_string_equal(recipe->create.settings[1], "dims=8,16");
    assert_string_equal(recipe->create.settings[2], "3.*:version=gauss");
    assert_string_equal(recipe->create.settings[3], "drop_path=0.1");
    assert_int_equal(recipe->create.classes, 2);
    assert_string_equal(recipe->create.labels[1], "dog, or not");
    assert_true(recipe->replace.dilated);
    assert_string_equal(recipe->replace.layers, "*.conv2");
    assert_string_equal(recipe->train, "/data/train");
    assert_int_equal(recipe->data.kind, DCLS_DATASET_FOLDERS);
    assert_int_equal(recipe->data.class_count, 2);
    assert_string_equal(recipe->data.classes[0], "cat");
    assert_int_equal(recipe->data.limit, 100);
    assert_int_equal(recipe->loader.cache_bytes, 3 << 20);
    assert_int_equal(recipe->trainer.batch, 128);
    assert_int_equal(recipe->trainer.height, 360);
    assert_int_equal(recipe->loader.width, 480);
    assert_true(recipe->loader.augment.scale_max == 2 && !recipe->loader.augment.flip);
    assert_true(recipe->loader.augment.hue == 0.1 && recipe->loader.augment.mixup == 0.2);
    assert_int_equal(recipe->trainer.optimizer, DCLS_SGD);
    assert_true(recipe->trainer.momentum == 0.95 && recipe->trainer.nesterov);
    assert_int_equal(recipe->trainer.freeze_count, 2);
    assert_string_equal(recipe->trainer.freeze[1], "*.P");
    assert_int_equal(recipe->trainer.rate_count, 1);
    assert_string_equal(recipe->trainer.rates[0], "head.*=0.5");
    assert_int_equal(recipe->schedule.kind, DCLS_SCHEDULE_POLY);
    assert_true(recipe->trainer.class_weights[1] == 0.1f && recipe->class_weight_count == 2);
    assert_true(recipe->trainer.average == 0.999);
    assert_int_equal(recipe->trainer.seed, UINT64_C(9007199254740991));
    assert_int_equal(recipe->create.seed, UINT64_C(9007199254740991));
    assert_int_equal(recipe->trainer.algo, DCLS_ALGO_SPARSE);
    assert_ok(ctx, dcls_recipe_plan(ctx, recipe, 100));
    assert_int_equal(recipe->schedule.steps, 1200);
    assert_int_equal(recipe->schedule.warmup, 150);
    assert_true(recipe->trainer.repulsion == 3);
    assert_int_equal(recipe->trainer.repulsion_after, 250);
}

static void whole_and_back(void **state)
{
    dcls_context *ctx = *state;
    dcls_recipe *recipe = read_recipe(ctx, WHOLE);
    expect_whole(ctx, recipe);
    const char *text, *again;
    assert_ok(ctx, dcls_recipe_text(ctx, recipe, &text));
    dcls_recipe *second;
    assert_ok(ctx, dcls_recipe_create(ctx, &second));
    assert_ok(ctx, dcls_recipe_read(ctx, second, text, "/another/folder"));
    char here[4096], val[4200];
    assert_non_null(getcwd(here, sizeof here));
    snprintf(val, sizeof val, "%s/val", here);
    assert_string_equal(second->val, val);
    expect_whole(ctx, second);
    assert_ok(ctx, dcls_recipe_text(ctx, second, &again));
    assert_string_equal(text, again);
    dcls_recipe_destroy(second);
    dcls_recipe_destroy(recipe);
}

/* Settings are written as they stand in recipes that people write. */
static void settings_as_an_object(void **state)
{
    dcls_context *ctx = *state;
    dcls_recipe *recipe =
        read_recipe(ctx, "{\"model\": {\"settings\": [\"dim=64\", \"dims=8,16\", \"a=1,b\", "
                         "\"position_sigma=20%\", \"x=007\", \"share=true\", \"*.P:v=v1\"]}}");
    const char *text;
    assert_ok(ctx, dcls_recipe_text(ctx, recipe, &text));
    assert_non_null(
        strstr(text, "\"settings\": {\"dim\": 64, \"dims\": [8, 16], \"a\": \"1,b\", "
                     "\"position_sigma\": \"20%\", \"x\": \"007\", \"share\": true, \"*.P:v\": \"v1\"}"));
    dcls_recipe *again = read_recipe(ctx, text);
    assert_int_equal(again->create.setting_count, recipe->create.setting_count);
    for (size_t i = 0; i < recipe->create.setting_count; i++)
        assert_string_equal(again->create.settings[i], recipe->create.settings[i]);
    dcls_recipe_destroy(again);
    dcls_recipe_destroy(recipe);
}

static void flags(void **state)
{
    dcls_context *ctx = *state;
    dcls_recipe *recipe = read_recipe(ctx, WHOLE);
    static const char *const SET[][2] = {
        {"epochs", "3"},
        {"rate", "1e-4"},
        {"size", "64"},
        {"schedule", "poly"},
        {"set", ""},
        {"set", "dim=8"},
        {"set", "depth=2"},
        {"class-weights", "balanced"},
        {"graph", "g.json"},
        {"data.val", ""},
        {"freeze", ""},
        {"optimizer.beta1", "0.5"},
        {"area", "0.08,1"},
        {"scale", "0,0"},
        {"share-positions", "true"},
    };
    for (size_t i = 0; i < sizeof SET / sizeof SET[0]; i++)
        assert_ok(ctx, dcls_recipe_set(ctx, recipe, SET[i][0], SET[i][1]));
    assert_int_equal(recipe->epochs, 3);
    assert_true(recipe->schedule.rate == 1e-4);
    assert_int_equal(recipe->loader.width, 64);
    assert_int_equal(recipe->schedule.kind, DCLS_SCHEDULE_POLY);
    assert_int_equal(recipe->create.setting_count, 2);
    assert_string_equal(recipe->create.settings[1], "depth=2");
    assert_true(recipe->balanced && recipe->trainer.class_weights == NULL);
    assert_string_equal(recipe->graph, "g.json");
    assert_null(recipe->create.arch); /* the graph took its place */
    assert_null(recipe->val);
    assert_int_equal(recipe->trainer.freeze_count, 0);
    assert_true(recipe->trainer.beta1 == 0.5 && recipe->loader.augment.area_min == 0.08);
    assert_true(recipe->trainer.share_positions);
    for (int i = 0; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof text, "k%d=%d", i, i);
        assert_ok(ctx, dcls_recipe_set(ctx, recipe, "model.settings", text));
    }
    assert_int_equal(recipe->create.setting_count, 102);
    assert_string_equal(recipe->create.settings[64], "k62=62");
    assert_ok(ctx, dcls_recipe_set(ctx, recipe, "model.settings", "k62=7")); /* in place of the earlier one */
    assert_int_equal(recipe->create.setting_count, 102);
    assert_string_equal(recipe->create.settings[64], "k63=63");
    assert_string_equal(recipe->create.settings[101], "k62=7");
    dcls_recipe_destroy(recipe);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void files_and_bases(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    write_text(temp_file(&dir, "base.json"),
               "{\"model\": {\"graph\": \"net.json\"}, \"schedule\": {\"epochs\": 7, \"rate\": 0.5},"
               " \"data\": {\"train\": \"t\"},"
               " \"distill\": {\"teachers\": [\"a.bin\", \"builtin:x\", \"/b.bin\"]}}");
    write_text(temp_file(&dir, "net.json"), "{\"model\": {}}");
    write_text(temp_file(&dir, "twin.json"), "{\"schedule\": {\"rate\": 0.25}, \"base\": \"base.json\"}");
    write_text(temp_file(&dir, "other.json"),
               "{\"base\": \"base.json\", \"model\": {\"arch\": \"deeplabv3\"}}");
    write_text(temp_file(&dir, "round.json"), "{\"base\": \"round.json\"}");
    write_text(temp_file(&dir, "wrong.json"), "{\"base\": \"base2.json\"}");
    write_text(temp_file(&dir, "base2.json"), "{\"batsch\": 3}");
    write_text(temp_file(&dir, "lost.json"), "{\"base\": \"nowhere.json\"}");
    write_text(temp_file(&dir, "mixer.json"),
               "{\"model\": {\"arch\": \"convmixer\", \"settings\": {\"dim\": 64, \"depth\": 5}, "
               "\"whiten\": \"0\"}}");
    write_text(temp_file(&dir, "deep.json"),
               "{\"base\": \"mixer.json\", \"model\": {\"settings\": {\"depth\": 2, \"patch_size\": 1}}}");
    write_text(temp_file(&dir, "list.json"), "{\"base\": \"weighs.json\", \"loss\": {\"class_weights\": []}, "
                                             "\"model\": {\"settings\": [\"depth=2\"]}}");
    write_text(temp_file(&dir, "weighs.json"),
               "{\"base\": \"mixer.json\", \"loss\": {\"class_weights\": [1, 2]}}");
    write_text(
        temp_file(&dir, "lab.json"),
        "{\"base\": \"mixer.json\", \"model\": {\"arch\": \"deeplabv3\", \"settings\": {\"dim\": 8}}}");
    dcls_recipe *recipe;
    assert_ok(ctx, dcls_recipe_create(ctx, &recipe));
    assert_ok(ctx, dcls_recipe_load(ctx, recipe, temp_file(&dir, "twin.json")));
    assert_int_equal(recipe->epochs, 7);
    assert_true(recipe->schedule.rate == 0.25); /* its own word counts, wherever it stands */
    assert_string_equal(recipe->graph, temp_file(&dir, "net.json"));
    assert_int_equal(recipe->teacher_count, 3);
    assert_string_equal(recipe->teachers[0], temp_file(&dir, "a.bin"));
    assert_string_equal(recipe->teachers[1], "builtin:x");
    assert_string_equal(recipe->teachers[2], "/b.bin");
    assert_ok(ctx, dcls_recipe_check(ctx, recipe));
    assert_string_equal(recipe->create.arch_json, "{\"model\": {}}");
    assert_ok(ctx, dcls_recipe_load(ctx, recipe, temp_file(&dir, "other.json")));
    assert_null(recipe->graph);
    assert_string_equal(recipe->create.arch, "deeplabv3");
    assert_ok(ctx, dcls_recipe_load(ctx, recipe, temp_file(&dir, "deep.json"))); /* an object adds .. */
    assert_int_equal(recipe->create.setting_count, 3);
    assert_string_equal(recipe->create.settings[0], "dim=64");
    assert_string_equal(recipe->create.settings[1], "depth=2");
    assert_string_equal(recipe->create.settings[2], "patch_size=1");
    assert_ok(ctx, dcls_recipe_load(ctx, recipe, temp_file(&dir, "weighs.json")));
    assert_int_equal(recipe->class_weight_count, 2);
    assert_ok(ctx, dcls_recipe_load(ctx, recipe, temp_file(&dir, "list.json"))); /* .. a list replaces */
    assert_int_equal(recipe->create.setting_count, 1);
    assert_int_equal(recipe->class_weight_count, 0);                            /* an empty one takes back */
    assert_ok(ctx, dcls_recipe_load(ctx, recipe, temp_file(&dir, "lab.json"))); /* those of another network */
    assert_int_equal(recipe->create.setting_count, 1);
    assert_string_equal(recipe->create.settings[0], "dim=8");
    assert_null(recipe->whiten);
    check_outcome(ctx, "lost", dcls_recipe_load(ctx, recipe, temp_file(&dir, "lost.json")), DCLS_ERR_IO,
                  "nowhere.json: cannot open");
    check_outcome(ctx, "round", dcls_recipe_load(ctx, recipe, temp_file(&dir, "round.json")),
                  DCLS_ERR_ARGUMENT, "begin with each other");
    assert_null(strstr(dcls_context_message(ctx), "round.json"));
    check_outcome(ctx, "wrong", dcls_recipe_load(ctx, recipe, temp_file(&dir, "wrong.json")),
                  DCLS_ERR_ARGUMENT, "base2.json: unknown key 'batsch' (did you mean 'batch'?)");
    check_outcome(ctx, "none", dcls_recipe_load(ctx, recipe, temp_file(&dir, "none.json")), DCLS_ERR_IO,
                  NULL);
    dcls_recipe_destroy(recipe);
    static const char *const FILES[] = {"base.json",  "net.json",   "twin.json",  "other.json", "round.json",
                                        "wrong.json", "base2.json", "lost.json",  "mixer.json", "deep.json",
                                        "list.json",  "lab.json",   "weighs.json"};
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++)
        unlink(temp_file(&dir, FILES[i]));
    rmdir(dir.path);
}

static char *read_manual(void)
{
    FILE *file = fopen("man/dcls-recipe.5", "r");
    if (file == NULL) return NULL;
    char *text = calloc(1, 1 << 16);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

/* The manual has every key with its default, and its example is one. */
static void the_manual(void **state)
{
    dcls_context *ctx = *state;
    char *text = read_manual(), line[200];
    if (text == NULL) skip();
    for (size_t i = 0; i < dcls_recipe_key_count(); i++) {
        const dcls_recipe_key key = dcls_recipe_key_at(i);
        const bool short_too = key.flag != NULL && strcmp(key.flag, key.key) != 0;
        snprintf(line, sizeof line, "\n.It Va %s%s%s\n", key.key, short_too ? " Pq Va " : "",
                 short_too ? key.flag : "");
        const char *at = strstr(text, line);
        if (at == NULL) {
            fail_msg("the manual lacks '%s'", line);
            return;
        }
        const char *end = strstr(at + 1, "\n.It"), *said = strstr(at, "\nDefault: ");
        if (key.fallback == NULL || strcmp(key.key, "size") == 0) continue;
        snprintf(line, sizeof line, "\nDefault: %s.\n", key.fallback);
        if (said == NULL || said > end || strncmp(said, line, strlen(line)) != 0)
            fail_msg("the manual's default of %s is not %s", key.key, key.fallback);
    }
    char *json = strstr(text, "\n{\n"), *end = strstr(text, "\n}\n.Ed");
    assert_non_null(json);
    assert_non_null(end);
    end[2] = '\0';
    dcls_recipe *recipe = read_recipe(ctx, json);
    assert_ok(ctx, dcls_recipe_check(ctx, recipe));
    assert_int_equal(recipe->epochs, 60);
    dcls_model *model; /* and its settings are some */
    recipe->create.classes = 2;
    assert_ok(ctx, dcls_model_create(ctx, &recipe->create, &model));
    dcls_model_destroy(model);
    dcls_recipe_destroy(recipe);
    free(text);
}

typedef struct wrong_row {
    const char *json;
    dcls_status status;
    const char *part;
} wrong_row;

static void what_is_refused(void **state)
{
    dcls_context *ctx = *state;
    static const wrong_row ROWS[] = {
        {"{\"optimizer\": {\"momentm\": 1}}", DCLS_ERR_ARGUMENT,
         "unknown key 'optimizer.momentm' (did you mean 'optimizer.momentum'?)"},
        {"{\"optimiser\": {\"momentum\": 1}}", DCLS_ERR_ARGUMENT, "did you mean 'optimizer.momentum'?"},
        {"{\"epochs\": 3}", DCLS_ERR_ARGUMENT, "unknown key 'epochs' (did you mean 'schedule.epochs'?)"},
        {"{\"epoch\": 3}", DCLS_ERR_ARGUMENT, "unknown key 'epoch' (did you mean 'schedule.epochs'?)"},
        {"{\"optimizer\": {\"lr\": 1}}", DCLS_ERR_ARGUMENT, "(did you mean 'schedule.rate'?)"},
        {"{\"optimizer\": {\"rate\": 1}}", DCLS_ERR_ARGUMENT, "(did you mean 'schedule.rate'?)"},
        {"{\"batch_size\": 1}", DCLS_ERR_ARGUMENT, "unknown key 'batch_size' (did you mean 'batch'?)"},
        {"{\"optimizer\": {\"kind\": \"adam\"}}", DCLS_ERR_ARGUMENT,
         "must be one of 'sgd', 'adamw' (did you mean 'adamw'?)"},
        {"{\"format\": \"dcls-model\", \"model\": {}}", DCLS_ERR_ARGUMENT, "--graph trains it"},
        {"{\"optimizer\": \"sgd\"}", DCLS_ERR_ARGUMENT,
         "'optimizer' must be an object of keys, not a string"},
        {"{\"batch\": {}}", DCLS_ERR_ARGUMENT, "'batch' must be a number, not an object"},
        {"{\"batch\": \"12\"}", DCLS_ERR_ARGUMENT, "'batch' must be a number, not a string"},
        {"{\"batch\": 0}", DCLS_ERR_ARGUMENT, "'batch' is '0', must be a whole number from 1 to 65536"},
        {"{\"batch\": 1.5}", DCLS_ERR_ARGUMENT, "'batch' is '1.5', must be a whole number"},
        {"{\"batch\": 1e300}", DCLS_ERR_ARGUMENT, "must be a whole number from 1"},
        {"{\"seed\": -1}", DCLS_ERR_ARGUMENT, "'seed' is '-1'"},
        {"{\"size\": [1, 2, 3]}", DCLS_ERR_ARGUMENT, "HEIGHTxWIDTH"},
        {"{\"size\": []}", DCLS_ERR_ARGUMENT, "'size' must be a number or [height, width]"},
        {"{\"augment\": {\"scale\": [2, 0.5]}}", DCLS_ERR_ARGUMENT, "'augment.scale' is '2,0.5'"},
        {"{\"augment\": {\"flip\": 1}}", DCLS_ERR_ARGUMENT, "must be true or false, not a number"},
        {"{\"schedule\": {\"kind\": \"cosin\"}}", DCLS_ERR_ARGUMENT,
         "must be one of 'constant', 'cosine', 'onecycle', 'poly'"},
        {"{\"model\": {\"arch\": \"resnet\"}}", DCLS_ERR_ARGUMENT,
         "'convmixer', 'convnext_dcls', 'deeplabv3'"},
        {"{\"model\": {\"settings\": [3]}}", DCLS_ERR_ARGUMENT,
         "'model.settings' has an entry that is a number"},
        {"{\"model\": {\"settings\": {\"dim\": {}}}}", DCLS_ERR_ARGUMENT, "an entry that is an object"},
        {"{\"optimizer\": {\"freeze\": \"*\"}}", DCLS_ERR_ARGUMENT, "must be a list of strings"},
        {"{\"loss\": {\"class_weights\": [1, \"a\"]}}", DCLS_ERR_ARGUMENT, "must be a list of numbers"},
        {"{\"loss\": {\"class_weights\": \"even\"}}", DCLS_ERR_ARGUMENT,
         "a number for each class, or 'balanced'"},
        {"{\"base\": 3}", DCLS_ERR_ARGUMENT, "'base' must be the name of a recipe"},
        {"{\"batch\": 1, \"batch\": 2}", DCLS_ERR_ARGUMENT, "twice"},
        {"{\"nothing\": {}}", DCLS_ERR_ARGUMENT, "unknown key 'nothing'"},
        {"[]", DCLS_ERR_ARGUMENT, "a recipe is an object, not an array"},
        {"{", DCLS_ERR_ARGUMENT, NULL},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        dcls_recipe *recipe;
        assert_ok(ctx, dcls_recipe_create(ctx, &recipe));
        check_outcome(ctx, ROWS[i].json, dcls_recipe_read(ctx, recipe, ROWS[i].json, NULL), ROWS[i].status,
                      ROWS[i].part);
        dcls_recipe_destroy(recipe);
    }
}

/* What each key allows and keys together do not. */
static void what_does_not_go_together(void **state)
{
    dcls_context *ctx = *state;
    static const char *const BASE =
        "{\"model\": {\"arch\": \"convmixer\", \"classes\": 2}, \"data\": {\"train\": \"t\"}}";
    static const struct {
        const char *key, *value, *part;
    } ROWS[] = {
        {"arch", "", "a model to go on with (model.file, --model)"},
        {"data.train", "", "training data is missing"},
        {"model.labels", "cat", "model.classes is 2, but there are 1 model.labels"},
        {"class-weights", "1,2,3", "has 3 numbers for 2 classes"},
        {"schedule.floor", "0.5", "is above schedule.rate"},
        {"warmup", "31", "longer than the 30 epochs"},
        {"scale", "0,2", "augment.scale starts at 0"},
        {"area", "0,1", "augment.area starts at 0"},
        {"graph", "/nowhere/at.all", "/nowhere/at.all: "},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        dcls_recipe *recipe = read_recipe(ctx, BASE);
        assert_ok(ctx, dcls_recipe_set(ctx, recipe, ROWS[i].key, ROWS[i].value));
        const dcls_status want = i + 1 < sizeof ROWS / sizeof ROWS[0] ? DCLS_ERR_ARGUMENT : DCLS_ERR_IO;
        check_outcome(ctx, ROWS[i].key, dcls_recipe_check(ctx, recipe), want, ROWS[i].part);
        dcls_recipe_destroy(recipe);
    }
    dcls_recipe *recipe = read_recipe(ctx, "{\"model\": {\"file\": \"m\", \"arch\": \"convmixer\"}}");
    check_outcome(ctx, "two", dcls_recipe_check(ctx, recipe), DCLS_ERR_ARGUMENT, "only one of");
    check_outcome(ctx, "flag", dcls_recipe_set(ctx, recipe, "epoch", "3"), DCLS_ERR_ARGUMENT,
                  "did you mean 'schedule.epochs'?");
    check_outcome(ctx, "plan", dcls_recipe_plan(ctx, recipe, INT64_MAX), DCLS_ERR_ARGUMENT, "epochs of");
    dcls_recipe_destroy(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(defaults),
        CONTEXT_TEST(whole_and_back),
        CONTEXT_TEST(settings_as_an_object),
        CONTEXT_TEST(flags),
        CONTEXT_TEST(files_and_bases),
        CONTEXT_TEST(the_manual),
        CONTEXT_TEST(what_is_refused),
        CONTEXT_TEST(what_does_not_go_together),
    };
    return cmocka_run_group_tests_name("recipe", tests, NULL, NULL);
}
