"""What a run shows while it runs: on terminals of several widths no line is
longer than the terminal, in a file there is nothing but lines."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import tgctest as t


def on_terminal(columns, *argv):
    """What the command draws, cut where a line begins anew, and its status."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen([str(a) for a in argv], stdout=its,
                               stderr=subprocess.DEVNULL,
                               stdin=subprocess.DEVNULL)
    os.close(its)
    data = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        data += piece
    os.close(ours)
    lines = re.split(r"\r\x1b\[K|\r\n", data.decode())
    return [line for line in lines if line], process.wait(timeout=60)


def check_terminal(checks, command, columns):
    lines, status = on_terminal(columns, *command)
    checks.equal(status, 0, f"{columns} columns: a run")
    bars = [l for l in lines if re.match(r"epoch \d+/\d+ .*left$", l)]
    rows = [l for l in lines if re.match(r" +\d/3 ", l)]
    checks.equal(len(rows), 3, "a row for each epoch")
    checks.that(bars, "a bar", "\n".join(lines))
    wide = [l for l in bars + rows if len(l) >= columns]
    checks.that(not wide, "none is cut by the terminal", "\n".join(wide))
    checks.that(all(re.search(r"loss \d", l) for l in bars),
                "a bar has loss and time left at any width", "\n".join(bars))
    checks.equal([("[" in l) for l in bars[:1]], [columns >= 60],
                 "and a bar where there is room")
    head = next(l for l in lines if re.match(r" +epoch +loss", l))
    checks.equal(head.split()[-1], "lr" if columns >= 100 else "time",
                 "columns as there is room")
    checks.equal(any(re.search(r"\d skipped", l) for l in bars), columns >= 100,
                 "skipped steps, too")
    checks.that("val acc" in head and "average" in head,
                "what a run is judged by is there", head)


def main():
    checks = t.Checks()
    folder = t.scratch("display")
    # enough for a line every tenth of a second
    data = t.idx_data(os.path.join(folder, "data"), train=3200)
    binary = t.compiled(os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"),
                        "--set", "precision=f16", "--set", "average=ema",
                        "--set", "loss_scale.start=1e9")
    command = [binary, "train", "--data", data, "--epochs", "3", "--set",
               "data.validation=0.2"]
    for columns in (60, 100):
        check_terminal(checks, command, columns)
    plain = t.run(*command).must().out
    checks.that(not re.search(r"[^\n -~]", plain), "a file has lines alone",
                repr(plain[:200]))
    checks.that(max(map(len, re.findall(r"^ +\d/3 .*", plain, re.M))) <= 100,
                "of 100 columns", plain)
    checks.done()


if __name__ == "__main__":
    main()
