"""irkit: runs a `.tg` file, compiles it to a pair of C files, shows what it becomes, makes it faster by measuring, trains its
parameters, finds what makes it wrong, lays it out, or makes one of an ONNX model.

irkit run examples/digits.tg
irkit compile examples/digits.tg -o build
irkit show examples/digits.tg
irkit tune examples/digits.tg
irkit train examples/training/digits_mlp.tg --data digits.npz --val 0.1
irkit bisect examples/digits.tg
irkit reduce examples/digits.tg --check -o small.mlir
irkit fmt examples/digits.tg
irkit import model.onnx -o model.tg
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from dialects.errors import ErrorList, IrkitError, beyond_limits
from irkit.opt_arguments import FAST_MATH, TUNED, add_remark_arguments, spelt_out
from irkit.streams import run_on

if TYPE_CHECKING:
    from types import ModuleType

LEVELS = ("graph", "kernel", "loop", "buffer", "c")
"""As in irkit.pipeline, which takes time to import."""


def main(
    argv: Sequence[str] | None = None,
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Runs irkit on a command line (without the program's name) and streams; returns the exit code."""
    words = spelt_out(sys.argv[1:] if argv is None else argv)
    return run_on(lambda: _run(_parser().parse_args(words)), stdin, stdout, stderr)


def _run(args: argparse.Namespace) -> int:
    try:
        for source in getattr(args, "load_plugin", ()):
            from irkit.plugins import load_plugin

            load_plugin(source)
        _command(args.command).execute(args)
        sys.stdout.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as fault:
        if args.debug:
            raise
        _report(fault, getattr(args, "file", "-"))
        return 1
    return 0


def _command(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"irkit.commands.{'import_model' if name == 'import' else name}")


def _report(fault: Exception, file: str) -> None:
    """Prints errors of the input with their source lines, and other faults as faults of irkit."""
    from irkit.diagnostics import render

    if isinstance(fault, ErrorList):
        errors = fault.errors
    elif isinstance(fault, IrkitError):
        errors = [fault]
    elif (limit := beyond_limits(fault)) is not None:
        errors = [limit]
    else:
        from xdsl.utils.exceptions import ParseError

        from irkit.mlir_parser import errors_of

        if isinstance(fault, ParseError):
            errors = errors_of(fault, file)
        else:
            last = fault.__traceback__
            while last is not None and last.tb_next is not None:
                last = last.tb_next
            where = (
                f"{os.path.basename(last.tb_frame.f_code.co_filename)}:{last.tb_lineno}" if last else "irkit"
            )
            text = str(fault).strip().splitlines()
            errors = [
                IrkitError(
                    f"irkit failed in {where}",
                    found=f"{type(fault).__name__}: {text[0] if text else 'no message'}",
                    hint="this is a fault of irkit and not of the input; --debug shows the whole traceback",
                )
            ]
    print(render(errors), file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("irkit", description="Compiles tensor programs to C and runs them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="compile a program, run it, and print its results")
    _add_common(run)
    run.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE[:KEY]",
        help="the data of an input or parameter: an array of an .npz or .safetensors file, an .npy file, or a number",
    )
    run.add_argument(
        "--params", metavar="FILE", help="a .safetensors or .npz file with other values of all parameters"
    )
    run.add_argument("--tuned", action="store_true", help=TUNED)
    run.add_argument("--fast-math", action="store_true", help=FAST_MATH)
    run.add_argument("--output", metavar="FILE.npz", help="write the results to a file")
    run.add_argument(
        "--threads", type=int, metavar="N", help="threads of the run (default: one for each core)"
    )
    run.add_argument(
        "--time", action="store_true", help="time more runs, and print the fastest and the slowest too"
    )
    run.add_argument(
        "--profile",
        action="store_true",
        help="print where the time goes: each kernel call, its speed and lines",
    )
    run.add_argument("--repeat", type=int, metavar="N", help="profile so many runs (default: 20)")
    run.add_argument(
        "--trace-file", metavar="FILE.json", help="write the events of a run for Perfetto or chrome://tracing"
    )
    run.add_argument(
        "--dump-intermediates",
        metavar="DIR",
        help="write the outputs of all kernels as .npy, and name the first that differs from the NumPy reference",
    )
    compile_ = commands.add_parser(
        "compile", help="write a pair of C or CUDA files, the weights, and an example main.c"
    )
    _add_common(compile_)
    compile_.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="the folder to write to; or NAME.irk, one file that irkit run and irkit.load read without a compiler",
    )
    compile_.add_argument("--tuned", action="store_true", help=TUNED)
    compile_.add_argument("--fast-math", action="store_true", help=FAST_MATH)
    compile_.add_argument(
        "--golden",
        action="store_true",
        help="write what the reference gives for the example's inputs; the built main.c compares itself with it",
    )
    compile_.add_argument(
        "--arena-limit", metavar="BYTES", help="refuse a program whose intermediates need more, as 64k or 2M"
    )
    compile_.add_argument(
        "--weights",
        choices=("const", "bin"),
        default="const",
        help="weights as const data in C, or in a .bin file",
    )
    compile_.add_argument(
        "--size", action="store_true", help="compile too, and print the bytes of flash, RAM and stack"
    )
    compile_.add_argument("--size-file", metavar="FILE.json", help="write the same facts to a file")
    show = commands.add_parser("show", help="list the kernels with their operations, bytes and memory")
    _add_common(show)
    show.add_argument("--html", metavar="FILE", help="write a page that shows the program at every level")
    show.add_argument(
        "--roof",
        metavar="GFLOPS,GB",
        help="what the machine does per second, for the page (default: an estimate)",
    )
    add_remark_arguments(show)
    _add_tune(commands)
    _add_train(commands)
    bisect = commands.add_parser(
        "bisect", help="find the pass, and the op of the program, that make its numbers wrong"
    )
    _add_common(bisect)
    bisect.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE[:KEY]",
        help="the data of an input or parameter (default: its own, or else random numbers)",
    )
    bisect.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the seed of random data (default 0)"
    )
    bisect.add_argument(
        "-o", "--output", metavar="FILE.mlir", help="write the smallest part that shows the fault"
    )
    reduce = commands.add_parser("reduce", help="shrink a module for as long as it fails in the same way")
    _add_common(reduce)
    reduce.add_argument(
        "--test",
        metavar="COMMAND",
        help="a command that gets a .mlir file as its last argument, and exits with 0 where it is interesting",
    )
    reduce.add_argument(
        "-p",
        "--passes",
        default="",
        metavar="PASSES",
        help="interesting is what these passes fail on with the same message, as irkit-opt runs them",
    )
    reduce.add_argument(
        "--emit", choices=LEVELS, help="the same for the standard passes to a level, after those of -p"
    )
    reduce.add_argument(
        "--check", action="store_true", help="interesting is what the same step of the compiler makes wrong"
    )
    reduce.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the seed of random data (default 0)"
    )
    reduce.add_argument("--time-limit", type=float, metavar="SECONDS", help="stop then, with what there is")
    reduce.add_argument(
        "-o",
        "--output",
        metavar="FILE.mlir",
        help="write each smaller module (default: the last one, to stdout)",
    )
    fmt = commands.add_parser("fmt", help="lay .tg files out in one way")
    fmt.add_argument("files", nargs="+", metavar="FILE", help="a .tg file, or - for standard input to output")
    fmt.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where a file would change"
    )
    fmt.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    _add_import(commands)
    return parser


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    import_ = commands.add_parser("import", help="make a .tg file, and its weights, of an ONNX model")
    import_.add_argument("file", metavar="FILE.onnx", help="the model")
    import_.add_argument(
        "-o", "--output", metavar="FILE.tg", help="the file to write (default: FILE.tg, beside the model)"
    )
    import_.add_argument(
        "--dim",
        action="append",
        default=[],
        metavar="NAME=SIZE",
        help="the size of a dim that the model leaves open, or its range, as batch=1..64; may be repeated",
    )
    import_.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input that is no input of the program, but always this: a number, a list, or an .npy file",
    )
    import_.add_argument("--debug", action="store_true", help="show the traceback of a failure")


def _add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tune = commands.add_parser("tune", help="find faster schedules for the kernels of a program by measuring")
    _add_common(tune)
    tune.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="NAME",
        help="tune this kernel; may be repeated (default: all that take 1%% of the time, the dearest first)",
    )
    tune.add_argument(
        "--trials", type=int, default=64, metavar="N", help="schedules to try for each kernel (default 64)"
    )
    tune.add_argument("--time", type=float, metavar="SECONDS", help="stop then, with what was found")
    tune.add_argument(
        "--threads", type=int, metavar="N", help="threads of each run (default: one for each core)"
    )
    tune.add_argument("--seed", type=int, default=0, metavar="N", help="the seed of the search (default 0)")
    tune.add_argument(
        "--fresh", action="store_true", help="forget what was found for these kernels, and begin again"
    )
    where = tune.add_mutually_exclusive_group()
    where.add_argument(
        "--export", metavar="FILE.tg", help="write the program with the schedules on its statements"
    )
    where.add_argument("--in-place", action="store_true", help="write the schedules into FILE itself")


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser("train", help="train the parameters of a program on examples")
    _add_common(train)
    train.add_argument(
        "--data",
        required=True,
        metavar="FILE.npz",
        help="the examples: arrays by the names of inputs, with all examples along the first dim",
    )
    train.add_argument(
        "--epochs", type=int, default=10, metavar="N", help="passes over the data (default 10)"
    )
    train.add_argument(
        "--batch", type=int, metavar="B", help="examples in a step (default: what the file says of the dim)"
    )
    train.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="of the order, and added to those of parameters (default 0)",
    )
    train.add_argument(
        "--val", metavar="PART", help="examples for validation: a part of the data, as 0.1, or an .npz file"
    )
    train.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="FN",
        help="a function of the file whose mean over the examples for validation is told; may be repeated",
    )
    train.add_argument(
        "--init", metavar="FILE", help="a .safetensors or .npz file of parameters to begin with"
    )
    train.add_argument("--save", metavar="FILE.safetensors", help="write the parameters at the end")
    train.add_argument("--checkpoint", metavar="DIR", help="write checkpoints there, after each epoch")
    train.add_argument(
        "--every", type=int, default=0, metavar="N", help="write a checkpoint after every N steps too"
    )
    train.add_argument(
        "--keep", type=int, default=3, metavar="N", help="keep so many checkpoints (default 3)"
    )
    train.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint, if there is one"
    )
    train.add_argument(
        "--log", metavar="FILE.csv", help="write the loss of each step, and what validation gives"
    )
    train.add_argument("--plot", metavar="FILE.svg", help="draw the losses")
    train.add_argument("--quiet", action="store_true", help="print the end alone")
    train.add_argument(
        "--threads", type=int, metavar="N", help="threads of each step (default: one for each core)"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="a .tg or .mlir file, or - for .tg text on standard input"
    )
    parser.add_argument(
        "--fn", metavar="NAME", help="the function (default: main, or else the last of the file)"
    )
    parser.add_argument(
        "--dim", action="append", default=[], metavar="NAME=SIZE", help="the size of a dim; may be repeated"
    )
    parser.add_argument(
        "--target", default="native", help="native, or a declared machine such as avx2 or cuda"
    )
    parser.add_argument("--cc", help="the C compiler (default: the CC variable, or gcc, clang, cc, ziglang)")
    parser.add_argument(
        "--load-plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="a .py file, the folder of a package or an installed module with ops and kernels; may be repeated",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")


if __name__ == "__main__":
    sys.exit(main())
