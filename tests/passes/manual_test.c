/* manual_test.c: docs/passes.md is what the table of passes says. */
#include "pass.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_fresh(void **state)
{
    (void)state;
    char *now = NULL, *written;
    size_t size, got;
    FILE *f = open_memstream(&now, &size);
    assert_non_null(f);
    passes_print_markdown(f);
    fclose(f);
    written = calloc(size + 2, 1);
    f = fopen(TGC_SOURCE "/docs/passes.md", "r");
    assert_non_null(f);
    got = fread(written, 1, size + 1, f);
    fclose(f);
    if (got != size || memcmp(now, written, size))
        fail_msg("docs/passes.md is stale: build/tgc passes --markdown > "
                 "docs/passes.md");
    free(now);
    free(written);
}

/* The pipeline names passes of the table, and each finds what it needs. */
static void test_pipeline(void **state)
{
    (void)state;
    uint32_t facts = 0;
    for (const char *const *name = pass_pipeline; *name; name++) {
        const Pass *p = pass_named(*name);
        assert_non_null(p);
        assert_true((p->needs & ~facts) == 0);
        facts = (facts & ~p->breaks) | p->adds;
    }
    assert_int_equal(facts,
                     F_GRAD | F_PLAIN | F_LAID_OUT | F_FUSED | F_ORDERED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
