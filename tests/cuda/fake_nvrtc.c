/* fake_nvrtc.c: stands in for NVIDIA's compiler library.  An "image" is a hash
 * of source and options; the environment says what goes wrong:
 *
 *     FAKE_NVRTC_VERSION=12000   what it says it is
 *     FAKE_NVRTC_REFUSE=TEXT     the first line that has this is a mistake
 *     FAKE_NVRTC_COUNT=FILE      a byte is added to it for each compile
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Fake {
    char *source, *log;
    char image[64];
} Fake;

static int version(void)
{
    const char *text = getenv("FAKE_NVRTC_VERSION");
    return text ? atoi(text) : 13000;
}

int nvrtcVersion(int *major, int *minor)
{
    *major = version() / 1000;
    *minor = version() % 1000 / 10;
    return 0;
}

int nvrtcGetNumSupportedArchs(int *n)
{
    *n = version() < 12080 ? 2 : 4;
    return 0;
}

int nvrtcGetSupportedArchs(int *list)
{
    static const int archs[] = {80, 90, 100, 120};
    int n;
    nvrtcGetNumSupportedArchs(&n);
    memcpy(list, archs, (size_t)n * sizeof *archs);
    return 0;
}

int nvrtcCreateProgram(Fake **f, const char *source, const char *name,
                       int n_headers, const char *const *headers,
                       const char *const *names)
{
    (void)name, (void)n_headers, (void)headers, (void)names;
    *f = calloc(1, sizeof **f);
    (*f)->source = strdup(source);
    (*f)->log = strdup("");
    return 0;
}

int nvrtcDestroyProgram(Fake **f)
{
    free((*f)->source);
    free((*f)->log);
    free(*f);
    *f = NULL;
    return 0;
}

static int refuse(Fake *f, const char *at)
{
    int line = 1;
    for (const char *s = f->source; s < at; s++) {
        line += *s == '\n';
        if (*s == '\n' && sscanf(s + 1, "#line %d", &line) == 1)
            line--; /* of the line that follows */
    }
    free(f->log);
    f->log = malloc(100);
    sprintf(f->log, "kernels.cu(%d): error: planted\n\n1 error\n", line);
    return 6;
}

int nvrtcCompileProgram(Fake *f, int n, const char *const *options)
{
    const char *count = getenv("FAKE_NVRTC_COUNT");
    const char *bad = getenv("FAKE_NVRTC_REFUSE");
    FILE *file = count ? fopen(count, "a") : NULL;
    if (file) {
        fputc('.', file);
        fclose(file);
    }
    if (bad && strstr(f->source, bad))
        return refuse(f, strstr(f->source, bad));
    unsigned long long h = 1;
    for (const char *s = f->source; *s; s++)
        h = h * 31 + (unsigned char)*s;
    for (int i = 0; i < n; i++)
        for (const char *s = options[i]; *s; s++)
            h = h * 31 + (unsigned char)*s;
    sprintf(f->image, "fake image %016llx", h);
    return 0;
}

int nvrtcGetProgramLogSize(Fake *f, size_t *size)
{
    *size = strlen(f->log) + 1;
    return 0;
}

int nvrtcGetProgramLog(Fake *f, char *text)
{
    strcpy(text, f->log);
    return 0;
}

int nvrtcGetCUBINSize(Fake *f, size_t *size)
{
    *size = strlen(f->image) + 1;
    return 0;
}

int nvrtcGetCUBIN(Fake *f, char *image)
{
    strcpy(image, f->image);
    return 0;
}

int nvrtcGetPTXSize(Fake *f, size_t *size)
{
    return nvrtcGetCUBINSize(f, size);
}

int nvrtcGetPTX(Fake *f, char *text)
{
    return nvrtcGetCUBIN(f, text);
}

const char *nvrtcGetErrorString(int code)
{
    return code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}
