/* checkpoint_near.c: small graphs: ways to compute again that are found one
 * step at a time.
 *
 * The chain model decides by blocks.  In a graph of few steps each can be
 * looked at by itself: it is kept, made again for each reader, or made again
 * once.  From several places, the change of one step, or of two where one does
 * not help, that is best is taken until none is better; what a change comes to
 * is measured on the graph as it will be ordered and placed. */
#include "checkpoint.h"
#include <string.h>

enum { STEPS_MOST = 14, ROUNDS = 20 };

typedef struct Near {
    const Trial *t;
    uint32_t step[STEPS_MOST]; /* those that may be dropped */
    uint32_t n;
    Again *again;
    Outcome now;
} Near;

bool outcome_is_better(const Outcome *a, const Outcome *b)
{
    if (a->bytes < 0 || b->bytes < 0)
        return a->bytes >= 0 && b->bytes < 0;
    if ((a->excess > 0 || b->excess > 0) && a->bytes != b->bytes)
        return a->bytes < b->bytes;
    if (a->excess != b->excess)
        return a->excess < b->excess;
    return a->seconds < b->seconds ||
           (a->seconds == b->seconds && a->bytes < b->bytes);
}

/* Steps that something would be won by dropping. */
static void find_steps(Near *x)
{
    const Chain *c = x->t->chain;
    for (uint32_t k = 0; k < c->steps.n; k++)
        if (chain_is_value(c, k))
            x->step[x->n++] = k;
}

typedef struct Change {
    uint32_t a, b; /* places in Near.step; equal: one step alone */
    Again to_a, to_b;
    Outcome out;
} Change;

static void try_change(Near *x, Change c, Change *best)
{
    Again *a = &x->again[x->step[c.a]], *b = &x->again[x->step[c.b]];
    Again was_a = *a, was_b = *b;
    if (was_a == c.to_a || (c.a != c.b && was_b == c.to_b))
        return;
    *b = c.to_b;
    *a = c.to_a;
    c.out = trial_run(x->t, x->again);
    *b = was_b;
    *a = was_a;
    if (outcome_is_better(&c.out, &best->out))
        *best = c;
}

static void try_pairs(Near *x, Change *best)
{
    for (uint32_t a = 0; a < x->n; a++)
        for (uint32_t b = a + 1; b < x->n; b++)
            for (int to = 0; to < AGAIN_KINDS * AGAIN_KINDS; to++)
                try_change(x,
                           (Change){.a = a,
                                    .b = b,
                                    .to_a = (Again)(to % AGAIN_KINDS),
                                    .to_b = (Again)(to / AGAIN_KINDS)},
                           best);
}

static bool improve(Near *x)
{
    Change best = {.out = x->now, .a = UINT32_MAX};
    for (uint32_t a = 0; a < x->n; a++)
        for (int to = 0; to < AGAIN_KINDS; to++)
            try_change(
                x,
                (Change){.a = a, .b = a, .to_a = (Again)to, .to_b = (Again)to},
                &best);
    if (best.a == UINT32_MAX)
        try_pairs(x, &best);
    if (best.a == UINT32_MAX)
        return false;
    x->again[x->step[best.a]] = best.to_a;
    if (best.b != best.a)
        x->again[x->step[best.b]] = best.to_b;
    x->now = best.out;
    return true;
}

bool search_near(const Trial *t, Again *again)
{
    Near x = {.t = t};
    uint32_t values = chain_values(t->chain);
    if (!values || values > STEPS_MOST)
        return false;
    Arena *a = arena_new();
    size_t size = t->chain->steps.n * sizeof *again;
    Outcome best = trial_run(t, again);
    bool any = false;
    find_steps(&x);
    for (int start = 0; start <= AGAIN_KINDS; start++) {
        x.again = arena_copy(a, again, size);
        for (uint32_t i = 0; i < x.n && start < AGAIN_KINDS; i++)
            x.again[x.step[i]] = (Again)start;
        x.now = trial_run(t, x.again);
        for (int round = 0; round < ROUNDS && improve(&x); round++) {
        }
        if (!outcome_is_better(&x.now, &best))
            continue;
        best = x.now;
        memcpy(again, x.again, size);
        any = true;
    }
    arena_free(a);
    return any;
}
