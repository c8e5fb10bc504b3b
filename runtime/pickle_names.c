/* pickle_names.c: every name that a file of weights may mention. What is not
 * here is refused; what is here runs nothing, in particular not the Python
 * function of that name. */
#include "pickle_private.h"
#include <string.h>

/* clang-format off */
static const PickleName names[] = {
    {"torch._utils", "_rebuild_tensor_v2", NAME_TENSOR,    0, 0},
    {"torch._utils", "_rebuild_tensor",    NAME_TENSOR,    0, 0},
    {"torch._utils", "_rebuild_parameter", NAME_PARAMETER, 0, 0},
    {"torch",        "Size",               NAME_SIZE,      0, 0},

    {"torch", "FloatStorage",         NAME_STORAGE, PLAN_F32,  4},
    {"torch", "DoubleStorage",        NAME_STORAGE, PLAN_F64,  8},
    {"torch", "HalfStorage",          NAME_STORAGE, PLAN_F16,  2},
    {"torch", "BFloat16Storage",      NAME_STORAGE, PLAN_BF16, 2},
    {"torch", "LongStorage",          NAME_STORAGE, PLAN_I64,  8},
    {"torch", "IntStorage",           NAME_STORAGE, PLAN_I32,  4},
    {"torch", "ByteStorage",          NAME_STORAGE, PLAN_U8,   1},
    {"torch", "BoolStorage",          NAME_STORAGE, PLAN_BOOL, 1},
    {"torch", "ShortStorage",         NAME_STORAGE, 0,         2},
    {"torch", "CharStorage",          NAME_STORAGE, 0,         1},
    {"torch", "ComplexFloatStorage",  NAME_STORAGE, 0,         8},
    {"torch", "ComplexDoubleStorage", NAME_STORAGE, 0,         16},

    {"collections", "OrderedDict", NAME_DICT, 0, 0},
    {"collections", "defaultdict", NAME_DICT, 0, 0},
    {"collections", "Counter",     NAME_DICT, 0, 0},
    {"__builtin__", "dict",        NAME_DICT, 0, 0},
    {"builtins",    "dict",        NAME_DICT, 0, 0},

    /* In what training scripts keep beside the weights. */
    {"__builtin__", "list",      NAME_INERT, 0, 0},
    {"builtins",    "list",      NAME_INERT, 0, 0},
    {"__builtin__", "set",       NAME_INERT, 0, 0},
    {"builtins",    "set",       NAME_INERT, 0, 0},
    {"__builtin__", "frozenset", NAME_INERT, 0, 0},
    {"builtins",    "frozenset", NAME_INERT, 0, 0},
    {"__builtin__", "int",       NAME_INERT, 0, 0},
    {"builtins",    "int",       NAME_INERT, 0, 0},
    {"__builtin__", "float",     NAME_INERT, 0, 0},
    {"builtins",    "float",     NAME_INERT, 0, 0},
    {"__builtin__", "bytes",     NAME_INERT, 0, 0},
    {"builtins",    "bytes",     NAME_INERT, 0, 0},
    {"_codecs",     "encode",    NAME_INERT, 0, 0},
    {"numpy",       "dtype",     NAME_INERT, 0, 0},
    {"numpy.core.multiarray",  "scalar", NAME_INERT, 0, 0},
    {"numpy._core.multiarray", "scalar", NAME_INERT, 0, 0},
    {"torch", "device",        NAME_INERT, 0, 0},
    {"torch", "float16",       NAME_INERT, 0, 0},
    {"torch", "bfloat16",      NAME_INERT, 0, 0},
    {"torch", "float32",       NAME_INERT, 0, 0},
    {"torch", "float64",       NAME_INERT, 0, 0},
    {"torch", "int64",         NAME_INERT, 0, 0},
};
/* clang-format on */

const PickleName *pickle_name(const char *module, const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, name) && !strcmp(names[i].module, module))
            return &names[i];
    return NULL;
}
