/* command_doctor.c: `tgc doctor`: what tgc needs and what of it is here. See
 * doctor.h. */
#include "commands.h"
#include "doctor.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CIFAR_SITE "https://www.cs.toronto.edu/~kriz/"

/* clang-format off */
static const DoctorRow doctor_table[] = {
    {"C compiler", NEED_ALWAYS, look_compiler,
     "compiles every program that tgc makes; CC names another one than cc",
     "apt-get install gcc libc6-dev", "-lm", "\"works\"", ""},
    {"OpenMP", NEED_ALWAYS, look_library,
     "spreads a step over the cores",
     "apt-get install gcc (libgomp1 is part of it; libomp-14-dev for clang)",
     NULL, "\"up to %d threads\", omp_get_max_threads()",
     "int omp_get_max_threads(void);"},
    {"oneDNN", NEED_ALWAYS, look_library,
     "convolutions and matrix products on the processor",
     "apt-get install libdnnl-dev",
     "-ldnnl", "\"version %d.%d.%d\", dnnl_version()->n[0], dnnl_version()->n[1], dnnl_version()->n[2]",
     "const struct { int n[3]; } *dnnl_version(void);"},
    {"zlib", NEED_ALWAYS, look_library,
     "the plan inside a program, gzip data sets, zip weights",
     "apt-get install zlib1g-dev",
     "-lz", "\"version %s\", zlibVersion()", "const char *zlibVersion(void);"},
    {"runtime library", NEED_ALWAYS, look_runtime,
     "the part of a program that is not generated",
     "cmake --build build, or set TGC_RUNTIME to its folder", NULL, NULL, NULL},
    {"temporary folder", NEED_ALWAYS, look_temporary,
     "generated C while it is compiled (TMPDIR, else /tmp)",
     "set TMPDIR to a folder that can be written, with 100 MB free", NULL, NULL, NULL},
    {"processor", NEED_NEVER, look_processor,
     "programs are made for its vector instructions (--march for another's)",
     "", NULL, NULL, NULL},
    {"memory", NEED_NEVER, look_memory,
     "a run's is known before: tgc memory FILE.net, tgc estimate FILE.net",
     "", NULL, NULL, NULL},
    {"disk", NEED_NEVER, look_disk,
     "checkpoints: weights and the states of the optimizer, the last and the best",
     "", NULL, NULL, NULL},
    {"cache", NEED_NEVER, look_cache,
     "kept for the next time: GPU code, decoded pictures, times of kernels",
     "set XDG_CACHE_HOME to a folder that can be written to", NULL, NULL, NULL},
    {"CUDA driver", NEED_CUDA, look_driver,
     "runs programs of target cuda",
     "apt-get install nvidia-driver (Debian's section non-free), or NVIDIA's own", NULL, NULL, NULL},
    {"GPUs", NEED_CUDA, look_gpus,
     "run programs of target cuda",
     "a graphics processor of NVIDIA's, Ampere (sm_80) or later", NULL, NULL, NULL},
    {"NVRTC", NEED_CUDA, look_nvrtc,
     "compiles kernels for target cuda, also where there is no GPU",
     "apt-get install libnvrtc11.2 (section non-free), or pip install nvidia-cuda-nvrtc-cu12 and set TGC_NVRTC to its libnvrtc.so.12", NULL, NULL, NULL},
    {"cuDNN", NEED_NEVER, look_cudnn,
     "target cuda with --cudnn: convolutions by it instead of tgc's own kernels; 9.8 or later",
     "pip install nvidia-cudnn-cu13 (or -cu12) and set TGC_CUDNN to its libcudnn.so.9, or NVIDIA's own package", NULL, NULL, NULL},
    {"libjpeg-turbo", NEED_NEVER, look_opened,
     "data folder: JPEG pictures",
     "apt-get install libjpeg62-turbo", "libjpeg.so.62 libjpeg.so.8", NULL, NULL},
    {"libpng", NEED_NEVER, look_opened,
     "data folder: PNG pictures",
     "apt-get install libpng16-16", "libpng16.so.16", NULL, NULL},
    {"Fashion-MNIST", NEED_NEVER, look_data,
     "data fashion_mnist: models/fashion_resnet20.net, lenet.net, mlp.net",
     "apt-get install dataset-fashion-mnist", NULL, NULL, NULL},
    {"CIFAR-10", NEED_NEVER, look_data,
     "data cifar10: models/resnet20.net to resnet1202.net, wide_cifar.net, speed_cifar.net, vit_cifar.net",
     "unpack " CIFAR_SITE "cifar-10-binary.tar.gz", NULL, NULL, NULL},
    {"CIFAR-100", NEED_NEVER, look_data,
     "data cifar100",
     "unpack " CIFAR_SITE "cifar-100-binary.tar.gz", NULL, NULL, NULL},
};
/* clang-format on */

enum { ROWS = sizeof doctor_table / sizeof *doctor_table };

/* ---- what is said ------------------------------------------------------- */

enum { NAME_COLUMN = 10, TEXT_COLUMN = 28 };

/* Line by line, the first one behind what stands there already. */
static void print_lines(const char *text, int width)
{
    for (int n; *text; text += n + (text[n] == '\n')) {
        n = (int)strcspn(text, "\n");
        printf("%.*s\n%*s", n, text, text[n] ? width : 0, "");
    }
}

static void print_row(const DoctorRow *row, bool there, bool needed,
                      const char *found)
{
    printf("%-*s%-*s", NAME_COLUMN,
           there    ? "ok"
           : needed ? "MISSING"
                    : "-",
           TEXT_COLUMN - NAME_COLUMN, row->name);
    print_lines(found, TEXT_COLUMN);
    printf("%*sfor     %s\n", NAME_COLUMN, "", row->why);
    if (!there && *row->get)
        printf("%*sget it  %s\n", NAME_COLUMN, "", row->get);
}

static int print_end(const char *missing, bool cuda)
{
    if (!*missing) {
        printf("\nAll that target %s needs is here.\n", cuda ? "cuda" : "cpu");
        return 0;
    }
    fflush(stdout);
    fprintf(stderr, "tgc: target %s lacks: %s\n", cuda ? "cuda" : "cpu",
            missing);
    return 1;
}

/* ---- the command -------------------------------------------------------- */

static void remove_folder(const char *folder, Arena *a)
{
    DIR *dir = folder ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            unlink(arena_printf(a, "%s/%s", folder, e->d_name));
    if (dir)
        closedir(dir);
    if (folder)
        rmdir(folder);
}

static const char *make_folder(Arena *a)
{
    const char *tmp = getenv("TMPDIR");
    char *folder =
        arena_printf(a, "%s/tgc-doctor-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(folder);
}

int run_doctor(const CommandLine *c)
{
    char runtime[RUNTIME_PATH], found[FOUND_SIZE];
    const char *missing = "";
    bool cuda = !strncmp(c->target, "cuda", 4);
    Arena *a = arena_new();
    Doctor d = {.cc = getenv("CC"),
                .folder = make_folder(a),
                .runtime = search_runtime(runtime) ? runtime : NULL,
                .in = c->inputs.word,
                .n_in = c->inputs.n,
                .arena = a};
    for (int i = 0; i < ROWS; i++) {
        const DoctorRow *row = &doctor_table[i];
        bool needed =
            row->need == NEED_ALWAYS || (row->need == NEED_CUDA && cuda);
        bool there = row->look(&d, row, found);
        print_row(row, there, needed, found);
        if (needed && !there)
            missing = arena_printf(a, "%s%s%s", missing, *missing ? ", " : "",
                                   row->name);
    }
    remove_folder(d.folder, a);
    int code = print_end(missing, cuda);
    arena_free(a);
    return code;
}
