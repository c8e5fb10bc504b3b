"""Files that PyTorch and NumPy made, read as they say. usage: golden.py DUMP"""
import glob
import os
import shutil
import sys

import tgctest as t

DUMP = sys.argv[1]
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


def main():
    checks = t.Checks()
    scratch = t.scratch("weights_golden")
    texts = sorted(glob.glob(os.path.join(FOLDER, "*.txt")))
    checks.that(len(texts) >= 10, "the golden files are there")
    for text in texts:
        path = text[:-4]
        with open(text, encoding="ascii") as file:
            wanted = file.read()
        run = t.run(DUMP, path)
        checks.equal(run.out + run.err, wanted, os.path.basename(path))
        # By its content, whatever it is called.
        other = shutil.copy(path, os.path.join(scratch, "weights.safetensors"))
        checks.equal(t.run(DUMP, other).out, wanted, "under another name")
    checks.done()


if __name__ == "__main__":
    main()
