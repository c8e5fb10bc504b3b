"""tgc compile leaves a binary or a message, never half of something."""
import os
import stat

import tgctest as t

TINY = os.path.join(t.SOURCE, "tests", "e2e", "tiny.net")


def compile_to(output, *options, model=TINY, **how):
    return t.run(t.TGC, "compile", model, "-o", output, *options, **how)


def check_options(checks, folder):
    out = os.path.join(folder, "out")
    for options, pattern, text in [
            (["-D", "dept=20"], "depth", "a misspelled parameter"),
            (["-D", "depth=21"], "6n \\+ 2", "depth=21"),
            (["-D", "depth=99999999999999999999"], "depth|number|large",
             "a parameter past 64 bits"),
            (["--set", "optimizer.lrr=1"], "optimizer.lr", "a misspelled key"),
            (["--set", "batch=0"], "batch", "batch=0"),
            (["--set", "batch=-3"], "batch", "batch=-3"),
            (["--set", "batch=many"], "batch", "batch=many"),
            (["--sett", "batch=1"], "--set", "a misspelled option"),
            (["--march", "pentium9"], "pentium9", "an unknown machine")]:
        run = compile_to(out, *options, model=os.path.join(t.MODELS,
                                                           "resnet.net"))
        checks.refused(run, pattern, text)
        checks.that(not os.path.exists(out), f"{text}: no output file")
    checks.refused(compile_to(out, model=os.path.join(folder, "no.net")),
                   "no.net", "a missing model file")
    checks.refused(compile_to(out, model=folder), "director|regular|read",
                   "a directory for a model")


def check_machine(checks, folder):
    """No C compiler, one that fails, and outputs that cannot be written."""
    out = os.path.join(folder, "kept")
    with open(out, "w") as file:
        file.write("the user's")
    empty = os.path.join(folder, "empty")
    os.makedirs(empty)
    if not t.SANITIZED:  # a build with sanitizers calls its own compiler
        checks.refused(compile_to(out, env={"PATH": empty}), "cc",
                       "no cc on the path")
    bad = os.path.join(empty, "cc")
    with open(bad, "w") as file:
        file.write("#!/bin/sh\necho the compiler is broken >&2\nexit 3\n")
    os.chmod(bad, os.stat(bad).st_mode | stat.S_IXUSR)
    checks.refused(compile_to(out, env={"CC": bad}), "cc", "a cc that fails")
    with open(out) as file:
        checks.equal(file.read(), "the user's", "what was there is still there")
    left = sorted(os.listdir(folder))
    checks.equal(left, ["empty", "kept"], "no temporary files are left")
    checks.refused(compile_to(os.path.join(folder, "no", "where")), "no/where",
                   "an output in a missing folder")
    checks.refused(compile_to(folder), os.path.basename(folder),
                   "an output that is a folder")


def check_sizes(checks, folder):
    """A file past any sense, quickly: messages, not minutes."""
    big = os.path.join(folder, "big.net")
    with open(big, "w") as file:
        file.write("net big(image: [1, 28, 28]) {\n    x = mean(image)\n")
        file.write("    x = x + 1 # a line like the others\n" * 280000)
        file.write("    return linear: dense(x, 10)\n}\n")
    run = compile_to(os.path.join(folder, "out"), model=big, timeout=120)
    checks.that(run.status in (0, 1) and (run.status == 0 or run.err.strip()),
                "a model file of 10 MB compiles or is refused",
                f"{run.status} {run.err[-500:]}")
    deep = os.path.join(folder, "deep.net")
    with open(deep, "w") as file:
        file.write("param x = " + "(" * 200000 + "1" + ")" * 200000 + "\n")
    checks.refused(compile_to(os.path.join(folder, "out"), model=deep),
                   "nest|deep", "an expression nested 200,000 deep")


def check_binary(checks):
    if t.SANITIZED:
        return
    for name in ("resnet20", "resnet110", "resnet1202"):
        size = os.path.getsize(t.compiled(name))
        checks.that(size < 2e6, f"{name}: {size / 1e6:.2f} MB, under 2 MB")
    linked = t.run("ldd", t.compiled("resnet20")).out
    for word in ("flex", "bison", "python", "LLVM"):
        checks.that(word not in linked, f"the binary does not need {word}")


def check_same_bytes(checks, folder):
    """The same input gives the same generated text."""
    for what in ("c", "plan"):
        texts = [t.run(t.TGC, "compile", "resnet20.net", f"--emit={what}",
                       cwd=t.MODELS).must().out for _ in range(2)]
        checks.that(texts[0] == texts[1] and texts[0], f"--emit={what} twice")
        checks.that(t.SOURCE not in texts[0],
                    f"--emit={what}: no path that the user did not type")
    sources = []
    for name in ("once", "again"):
        temps = os.path.join(folder, name)
        compile_to(os.path.join(folder, "out"), "--save-temps=" + temps,
                   model=os.path.join(t.MODELS, "lenet.net")).must()
        with open(os.path.join(temps, "plan.c"), "rb") as file:
            sources.append(file.read())
    checks.equal(sources[0], sources[1], "the packed plan twice")


def main():
    checks = t.Checks()
    checks.that(t.run(t.TGC, "--version").must().out.startswith("tgc "),
                "tgc --version")
    check_options(checks, t.scratch("compiling_options"))
    check_machine(checks, t.scratch("compiling_machine"))
    check_sizes(checks, t.scratch("compiling_sizes"))
    check_same_bytes(checks, t.scratch("compiling_twice"))
    check_binary(checks)
    checks.done()


if __name__ == "__main__":
    main()
