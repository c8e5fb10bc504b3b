"""count.py [--broken N] BUILD...: adds up what CTest and lit left in the build
folders, names what failed and why things were skipped, and prints the line
`N passed, N failed, N skipped`. Status 1 if anything failed."""
import argparse
import json
import os
import sys
import xml.etree.ElementTree as xml


def ctest_results(path):
    """(name, state, reason) of every test in CTest's JUnit file."""
    for case in xml.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        skipped = case.find("skipped")
        if case.get("status") == "run" and skipped is None:
            yield case.get("name"), "passed", ""
        elif skipped is not None or case.get("status") == "notrun":
            lines = [l for l in output.splitlines() if l.startswith("skipped")]
            yield case.get("name"), "skipped", (lines or [""])[-1]
        else:
            yield case.get("name"), "failed", ""


def lit_results(path):
    states = {"PASS": "passed", "XFAIL": "passed", "UNSUPPORTED": "skipped"}
    with open(path) as file:
        for test in json.load(file)["tests"]:
            state = states.get(test["code"], "failed")
            yield test["name"], state, test.get("output", "")[:0]


def build_results(folder):
    lit = os.path.join(folder, "lit.json")
    for row in ctest_results(os.path.join(folder, "tests.xml")):
        if row[0] == "lit" and row[1] != "skipped" and os.path.exists(lit):
            yield from lit_results(lit)
        else:
            yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", type=int, default=0,
                        help="builds that failed; each counts as a failure")
    parser.add_argument("build", nargs="*")
    arguments = parser.parse_args()
    count = {"passed": 0, "failed": arguments.broken, "skipped": 0}
    for folder in arguments.build:
        for name, state, reason in build_results(folder):
            count[state] += 1
            if state == "failed":
                print(f"failed: {name} ({folder})")
            elif state == "skipped":
                print(f"skipped: {name} ({folder}) {reason}")
    print(f"{count['passed']} passed, {count['failed']} failed, "
          f"{count['skipped']} skipped")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
