/* fuzz_net.c: any bytes as a model file: compiled, or refused with messages,
 * never a crash, a leak or a hang. */
#include "frontend.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *nowhere = fopen("/dev/null", "w");
    if (!nowhere)
        return 0;
    FrontendOptions options = {.messages = nowhere};
    Module *m =
        frontend_compile_text((const char *)data, size, "fuzz.net", &options);
    if (m)
        module_free(m);
    fclose(nowhere);
    return 0;
}
