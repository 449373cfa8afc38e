"""lit's settings: `lit lit_tests -v` from the checkout."""

import ctypes
import os
import shutil
import sys

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(here)
sys.path[:0] = [path for path in (root, here) if path not in sys.path]

from in_process import InProcess  # noqa: E402

config = globals()["config"]
config.name = "irkit"
config.test_format = InProcess(root)
config.suffixes = [".mlir", ".tg", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = here
config.test_exec_root = os.path.join(root, "build", "lit_tests")
config.available_features.update(name for name in ("gcc", "clang", "nvcc") if shutil.which(name))
try:
    ctypes.CDLL("libcuda.so.1")
except OSError:
    config.available_features.add("no-driver")
config.substitutions.append(("%root", root))
config.substitutions.append(("%examples", os.path.join(root, "examples")))
