"""lit's settings: `lit lit_tests -v` from the checkout."""

import os
import sys

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [path for path in (root, os.path.dirname(os.path.abspath(__file__))) if path not in sys.path]

from in_process import InProcess  # noqa: E402

config = globals()["config"]
config.name = "irkit"
config.test_format = InProcess(root)
config.suffixes = [".mlir", ".tg", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.join(root, "lit_tests")
config.substitutions.append(("%root", root))
config.substitutions.append(("%examples", os.path.join(root, "examples")))
config.environment["PYTHONPATH"] = root
