"""The emulator: what kernels compute, and that planted faults are found, in
every order of threads: a missing barrier, an access outside, a read of what
nobody wrote, and more.  usage: planted.py"""
import array
import itertools
import os
import re
import sys

import gpu
import tgctest as t

SEEDS = 8  # orders that each fault must be found in


def floats(n):
    return array.array("f", [0.5 * i - 7 for i in range(n)])


def fault(n):
    return array.array("i", [n])


def said(checks, g, pattern, text):
    checks.that(re.search(pattern, g.error), text, g.error or "no error")


def check_faults(checks, g, kernel, grid, block, size, wanted, shared=0):
    """Fault 0 is none; wanted[n]: what is said about fault n."""
    for seed in range(SEEDS):
        g.seed(seed)
        for n, text in enumerate(["", *wanted]):
            x = floats(size)
            out = g.launch(kernel, grid, block, [(size, "f")], [x, fault(n)],
                           shared=shared)
            if n == 0 and out is None:
                checks.that(False, f"{kernel}: seed {seed}: {g.error}")
            elif n and text not in g.error:
                checks.that(False, f"{kernel}: fault {n}, seed {seed}",
                            f"wanted {text}, got {g.error or 'nothing'}")
    checks.that(True, f"{kernel}: {len(wanted)} faults in {SEEDS} orders")


def check_planted(checks, g):
    check_faults(checks, g, "reverse", 3, 96, 288, [
        "that nobody wrote", "reads 4 bytes at byte 1152 of its argument 1",
        "shared memory", "writes 4 bytes at byte 1152 of its argument 0",
        "writes to its argument 1, an operand",
        "a barrier is reached by 50 of 96 threads",
        "writes device memory that another block of this launch writes"])
    check_faults(checks, g, "swap", 1, 64, 64, [
        "shared memory", "with no barrier between",
        "threads wait in their warp for lanes that do something else"])
    check_faults(checks, g, "copied", 1, 32, 128, [
        "that nobody wrote", "shared memory", "past its 512",
        "with no barrier between"], shared=512)


def check_message(checks, g):
    g.launch("reverse", 3, 96, [(288, "f")], [floats(288), fault(2)])
    said(checks, g, r"^kernel reverse, block 2, thread 95: reads 4 bytes "
                 r"at byte 1152 of its argument 1, which has 1152 at "
                 r"planted\.cu:\d+$", "where it was")


def check_undefined(checks, g):
    out = g.launch("half_written", 1, 32, [(64, "f")], [fault(0)])
    checks.equal(list(out[0]), [1.0, 2.0] * 32, "all of it is written")
    out = g.launch("sum", 1, 32, [(1, "f")], [floats(64)])
    checks.equal(out[0][0], sum(floats(64)), "a sum")
    g.launch("sum", 1, 32, [(1, "f")], [(64, "f")])
    said(checks, g, "reads 4 bytes of device memory that nobody wrote",
                 "an operand that was never written")


def check_launch(checks, g):
    g.launch("swap", 1, 96, [(64, "f")], [floats(64), fault(0)])
    said(checks, g, "96 threads, over its launch bound of 64", "bound")
    g.launch("copied", 1, 32, [(128, "f")], [floats(128), fault(0)],
             shared=240 << 10)
    said(checks, g, "245760 bytes of shared memory", "shared memory")
    g.launch("nothing", 1, 32, [(1, "f")], [])
    said(checks, g, "no such kernel", "an unknown kernel")


def shuffled(v, width, source):
    """Lane l of 64 gets that of `source` within its segment, or its own."""
    result = []
    for lane in range(64):
        at = lane % 32
        first = at // width * width
        other = source(at, first)
        inside = first <= other < first + width
        result.append(v[lane - at + (other if inside else at)])
    return result


def check_warps(checks, g):
    v = [(7 * i + 3) % 64 for i in range(64)]
    out = list(g.launch("warp_words", 1, 64, [(448, "i")],
                        [array.array("i", v)])[0])
    wanted = shuffled(v, 8, lambda at, first: first + (at + 3) % 8)
    wanted += shuffled(v, 32, lambda at, first: at - 5)
    wanted += shuffled(v, 16, lambda at, first: at + 7)
    wanted += shuffled(v, 32, lambda at, first: at ^ 9)
    for warp in (v[:32], v[32:]):
        votes = sum((x % 3 == 0) << i for i, x in enumerate(warp))
        wanted += [votes - (votes >> 31 << 32)] * 32
    for warp in (v[:32], v[32:]):
        wanted += [(40 in warp) + 2 * all(x < 32 for x in warp)] * 32
    for warp in (v[:32], v[32:]):
        wanted += [warp[2]] * 8 + [warp[12]] * 24
    checks.equal(out, wanted, "shuffles and votes")


def check_atomics(checks, g):
    v = [(i * i + i // 3) % 8 for i in range(640)]
    out = g.launch("counted", 10, 64,
                   [array.array("i", [0] * 9), array.array("f", [0])],
                   [array.array("i", v)])
    checks.equal(list(out[0]), [v.count(k) for k in range(8)] + [639],
                 "atomics of shared and of device memory")
    checks.equal(out[1][0], 320.0, "atomicAdd of floats")


def check_matrix(checks, g):
    a = [(i * 7 % 13 - 6) / 4 for i in range(256)]
    b = [(i * 5 % 11 - 5) / 2 for i in range(128)]
    c = [sum(a[16 * i + k] * b[8 * k + j] for k in range(16))
         for i in range(16) for j in range(8)]
    for bf16, name in ((False, "product_f16"), (True, "product_bf16")):
        out = g.launch(name, 1, 32, [(128, "f")],
                       [gpu.half(a, bf16), gpu.half(b, bf16)])
        checks.that(out is not None, name, g.error)
        checks.equal(list(out[0]), c, f"{name}: ldmatrix and mma")


def philox_uniform(seed, step, stream, element):
    """J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011."""
    key = [seed & 0xffffffff, seed >> 32]
    c = [element // 4 & 0xffffffff, element // 4 >> 32, step, stream]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ key[0], p1 & 0xffffffff,
             p0 >> 32 ^ c[3] ^ key[1], p0 & 0xffffffff]
        key = [(key[0] + 0x9E3779B9) & 0xffffffff,
               (key[1] + 0xBB67AE85) & 0xffffffff]
    return (c[element % 4] >> 8) * 2.0 ** -24


def check_prelude(checks, g):
    out = g.launch("vectors", 1, 32, [(256, "f"), (32, "f")], [floats(256)])
    checks.that(out is not None, "vectors", g.error)
    checks.equal(list(out[0]), [x + 1 for x in floats(256)], "vector loads")
    checks.equal(list(out[1]), [philox_uniform(12345678901, 7, 3, i)
                                for i in range(32)], "random numbers")


# Of the templates: what is taken out, and the kernels that must say so.
WAIT = "tgc_cp_async_wait<P::STAGES - 2>();"
TILE_BARRIER = "__syncthreads(); /* this tile is there, the one before was read */"
PATCH_BARRIER = ("__syncthreads(); /* tile and patch are there, those before "
                 "were read */")
TEMPLATE_FAULTS = (
    ("cuda_mma", TILE_BARRIER, {"computed"}),
    ("cuda_mma", "load_a.put(to, a, k_next, end);", {"computed"}),
    ("cuda_mma", WAIT, {"computed"}),
    ("cuda_halo", PATCH_BARRIER, {"convolved", "convolved_plain"}),
    ("cuda_halo", WAIT, {"convolved", "convolved_plain"}),
    ("cuda_halo", "put(items, patch, from, i);", {"convolved"}),
    ("cuda_halo", "patch.put(items, other, a, of_slice * ITEMS);",
     {"convolved"}),
    ("cuda_halo", "patch.fetch(items, other, a, slice + 1, of_slice * ITEMS);",
     {"convolved_plain"}),
)


def numbers(n):
    return [(i * 7 % 13 - 6) / 4 for i in range(n)]


def product_wanted(a, b):
    return [sum(max(0, a[96 * i + k] + 1) * b[96 * j + k] for k in range(96))
            for i in range(40) for j in range(32)]


def conv_wanted(x, w):
    y = []
    for n, i, j, o in itertools.product(range(2), range(3), range(4), range(16)):
        total = 0
        for a, b in itertools.product(range(3), range(3)):
            h, v = i + a - 1, j + b - 1
            if 0 <= h < 3 and 0 <= v < 4:
                at, tap = 40 * (4 * (3 * n + h) + v), 40 * (9 * o + 3 * a + b)
                total += sum(x[at + c] * w[tap + c] for c in range(40))
        y.append(total)
    return y


def template_jobs():
    """kernel: blocks, threads, operands, result; sums are exact in f16 for
    numbers so small."""
    a, b = numbers(40 * 96), [x / 4 for x in numbers(32 * 96)]
    x, w = numbers(2 * 12 * 40), [x / 4 for x in numbers(16 * 9 * 40)]
    relu = [max(0, v + 1) for v in x]
    return {"computed": (2, 128, a, b, product_wanted(a, b)),
            "convolved": (2, 64, x, w, conv_wanted(relu, w)),
            "convolved_plain": (2, 64, x, w, conv_wanted(x, w))}


def template_text(checks, name, fault):
    text = ""
    for n in ("cuda_prelude", "cuda_gemm", "cuda_mma", "cuda_halo",
              "planted_product"):
        folder = "." if n == "planted_product" else "../../codegen"
        end = "cu" if n == "planted_product" else "cuh"
        path = os.path.join(gpu.HERE, folder, f"{n}.{end}")
        with open(path, encoding="utf-8") as file:
            part = file.read()
        if fault and n == name:
            checks.equal(part.count(fault), 1, f"{name}: {fault}")
            part = part.replace(fault, ";")
        text += part
    return text


def check_templates(checks, folder):
    """Right as they are, in every order of threads; without a barrier, or
    without what brings a tile to shared memory, an error."""
    jobs = template_jobs()
    for n, (name, fault, kernels) in enumerate((("", "", set(jobs)),
                                                *TEMPLATE_FAULTS)):
        path = os.path.join(folder, f"product{n}")
        with open(path + ".cu", "w", encoding="utf-8") as f:
            f.write(template_text(checks, name, fault))
        g = gpu.Gpu(gpu.build(path + ".so", path + ".cu"))
        for seed, kernel in itertools.product(range(SEEDS // 2), kernels):
            blocks, threads, a, b, wanted = jobs[kernel]
            g.seed(seed)
            out = g.launch(kernel, blocks, threads, [(len(wanted), "H")],
                           [gpu.half(a), gpu.half(b)])
            if fault and "shared memory" not in g.error:
                checks.that(False, f"{kernel} without {fault}, seed {seed}",
                            g.error)
            elif not fault and out is None:
                checks.that(False, f"{kernel}: seed {seed}: {g.error}")
            elif not fault:
                checks.equal(out[0], gpu.half(wanted), kernel)
    checks.that(True, f"templates: {len(TEMPLATE_FAULTS)} faults")


def main():
    checks = t.Checks()
    folder = t.scratch("emulator_planted")
    g = gpu.Gpu(gpu.build(os.path.join(folder, "planted.so"),
                          os.path.join(gpu.HERE, "planted.cu")))
    check_planted(checks, g)
    check_message(checks, g)
    check_undefined(checks, g)
    check_launch(checks, g)
    check_warps(checks, g)
    check_atomics(checks, g)
    check_matrix(checks, g)
    check_prelude(checks, g)
    check_templates(checks, folder)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
