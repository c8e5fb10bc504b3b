/* cuda_images.h: from CUDA source to what a GPU's driver loads, with a cache.
 *
 *     source ── NVRTC, a child process for each architecture ──>
 * FOLDER/sm_90.cubin └──── $XDG_CACHE_HOME/tgc/KEY: the same of an earlier
 * compile ────┘
 */
#ifndef TGC_CUDA_IMAGES_H
#define TGC_CUDA_IMAGES_H

#include "kernels.h"
#include "process.h"

typedef struct CudaImage {
    const char *arch; /* "sm_90": a cubin; "compute_120": PTX */
    const char *path; /* the file, in the folder */
    const char *log;  /* file with what NVRTC said */
    int64_t bytes;
    bool cached;
} CudaImage;

typedef struct CudaImages {
    CudaImage *image;
    int n;
    int version; /* of NVRTC: 13000 is 13.0 */
} CudaImages;

typedef struct CudaBuild {
    const Kernels *kernels;
    const char *arch;   /* one; NULL: all by default, and PTX */
    const char *folder; /* for source, images and logs */
    Arena *arena;
    int jobs;
    bool verbose;
    const sigset_t *signals; /* for the children, as in process_run */
} CudaBuild;

/* Leaves kernels.cu, images and logs in the folder.  *refused: the compiler did
 * not like a kernel, and the message says which: the source is worth keeping.
 */
bool cuda_images_build(const CudaBuild *b, CudaImages *images, bool *refused,
                       Error *e);

/* --emit=ptx: of b->arch, or of the last GPU that there is. */
bool cuda_images_print_ptx(const CudaBuild *b, FILE *out, Error *e);

/* For the kernels' report: registers, shared memory and spills of each kernel
 * of an image, as NVRTC's log says. */
void cuda_images_report(const CudaBuild *b, const CudaImage *image, FILE *out);

#endif
