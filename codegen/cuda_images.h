/* cuda_images.h: from CUDA source to what a GPU's driver loads, with a cache.
 *
 *     unit's source ── NVRTC, a child process for each ──> FOLDER/sm_90_0.cubin
 *         └── $XDG_CACHE_HOME/tgc/KEY: the same of an earlier compile ──┘
 */
#ifndef TGC_CUDA_IMAGES_H
#define TGC_CUDA_IMAGES_H

#include "kernels.h"
#include "process.h"

typedef struct CudaImage {
    const char *arch; /* "sm_90": a cubin; "compute_120": PTX */
    const char *path; /* the file, in the folder */
    const char *log;  /* file with what NVRTC said */
    int unit;         /* that it is of (cuda_units.h) */
    int64_t bytes;
    bool cached;
} CudaImage;

typedef struct CudaImages {
    CudaImage *image; /* one architecture after the other */
    int n, n_units;
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
 * of an architecture, whose first image it is, as NVRTC's logs say. */
void cuda_images_report(const CudaBuild *b, const CudaImages *images,
                        const CudaImage *first, FILE *out);

#endif
