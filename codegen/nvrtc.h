/* nvrtc.h: NVIDIA's run-time compiler, found when it is wanted.
 *
 * tgc is built without a CUDA toolkit; the library is opened by name, and its
 * few functions are declared in nvrtc.c. */
#ifndef TGC_NVRTC_H
#define TGC_NVRTC_H

#include "ir.h"

typedef struct Nvrtc Nvrtc;

/* $TGC_NVRTC, else what the loader finds, else below $CUDA_PATH, $CUDA_HOME and
 * /usr/local.  NULL with a sentence that says what to install. */
Nvrtc *nvrtc_open(Error *e);
void nvrtc_close(Nvrtc *n);                         /* NULL is fine */
int nvrtc_version(const Nvrtc *n);                  /* 13000 is 13.0 */
bool nvrtc_knows(const Nvrtc *n, const char *arch); /* "sm_90", "compute_90" */

typedef struct NvrtcOutput {
    char *image; /* a cubin, or PTX with a zero at its end */
    size_t bytes;
    char *log; /* what the compiler says, also where it refuses */
} NvrtcOutput;

/* Compiles CUDA source, called `name` in messages, for an architecture:
 * "sm_90" to a cubin, "compute_90" to PTX.  The output is to be freed in either
 * case. */
bool nvrtc_compile(const Nvrtc *n, const char *source, const char *name,
                   const char *arch, NvrtcOutput *out, Error *e);
void nvrtc_output_free(NvrtcOutput *out);
/* The options that every image is made with; ends with NULL. */
const char *const *nvrtc_options(void);

#endif
