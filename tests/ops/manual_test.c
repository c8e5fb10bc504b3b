/* manual_test.c: docs/ops.md is what the table says today, and the code in
 * docs/adding-an-op.md is in the sources. */
#include "opdoc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *read_all(FILE *file)
{
    char *text = NULL;
    size_t size = 0;
    assert_non_null(file);
    rewind(file);
    assert_true(getdelim(&text, &size, 0, file) > 0);
    fclose(file);
    return text;
}

static void manual_is_fresh(void **state)
{
    (void)state;
    FILE *now = tmpfile();
    assert_non_null(now);
    ops_print_markdown(now);
    char *expected = read_all(now);
    char *found = read_all(fopen(TGC_SOURCE "/docs/ops.md", "r"));
    /* If not: build/tgc ops --markdown > docs/ops.md */
    assert_string_equal(found, expected);
    free(expected);
    free(found);
}

static void example_is_in_the_sources(void **state)
{
    (void)state;
    char *page = read_all(fopen(TGC_SOURCE "/docs/adding-an-op.md", "r"));
    char *source = read_all(fopen(TGC_SOURCE "/ir/ops/gelu.c", "r"));
    char *index = read_all(fopen(TGC_SOURCE "/ir/ops/index.h", "r"));
    int blocks = 0;
    for (char *c = page; (c = strstr(c, "```c\n")); blocks++) {
        char *end = strstr(c += 5, "```");
        assert_non_null(end);
        *end = 0;
        if (!strstr(source, c) && !strstr(index, c))
            fail_msg("this is in the page but not in the sources:\n%s", c);
        c = end + 3;
    }
    assert_int_equal(blocks, 4);
    free(page);
    free(source);
    free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_is_fresh),
        cmocka_unit_test(example_is_in_the_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
