/* memory.cc: what may be read and written, and what has been.
 *
 *     device memory   allocations; for each byte whether it is defined, for
 *                     each two bytes the block that wrote them last
 *     shared memory   for each two bytes who wrote and read them last, and when
 *
 * When: a number that goes up at each barrier of the block and at the start of
 * each block, so that nothing must be cleared; and one for each warp. */
#include "private.h"
#include "cuda_emulated.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <link.h>
#include <sys/mman.h>

/* The kernels' `extern __shared__` array; emulate.py names it so. */
extern thread_local char emu_dynamic_shared[EMU_SHARED_MOST];

enum { GRAIN = 2, NOBODY = 0xffff };

struct Allocation {
    char *at;
    size_t bytes;
    uint8_t *defined;
    uint32_t *writer; /* serial number of the block, of each GRAIN bytes */
};

struct Seen {
    uint32_t when, warp_when;
    uint32_t who; /* thread, and: */
};
enum : uint32_t { ATOMIC = 1u << 31, MANY = 1u << 30 /* of several warps */ };

static inline uint32_t thread_of(const Seen &s)
{
    return s.who & ~(ATOMIC | MANY);
}

struct Cell { /* GRAIN bytes of shared memory */
    Seen written, read;
    uint8_t defined; /* a bit for each byte */
};

struct Range {
    char *at;
    size_t bytes;
    Cell *cells;
    size_t low, high; /* touched since the block began: from, to */
};

struct Memory {
    std::vector<Allocation> allocations;
    std::vector<EmuSpan> spans;
    /* Of these, what the launch can only read, and all of it is defined. */
    std::vector<EmuSpan> clean;
    size_t last;               /* span that was asked for last */
    uint32_t serial, launched; /* blocks; the launch's first */
    uint32_t when, born;       /* now; when the block began */
    std::vector<uint32_t> warp_when;
    Range fixed, dynamic; /* shared memory */
    const char *image, *image_end;
};

static Memory memory;

/* ---- device memory --------------------------------------------------------
 */

static void *pages(size_t bytes)
{
    void *p = mmap(nullptr, bytes + 1, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

void *emu_alloc(size_t bytes)
{
    Allocation a = {(char *)pages(bytes), bytes, (uint8_t *)pages(bytes),
                    (uint32_t *)pages((bytes + 1) / GRAIN * sizeof(uint32_t))};
    if (!a.at || !a.defined || !a.writer)
        return nullptr;
    memset(a.at, 0xff, bytes);
    memory.allocations.push_back(a);
    return a.at;
}

void emu_free(void *at)
{
    for (size_t i = 0; i < memory.allocations.size(); i++) {
        Allocation a = memory.allocations[i];
        if (a.at != at)
            continue;
        munmap(a.at, a.bytes + 1);
        munmap(a.defined, a.bytes + 1);
        munmap(a.writer, (a.bytes + 1) / GRAIN * sizeof(uint32_t) + 1);
        memory.allocations.erase(memory.allocations.begin() + (long)i);
        return;
    }
}

/* The allocation that holds all of it. */
static Allocation *allocation_of(const char *at, size_t bytes)
{
    for (Allocation &a : memory.allocations)
        if (at >= a.at && at + bytes <= a.at + a.bytes)
            return &a;
    return nullptr;
}

static void mark(const void *at, size_t bytes, int defined)
{
    Allocation *a = allocation_of((const char *)at, bytes);
    if (a)
        memset(a->defined + ((const char *)at - a->at), defined, bytes);
}

void emu_define(const void *at, size_t bytes)
{
    mark(at, bytes, 1);
}

void emu_undefine(const void *at, size_t bytes)
{
    mark(at, bytes, 0);
    if (allocation_of((const char *)at, bytes))
        memset((void *)at, 0xff, bytes);
}

int emu_is_device(const void *at, size_t bytes)
{
    return allocation_of((const char *)at, bytes) != nullptr;
}

int emu_is_defined(const void *at, size_t bytes)
{
    const Allocation *a = allocation_of((const char *)at, bytes);
    return a && !memchr(a->defined + ((const char *)at - a->at), 0, bytes);
}

static const char *verb(const Access &x)
{
    return x.write ? "writes" : "reads";
}

static void device_read(const Allocation *a, size_t at, const Access &x,
                        const void *place)
{
    for (size_t i = 0; i < x.bytes; i++)
        if (!a->defined[at + i])
            emu_fail(place,
                     "reads %zu bytes of device memory that nobody wrote",
                     x.bytes);
}

/* Blocks may run at the same time, in any order. */
static void device_blocks(const Allocation *a, size_t at, const Access &x,
                          const void *place)
{
    for (size_t i = at / GRAIN; i <= (at + x.bytes - 1) / GRAIN; i++) {
        uint32_t by = a->writer[i];
        bool other = by >= memory.launched && by != memory.serial;
        if (other && !x.atomic && x.bytes >= GRAIN)
            emu_fail(place,
                     "%s device memory that another block of this launch "
                     "writes",
                     verb(x));
        if (x.write && !x.atomic)
            a->writer[i] = memory.serial;
    }
}

static void device_access(Allocation *a, const Access &x, const void *place)
{
    size_t at = (size_t)(x.at - a->at);
    if (!x.write || x.atomic)
        device_read(a, at, x, place);
    device_blocks(a, at, x, place);
    if (x.write)
        memset(a->defined + at, 1, x.bytes);
}

/* ---- shared memory --------------------------------------------------------
 */

/* Has what `s` saw happened before what the thread that runs does now? */
static bool is_before(const Seen &s, const Thread *t)
{
    if (s.when < memory.when || thread_of(s) == t->number)
        return true;
    bool same_warp = !(s.who & MANY) && thread_of(s) / EMU_WARP == t->warp;
    return same_warp && s.warp_when < memory.warp_when[t->warp];
}

static inline void see(Seen *s, const Seen &mine)
{
    uint32_t other = (s->who ^ mine.who) & ~(ATOMIC | (EMU_WARP - 1));
    uint32_t many = s->when == mine.when && other ? MANY : 0;
    s->when = mine.when;
    s->warp_when = mine.warp_when;
    s->who = mine.who | many;
}

static void race(const Seen &s, const char *did, const Access &x, size_t at,
                 const void *place)
{
    emu_fail(place,
             "%s shared memory (byte %zu) that thread %u %s, with no barrier "
             "between",
             verb(x), at, thread_of(s), did);
}

static void shared_cell(Cell *c, unsigned bytes, const Access &x, size_t at,
                        const Seen &mine, const void *place)
{
    const Thread *t = emu.now;
    bool whole = x.bytes >= GRAIN; /* single bytes may share a cell */
    bool atomics = x.atomic && c->written.who & ATOMIC;
    if (c->written.when < memory.born)
        c->defined = 0;
    if (whole && !atomics && !is_before(c->written, t))
        race(c->written, "writes", x, at, place);
    if (whole && x.write && !atomics && !is_before(c->read, t))
        race(c->read, "reads", x, at, place);
    if ((!x.write || x.atomic) && (c->defined & bytes) != bytes)
        emu_fail(place, "reads shared memory (byte %zu) that nobody wrote", at);
    if (!x.write)
        return see(&c->read, mine);
    see(&c->written, mine);
    c->defined =
        (uint8_t)(x.pending ? c->defined & ~bytes : c->defined | bytes);
}

enum { WHOLE = (1 << GRAIN) - 1 };

/* What was written before the last barrier is there for all. */
static inline bool read_is_well(const Cell *c)
{
    return c->written.when < memory.when && c->written.when >= memory.born &&
           c->defined == WHOLE;
}

static void shared_access(Range *r, const Access &x, const void *place)
{
    const Thread *t = emu.now;
    size_t at = (size_t)(x.at - r->at), end = at + x.bytes;
    if (end > r->bytes)
        emu_fail(place,
                 "%s %zu bytes of shared memory at byte %zu, past its %zu",
                 verb(x), x.bytes, at, r->bytes);
    r->low = at < r->low ? at : r->low;
    r->high = end > r->high ? end : r->high;
    const Seen mine = {memory.when, memory.warp_when[t->warp],
                       t->number | (x.atomic ? ATOMIC : 0)};
    for (size_t i = at / GRAIN; i * GRAIN < end; i++) {
        Cell *c = &r->cells[i];
        size_t first = i * GRAIN;
        unsigned bytes = WHOLE;
        if (first < at || first + GRAIN > end)
            bytes = first < at ? 2 : 1;
        if (bytes == WHOLE && !x.write && read_is_well(c))
            see(&c->read, mine);
        else
            shared_cell(c, bytes, x, at, mine, place);
    }
}

/* ---- any access -----------------------------------------------------------
 */

static bool inside(const EmuSpan &s, const Access &x)
{
    return x.at >= s.at && x.at + x.bytes <= s.at + s.bytes;
}

/* An argument that holds it; for a write, one that may be written. */
static bool span_holds(const Access &x)
{
    size_t n = memory.spans.size();
    for (size_t i = 0; i < n; i++) {
        size_t k = memory.last + i;
        k = k < n ? k : k - n;
        if (inside(memory.spans[k], x) &&
            (!x.write || memory.spans[k].written)) {
            memory.last = k;
            return true;
        }
    }
    return n == 0;
}

static void say_outside(const Access &x, const void *place)
{
    const EmuSpan *near = nullptr;
    long long least = 0, past = 0;
    size_t number = 0;
    for (size_t i = 0; i < memory.spans.size(); i++) {
        const EmuSpan *s = &memory.spans[i];
        if (inside(*s, x))
            return emu_fail(place, "writes to its argument %zu, an operand", i);
        long long low = s->at - x.at;
        long long high = x.at + x.bytes - (s->at + s->bytes);
        long long far = low > 0 ? low : high;
        if (!near || far < least) {
            near = s;
            least = far;
            number = i;
            past = low > 0 ? -low : (long long)(x.at - s->at);
        }
    }
    if (!near)
        return emu_fail(place, "%s %zu bytes that are nobody's", verb(x),
                        x.bytes);
    emu_fail(place,
             "%s %zu bytes at byte %lld of its argument %zu, which has %zu",
             verb(x), x.bytes, past, number, near->bytes);
}

static bool in_range(const Range &r, const char *at)
{
    return at >= r.at && at < r.at + r.bytes;
}

/* Most accesses of most kernels. */
static inline bool is_clean(const char *at, size_t bytes)
{
    for (const EmuSpan &s : memory.clean)
        if (at >= s.at && at + bytes <= s.at + s.bytes)
            return true;
    return false;
}

void memory_check(const Access &x, const void *place)
{
    const Thread *t = emu.now;
    if (!t || (x.at >= t->stack && x.at < t->stack + EMU_STACK))
        return;
    if (in_range(memory.dynamic, x.at))
        return shared_access(&memory.dynamic, x, place);
    if (x.at >= emu_dynamic_shared &&
        x.at < emu_dynamic_shared + EMU_SHARED_MOST)
        return emu_fail(place, "%s shared memory at byte %td, past its %zu",
                        verb(x), x.at - emu_dynamic_shared,
                        memory.dynamic.bytes);
    if (in_range(memory.fixed, x.at))
        return shared_access(&memory.fixed, x, place);
    Allocation *a = allocation_of(x.at, x.bytes);
    if (a && span_holds(x))
        return device_access(a, x, place);
    if (!x.write && x.at >= memory.image && x.at < memory.image_end)
        return; /* tables */
    say_outside(x, place);
}

void emu_access(const void *at, size_t bytes, int write, int atomic)
{
    Access x = {(const char *)at, bytes, write != 0, atomic != 0, false};
    memory_check(x, __builtin_return_address(0));
}

/* ---- launches, blocks, barriers -------------------------------------------
 */

/* This shared object: its constants, and its memory for each host thread, which
 * is where static shared arrays are. */
static int find_image(struct dl_phdr_info *info, size_t, void *)
{
    const char *here = (const char *)&memory;
    const char *low = nullptr, *high = nullptr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        const char *at = (const char *)info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_LOAD) {
            low = low && low < at ? low : at;
            high = high > at + p->p_memsz ? high : at + p->p_memsz;
        }
    }
    if (here < low || here >= high)
        return 0;
    memory.image = low;
    memory.image_end = high;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            memory.fixed.at = (char *)info->dlpi_tls_data;
            memory.fixed.bytes = info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

static Cell *cells_new(size_t bytes)
{
    Cell *c = (Cell *)pages((bytes / GRAIN + 1) * sizeof(Cell));
    if (!c)
        abort();
    return c;
}

static void find_memory(void)
{
    memset(emu_dynamic_shared, 0xff, EMU_SHARED_MOST);
    dl_iterate_phdr(find_image, nullptr);
    memory.fixed.cells = cells_new(memory.fixed.bytes);
    memory.dynamic.at = emu_dynamic_shared;
    memory.fixed.high = memory.fixed.bytes;
    memory.dynamic.cells = cells_new(EMU_SHARED_MOST);
    memory.warp_when.resize(EMU_THREADS_MOST / EMU_WARP);
    memory.when = memory.born = memory.serial = 1;
}

static bool overlaps(const EmuSpan &a, const EmuSpan &b)
{
    return a.at < b.at + b.bytes && b.at < a.at + a.bytes;
}

/* What a fresh result holds is not defined before, unless it lies over an
 * operand. */
static void forget_results(const EmuLaunch *l)
{
    for (unsigned i = 0; i < l->n_spans; i++) {
        bool also_read = false;
        for (unsigned k = 0; k < l->n_spans; k++)
            also_read = also_read || (!l->span[k].written &&
                                      overlaps(l->span[i], l->span[k]));
        if (l->span[i].fresh && !also_read)
            emu_undefine(l->span[i].at, l->span[i].bytes);
    }
}

static bool is_defined(const EmuSpan &s)
{
    const Allocation *a = allocation_of(s.at, s.bytes);
    return s.bytes && !memchr(a->defined + (s.at - a->at), 0, s.bytes);
}

static void find_clean(void)
{
    memory.clean.clear();
    for (const EmuSpan &s : memory.spans) {
        bool clean = !s.written && is_defined(s);
        for (const EmuSpan &o : memory.spans)
            clean = clean && !(o.written && overlaps(s, o));
        if (clean)
            memory.clean.push_back(s);
    }
}

bool memory_launch_begin(const EmuLaunch *l)
{
    if (!memory.when)
        find_memory();
    memory.launched = memory.serial + 1;
    memory.dynamic.bytes = l->shared;
    memory.spans.assign(l->span, l->span + l->n_spans);
    memory.last = 0;
    for (unsigned i = 0; i < l->n_spans; i++)
        if (!allocation_of(l->span[i].at, l->span[i].bytes)) {
            emu_fail(nullptr, "argument %u is not device memory", i);
            return false;
        }
    forget_results(l);
    find_clean();
    return true;
}

void memory_launch_end(void)
{
    memory.spans.clear();
    memory.clean.clear();
}

/* What the block before has touched. */
static void poison(Range *r)
{
    if (r->low < r->high)
        memset(r->at + r->low, 0xff, r->high - r->low);
    r->low = SIZE_MAX;
    r->high = 0;
}

void memory_block_begin(void)
{
    memory.serial++;
    memory.born = ++memory.when;
    poison(&memory.fixed);
    poison(&memory.dynamic);
}

void memory_barrier(void)
{
    memory.when++;
}

void memory_warp_barrier(unsigned warp)
{
    memory.warp_when[warp]++;
}

/* ---- what the compiler calls ----------------------------------------------
 */

extern "C" {
#define EMU_HOOK(name, bytes, write)                                           \
    void name(void *at);                                                       \
    void name(void *at)                                                        \
    {                                                                          \
        if (!write && is_clean((const char *)at, bytes))                       \
            return;                                                            \
        Access x = {(const char *)at, bytes, write, false, false};             \
        memory_check(x, __builtin_return_address(0));                          \
    }
#define EMU_HOOKS(bytes)                                                       \
    EMU_HOOK(__tsan_read##bytes, bytes, false)                                 \
    EMU_HOOK(__tsan_write##bytes, bytes, true)                                 \
    EMU_HOOK(__tsan_unaligned_read##bytes, bytes, false)                       \
    EMU_HOOK(__tsan_unaligned_write##bytes, bytes, true)                       \
    EMU_HOOK(__tsan_volatile_read##bytes, bytes, false)                        \
    EMU_HOOK(__tsan_volatile_write##bytes, bytes, true)
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)

#define EMU_RANGE(name, write)                                                 \
    void name(void *at, size_t bytes);                                         \
    void name(void *at, size_t bytes)                                          \
    {                                                                          \
        Access x = {(const char *)at, bytes, write, false, false};             \
        if (bytes)                                                             \
            memory_check(x, __builtin_return_address(0));                      \
    }
EMU_RANGE(__tsan_read_range, false)
EMU_RANGE(__tsan_write_range, true)

void __tsan_init(void);
void __tsan_init(void)
{
}
void __tsan_func_entry(void *);
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit(void *);
void __tsan_func_exit(void *)
{
}
void __tsan_vptr_update(void **, void *);
void __tsan_vptr_update(void **, void *)
{
}
void __tsan_vptr_read(void **);
void __tsan_vptr_read(void **)
{
}
}
