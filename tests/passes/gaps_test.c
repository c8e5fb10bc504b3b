/* Gaps in the arena are found as by a walk over all that is taken, whatever
 * the lengths of lives and the number of steps. */
#include "memory_gaps.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

enum { SPANS = 700 };

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

/* The definition: candidates are 0 and the ends of what is in the way. */
static int64_t plain_find(const Span *s, int n, int64_t room, uint32_t first,
                          uint32_t last)
{
    int64_t best = -1, best_size = INT64_MAX, top = 0;
    for (int c = -1; c < n; c++) {
        if (c >= 0 && (s[c].first > last || s[c].last < first))
            continue;
        int64_t at = c < 0 ? 0 : s[c].end, next = INT64_MAX;
        bool inside = false;
        for (int i = 0; i < n; i++) {
            if (s[i].first > last || s[i].last < first)
                continue;
            inside = inside || (s[i].offset <= at && at < s[i].end);
            if (s[i].offset >= at && s[i].offset < next)
                next = s[i].offset;
        }
        top = at > top ? at : top;
        if (inside || next == INT64_MAX || next - at < room)
            continue;
        if (next - at < best_size || (next - at == best_size && at < best)) {
            best = at;
            best_size = next - at;
        }
    }
    return best >= 0 ? best : top;
}

/* Lives: mostly short, some over many blocks, some over all steps. */
static void draw_life(uint64_t *state, uint32_t n_steps, Span *s)
{
    static const uint32_t part[] = {1000000, 1000000, 50, 3, 1};
    uint32_t most = n_steps / part[draw(state, 5)] + 3;
    s->first = draw(state, n_steps);
    s->last = s->first + draw(state, most);
    if (s->last >= n_steps)
        s->last = n_steps - 1;
    if (!draw(state, 20)) {
        s->first = 0;
        s->last = n_steps - 1;
    }
}

static void check(uint32_t n_steps, uint64_t state)
{
    Arena *a = arena_new();
    Gaps *gaps = gaps_new(n_steps, a);
    Span span[SPANS];
    gaps_take(gaps, &(Span){0, 64, 0, 0});
    gaps_clear(gaps);
    for (int i = 0; i < SPANS; i++) {
        Span *s = &span[i];
        draw_life(&state, n_steps, s);
        int64_t room = 64 * (1 + (int64_t)draw(&state, 6));
        s->offset = gaps_find(gaps, room, s->first, s->last);
        assert_int_equal(s->offset,
                         plain_find(span, i, room, s->first, s->last));
        s->end = s->offset + room;
        gaps_take(gaps, s);
    }
    arena_free(a);
}

static void test_as_by_a_walk(void **unused)
{
    (void)unused;
    static const uint32_t steps[] = {1, 2, 63, 64, 65, 127, 1000, 20011};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        check(steps[i], i + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_by_a_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
