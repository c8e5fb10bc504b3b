"""Every ```net block of docs/language.md and docs/data.md compiles and is laid out
as `tgc fmt` does it, and the pages made from tables are what the tables say.

    ```net             a file of its own
    ```net file=F.net  kept under that name for the blocks that use it
"""
import os
import re
import sys

import tgctest as t

DOCS = os.path.join(t.SOURCE, "docs")


def blocks(text):
    """(line, name or None, code)"""
    for match in re.finditer(r"^```net(?: file=(\S+))?\n(.*?)^```$", text,
                             re.M | re.S):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2]


def check_examples(checks, folder, page, least):
    with open(os.path.join(DOCS, page)) as file:
        text = file.read()
    found = list(blocks(text))
    checks.that(len(found) >= least, f"docs/{page} has examples", len(found))
    for line, name, code in found:
        path = os.path.join(folder, name or f"line{line}.net")
        with open(path, "w") as file:
            file.write(code)
        run = t.run(t.TGC, "dump", path)
        checks.that(run.status == 0 and "graph eval" in run.out,
                    f"docs/{page}:{line}: compiles", run.err)
        checks.equal(t.run(t.TGC, "fmt", path).out, code,
                     f"docs/{page}:{line}: is laid out by tgc fmt")


def check_made(checks, page):
    with open(os.path.join(DOCS, page + ".md")) as file:
        run = t.run(t.TGC, page, "--markdown").must()
        checks.that(file.read() == run.out, f"docs/{page}.md is fresh",
                    f"build/tgc {page} --markdown > docs/{page}.md")


def main():
    checks = t.Checks()
    folder = t.scratch("docs")
    check_examples(checks, folder, "language.md", 10)
    check_examples(checks, folder, "data.md", 1)
    for page in ("layers", "settings"):
        check_made(checks, page)
    checks.done()


if __name__ == "__main__":
    sys.exit(main())
