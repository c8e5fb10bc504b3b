/* warp.cc: what the 32 lanes of a warp do together, and copies in the
 * background.
 *
 * A lane offers what it brings and waits.  Once all lanes of the mask that have
 * not ended offer the same operation, it is done for all of them at once.  */
#include "private.h"
#include "cuda_emulated.h"

/* ---- the operations -------------------------------------------------------
 */

typedef Thread *Lanes[EMU_WARP]; /* NULL: there is none, or it is not in it */

static void do_ballot(Lanes lane)
{
    uint64_t votes = 0;
    for (int i = 0; i < EMU_WARP; i++)
        if (lane[i] && lane[i]->offer.bits)
            votes |= UINT64_C(1) << i;
    for (int i = 0; i < EMU_WARP; i++)
        if (lane[i])
            lane[i]->offer.bits = votes;
}

/* From which lane; its own where the source is outside of the segment. */
static int shuffle_source(int lane, const Offer &o)
{
    int first = lane / o.width * o.width, end = first + o.width, from = lane;
    switch (o.kind) {
    case EMU_SHUFFLE:
        return first + (int)((unsigned)o.by % (unsigned)o.width);
    case EMU_SHUFFLE_UP:
        from = lane - o.by;
        return from < first ? lane : from;
    case EMU_SHUFFLE_DOWN:
        from = lane + o.by;
        return from >= end ? lane : from;
    default:
        from = lane ^ o.by;
        return from >= end ? lane : from;
    }
}

/* What a lane that takes no part would give is not defined: all bits set. */
static void do_shuffle(Lanes lane)
{
    uint64_t bits[EMU_WARP];
    for (int i = 0; i < EMU_WARP; i++)
        bits[i] = lane[i] ? lane[i]->offer.bits : ~UINT64_C(0);
    for (int i = 0; i < EMU_WARP; i++)
        if (lane[i])
            lane[i]->offer.bits = bits[shuffle_source(i, lane[i]->offer)];
}

/* Lane l gives the address of row l % 8 of tile l / 8, and gets of each tile
 * the elements 2 (l % 4) and the next of row l / 4 (of column l / 4). */
static void do_load(Lanes lane)
{
    for (int i = 0; i < EMU_WARP; i++)
        for (int tile = 0; tile < lane[i]->offer.by; tile++) {
            uint16_t pair[2];
            for (int k = 0; k < 2; k++) {
                int row = i / 4, column = i % 4 * 2 + k;
                if (lane[i]->offer.kind) {
                    row = i % 4 * 2 + k;
                    column = i / 4;
                }
                const char *from =
                    (const char *)lane[tile * 8 + row]->offer.row;
                memcpy(&pair[k], from + 2 * column, 2);
            }
            memcpy(&lane[i]->offer.r[tile], pair, sizeof pair);
        }
}

static double half_at(uint32_t pair, int which, bool bf16)
{
    uint16_t bits = (uint16_t)(pair >> 16 * which);
    return bf16 ? (double)tgc_from_bf16({bits}) : (double)tgc_from_f16({bits});
}

/* a[16][16] b[16][8], as lanes hold them: see the prelude. */
static void do_matrix(Lanes lane)
{
    double a[16][16], b[16][8];
    bool bf16 = lane[0]->offer.kind != 0;
    for (int i = 0; i < EMU_WARP; i++) {
        const Offer &o = lane[i]->offer;
        int q = i / 4, p = i % 4;
        for (int k = 0; k < 2; k++) {
            a[q][2 * p + k] = half_at(o.a[0], k, bf16);
            a[q + 8][2 * p + k] = half_at(o.a[1], k, bf16);
            a[q][2 * p + 8 + k] = half_at(o.a[2], k, bf16);
            a[q + 8][2 * p + 8 + k] = half_at(o.a[3], k, bf16);
            b[2 * p + k][q] = half_at(o.b[0], k, bf16);
            b[2 * p + 8 + k][q] = half_at(o.b[1], k, bf16);
        }
    }
    for (int i = 0; i < EMU_WARP; i++)
        for (int k = 0; k < 4; k++) {
            int row = i / 4 + k / 2 * 8, column = i % 4 * 2 + k % 2;
            double sum = lane[i]->offer.d[k];
            for (int j = 0; j < 16; j++)
                sum += a[row][j] * b[j][column];
            lane[i]->offer.d[k] = (float)sum;
        }
}

/* ---- meeting --------------------------------------------------------------
 */

static void operation_do(WarpOp op, Lanes lane, unsigned warp)
{
    switch (op) {
    case OP_SYNC:
        return memory_warp_barrier(warp);
    case OP_BALLOT:
        return do_ballot(lane);
    case OP_SHUFFLE:
        return do_shuffle(lane);
    case OP_LOAD:
        return do_load(lane);
    case OP_MATRIX:
        return do_matrix(lane);
    default:
        return;
    }
}

static bool needs_all(WarpOp op)
{
    return op == OP_LOAD || op == OP_MATRIX;
}

/* Does the operation that `t` waits for have all its lanes? */
static bool lanes_meet(const Thread *t, Lanes lane)
{
    unsigned first = t->warp * EMU_WARP;
    for (unsigned i = 0; i < EMU_WARP; i++) {
        lane[i] = nullptr;
        Thread *o = first + i < emu.n_threads ? &emu.threads[first + i] : NULL;
        bool gone = !o || o->wait == ENDED;
        if (!(t->offer.mask >> i & 1) || (gone && !needs_all(t->offer.op)))
            continue;
        if (gone) {
            emu_fail(nullptr,
                     "block %u, warp %u: an operation of the whole warp, but "
                     "lane %u has ended",
                     emu.block[0], t->warp, i);
            return false;
        }
        if (o->wait != IN_WARP || o->offer.op != t->offer.op ||
            o->offer.mask != t->offer.mask)
            return false;
        lane[i] = o;
    }
    return true;
}

void warp_try(Thread *t)
{
    Lanes lane;
    if (!lanes_meet(t, lane))
        return;
    operation_do(t->offer.op, lane, t->warp);
    for (Thread *l : lane)
        if (l)
            l->wait = RUNS;
}

static void offer(const Offer &o)
{
    Thread *t = emu.now;
    if (!(o.mask >> t->lane & 1))
        emu_fail(__builtin_return_address(0),
                 "lane %u is not in its own mask %08x", t->lane, o.mask);
    t->offer = o;
    emu_wait(IN_WARP);
}

void emu_warp_barrier(unsigned mask)
{
    Offer o = {};
    o.op = OP_SYNC;
    o.mask = mask;
    offer(o);
}

/* Lanes that have not ended; that some may be on another way is not known. */
unsigned emu_active_mask(void)
{
    unsigned mask = 0, first = emu.now->warp * EMU_WARP;
    for (unsigned i = 0; i < EMU_WARP && first + i < emu.n_threads; i++)
        if (emu.threads[first + i].wait != ENDED)
            mask |= 1u << i;
    return mask;
}

unsigned emu_ballot(unsigned mask, int predicate)
{
    Offer o = {};
    o.op = OP_BALLOT;
    o.mask = mask;
    o.bits = predicate != 0;
    offer(o);
    return (unsigned)emu.now->offer.bits;
}

uint64_t emu_shuffle(int kind, unsigned mask, uint64_t bits, int by, int width)
{
    Offer o = {};
    o.op = OP_SHUFFLE;
    o.mask = mask;
    o.kind = kind;
    o.bits = bits;
    o.by = by;
    o.width = width;
    offer(o);
    return emu.now->offer.bits;
}

static void check(const void *at, size_t bytes, bool write, bool pending,
                  const void *place)
{
    Access a = {(const char *)at, bytes, write, false, pending};
    memory_check(a, place);
}

void emu_load_matrix(uint32_t *r, const void *row, int transposed, int tiles)
{
    const void *place = __builtin_return_address(0);
    Offer o = {};
    if ((uintptr_t)row % 16)
        emu_fail(place, "ldmatrix from an address that is no multiple of 16");
    if (emu.now->lane < (unsigned)tiles * 8)
        check(row, 16, false, false, place);
    o.op = OP_LOAD;
    o.mask = ~0u;
    o.kind = transposed;
    o.by = tiles;
    o.row = row;
    o.r = r;
    offer(o);
}

void emu_matrix(int bf16, float *d, const uint32_t *a, const uint32_t *b)
{
    Offer o = {};
    o.op = OP_MATRIX;
    o.mask = ~0u;
    o.kind = bf16;
    o.d = d;
    o.a = a;
    o.b = b;
    offer(o);
}

/* ---- copies in the background ---------------------------------------------
 */

/* They are done as late as they may be: what is read too early is not there. */
void emu_copy_async(void *shared, const void *global, int bytes, int size)
{
    const void *place = __builtin_return_address(0);
    Thread *t = emu.now;
    if ((uintptr_t)shared % (unsigned)size ||
        (bytes && (uintptr_t)global % (unsigned)size))
        emu_fail(place,
                 "cp.async of %d bytes between addresses that are no "
                 "multiple of that",
                 size);
    if (bytes)
        check(global, (size_t)bytes, false, false, place);
    check(shared, (size_t)size, true, true, place);
    t->copies.push_back(
        {(char *)shared, (const char *)global, bytes, size, t->groups});
}

void emu_copy_commit(void)
{
    emu.now->groups++;
}

void copies_do(Thread *t, int most)
{
    size_t left = 0;
    for (Copy &c : t->copies) {
        if (c.group >= t->groups - most) {
            t->copies[left++] = c;
            continue;
        }
        check(c.to, (size_t)c.size, true, false, nullptr);
        memset(c.to, 0, (size_t)c.size);
        memcpy(c.to, c.from, (size_t)c.bytes);
    }
    t->copies.resize(left);
}

void emu_copy_wait(int most)
{
    copies_do(emu.now, most);
}
