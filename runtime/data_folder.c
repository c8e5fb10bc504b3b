/* data_folder.c: a folder of class folders with JPEG or PNG files.
 *
 *     DIR/train/cat/any/below/0001.jpg       to train
 *     DIR/test/cat/0002.png                  to test; or val, validation
 *     DIR/cat/0001.jpg                       without train: all to train
 *
 * Classes are numbered in the order of their names (bytes) in the training
 * folder, pictures in that of theirs, so that neither depends on the system.
 * What is decoded, and where it is kept: data_pictures.h. */
#include "data.h"
#include "data_pictures.h"
#include "rng.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { DEPTH_MOST = 8, SHOWN = 5 };

typedef struct Found {
    char *path;
    int64_t size, time; /* in ns */
    int32_t class;
} Found;

typedef struct Listing {
    char **class; /* names, sorted */
    int64_t classes, class_room;
    Found *file;
    int64_t files, file_room;
} Listing;

static void listing_free(Listing *l)
{
    for (int64_t i = 0; i < l->classes; i++)
        free(l->class[i]);
    for (int64_t i = 0; i < l->files; i++)
        free(l->file[i].path);
    free(l->class);
    free(l->file);
    *l = (Listing){0};
}

static bool no_memory(Status *s)
{
    return status_fail(s, "there is no memory for the list of pictures");
}

/* Room for one more. */
static bool grow(void **at, int64_t n, int64_t *room, size_t size, Status *s)
{
    if (n < *room)
        return true;
    int64_t more = *room ? 2 * *room : 64;
    void *new = n < INT32_MAX ? realloc(*at, (size_t)more * size) : NULL;
    if (!new)
        return no_memory(s);
    *at = new;
    *room = more;
    return true;
}

static bool path_below(char path[PATH_MAX], const char *folder,
                       const char *name, Status *s)
{
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
        return true;
    return status_fail(s, "the path %.200s/%.200s is too long", folder, name);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

static bool is_picture(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && i < 3; i++)
        if (!strcasecmp(dot, endings[i]))
            return true;
    return false;
}

/* ---- listing ------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_class(const void *a, const void *b)
{
    const Found *x = a, *y = b;
    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* The folders in `root`; hidden ones are nobody's classes. */
static bool list_classes(Listing *l, const char *root, Status *s)
{
    DIR *dir = opendir(root);
    if (!dir)
        return status_errno(s, "read the folder", root, NULL);
    char path[PATH_MAX];
    for (struct dirent *e; !s->failed && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || !path_below(path, root, e->d_name, s) ||
            !is_folder(path) ||
            !grow((void **)&l->class, l->classes, &l->class_room,
                  sizeof *l->class, s))
            continue;
        l->class[l->classes] = strdup(e->d_name);
        if (l->class[l->classes])
            l->classes++;
        else
            no_memory(s);
    }
    closedir(dir);
    if (l->classes)
        qsort(l->class, (size_t)l->classes, sizeof *l->class, by_name);
    return !s->failed;
}

static bool list_file(Listing *l, const char *path, int32_t class,
                      const struct stat *info, Status *s)
{
    if (!grow((void **)&l->file, l->files, &l->file_room, sizeof *l->file, s))
        return false;
    char *kept = strdup(path);
    if (!kept)
        return no_memory(s);
    l->file[l->files++] = (Found){
        kept, info->st_size,
        info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec, class};
    return true;
}

/* All pictures below; links may make circles, so not too deep. */
static bool list_files(Listing *l, const char *folder, int32_t class, int depth,
                       Status *s)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return status_errno(s, "read the folder", folder, NULL);
    char *path = malloc(PATH_MAX);
    if (!path)
        no_memory(s);
    for (struct dirent *e; !s->failed && (e = readdir(dir));) {
        struct stat info;
        if (e->d_name[0] == '.' || !path_below(path, folder, e->d_name, s) ||
            stat(path, &info))
            continue;
        if (S_ISDIR(info.st_mode) && depth < DEPTH_MOST)
            list_files(l, path, class, depth + 1, s);
        else if (S_ISREG(info.st_mode) && is_picture(e->d_name))
            list_file(l, path, class, &info, s);
    }
    free(path);
    closedir(dir);
    return !s->failed;
}

/* ---- which folders ------------------------------------------------------- */

static bool find_folder(char path[PATH_MAX], const char *dir,
                        const char *const *names, Status *s)
{
    for (; *names; names++) {
        if (!path_below(path, dir, *names, s))
            return false;
        if (is_folder(path))
            return true;
    }
    return false;
}

/* Where the pictures of the request are, and where the classes come from. */
static bool find_roots(const DataRequest *r, const char *get,
                       char root[PATH_MAX], char classes[PATH_MAX], Status *s)
{
    static const char *const train[] = {"train", "training", NULL};
    static const char *const test[] = {"test", "val", "validation", "testing",
                                       NULL};
    if (!is_folder(r->dir))
        return status_fail(s, "%s is not a folder; %s", r->dir, get);
    bool split = find_folder(classes, r->dir, train, s);
    if (!s->failed && !r->train && !find_folder(root, r->dir, test, s))
        return !s->failed &&
               status_fail(s,
                           "there is no folder test, val or validation in %s; "
                           "--set data.validation=0.1 evaluates on a part of "
                           "the training pictures",
                           r->dir);
    if (s->failed)
        return false;
    if (!split && !r->train)
        snprintf(classes, PATH_MAX, "%s", root);
    else if (!split && !find_folder(classes, r->dir, test, s))
        snprintf(classes, PATH_MAX, "%s", r->dir);
    else if (!split)
        return status_fail(s, "there is no folder train in %s; %s", r->dir,
                           get);
    if (r->train)
        snprintf(root, PATH_MAX, "%s", classes);
    return true;
}

static const char *some_names(const Listing *l, char *text, size_t size)
{
    size_t at = 0;
    *text = 0;
    for (int64_t i = 0; i < l->classes && i < SHOWN && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%.30s", i ? ", " : "",
                               l->class[i]);
    if (l->classes > SHOWN && at < size)
        snprintf(text + at, size - at, ", ..");
    return text;
}

static bool check_classes(const Listing *l, const DataRequest *r,
                          const char *root, const char *get, Status *s)
{
    char text[256];
    if (!l->classes)
        return status_fail(s, "%s has no class folders in it; %s", root, get);
    return !r->classes || l->classes == r->classes ||
           status_fail(s,
                       "%s has %lld class folders (%s), but the model has %lld "
                       "classes",
                       root, (long long)l->classes,
                       some_names(l, text, sizeof text), (long long)r->classes);
}

/* A folder of the test pictures must be a class of the training's. */
static bool check_same(const Listing *l, const char *root, const char *classes,
                       Status *s)
{
    Listing here = {0};
    bool good = list_classes(&here, root, s);
    for (int64_t i = 0; good && i < here.classes; i++)
        if (!bsearch(&here.class[i], l -> class, (size_t)l -> classes,
                     sizeof *l->class, by_name))
            good = status_fail(s, "%s has a folder %.100s, but %s has none",
                               root, here.class[i], classes);
    listing_free(&here);
    return good;
}

static bool list_all(Listing *l, const DataRequest *r, const char *root,
                     const char *classes, const char *get, Status *s)
{
    if (!list_classes(l, classes, s) || !check_classes(l, r, classes, get, s) ||
        !check_same(l, root, classes, s))
        return false;
    for (int64_t i = 0; i < l->classes; i++) {
        char folder[PATH_MAX];
        int64_t before = l->files;
        if (!path_below(folder, root, l->class[i], s))
            return false;
        if (!is_folder(folder) && strcmp(root, classes))
            continue; /* a class that no test picture has */
        if (!list_files(l, folder, (int32_t)i, 0, s))
            return false;
        if (l->files == before)
            return status_fail(s,
                               "%s has no pictures in it (.jpg, .jpeg, .png); "
                               "take the folder away, or get its files again",
                               folder);
    }
    qsort(l->file, (size_t)l->files, sizeof *l->file, by_class);
    return true;
}

/* ---- the set ------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static uint64_t key_of_fit(const PictureFit *f)
{
    return mix(mix(mix(mix(1, (uint64_t)f->c), (uint64_t)f->h), (uint64_t)f->w),
               f->resize);
}

/* Names below the root alone: a set that is moved stays what it is. */
static uint64_t key_of(const Listing *l, const char *root, const PictureFit *f)
{
    uint64_t h = key_of_fit(f);
    for (int64_t i = 0; i < l->files; i++) {
        const Found *x = &l->file[i];
        h = mix(h, rng_hash(x->path + strlen(root)));
        h = mix(mix(h, (uint64_t)x->size), (uint64_t)x->time);
    }
    return h;
}

static bool stored_size(const DataRequest *r, PictureFit *f, Status *s)
{
    int64_t side = r->h < r->w ? r->h : r->w;
    *f = (PictureFit){r->c, r->h, r->w, r->resize > 0};
    if (r->c != 1 && r->c != 3)
        return status_fail(s,
                           "pictures have 1 or 3 channels, but the model takes "
                           "%lld",
                           (long long)r->c);
    if (!r->resize)
        return true;
    f->h = r->h * r->resize / side;
    f->w = r->w * r->resize / side;
    return r->resize >= side ||
           status_fail(s,
                       "data.resize = %lld is smaller than the model's images "
                       "of %lldx%lld",
                       (long long)r->resize, (long long)r->h, (long long)r->w);
}

static bool fill_set(DataSet *set, Listing *l, Status *s)
{
    set->n = l->files;
    set->labels = malloc((size_t)l->files * sizeof *set->labels);
    if (!set->labels)
        return no_memory(s);
    for (int64_t i = 0; i < l->files; i++)
        set->labels[i] = l->file[i].class;
    set->classes = l->classes;
    set->names = l->class; /* they move */
    l->class = NULL;
    l->classes = 0;
    return true;
}

static bool read_pictures(DataSet *set, const Listing *l, const char *root,
                          const DataRequest *r, Status *s)
{
    Pictures x = {.n = l->files, .request = r};
    char place[PATH_MAX];
    if (!stored_size(r, &x.fit, s))
        return false;
    set->c = x.fit.c;
    set->h = x.fit.h;
    set->w = x.fit.w;
    x.key = key_of(l, root, &x.fit);
    snprintf(x.name, sizeof x.name, "%016llx.pictures",
             (unsigned long long)mix(
                 key_of_fit(&x.fit),
                 rng_hash(realpath(root, place) ? place : root)));
    x.path = malloc((size_t)l->files * sizeof *x.path);
    if (!x.path)
        return no_memory(s);
    for (int64_t i = 0; i < l->files; i++)
        x.path[i] = l->file[i].path;
    bool good = data_use_pictures(set, &x, s);
    free(x.path);
    return good;
}

bool folder_read(const DataSource *source, const DataRequest *r, DataSet *set,
                 Status *s)
{
    char root[PATH_MAX], classes[PATH_MAX];
    Listing l = {0};
    bool good = find_roots(r, source->get, root, classes, s) &&
                list_all(&l, r, root, classes, source->get, s) &&
                fill_set(set, &l, s) && read_pictures(set, &l, root, r, s);
    listing_free(&l);
    return good;
}
