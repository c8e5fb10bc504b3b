/* nvrtc.c: see nvrtc.h. */
#include "nvrtc.h"
#include <dlfcn.h>
#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Program_ *NvrtcProgram;

struct Nvrtc {
    void *library;
    int (*version)(int *major, int *minor);
    int (*n_archs)(int *n);
    int (*archs)(int *list);
    int (*create)(NvrtcProgram *p, const char *source, const char *name,
                  int n_headers, const char *const *headers,
                  const char *const *names);
    int (*destroy)(NvrtcProgram *p);
    int (*compile)(NvrtcProgram p, int n, const char *const *options);
    int (*log_size)(NvrtcProgram p, size_t *size);
    int (*log)(NvrtcProgram p, char *text);
    int (*cubin_size)(NvrtcProgram p, size_t *size);
    int (*cubin)(NvrtcProgram p, char *image);
    int (*ptx_size)(NvrtcProgram p, size_t *size);
    int (*ptx)(NvrtcProgram p, char *text);
    const char *(*error_text)(int code);
};

static const struct {
    const char *name;
    size_t field;
} function_table[] = {
    {"nvrtcVersion", offsetof(Nvrtc, version)},
    {"nvrtcGetNumSupportedArchs", offsetof(Nvrtc, n_archs)},
    {"nvrtcGetSupportedArchs", offsetof(Nvrtc, archs)},
    {"nvrtcCreateProgram", offsetof(Nvrtc, create)},
    {"nvrtcDestroyProgram", offsetof(Nvrtc, destroy)},
    {"nvrtcCompileProgram", offsetof(Nvrtc, compile)},
    {"nvrtcGetProgramLogSize", offsetof(Nvrtc, log_size)},
    {"nvrtcGetProgramLog", offsetof(Nvrtc, log)},
    {"nvrtcGetCUBINSize", offsetof(Nvrtc, cubin_size)},
    {"nvrtcGetCUBIN", offsetof(Nvrtc, cubin)},
    {"nvrtcGetPTXSize", offsetof(Nvrtc, ptx_size)},
    {"nvrtcGetPTX", offsetof(Nvrtc, ptx)},
    {"nvrtcGetErrorString", offsetof(Nvrtc, error_text)},
};

/* ---- finding it --------------------------------------------------------- */

/* Once loaded it stays: its C++ runtime has memory that it does not give back
 * when it is unloaded, and that a leak checker then takes for lost. */
enum { LOAD = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE };

/* The last that matches: the newest. */
static void *open_in(const char *folder, const char *middle)
{
    char pattern[1024];
    glob_t found;
    void *library = NULL;
    if (!folder || !*folder)
        return NULL;
    snprintf(pattern, sizeof pattern, "%s%s/libnvrtc.so.*", folder, middle);
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = found.gl_pathc; i-- > 0 && !library;)
            library = dlopen(found.gl_pathv[i], LOAD);
    globfree(&found);
    return library;
}

static void *find_library(void)
{
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12",
                                        "libnvrtc.so.11.2", NULL};
    const char *given = getenv("TGC_NVRTC");
    if (given && *given)
        return dlopen(given, LOAD);
    void *library = NULL;
    for (int i = 0; names[i] && !library; i++)
        library = dlopen(names[i], LOAD);
    if (!library)
        library = open_in(getenv("CUDA_PATH"), "/lib64");
    if (!library)
        library = open_in(getenv("CUDA_HOME"), "/lib64");
    if (!library)
        library = open_in("/usr/local/cuda", "/lib64");
    return library ? library : open_in("/usr/local/cuda-1[123]*", "/lib64");
}

static void not_found(Error *e)
{
    const char *given = getenv("TGC_NVRTC"), *why = dlerror();
    if (given && *given)
        error_set(e,
                  "target cuda needs NVIDIA's compiler library libnvrtc, and "
                  "TGC_NVRTC names a file that cannot be opened as one: %s",
                  why ? why : given);
    else
        error_set(e, "target cuda needs NVIDIA's compiler library libnvrtc "
                     "(version 11.2 to 13), which is not here: install the "
                     "CUDA toolkit or its package cuda-nvrtc, or set TGC_NVRTC "
                     "to the file");
}

Nvrtc *nvrtc_open(Error *e)
{
    Nvrtc *n = calloc(1, sizeof *n);
    if (!n)
        return error_set(e, "out of memory"), NULL;
    n->library = find_library();
    if (!n->library) {
        not_found(e);
        free(n);
        return NULL;
    }
    for (size_t i = 0; i < sizeof function_table / sizeof *function_table;
         i++) {
        void *f = dlsym(n->library, function_table[i].name);
        memcpy((char *)n + function_table[i].field, &f, sizeof f);
        if (f)
            continue;
        error_set(e,
                  "the libnvrtc that was found has no %s: it is older than "
                  "11.2, or something else",
                  function_table[i].name);
        nvrtc_close(n);
        return NULL;
    }
    return n;
}

void nvrtc_close(Nvrtc *n)
{
    if (!n)
        return;
    dlclose(n->library);
    free(n);
}

int nvrtc_version(const Nvrtc *n)
{
    int major = 0, minor = 0;
    n->version(&major, &minor);
    return major * 1000 + minor * 10;
}

bool nvrtc_knows(const Nvrtc *n, const char *arch)
{
    int list[256], count = 0, wanted = atoi(strchr(arch, '_') + 1);
    if (n->n_archs(&count) || count > 256 || n->archs(list))
        return false;
    for (int i = 0; i < count; i++)
        if (list[i] == wanted)
            return true;
    return false;
}

/* ---- compiling ---------------------------------------------------------- */

static const char *const common_options[] = {
    "-std=c++17",
    "-default-device",
    "-diag-suppress=177", /* loops' variables that nothing uses */
    "--fmad=false",       /* the same bits however it is fused: compile.c */
    "--ptxas-options=-v", /* registers and spills in the log */
    NULL};

enum { COMMON = sizeof common_options / sizeof *common_options - 1 };

const char *const *nvrtc_options(void)
{
    return common_options;
}

typedef int GetSize(NvrtcProgram p, size_t *size);
typedef int GetBytes(NvrtcProgram p, char *bytes);

/* With a zero after it; NULL: there is none. */
static char *get(NvrtcProgram p, GetSize *get_size, GetBytes *get_bytes,
                 size_t *size)
{
    if (get_size(p, size))
        return NULL;
    char *bytes = calloc(1, *size + 1);
    if (bytes && get_bytes(p, bytes)) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

bool nvrtc_compile(const Nvrtc *n, const char *source, const char *name,
                   const char *arch, NvrtcOutput *out, Error *e)
{
    NvrtcProgram p;
    char arch_option[64];
    const char *options[COMMON + 1];
    size_t size;
    bool ptx = !strncmp(arch, "compute_", 8);
    *out = (NvrtcOutput){0};
    snprintf(arch_option, sizeof arch_option, "-arch=%s", arch);
    memcpy(options, common_options, COMMON * sizeof *options);
    options[COMMON] = arch_option;
    int code = n->create(&p, source, name, 0, NULL, NULL);
    if (code)
        return error_set(e, "NVRTC: %.100s", n->error_text(code));
    code = n->compile(p, COMMON + 1, options);
    out->log = get(p, n->log_size, n->log, &size);
    if (!code)
        out->image = ptx ? get(p, n->ptx_size, n->ptx, &out->bytes)
                         : get(p, n->cubin_size, n->cubin, &out->bytes);
    n->destroy(&p);
    if (code)
        return error_set(e, "NVRTC refuses a kernel for %.20s: %.100s", arch,
                         n->error_text(code));
    return out->image || error_set(e, "NVRTC gives no image for %.20s", arch);
}

void nvrtc_output_free(NvrtcOutput *out)
{
    free(out->image);
    free(out->log);
    *out = (NvrtcOutput){0};
}
