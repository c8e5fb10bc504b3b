# How lit runs the text tests: any .net, .ir or .test file under tests/ whose
# first lines hold RUN: commands.
#
#   %tgc       the compiler            %models    the folder of model files
#   %s %t %T   lit's own: this file, a scratch file, a scratch folder
#   FileCheck  the one that CMake found
#   not        succeeds if the command fails with status 1, and only then
import os

import lit.formats

config.name = "tgc"
config.suffixes = [".net", ".ir", ".test"]
config.test_format = lit.formats.ShTest(execute_external=True)
config.test_source_root = os.path.join(config.tgc_source, "tests")
config.test_exec_root = os.path.join(config.tgc_build, "tests", "lit")
config.excludes = ["Inputs", "support", "fuzz", "e2e", "reference", "bench"]

tools = os.path.join(config.tgc_source, "tests", "support", "bin")
config.environment["PATH"] = tools + os.pathsep + os.environ["PATH"]
config.substitutions += [
    (r"%tgc\b", os.path.join(config.tgc_build, "tgc")),
    (r"%models\b", os.path.join(config.tgc_source, "models")),
    (r"%source\b", config.tgc_source),
    (r"%build\b", config.tgc_build),
    (r"%python\b", config.python),
    (r"\bFileCheck\b", config.filecheck + " --dump-input=fail"),
]
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "HOME", "CC"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
if config.sanitize:
    config.available_features.add("sanitizers")
