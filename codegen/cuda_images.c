/* cuda_images.c: see cuda_images.h. */
#include "cuda_images.h"
#include "cuda_units.h"
#include "nvrtc.h"
#include "targets.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARCHS_MOST = 8 };

typedef struct Job {
    const Nvrtc *nvrtc;
    const char *source, *arch, *path;
} Job;

/* ---- files -------------------------------------------------------------- */

static bool write_file(const char *path, const void *bytes, size_t n, Error *e)
{
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(bytes, 1, n, f) == n;
    if (f)
        ok = fclose(f) == 0 && ok;
    return ok || error_set(e, "cannot write %.200s: %s", path, strerror(errno));
}

/* NULL where it cannot be read; a zero follows the bytes. */
static char *read_file(const char *path, Arena *a, size_t *n)
{
    struct stat info;
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *bytes = NULL;
    if (fstat(fileno(f), &info) == 0) {
        bytes = arena_array(a, (size_t)info.st_size + 1, 1);
        *n = fread(bytes, 1, (size_t)info.st_size, f);
        bytes[*n] = 0;
    }
    fclose(f);
    return bytes;
}

/* ---- which -------------------------------------------------------------- */

static void add_image(const CudaBuild *b, CudaImages *images, const char *arch)
{
    const char *end = strncmp(arch, "sm_", 3) ? "ptx" : "cubin";
    for (int u = 0; u < images->n_units; u++)
        images->image[images->n++] = (CudaImage){
            .arch = arch,
            .path =
                arena_printf(b->arena, "%s/%s_%d.%s", b->folder, arch, u, end),
            .log = arena_printf(b->arena, "%s/%s_%d.log", b->folder, arch, u),
            .unit = u};
}

static bool choose_images(const CudaBuild *b, const Nvrtc *n,
                          CudaImages *images, Error *e)
{
    images->image =
        arena_array(b->arena, (size_t)ARCHS_MOST * (size_t)images->n_units,
                    sizeof *images->image);
    images->version = nvrtc_version(n);
    if (b->arch && !nvrtc_knows(n, b->arch))
        return error_set(e,
                         "this NVRTC (version %d.%d) does not know %.20s: a "
                         "newer one does",
                         images->version / 1000, images->version % 1000 / 10,
                         b->arch);
    if (b->arch) {
        add_image(b, images, b->arch);
        return true;
    }
    const char *last = NULL;
    for (int i = 0; cuda_arch_default[i]; i++)
        if (nvrtc_knows(n, cuda_arch_default[i]))
            add_image(b, images, last = cuda_arch_default[i]);
        else
            fprintf(stderr,
                    "tgc: this NVRTC (version %d.%d) does not know %s: the "
                    "program will not run there\n",
                    images->version / 1000, images->version % 1000 / 10,
                    cuda_arch_default[i]);
    if (!last)
        return error_set(e, "this NVRTC knows none of the GPUs that tgc makes "
                            "images for");
    add_image(b, images, arena_printf(b->arena, "compute_%s", last + 3));
    return true;
}

/* ---- the cache ---------------------------------------------------------- */

static CacheKey image_key(const CudaUnits *units, const CudaImages *images,
                          const CudaImage *i, Arena *a)
{
    CacheKey k = units->unit[i->unit].key;
    cache_key_add(&k, i->arch);
    cache_key_add(&k, arena_printf(a, "NVRTC %d", images->version));
    for (const char *const *o = nvrtc_options(); *o; o++)
        cache_key_add(&k, *o);
    return k;
}

static bool take_cached(const CudaUnits *units, const CudaImages *images,
                        CudaImage *i, Arena *a)
{
    CacheEntry entry;
    Error ignored;
    CacheKey k = image_key(units, images, i, a);
    if (!cache_get(&k, a, &entry) ||
        !write_file(i->path, entry.image, entry.bytes, &ignored) ||
        !write_file(i->log, entry.log, strlen(entry.log), &ignored))
        return false;
    i->bytes = (int64_t)entry.bytes;
    return i->cached = true;
}

static bool keep_cached(const CudaUnits *units, const CudaImages *images,
                        CudaImage *i, Arena *a, Error *e)
{
    size_t n, log_bytes;
    const char *image = read_file(i->path, a, &n);
    const char *log = read_file(i->log, a, &log_bytes);
    if (!image)
        return error_set(e, "cannot read %.200s: %s", i->path, strerror(errno));
    i->bytes = (int64_t)n;
    CacheKey k = image_key(units, images, i, a);
    cache_put(&k, &(CacheEntry){image, log ? log : "", n});
    return true;
}

/* ---- compiling ---------------------------------------------------------- */

/* In a child: the log goes to standard output, which is its file. */
static int compile_image(void *data)
{
    const Job *j = data;
    NvrtcOutput out;
    Error e = {{0}};
    bool ok =
        nvrtc_compile(j->nvrtc, j->source, "kernels.cu", j->arch, &out, &e);
    if (out.log)
        fputs(out.log, stdout);
    ok = ok && write_file(j->path, out.image, out.bytes, &e);
    if (!ok)
        printf("%s\n", e.text);
    fflush(stdout);
    return !ok;
}

/* The kernel at a line of the source: what it computes, and where in the
 * model. */
static const char *kernel_at(const CudaBuild *b, const char *source, int line)
{
    const char *at = source, *best = "the prelude";
    for (; line > 1 && (at = strchr(at, '\n')); line--)
        at++;
    size_t before = at ? (size_t)(at - source) : strlen(source);
    const char *last = source;
    for (size_t i = 0; i < b->kernels->n_kernels; i++) {
        const KernelText *k = &b->kernels->kernel[i];
        const char *found = strstr(last, k->about);
        if (!found || (size_t)(found - source) > before)
            break;
        last = found + 1;
        best = k->what;
    }
    return best;
}

/* "kernels.cu(1234): error: .." */
static void say_refusal(const CudaBuild *b, const CudaImage *i,
                        const char *source, bool *refused, Error *e)
{
    size_t n;
    const char *log = read_file(i->log, b->arena, &n);
    const char *error = log ? strstr(log, "): error") : NULL;
    const char *open = error;
    while (open && open > log && *open != '(')
        open--;
    *refused = log && strstr(log, "NVRTC refuses");
    if (open && *open == '(')
        error_set(e,
                  "NVRTC refuses the kernel of %.150s for %.20s; the source is "
                  "%.100s/kernels.cu, line %d\n%.250s",
                  kernel_at(b, source, atoi(open + 1)), i->arch, b->folder,
                  atoi(open + 1), error + 3);
    else if (*refused)
        error_set(e,
                  "NVRTC refuses the kernels for %.20s; the source is "
                  "%.100s/kernels.cu\n%.300s",
                  i->arch, b->folder, log);
    else
        error_set(e, "compiling for %.20s failed\n%.400s", i->arch,
                  log ? log : "");
}

typedef struct Missing {
    Command *command;
    Job *job;
    int *number; /* of its image */
    int n;
} Missing;

static Missing list_missing(const CudaBuild *b, const Nvrtc *n,
                            const CudaImages *images, const CudaUnits *units)
{
    size_t most = (size_t)images->n + 1;
    Missing m = {arena_array(b->arena, most, sizeof *m.command),
                 arena_array(b->arena, most, sizeof *m.job),
                 arena_array(b->arena, most, sizeof *m.number), 0};
    char **name = arena_array(b->arena, 2, sizeof *name);
    name[0] = "NVRTC";
    for (int i = images->n; i-- > 0;) { /* the largest architectures first */
        const CudaImage *image = &images->image[i];
        if (image->cached)
            continue;
        unlink(image->log);
        m.job[m.n] =
            (Job){n, units->unit[image->unit].source, image->arch, image->path};
        m.command[m.n] =
            (Command){name, image->log, compile_image, &m.job[m.n]};
        m.number[m.n++] = i;
    }
    return m;
}

static bool compile_missing(const CudaBuild *b, const Nvrtc *n,
                            CudaImages *images, const CudaUnits *units,
                            bool *refused, Error *e)
{
    int failed = 0;
    Missing m = list_missing(b, n, images, units);
    if (!process_run(m.command, m.n, b->jobs, b->signals, &failed, e)) {
        if (!process_interrupted())
            say_refusal(b, &images->image[m.number[failed]], units->text,
                        refused, e);
        return false;
    }
    for (int i = 0; i < m.n; i++)
        if (!keep_cached(units, images, &images->image[m.number[i]], b->arena,
                         e))
            return false;
    if (m.n)
        cache_trim();
    return true;
}

bool cuda_images_build(const CudaBuild *b, CudaImages *images, bool *refused,
                       Error *e)
{
    *images = (CudaImages){0};
    *refused = false;
    Nvrtc *n = nvrtc_open(e);
    if (!n)
        return false;
    CudaUnits units = cuda_units(b->kernels, b->arena);
    images->n_units = units.n;
    const char *path = arena_printf(b->arena, "%s/kernels.cu", b->folder);
    bool ok = choose_images(b, n, images, e) &&
              write_file(path, units.text, strlen(units.text), e);
    for (int i = 0; ok && i < images->n; i++)
        take_cached(&units, images, &images->image[i], b->arena);
    ok = ok && compile_missing(b, n, images, &units, refused, e);
    for (int i = 0; ok && b->verbose && i < images->n; i += units.n)
        cuda_images_report(b, images, &images->image[i], stderr);
    nvrtc_close(n);
    return ok;
}

bool cuda_images_print_ptx(const CudaBuild *b, FILE *out, Error *e)
{
    Nvrtc *n = nvrtc_open(e);
    if (!n)
        return false;
    const char *arch = b->arch;
    for (int i = 0; !b->arch && cuda_arch_default[i]; i++)
        if (!arch || nvrtc_knows(n, cuda_arch_default[i]))
            arch = cuda_arch_default[i];
    NvrtcOutput o;
    bool ok =
        nvrtc_compile(n, cuda_units(b->kernels, b->arena).text, "kernels.cu",
                      arena_printf(b->arena, "compute_%s", arch + 3), &o, e);
    if (ok)
        fputs(o.image, out);
    else if (o.log)
        fputs(o.log, stderr);
    nvrtc_output_free(&o);
    nvrtc_close(n);
    return ok;
}

/* ---- the report --------------------------------------------------------- */

static const KernelText *kernel_named(const Kernels *k, const char *name,
                                      size_t length)
{
    for (size_t i = 0; i < k->n_kernels; i++)
        if (strlen(k->kernel[i].name) == length &&
            !strncmp(k->kernel[i].name, name, length))
            return &k->kernel[i];
    return NULL;
}

/* The number before `what`, within this entry of the log. */
static int number_before(const char *entry, const char *end, const char *what)
{
    const char *at = strstr(entry, what);
    if (!at || at > end)
        return 0;
    while (at > entry && (at[-1] == ' ' || (at[-1] >= '0' && at[-1] <= '9')))
        at--;
    return atoi(at);
}

static void report_log(const CudaBuild *b, const CudaImage *image, FILE *out)
{
    size_t n;
    static const char mark[] = "Compiling entry function '";
    const char *log = read_file(image->log, b->arena, &n);
    for (const char *at = log; at && (at = strstr(at, mark));) {
        at += strlen(mark);
        const char *next = strstr(at, mark);
        const char *end = next ? next : log + n;
        const KernelText *k = kernel_named(b->kernels, at, strcspn(at, "'"));
        fprintf(out,
                "tgc: %s %.*s: %d registers, %d bytes shared, %d bytes "
                "spilled: %s\n",
                image->arch, (int)strcspn(at, "'"), at,
                number_before(at, end, " registers"),
                number_before(at, end, " bytes smem"),
                number_before(at, end, " bytes spill stores"),
                k ? k->what : "");
    }
}

void cuda_images_report(const CudaBuild *b, const CudaImages *images,
                        const CudaImage *first, FILE *out)
{
    int64_t bytes = 0;
    int cached = 0;
    for (int u = 0; u < images->n_units; u++) {
        bytes += first[u].bytes;
        cached += first[u].cached;
    }
    fprintf(out, "tgc: %s: %lld bytes, %d of %d units from the cache\n",
            first->arch, (long long)bytes, cached, images->n_units);
    for (int u = 0; u < images->n_units; u++)
        report_log(b, &first[u], out);
}
