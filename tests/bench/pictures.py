#!/usr/bin/env python3
"""How fast pictures are decoded, against a plain loop over libjpeg-turbo on the
same files, the two taking turns.

usage: pictures.py BUILD DIR [TURNS]

DIR holds JPEG files at any depth; the first 8000 by name are taken. One thread,
files in the system's cache. The runtime also checks, changes the order of the
bytes, and makes the picture fit.
"""
import os
import statistics
import subprocess
import sys

build, folder = sys.argv[1:3]
turns = int(sys.argv[3]) if len(sys.argv) > 3 else 5
files = sorted(os.path.join(place, name) for place, _, names in os.walk(folder)
               for name in names if name.lower().endswith((".jpg", ".jpeg")))
files = files[:8000]
tools = {
    "libjpeg-turbo alone": [f"{build}/tests/bench/bench_jpeg"],
    "the runtime": [f"{build}/tests/data/picture_dump", "time", "3", "32", "32", "1"],
}
rates = {name: [] for name in tools}
for turn in range(turns + 1):
    for name, command in tools.items():
        out = subprocess.run(command + files, check=True, capture_output=True)
        if turn:  # the first fills the caches
            rates[name].append(int(out.stdout))
for name, found in rates.items():
    print(f"{name}: {statistics.median(found)} pictures a second "
          f"({min(found)} to {max(found)}, {len(files)} files, {turns} turns)")
