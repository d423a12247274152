#include "stems.h"

#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct stems {
    pthread_mutex_t lock;
    void *tree; /* of struct stem, see tsearch(3) */
};

struct stem {
    int64_t used; /* numbers up to this one are taken */
    const char *text;
    char storage[]; /* text of those in the tree */
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct stem *)a)->text, ((const struct stem *)b)->text);
}

stems *stems_create(void)
{
    stems *set = cli_alloc(1, sizeof *set);
    pthread_mutex_init(&set->lock, NULL);
    return set;
}

void stems_destroy(stems *set)
{
    if (set == NULL) return;
    tdestroy(set->tree, free);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

static struct stem *find(const stems *set, const char *text)
{
    const struct stem key = {.text = text};
    struct stem *const *found = tfind(&key, &set->tree, by_text);
    return found != NULL ? *found : NULL;
}

static void add(stems *set, const char *text)
{
    size_t size = strlen(text) + 1;
    struct stem *stem = cli_alloc(1, sizeof *stem + size);
    memcpy(stem->storage, text, size);
    stem->text = stem->storage;
    stem->used = 1;
    cli_checked(tsearch(stem, &set->tree, by_text));
}

/* Takes ownership of wanted. */
static char *take(stems *set, char *wanted)
{
    pthread_mutex_lock(&set->lock);
    struct stem *taken = find(set, wanted);
    char *text = wanted;
    while (taken != NULL && (text == wanted || find(set, text) != NULL)) {
        if (text != wanted) free(text);
        text = cli_format("%s-%" PRId64, wanted, ++taken->used);
    }
    add(set, text);
    pthread_mutex_unlock(&set->lock);
    if (text != wanted) free(wanted);
    return text;
}

char *stems_take(stems *set, const char *path)
{
    if (strcmp(path, "-") == 0) return take(set, cli_copy("stdin"));
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    bool has_suffix = dot != NULL && dot != name;
    return take(set, cli_format("%.*s", has_suffix ? (int)(dot - name) : (int)strlen(name), name));
}

char *stems_take_item(stems *set, const char *stem, int64_t index)
{
    return take(set, cli_format("%s.%" PRId64, stem, index));
}
