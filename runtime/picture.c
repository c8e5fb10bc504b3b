/* picture.c: see picture.h: files, limits, libraries. */
#include "picture.h"
#include "picture_private.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

PictureReader *picture_open(Status *s)
{
    PictureReader *p = calloc(1, sizeof *p);
    if (!p)
        status_fail(s, "there is no memory to read pictures");
    return p;
}

void picture_close(PictureReader *p)
{
    if (!p)
        return;
    picture_jpeg_close(p->jpeg);
    picture_png_close(p->png);
    free(p->picture.at);
    free(p->file.at);
    free(p->rows.at);
    free(p->taps[0].at);
    free(p->taps[1].at);
    free(p);
}

const Picture *picture_last(const PictureReader *p)
{
    return &p->picture;
}

bool picture_room(PictureRoom *r, size_t n, Status *s)
{
    if (n <= r->room)
        return true;
    free(r->at);
    r->at = malloc(n);
    r->room = r->at ? n : 0;
    return r->at || status_fail(s, "there is no memory for a picture");
}

bool picture_allocate(PictureReader *p, int64_t h, int64_t w, int64_t c,
                      Status *s)
{
    if (h < 1 || w < 1 || h > PICTURE_MOST_PIXELS / w)
        return status_fail(s, "%s has %lldx%lld pixels, where 1 to %d are read",
                           p->path, (long long)w, (long long)h,
                           PICTURE_MOST_PIXELS);
    PictureRoom r = {p->picture.at, p->picture.room};
    bool good = picture_room(&r, (size_t)(h * w * c) + PICTURE_SLACK, s);
    p->picture = (Picture){h, w, c, r.at, r.room};
    return good;
}

bool picture_was_damaged(const PictureReader *p)
{
    return p->damaged;
}

bool picture_damaged(PictureReader *p, const char *why, Status *s)
{
    p->damaged = true;
    return status_fail(s,
                       "%s is damaged: %s (get it again; data.damaged = skip "
                       "leaves such pictures out)",
                       p->path, why);
}

bool picture_library(void **library, const char *file, const char *package,
                     const char *const *names, void **to, Status *s)
{
    *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!*library)
        return status_fail(s,
                           "pictures of this kind need %s, which is not here "
                           "(install the package %s)",
                           file, package);
    for (int i = 0; names[i]; i++) {
        to[i] = dlsym(*library, names[i]);
        if (!to[i])
            return status_fail(s, "%s has no function %s: it is another one",
                               file, names[i]);
    }
    return true;
}

/* ---- a file -------------------------------------------------------------- */

bool picture_decode(PictureReader *p, const uint8_t *bytes, size_t n,
                    const char *path, Status *s)
{
    static const uint8_t png[] = {0x89, 'P', 'N', 'G'};
    snprintf(p->path, sizeof p->path, "%s", path);
    if (n > 2 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff)
        return picture_jpeg(p, bytes, n, s);
    if (n > sizeof png && !memcmp(bytes, png, sizeof png))
        return picture_png(p, bytes, n, s);
    return picture_damaged(p, n ? "it is neither JPEG nor PNG" : "it is empty",
                           s);
}

static bool read_whole(int fd, uint8_t *to, size_t n, const char *path,
                       Status *s)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, to + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_errno(s, "read", path, NULL);
        if (got == 0)
            return status_fail(s, "%s became shorter while it was read", path);
        done += (size_t)got;
    }
    return true;
}

bool picture_read(PictureReader *p, const char *path, Status *s)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    p->damaged = false;
    if (fd < 0)
        return status_errno(s, "open", path, NULL);
    bool good = !fstat(fd, &info) || status_errno(s, "open", path, NULL);
    if (good && !S_ISREG(info.st_mode))
        good = status_fail(s, "%s is not a file", path);
    if (good && info.st_size > PICTURE_MOST_BYTES)
        good = status_fail(s, "%s has %lld bytes, too many for a picture", path,
                           (long long)info.st_size);
    good = good && picture_room(&p->file, (size_t)info.st_size + 1, s) &&
           read_whole(fd, p->file.at, (size_t)info.st_size, path, s);
    close(fd);
    return good && picture_decode(p, p->file.at, (size_t)info.st_size, path, s);
}
