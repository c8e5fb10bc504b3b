/* fuzz_ir.c: any bytes as IR text.  What is accepted must verify, and must
 * print to text that reads back to the same text. */
#include "text.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what, const Error *e)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_ir: %s: %s\n", what, e->text);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Module *m = module_read((const char *)data, size, "fuzz.ir", &e);
    if (!m)
        return 0;
    require(module_verify(m, &e), "what was read does not verify", &e);
    Arena *a = arena_new();
    char *once = module_to_string(m, a);
    Module *again = module_read(once, strlen(once), "again.ir", &e);
    require(again, "what was printed does not read", &e);
    require(!strcmp(once, module_to_string(again, a)),
            "text changes on the way", &e);
    module_free(again);
    module_free(m);
    arena_free(a);
    return 0;
}
