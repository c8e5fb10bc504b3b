"""TensorBoard's event file: frames with good sums, values equal to the other
logs, cut and continued by a resumed run; read by a plain reader here and, where
it is installed, by TensorBoard's own and its server (set TGC_PYTHON to a python
that has it)."""
import array
import csv
import json
import os
import re
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import tgctest as t

EVENTS = "events.out.tfevents.0.tgc"


# ---- a reader of TFRecord and of protocol buffers ---------------------------


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        size, = struct.unpack_from("<Q", data, at)
        sums = struct.unpack_from("<I", data, at + 8)[0], struct.unpack_from(
            "<I", data, at + 12 + size)[0]
        event = data[at + 12:at + 12 + size]
        assert sums == (masked(data[at:at + 8]), masked(event)), "a bad sum"
        yield event
        at += 16 + size


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = 8 if kind == 1 else 4
            value = struct.unpack_from("<d" if kind == 1 else "<f", data, at)[0]
            at += size
        yield tag >> 3, value


def scalars(path):
    """{tag: [(step, value)]}, {tag: [(step, histogram)]}, nodes of the graph"""
    found, histograms, nodes = {}, {}, []
    for event in records(path):
        step = dict(fields(event))[2]
        for number, value in fields(event):
            if number == 4:
                nodes = [list(fields(n)) for i, n in fields(value) if i == 1]
            if number != 5:
                continue
            for _, one in fields(value):
                parts = dict(fields(one))
                tag = parts[1].decode()
                if 2 in parts:
                    found.setdefault(tag, []).append((step, parts[2]))
                else:
                    histograms.setdefault(tag, []).append(
                        (step, dict(fields(parts[5]))))
    return found, histograms, nodes


# ---- checks -----------------------------------------------------------------


def near(a, b):
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1e-30)


def check_values(checks, folder):
    found, histograms, nodes = scalars(os.path.join(folder, EVENTS))
    steps = t.log_rows(os.path.join(folder, "steps.jsonl"))
    with open(os.path.join(folder, "epochs.csv"), newline="") as file:
        epochs = list(csv.DictReader(file))
    for tag, key in (("step/loss", "loss"), ("step/lr", "lr")):
        checks.that([s for s, _ in found[tag]] == [r["step"] for r in steps] and
                    all(near(v, r[key]) for (_, v), r in zip(found[tag], steps)),
                    f"{tag} is what steps.jsonl has")
    for tag, key in (("loss/train", "loss"), ("loss/test", "test_loss"),
                     ("accuracy/train", "accuracy"),
                     ("accuracy/test", "test_accuracy")):
        checks.that([s for s, _ in found[tag]] ==
                    [int(r["step"]) for r in epochs] and
                    all(near(v, float(r[key]))
                        for (_, v), r in zip(found[tag], epochs)),
                    f"{tag} is what epochs.csv has")
    return found, histograms, nodes


def check_histograms(checks, folder, histograms):
    weights, _ = t.load_tensors(os.path.join(folder, "last.safetensors"))
    parameters = {n for n in weights if "running" not in n and
                  "momentum" not in n}
    checks.equal(set(histograms), parameters, "a histogram of each parameter")
    checks.equal([s for s, _ in histograms["conv1.weight"]], [24, 48],
                 "every second epoch")
    for name in parameters:
        values = weights[name][1]
        h = histograms[name][-1][1]
        limits, counts = array.array("d"), array.array("d")
        limits.frombytes(h[6])
        counts.frombytes(h[7])
        wanted, low = [], float("-inf")
        for high in limits:
            wanted.append(sum(low <= v < high for v in values))
            low = high
        good = (h[1], h[2], h[3]) == (min(values), max(values), len(values))
        good = good and abs(h[4] - sum(values)) < 1e-6 * len(values)
        good = good and sum(counts) == len(values)
        # A value on the border of two buckets may be counted in either.
        good = good and sum(abs(a - b) for a, b in zip(wanted, counts)) <= 2
        checks.that(good, f"the histogram of {name}", h)


def check_graph(checks, nodes):
    names = [dict(n)[1].decode() for n in nodes]
    checks.that(len(set(names)) == len(names) > 50, "nodes have names of their "
                "own", names[:5])
    known = set(names)
    inputs = [v.decode() for n in nodes for i, v in n if i == 3]
    checks.that(inputs and set(inputs) <= known, "inputs are nodes",
                sorted(set(inputs) - known)[:5])


READ = """
import json, sys
from tensorboard.backend.event_processing import event_accumulator as e
a = e.EventAccumulator(sys.argv[1], size_guidance={k: 0 for k in
    ("scalars", "histograms", "tensors", "graph")})
a.Reload()
tags = a.Tags()
values = {}
for tag in tags["scalars"]:
    values[tag] = [[s.step, s.value] for s in a.Scalars(tag)]
for tag in tags["tensors"]:
    values.setdefault(tag, [[s.step, None] for s in a.Tensors(tag)])
nodes = len(a.Graph().node) if tags["graph"] else 0
print(json.dumps([values, nodes, sorted(tags["histograms"])]))
"""


def ask(address, path, **options):
    """What the server says at data/PATH."""
    if options:
        path += "?" + urllib.parse.urlencode(options)
    with urllib.request.urlopen(f"{address}data/{path}", timeout=30) as reply:
        return reply.read()


def check_answers(checks, address, found, histograms, nodes):
    tags = json.loads(ask(address, "plugin/scalars/tags"))["whole"]
    checks.equal(set(tags), set(found), "the server's page has every curve")
    points = json.loads(ask(address, "plugin/scalars/scalars", run="whole",
                            tag="step/lr"))
    checks.equal([(step, value) for _, step, value in points],
                 found["step/lr"], "the learning rates are drawn")
    tag = "conv1.weight"
    rows = json.loads(ask(address, "plugin/histograms/histograms", run="whole",
                          tag=tag))
    checks.equal([(step, round(sum(count for _, _, count in buckets)))
                  for _, step, buckets in rows],
                 [(step, h[3]) for step, h in histograms[tag]],
                 "histograms are drawn of as many numbers as there are")
    graph = ask(address, "plugin/graphs/graph", run="whole")
    checks.equal(graph.count(b"node {"), len(nodes), "the graph is drawn")


def check_server(checks, python, logs, found, histograms, nodes):
    server = subprocess.Popen(
        [python, "-m", "tensorboard.main", "--logdir", logs, "--port", "0",
         "--load_fast=false"], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    try:
        for line in server.stderr:
            match = re.search(r"http://\S+?:\d+/", line)
            if match:
                break
        else:
            sys.exit("TensorBoard does not start")
        while b"whole" not in ask(match[0], "runs") or not json.loads(
                ask(match[0], "plugin/scalars/tags")).get("whole"):
            time.sleep(0.2)
        check_answers(checks, match[0], found, histograms, nodes)
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def check_stock(checks, folder, found, histograms, nodes):
    for python in filter(None, (os.environ.get("TGC_PYTHON"), sys.executable)):
        if t.run(python, "-c", "import tensorboard").status == 0:
            break
    else:
        print("        (no tensorboard here: its own reader is not asked)")
        return
    if not t.SANITIZED:
        check_server(checks, python, os.path.dirname(folder), found, histograms,
                     nodes)
    run = t.run(python, "-c", READ, folder).must()
    values, n, tags = json.loads(run.out.splitlines()[-1])
    same = all([s for s, _ in values[tag]] == [s for s, _ in points]
               for tag, points in found.items())
    exact = all(v is None or v == p for tag, points in found.items()
                for (_, v), (_, p) in zip(values[tag], points))
    checks.that(same and exact, "TensorBoard reads the same scalars")
    checks.equal(n, len(nodes), "TensorBoard reads the graph")
    checks.that(set(histograms) <= set(tags) | set(values),
                "TensorBoard reads the histograms", tags)


def main():
    checks = t.Checks()
    checks.equal(crc32c(b"123456789"), 0xE3069283, "CRC-32C's check value")
    folder = t.scratch("tensorboard")
    data = t.idx_data(os.path.join(folder, "data"))
    binary = t.compiled(os.path.join(t.SOURCE, "tests", "e2e", "tiny.net"))
    whole, parts = (os.path.join(folder, n) for n in ("whole", "parts"))
    train = [binary, "train", "--data", data, "--histograms", "2"]
    t.run(*train, "--save-dir", whole).must()
    found, histograms, nodes = check_values(checks, whole)
    check_histograms(checks, whole, histograms)
    check_graph(checks, nodes)
    check_stock(checks, whole, found, histograms, nodes)

    t.run(*train, "--save-dir", parts, "--steps", "29").must()
    path = os.path.join(parts, EVENTS)
    with open(path, "rb") as file:
        size = len(file.read())
    t.run(*train, "--resume", parts, "--steps", "40").must()
    with open(path, "r+b") as file:  # as a killed run leaves it
        file.truncate(size + 1000)
    t.run(*train, "--resume", parts).must()
    again, _, _ = scalars(path)
    lost = {s for s, _ in found["step/loss"]} - {
        s for s, _ in again["step/loss"]}
    checks.that(all(set(again[tag]) <= set(found[tag]) for tag in found
                    if not tag.startswith(("speed", "loss/train", "accuracy/t")))
                and lost <= set(range(30, 41)), "a resumed run goes on in the "
                "file, each step once", sorted(lost))
    checks.equal(len(again["step/loss"]), len(set(again["step/loss"])),
                 "no step twice")
    checks.done()


if __name__ == "__main__":
    main()
