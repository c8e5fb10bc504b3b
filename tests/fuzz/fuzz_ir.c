/* fuzz_ir.c: any bytes into the IR reader.  What it accepts must print, read
 * back and print as the same text. */
#include "text.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e;
    Module *m = module_read((const char *)data, size, "fuzz.ir", &e);
    if (!m)
        return 0;
    char *once = module_to_string(m, m->arena);
    Module *again = module_read(once, strlen(once), "again.ir", &e);
    if (!again || strcmp(once, module_to_string(again, again->arena)))
        abort();
    module_free(again);
    module_free(m);
    return 0;
}
