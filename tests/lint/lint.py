"""The rules of the house that a machine can check: no paths of one machine,
length of files and functions, the layout of the C code, no mutable globals in
the libraries."""
import os
import re
import shutil
import subprocess
import sys

import tgctest as t

MOST_LINES, MOST_IN_FUNCTION = 800, 80
CODE = (".c", ".h", ".l", ".y", ".py")
LIBRARIES = ("ir", "passes", "codegen", "frontend", "runtime")


def tracked():
    run = t.run("git", "-C", t.SOURCE, "ls-files")
    if run.status != 0:
        t.skip("no git checkout")
    return [f for f in run.out.splitlines()
            if os.path.isfile(os.path.join(t.SOURCE, f))]


def read(name):
    with open(os.path.join(t.SOURCE, name), encoding="utf-8",
              errors="replace") as file:
        return file.read()


def long_functions(text):
    """(line, length) of functions in C that starts bodies in column 0."""
    begin = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("{"):
            begin = number
        elif line.startswith("}") and begin:
            if number - begin > MOST_IN_FUNCTION:
                yield begin, number - begin
            begin = None


def check_lengths(checks, files):
    for name in files:
        if not name.endswith(CODE):
            continue
        text = read(name)
        lines = text.count("\n")
        if lines > MOST_LINES:
            checks.that(False, f"{name}: {lines} lines, past {MOST_LINES}")
        if name.endswith((".c", ".h")):
            for line, length in long_functions(text):
                checks.that(False, f"{name}:{line}: a function of {length} "
                            f"lines, past {MOST_IN_FUNCTION}")
    checks.that(True, "files and functions are short enough")


def check_paths(checks, files):
    """Absolute paths of someone's machine have no place in the repository."""
    words = r"(?<![\w.])/(?:home|root|work|Users)/[\w.-]"
    bad = []
    for name in files:
        if name == "tests/lint/lint.py" or name.endswith(".safetensors"):
            continue
        for number, line in enumerate(read(name).splitlines(), 1):
            if re.search(words, line):
                bad.append(f"{name}:{number}: {line.strip()[:100]}")
    checks.that(not bad, "no paths of one machine", "\n".join(bad))


def check_globals(checks, files):
    """State hangs off a handle: no static variable that can change."""
    static = re.compile(r"^\s*static (?!inline|const|_Thread_local|.*\bconst\b)"
                        r"[^()]*[;=]")
    bad = []
    for name in files:
        if name.split("/")[0] in LIBRARIES and name.endswith(".c"):
            bad += [f"{name}:{number}: {line.strip()}"
                    for number, line in enumerate(read(name).splitlines(), 1)
                    if static.match(line)]
    checks.that(not bad, "no mutable statics", "\n".join(bad))


def check_format(checks, files):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        print("        (clang-format is not installed: one check less)")
        return
    names = [os.path.join(t.SOURCE, f) for f in files if f.endswith((".c", ".h"))]
    done = subprocess.run([tool, "--dry-run", "-Werror", *names],
                          stderr=subprocess.PIPE, encoding="utf-8")
    bad = re.findall(r"^(\S+?:\d+):\d+: error", done.stderr, re.M)
    short = sorted({os.path.relpath(b, t.SOURCE) for b in bad})
    checks.that(done.returncode == 0, "clang-format leaves every file as it is",
                "\n".join(short[:40]))


def check_copies(checks):
    """What is generated is not in the repository, and shell parses."""
    for name in ("check", "quickstart", "cmake/packages.sh", ".ci/run"):
        run = t.run("bash", "-n", os.path.join(t.SOURCE, name))
        checks.that(run.status == 0, f"{name} parses", run.err)


def main():
    checks = t.Checks()
    files = tracked()
    check_lengths(checks, files)
    check_paths(checks, files)
    check_globals(checks, files)
    check_format(checks, files)
    check_copies(checks)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
