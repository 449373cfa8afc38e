"""The command line of irkit-opt."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lowering.remarks import CATEGORIES, KINDS

TUNED = (
    "run kernels that irkit tune has tuned on this machine by the schedules that it found (docs/tuning.md)"
)
FAST_MATH = (
    "simplify by the algebra of real numbers: results change by rounding, and are anything where numbers are NaN, infinite "
    "or overflow"
)


def add_input_arguments(parser: argparse.ArgumentParser, frontends: Sequence[str]) -> None:
    """What is read."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "input_file", nargs="?", default="-", metavar="FILE", help=".tg or .mlir file; - is stdin"
    )
    group.add_argument("-f", "--frontend", choices=frontends, help="how to read FILE, whatever it is called")
    group.add_argument("--fn", metavar="NAME", help="the function of a .tg file to compile")
    group.add_argument(
        "--dim",
        action="append",
        default=[],
        metavar="B=1",
        help="value of a named dim of a .tg file; may be repeated",
    )
    group.add_argument("--dims", default="", metavar="B=1,N=64", help="values of several named dims")
    group.add_argument(
        "--split-input-file", action="store_true", help="treat the parts between '// -----' lines one by one"
    )
    group.add_argument(
        "--allow-unregistered-dialect", action="store_true", help="accept ops of dialects that are not known"
    )
    group.add_argument(
        "--no-implicit-module", action="store_true", help="do not put a module around the ops of the input"
    )
    group.add_argument(
        "--parsing-diagnostics", action="store_true", help="print parse errors to stdout and exit with 0"
    )


def add_pass_arguments(parser: argparse.ArgumentParser, emit: Sequence[str]) -> None:
    """What is run."""
    group = parser.add_argument_group("passes")
    group.add_argument(
        "-p",
        "--passes",
        default="",
        metavar="PASSES",
        help="passes to run, as 'a,b{option=1}' or nested: 'builtin.module(func.func(a),kernel.def(b))'",
    )
    group.add_argument(
        "--emit",
        choices=emit,
        help="then run the standard pipeline from the level of the IR to this one; ast prints the syntax tree of a "
        ".tg file, tg the graph as a .tg file without any pass but those of -p, c the C text, cuda the CUDA text of the kernels, "
        "upstream what mlir-opt takes",
    )
    group.add_argument("--target", dest="machine", default="native", help="the machine to compile for")
    group.add_argument("--cc", default="gcc", help="the C compiler that the schedule is made for")
    group.add_argument("--tuned", action="store_true", help=TUNED)
    group.add_argument("--fast-math", action="store_true", help=FAST_MATH)
    group.add_argument(
        "--load-plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="a .py file, the folder of a package or an installed module with ops, kernels and passes; may be repeated",
    )
    group.add_argument(
        "--list-passes",
        nargs="?",
        const="irkit",
        choices=("irkit", "all"),
        help="print the passes, one line each; all includes those of xDSL",
    )
    group.add_argument(
        "--dump-pass-pipeline", action="store_true", help="print the pipeline to stderr before it runs"
    )


def add_watch_arguments(parser: argparse.ArgumentParser) -> None:
    """What is checked and shown between passes."""
    group = parser.add_argument_group("between passes")
    group.add_argument(
        "--verify-each", action="store_true", help="verify after every pass, not only between levels"
    )
    group.add_argument(
        "--check",
        action="store_true",
        help="run the functions on random inputs before and after every pass, and name the first that changes numbers",
    )
    group.add_argument(
        "--check-seed", type=_seed, default=0, metavar="N", help="the seed of the inputs (default 0)"
    )
    group.add_argument(
        "--check-special",
        action="store_true",
        help="let some floats of these inputs be NaN, infinite or a zero",
    )
    group.add_argument(
        "--check-grad",
        action="store_true",
        help="check the derivatives of the functions, op by op, by forward mode and by differences; a table on stderr",
    )
    group.add_argument("--disable-verify", action="store_true", help="never verify")
    group.add_argument(
        "--verify-diagnostics",
        action="store_true",
        help="print errors of the verifier and of passes to stdout, exit 0",
    )
    group.add_argument("--print-between-passes", action="store_true", help="print the IR between passes")
    group.add_argument(
        "--print-ir-after-change",
        action="store_true",
        help="print to stderr, as a diff, what each pass changes",
    )
    group.add_argument(
        "--print-ir-filter-pass", default="", metavar="NAMES", help="print only around these passes"
    )
    group.add_argument(
        "--print-ir-filter-func", default="", metavar="NAMES", help="print only these functions"
    )
    group.add_argument(
        "--timing", "--time-passes", action="store_true", help="print the time of each pass to stderr"
    )
    group.add_argument("--stats", action="store_true", help="print what each pass counted to stderr")
    group.add_argument(
        "--crash-reproducer",
        metavar="FILE",
        help="on any failure, write the IR as it came in, with the passes and options that fail on it",
    )
    group.add_argument(
        "--crash-reproducer-local",
        action="store_true",
        help="write the IR as it enters the pass that fails, and that pass alone",
    )
    group.add_argument(
        "--run-reproducer",
        action="store_true",
        help="FILE is a crash reproducer: run the passes, with the options, that it holds",
    )
    group.add_argument("--shrink", action="store_true", help="exit with 0 only if ShrinkException was raised")
    group.add_argument("--debug", action="store_true", help="show the traceback of a fault of irkit")


def add_remark_arguments(parser: argparse.ArgumentParser) -> None:
    """What is told of decisions; also of `irkit show`."""
    group = parser.add_argument_group("remarks")
    group.add_argument(
        "--remarks",
        nargs="?",
        const=",".join(CATEGORIES),
        metavar="CATEGORIES",
        help="say what passes did and why, or why not, with the source lines. --remarks alone says all; --remarks=A,B "
        f"some of {', '.join(CATEGORIES)}",
    )
    group.add_argument(
        "--remarks-filter",
        metavar="KINDS",
        help="only these: " + ", ".join(f"{kind} ({about})" for kind, about in KINDS.items()),
    )
    group.add_argument("--remarks-file", metavar="FILE.json", help="write the remarks to a file, for tools")


def spelt_out(argv: Sequence[str]) -> list[str]:
    """The command line with a bare `--remarks` as what it stands for, lest it should take the file behind it as its value."""
    end = argv.index("--") if "--" in argv else len(argv)
    every = "--remarks=" + ",".join(CATEGORIES)
    return [every if word == "--remarks" else word for word in argv[:end]] + list(argv[end:])


def add_output_arguments(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """What is written."""
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output-file", metavar="OUT", help="the file to write, all or nothing")
    group.add_argument(
        "-t",
        "--output-format",
        dest="target",
        default="mlir",
        help=f"an output of xDSL's: {', '.join(formats)}",
    )
    group.add_argument("--print-op-generic", action="store_true", help="print ops in the generic form")
    group.add_argument("--print-no-properties", action="store_true", help="print properties as attributes")
    group.add_argument("--print-debuginfo", action="store_true", help="print the locations of ops")
    group.add_argument("--syntax-highlight", action="store_true", help="print in colours")
    group.add_argument("-v", "--version", action="store_true", help="print the version")


def _seed(text: str) -> int:
    """A number that a random generator takes."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no seed: expected 0, 1, 2, ...")
    return int(text)


def split_names(text: str) -> frozenset[str]:
    """The names of a comma-separated list."""
    return frozenset(name.strip() for name in text.split(",") if name.strip())
