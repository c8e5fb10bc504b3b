#!/usr/bin/env python3
"""What loading data costs: images a second from the loader alone, and pictures
decoded, against plain loops over libjpeg-turbo and libpng on the same files.

    tests/bench/loader.py [--data KIND=DIR].. [--pictures TITLE=DIR].. [--turns N]

    tests/bench/loader.py --data cifar10=cifar-10-batches-bin \\
        --pictures "JPEG, 32 x 32=some/folder"

--data: order, crop 4, flip, normalise, batches of 128 as channels-last floats,
by 1 and 2 threads. --pictures: the JPEG or PNG files of a folder, at any depth,
the first 8000 by name, made 32 x 32 by the runtime, which also checks them and
changes the order of the bytes; the plain loops only decode rows. All ways take
turns; medians. Processor time is what one picture costs one thread, in user and
system mode, the start of the program included: other programs hardly change it.
On a machine that does other things, too, `chrt -f 10 tests/bench/loader.py ..`
has the cores for itself. Writes docs/results/loader.md and loader.json."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import tgctest as t  # noqa: E402
from step import machine  # noqa: E402

MOST, EPOCHS = 8000, 20
BENCH = os.path.join(t.BUILD, "tests", "bench")
LOOPS = {".jpg": ("libjpeg-turbo", "bench_jpeg"),
         ".png": ("libpng", "bench_png")}


def loading(kind, folder):
    """By 1 and 2 threads: images a second, and what one costs in microseconds
    of processor time."""
    row = {"kind": kind, "rates": [], "cpu_us": []}
    for threads in (1, 2):
        process = subprocess.Popen(
            [os.path.join(BENCH, "bench_loader"), kind, folder, str(threads),
             str(EPOCHS + 1)], stdout=subprocess.PIPE, text=True)
        lines = process.stdout.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        if status:
            sys.exit("bench_loader failed")
        images = sum(int(line.split()[2]) for line in lines[1:])
        row["rates"].append(statistics.median(
            float(line.split()[-3]) for line in lines[2:]))
        row["cpu_us"].append(1e6 * (usage.ru_utime + usage.ru_stime) / images)
    return row


def pictures(folder):
    """The files of the most frequent kind."""
    found = {ending: [] for ending in LOOPS}
    for place, _, names in os.walk(folder):
        for name in names:
            ending = os.path.splitext(name)[1].lower().replace("jpeg", "jpg")
            if ending in found:
                found[ending].append(os.path.join(place, name))
    ending = max(found, key=lambda e: len(found[e]))
    return ending, sorted(found[ending])[:MOST]


def processes(command, files, count):
    """Seconds until `count` of them are through with a share each, and the
    processor time of them all."""
    used = []

    def wait(process):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        used.append(usage.ru_utime + usage.ru_stime)

    begin = time.perf_counter()
    threads = [threading.Thread(target=wait, args=(subprocess.Popen(
        command + files[i::count], stdout=subprocess.DEVNULL),))
        for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin, sum(used)


def decoding(title, folder, turns):
    ending, files = pictures(folder)
    if not files:
        sys.exit(f"no pictures in {folder}")
    library, program = LOOPS[ending]
    loop = [os.path.join(BENCH, program)]
    dump = os.path.join(t.BUILD, "tests", "data", "picture_dump")
    ways = {f"{library} alone, 1 process": (loop, 1),
            "the runtime, 1 thread": ([dump, "time", "1", "3", "32", "32", "1"], 1),
            f"{library} alone, 2 processes": (loop, 2),
            "the runtime, 2 threads": ([dump, "time", "2", "3", "32", "32", "1"], 1)}
    runs = {way: [] for way in ways}
    for turn in range(turns + 1):
        for way, (command, count) in ways.items():
            took = processes(command, files, count)
            if turn:  # the first fills the system's cache
                runs[way].append(took)
    return {"title": title, "files": len(files),
            "bytes": sum(map(os.path.getsize, files)),
            "ways": {way: {
                "per_second": len(files) / statistics.median(s for s, _ in r),
                "cpu_us": 1e6 / len(files) * statistics.median(
                    c for _, c in r)} for way, r in runs.items()}}


def table(result):
    where = result["machine"]
    lines = ["# Loading data", "",
             f"{where['processor']}, {where['cores']} cores, "
             f"{where['system']}.", ""]
    if result["loading"]:
        lines += ["Images a second from the loader alone: order, crop 4, flip, "
                  "normalise, batches of 128 as", "channels-last floats; the "
                  f"median of {EPOCHS} epochs. The thread that takes the "
                  "batches needs a", "core too. Processor time is that of all "
                  "threads, the start of the program included.", "",
                  "| | 1 thread | 2 threads | processor time of one |",
                  "| --- | ---: | ---: | ---: |"]
        lines += [f"| {row['kind']} | {row['rates'][0]:,.0f} "
                  f"| {row['rates'][1]:,.0f} | {row['cpu_us'][0]:.2f} us |"
                  for row in result["loading"]]
        lines.append("")
    for row in result["decoding"]:
        lines += [f"## {row['title']}", "",
                  f"{row['files']} files of {row['bytes'] / row['files']:,.0f} "
                  f"bytes, medians of {result['turns']} turns.", "",
                  "| | pictures a second | processor time of one |",
                  "| --- | ---: | ---: |"]
        lines += [f"| {way} | {got['per_second']:,.0f} "
                  f"| {got['cpu_us']:.1f} us |"
                  for way, got in row["ways"].items()]
        lines.append("")
    lines += ["The plain loops only decode rows; the runtime also checks each "
              "file and makes 32 x 32 of it.",
              "Two processes of the plain loop show what the second core gives."
              + (" All of it ran before\nother programs' threads (`chrt -f`)."
                 if os.sched_getscheduler(0) == os.SCHED_FIFO else ""), ""]
    return "\n".join(lines + ["Made by `tests/bench/loader.py`.", ""])


def pairs(words):
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals:
            sys.exit(f"{word}: NAME=FOLDER is expected")
        yield name, folder


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--pictures", action="append", default=[])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--out", default=os.path.join(t.SOURCE, "docs",
                                                      "results"))
    arguments = parser.parse_args()
    result = {"machine": machine(), "turns": arguments.turns,
              "loading": [loading(kind, folder)
                          for kind, folder in pairs(arguments.data)],
              "decoding": [decoding(title, folder, arguments.turns)
                           for title, folder in pairs(arguments.pictures)]}
    with open(os.path.join(arguments.out, "loader.json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(os.path.join(arguments.out, "loader.md"), "w") as file:
        file.write(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
