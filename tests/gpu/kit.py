"""Building tgc, also on a machine without flex, bison, oneDNN or cmocka: what
it lacks can be packed into a folder on another one.

    KIT/parser    lexer.c, parser.c, parser.h
    KIT/include   headers of oneDNN, zlib and cmocka
    KIT/lib       their libraries, and what those need
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
HEADERS = ("dnnl*.h", "oneapi/dnnl/*.h", "zlib.h", "zconf.h", "cmocka.h")
LIBRARIES = ("libdnnl.so", "libz.a", "libcmocka.so")
# Every compiler brings these.
COMMON = re.compile(r"lib(c|m|dl|pthread|gcc_s|stdc\+\+|gomp)\.so|ld-linux")
TARGETS = ("tgc", "tgcrt", "test_codegen_kernels", "test_codegen_random",
           "test_codegen_gemm")


# ---- packing ------------------------------------------------------------------


def pack_parser(folder):
    os.makedirs(folder, exist_ok=True)
    grammar = os.path.join(SOURCE, "frontend")
    subprocess.run(["flex", "--noline", "-o", os.path.join(folder, "lexer.c"),
                    os.path.join(grammar, "lexer.l")], check=True)
    subprocess.run(["bison", "-Wno-yacc", "--no-lines",
                    "--defines=" + os.path.join(folder, "parser.h"), "-o",
                    os.path.join(folder, "parser.c"),
                    os.path.join(grammar, "parser.y")], check=True)


def pack_headers(folder):
    import glob
    for pattern in HEADERS:
        found = [(root, path) for root in ("/usr/include",
                                           "/usr/include/x86_64-linux-gnu")
                 for path in glob.glob(os.path.join(root, pattern))]
        if not found:
            sys.exit(f"tests/gpu/run: no {pattern} here: install libdnnl-dev, "
                     "zlib1g-dev and libcmocka-dev")
        for root, path in found:
            to = os.path.join(folder, os.path.relpath(path, root))
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copyfile(path, to)


def library_path(name):
    done = subprocess.run(["cc", f"-print-file-name={name}"], check=True,
                          stdout=subprocess.PIPE, encoding="utf-8")
    path = done.stdout.strip()
    if not os.path.isabs(path):
        sys.exit(f"tests/gpu/run: no {name} here")
    return path


def needs(path):
    """Libraries that it loads, but for those that are everywhere."""
    if ".so" not in path:
        return []
    done = subprocess.run(["ldd", path], stdout=subprocess.PIPE,
                          encoding="utf-8", check=True)
    found = re.findall(r"(\S+) => (/\S+)", done.stdout)
    return [(name, at) for name, at in found if not COMMON.match(name)]


def pack_libraries(folder):
    os.makedirs(folder, exist_ok=True)
    for name in LIBRARIES:
        path = library_path(name)
        loaded = os.path.basename(path)
        if ".so" in name:  # under the name that a program asks for
            text = subprocess.run(["readelf", "-d", path], check=True,
                                  stdout=subprocess.PIPE,
                                  encoding="utf-8").stdout
            loaded = re.search(r"soname: \[(.*?)\]", text).group(1)
        shutil.copyfile(path, os.path.join(folder, loaded))
        if loaded != name:
            link = os.path.join(folder, name)  # links do not travel everywhere
            with open(link, "w", encoding="utf-8") as file:
                file.write(f"INPUT({loaded})\n")
        for needed, at in needs(path):
            shutil.copyfile(at, os.path.join(folder, needed))


def pack(folder):
    pack_parser(os.path.join(folder, "parser"))
    pack_headers(os.path.join(folder, "include"))
    pack_libraries(os.path.join(folder, "lib"))
    size = sum(os.path.getsize(os.path.join(root, name))
               for root, _, names in os.walk(folder) for name in names)
    print(f"packed {size / 1e6:.0f} MB into {folder}; on the machine with the "
          f"GPU: tests/gpu/run --kit {folder}")
    return 0


# ---- building -----------------------------------------------------------------


def prepend(name, value):
    old = os.environ.get(name)
    os.environ[name] = value + (":" + old if old else "")


def use(kit):
    """For cmake, the compiler, and programs that tgc makes."""
    kit = os.path.abspath(kit)
    os.environ["TGC_LD_LIBRARY_PATH"] = os.environ.get("LD_LIBRARY_PATH", "")
    prepend("CMAKE_PREFIX_PATH", kit)
    prepend("CPATH", os.path.join(kit, "include"))
    prepend("LIBRARY_PATH", os.path.join(kit, "lib"))
    prepend("LD_LIBRARY_PATH", os.path.join(kit, "lib"))
    return [f"-DTGC_PARSER={os.path.join(kit, 'parser')}"]


def step(text, *argv):
    print(text, flush=True)
    done = subprocess.run(argv, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8",
                          errors="replace")
    if done.returncode:
        print(done.stdout[-8000:])
        print(f"tests/gpu/run: {text}: failed")
    return done.returncode == 0


def build(a):
    """Sets TGC_BUILD and what else the parts want."""
    kit = a.kit or os.path.join(SOURCE, "build", "gpu-kit")
    options = use(kit) if a.kit or os.path.isdir(kit) else []
    folder = os.path.abspath(a.build or os.path.join(SOURCE, "build", "gpu"))
    os.environ.update(TGC_SOURCE=SOURCE, TGC_BUILD=folder)
    beside, inside = (os.path.join(SOURCE, *way) for way in (
        ("..", "shared"), ("shared",)))
    if not os.path.isdir(beside) and os.path.isdir(inside):
        os.environ.setdefault("TGC_SHARED", inside)
    if a.build:
        return True
    jobs = str(len(os.sched_getaffinity(0)))
    return (step("configuring", "cmake", "-S", SOURCE, "-B", folder,
                 "-DTGC_WERROR=OFF", *options) and
            step("building", "cmake", "--build", folder, "-j", jobs,
                 "--target", *TARGETS))
