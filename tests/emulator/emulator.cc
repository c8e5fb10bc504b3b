/* emulator.cc: threads as fibers, blocks, barriers.  See emulator.h. */
#include "private.h"
#include "cuda_emulated.h"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

Emulator emu;

/* ---- failing --------------------------------------------------------------
 */

/* "kernels_3.cu:88", from what the compiler wrote for debuggers. */
static std::string source_line(const void *place)
{
    Dl_info info;
    if (!place || !dladdr(place, &info) || !info.dli_fname)
        return "";
    char command[1024], line[512] = "";
    unsigned long offset =
        (unsigned long)((const char *)place - (const char *)info.dli_fbase) - 1;
    snprintf(command, sizeof command, "addr2line -s -e '%s' 0x%lx 2>/dev/null",
             info.dli_fname, offset);
    FILE *pipe = popen(command, "r");
    bool read = pipe && fgets(line, sizeof line, pipe);
    if (pipe)
        pclose(pipe);
    line[strcspn(line, " \n")] = 0;
    return read && line[0] != '?' ? std::string(" at ") + line : "";
}

static std::string format_text(const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    return text;
}

static std::string where_text(void)
{
    char text[512];
    const char *kernel = emu.launch ? emu.launch->kernel : "";
    if (emu.now)
        snprintf(text, sizeof text, "kernel %s, block %u, thread %u: ", kernel,
                 emu.block[0], emu.now->number);
    else
        snprintf(text, sizeof text, "kernel %s: ", kernel);
    return text;
}

static void fiber_switch(void **from, void *to);

void emu_fail(const void *place, const char *format, ...)
{
    if (!emu.failed) {
        va_list args;
        va_start(args, format);
        emu.error =
            where_text() + format_text(format, args) + source_line(place);
        va_end(args);
    }
    emu.failed = true;
    if (emu.now) { /* never comes back */
        Thread *t = emu.now;
        fiber_switch(&t->sp, emu.scheduler);
        abort();
    }
}

const char *emu_error(void)
{
    return emu.error.c_str();
}

/* ---- random order ---------------------------------------------------------
 */

void emu_seed(uint64_t seed)
{
    emu.random = seed * 2 + 1;
}

uint32_t emu_random(uint32_t below) /* half of splitmix64 */
{
    uint64_t z = emu.random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)((z >> 32) * below >> 32);
}

/* ---- fibers ---------------------------------------------------------------
 */

static void fiber_main(void)
{
    Thread *t = emu.now;
    emu.kernel->invoke(emu.launch->args);
    copies_do(t, 0);
    t->wait = ENDED;
    fiber_switch(&t->sp, emu.scheduler);
    abort(); /* nobody runs it again */
}

#ifdef __x86_64__

/* The registers that a function must keep, on the stack that is left. */
__asm__(".text\n"
        ".local emu_switch\n"
        ".type emu_switch, @function\n"
        "emu_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size emu_switch, .-emu_switch\n");
extern "C" void emu_switch(void **from, void *to);

static void fiber_switch(void **from, void *to)
{
    emu_switch(from, to);
}

/* A stack that looks as if fiber_main had been about to start. */
static void fiber_new(Thread *t)
{
    /* Not at the same place of every page: caches would have few rooms. */
    size_t shift = t->number % 61 * 128;
    void **top = (void **)(t->stack + EMU_STACK - shift);
    *--top = nullptr; /* a return address, so that the stack is aligned */
    *--top = (void *)fiber_main;
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    t->sp = top;
}

#else

static ucontext_t contexts[EMU_THREADS_MOST + 1];

static void fiber_switch(void **from, void *to)
{
    ucontext_t *here = &contexts[emu.now ? emu.now->number + 1 : 0];
    *from = here;
    emu.scheduler = &contexts[0];
    swapcontext(here, (ucontext_t *)to);
}

static void fiber_new(Thread *t)
{
    ucontext_t *c = &contexts[t->number + 1];
    getcontext(c);
    c->uc_stack.ss_sp = t->stack;
    c->uc_stack.ss_size = EMU_STACK;
    c->uc_link = nullptr;
    makecontext(c, fiber_main, 0);
    t->sp = c;
}

#endif

void emu_wait(Wait why)
{
    Thread *t = emu.now;
    t->wait = why;
    fiber_switch(&t->sp, emu.scheduler);
}

/* ---- a block --------------------------------------------------------------
 */

static void thread_begin(Thread *t, unsigned number)
{
    const unsigned *size = emu.launch->block;
    t->number = number;
    t->index[0] = number % size[0];
    t->index[1] = number / size[0] % size[1];
    t->index[2] = number / size[0] / size[1];
    t->warp = number / EMU_WARP;
    t->lane = number % EMU_WARP;
    t->wait = RUNS;
    t->copies.clear();
    t->groups = 0;
    fiber_new(t);
}

static void stacks_open(void)
{
    size_t bytes = (size_t)EMU_STACK * EMU_THREADS_MOST;
    char *stack =
        (char *)mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    emu.threads.resize(EMU_THREADS_MOST);
    for (Thread &t : emu.threads) {
        t.stack = stack;
        stack += EMU_STACK;
    }
}

/* Those that wait are let go once all of them do; where one has ended before,
 * nobody may wait for it. */
static bool barrier_opens(const unsigned *count)
{
    if (count[AT_BARRIER] != emu.n_threads)
        return false;
    memory_barrier();
    for (unsigned i = 0; i < emu.n_threads; i++)
        emu.threads[i].wait = RUNS;
    return true;
}

static void say_stuck(const unsigned *count)
{
    if (count[AT_BARRIER])
        emu_fail(nullptr,
                 "block %u: a barrier is reached by %u of %u threads; %u have "
                 "ended, %u wait in their warp",
                 emu.block[0], count[AT_BARRIER], emu.n_threads, count[ENDED],
                 count[IN_WARP]);
    else
        emu_fail(nullptr,
                 "block %u: %u threads wait in their warp for lanes that do "
                 "something else; %u have ended",
                 emu.block[0], count[IN_WARP], count[ENDED]);
}

static void thread_run(Thread *t)
{
    emu.now = t;
    fiber_switch(&emu.scheduler, t->sp);
    emu.now = nullptr;
}

/* Who runs in the next round: of all that can, those of most warps, so that one
 * warp may be far ahead of another. */
static void round_choose(std::vector<unsigned> *ready, unsigned *count)
{
    unsigned warp = ~0u;
    bool skip = false;
    ready->clear();
    memset(count, 0, 4 * sizeof *count);
    for (unsigned i = 0; i < emu.n_threads; i++) {
        const Thread *t = &emu.threads[i];
        count[t->wait]++;
        if (t->warp != warp)
            skip = emu_random(4) == 0;
        warp = t->warp;
        if (t->wait == RUNS && !skip)
            ready->push_back(i);
    }
}

/* Rounds: threads that can run do, one after the other in random order, each
 * until it must wait; then warps whose lanes have come together go on. */
static void block_schedule(void)
{
    std::vector<unsigned> ready;
    unsigned count[4];
    for (;;) {
        round_choose(&ready, count);
        if (count[ENDED] == emu.n_threads || emu.failed)
            return;
        if (!count[RUNS] && !barrier_opens(count))
            return say_stuck(count);
        for (size_t n = ready.size(); n && !emu.failed; n--) {
            size_t k = emu_random((uint32_t)n);
            thread_run(&emu.threads[ready[k]]);
            ready[k] = ready[n - 1];
        }
        for (unsigned i = 0; i < emu.n_threads && !emu.failed; i++)
            if (emu.threads[i].wait == IN_WARP)
                warp_try(&emu.threads[i]);
    }
}

static void block_run(unsigned number)
{
    const unsigned *grid = emu.launch->grid;
    emu.block[0] = number % grid[0];
    emu.block[1] = number / grid[0] % grid[1];
    emu.block[2] = number / grid[0] / grid[1];
    memory_block_begin();
    for (unsigned i = 0; i < emu.n_threads; i++)
        thread_begin(&emu.threads[i], i);
    block_schedule();
}

/* ---- a launch -------------------------------------------------------------
 */

static const EmuKernel *kernel_named(const char *name)
{
    for (const EmuKernel *k = emu.kernels; k; k = k->next)
        if (!strcmp(k->name, name))
            return k;
    return nullptr;
}

static bool launch_fits(const EmuLaunch *l)
{
    const EmuKernel *k = emu.kernel;
    if (!k)
        emu_fail(nullptr, "there is no such kernel");
    else if (emu.n_threads == 0 || emu.n_threads > EMU_THREADS_MOST)
        emu_fail(nullptr, "a block of %u threads", emu.n_threads);
    else if (k->threads && emu.n_threads > (unsigned)k->threads)
        emu_fail(nullptr, "a block of %u threads, over its launch bound of %d",
                 emu.n_threads, k->threads);
    else if (l->shared > EMU_SHARED_MOST)
        emu_fail(nullptr, "%zu bytes of shared memory, over %d", l->shared,
                 EMU_SHARED_MOST);
    else if (l->n_spans && l->n_spans != (unsigned)k->n_args)
        emu_fail(nullptr, "takes %d arguments, is given %u", k->n_args,
                 l->n_spans);
    return !emu.failed;
}

/* Blocks in random order: each one of a full-cycle walk with a step that has
 * no divisor in common with their number. */
static void launch_blocks(uint64_t blocks)
{
    uint64_t step = 1, at = emu_random((uint32_t)blocks);
    for (int i = 0; i < 64 && blocks > 2; i++) {
        uint64_t a = 1 + emu_random((uint32_t)blocks - 1), b = blocks, c = a;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) {
            step = c;
            break;
        }
    }
    for (uint64_t i = 0; i < blocks && !emu.failed; i++) {
        block_run((unsigned)at);
        at = (at + step) % blocks;
    }
}

int emu_launch(const EmuLaunch *l)
{
    if (emu.threads.empty())
        stacks_open();
    emu.failed = false;
    emu.launch = l;
    emu.now = nullptr;
    emu.kernel = kernel_named(l->kernel);
    emu.n_threads = l->block[0] * l->block[1] * l->block[2];
    if (launch_fits(l) && memory_launch_begin(l))
        launch_blocks((uint64_t)l->grid[0] * l->grid[1] * l->grid[2]);
    memory_launch_end();
    emu.launch = nullptr;
    return emu.failed ? -1 : 0;
}

extern "C" void emu_register(EmuKernel *kernel)
{
    kernel->next = emu.kernels;
    emu.kernels = kernel;
}

int emu_kernel_exists(const char *name)
{
    return kernel_named(name) != nullptr;
}

int emu_kernel_threads(const char *name)
{
    const EmuKernel *k = kernel_named(name);
    return k ? k->threads : 0;
}

int emu_kernel_args(const char *name)
{
    const EmuKernel *k = kernel_named(name);
    return k ? k->n_args : 0;
}

/* ---- what a kernel asks ---------------------------------------------------
 */

static uint3 three(const unsigned *v)
{
    return {v[0], v[1], v[2]};
}

uint3 emu_thread_index(void)
{
    return three(emu.now->index);
}

uint3 emu_block_index(void)
{
    return three(emu.block);
}

uint3 emu_block_size(void)
{
    return three(emu.launch->block);
}

uint3 emu_grid_size(void)
{
    return three(emu.launch->grid);
}

void emu_barrier(void)
{
    emu_wait(AT_BARRIER);
}
