/* doctor.h: what `tgc doctor` looks at: one table, one row a thing.
 *
 *     command_doctor.c   the table, and what is said
 *     doctor_build.c     the C compiler and what programs are linked with
 *     doctor_gpu.c       driver, graphics processors, NVRTC, cuDNN
 *     doctor_machine.c   processor, memory, disk, data sets
 *
 * To look at one more thing: a row, and a function that looks, if none of
 * those there are will do. */
#ifndef TGC_DOCTOR_H
#define TGC_DOCTOR_H

#include "ir.h"

typedef enum DoctorNeed {
    NEED_ALWAYS, /* without it tgc compiles nothing */
    NEED_CUDA,   /* target cuda only */
    NEED_NEVER   /* good to have, or to know */
} DoctorNeed;

typedef struct Doctor {
    const char *cc;        /* its words; NULL: cc */
    const char *folder;    /* of our own, for probes; NULL: none was made */
    const char *runtime;   /* folder of libtgcrt.a; NULL: not found */
    const char *const *in; /* folders of the user's, to find data sets in */
    int n_in;
    bool compiler; /* it works: other probes may ask it */
    Arena *arena;
} Doctor;

enum { FOUND_SIZE = 1000 };

typedef struct DoctorRow DoctorRow;
/* Writes what there is (version, place), one line or more, and gives true; or
 * what is wrong, and false. */
typedef bool DoctorLook(Doctor *d, const DoctorRow *row, char *found);

struct DoctorRow {
    const char *name;
    DoctorNeed need;
    DoctorLook *look;
    const char *why;                   /* what it is for */
    const char *get;                   /* how to get it */
    const char *link, *call, *declare; /* those that try a program */
};

/* look_compiler and look_library: a program of `declare` and a main that prints
 * `call` (arguments of printf) is compiled, linked with `link`, and run. */
DoctorLook look_compiler, look_library, look_runtime, look_temporary;
/* One of the libraries in `link` can be opened by its name. */
DoctorLook look_opened;
DoctorLook look_driver, look_gpus, look_nvrtc, look_cudnn;
DoctorLook look_processor, look_memory, look_disk, look_cache, look_data;

#endif
