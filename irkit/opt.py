"""irkit-opt: reads a `.tg` or `.mlir` file at any level, runs passes on it, prints what comes out."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Dialect
from xdsl.printer import Printer
from xdsl.utils.arg_spec import parse_spec
from xdsl.utils.diagnostic import Diagnostic
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError, ShrinkException
from xdsl.xdsl_opt_main import xDSLOptMain

from dialects.errors import ErrorList, IrkitError
from irkit import pipeline
from irkit.api import tuned_folder
from irkit.commands.arguments import read_dims
from irkit.diagnostics import render
from irkit.files import read_text, write_atomically
from irkit.mlir_parser import errors_of, parse_mlir
from irkit.opt_arguments import (
    add_input_arguments,
    add_output_arguments,
    add_pass_arguments,
    add_remark_arguments,
    add_watch_arguments,
    spelt_out,
    split_names,
)
from irkit.pass_manager import PassManager, Watch, crash
from irkit.pipeline_text import SOURCE_NAME, Step, describe_options, format_pipeline, parse_pipeline
from irkit.plugins import load_plugin, plugin_dialects
from irkit.remarks import asked_remarks, show_remarks
from irkit.reproducer import read_configuration, reproducer_text
from irkit.streams import run_on
from lowering.remarks import Remarks

if TYPE_CHECKING:
    from irkit.checking import Checker

EMIT = ("ast", "tg", *pipeline.LEVELS, pipeline.CUDA, pipeline.UPSTREAM)
SPLIT = "// -----"
SPLIT_LINE = re.compile(rf"^{SPLIT}.*$", re.MULTILINE)
PARSE_FAULTS = (IrkitError, ErrorList, ParseError)
PASS_FAULTS = (*PARSE_FAULTS, DiagnosticException, ArgSpecParseError)


@dataclass(frozen=True)
class Entry:
    """What a crash reproducer runs: a module, passes, and then a level to emit."""

    module: ModuleOp
    steps: tuple[Step, ...] = ()
    emit: str | None = None


class OptMain(xDSLOptMain):
    """xDSL's opt driver with our dialects, passes and front end, nested pipelines and our errors."""

    def __init__(self, argv: Sequence[str] | None = None) -> None:
        # xDSL's constructor is not called: it would change Attribute for the whole process under --disable-verify
        self.ctx = Context()
        self.available_frontends, self.available_passes, self.available_targets = {}, {}, {}
        self.sources: dict[str, str] = {}
        self.text: str | None = None
        self.failed = False
        self.register_all_dialects()
        self.register_all_passes()
        self.register_all_targets()
        parser = argparse.ArgumentParser("irkit-opt", description=__doc__)
        add_input_arguments(parser, ("mlir", "tg"))
        add_pass_arguments(parser, EMIT)
        add_watch_arguments(parser)
        add_remark_arguments(parser)
        add_output_arguments(parser, list(self.available_targets))
        argv = spelt_out(sys.argv[1:] if argv is None else argv)
        self.args = parser.parse_args(argv)
        self.remarks: Remarks | None = None
        self.entry: Entry | None = None
        if self.args.run_reproducer:
            self._read_reproducer(parser, argv)
        self.ctx.allow_unregistered = self.args.allow_unregistered_dialect
        self.manager = PassManager(self.ctx, self._watch())

    def register_all_dialects(self) -> None:
        super().register_all_dialects()
        for name in ("graph", "kernel", "loop", "buffer"):
            self.ctx.register_dialect(name, lambda name=name: _dialect(name))

    def register_all_passes(self) -> None:
        super().register_all_passes()
        self.available_passes.update(pipeline.all_passes())

    def load_plugins(self) -> None:
        """The ops and passes of plugins. Raises IrkitError."""
        for source in self.args.load_plugin:
            load_plugin(source)
        self.available_passes.update(pipeline.all_passes())
        for dialect in plugin_dialects():
            self.ctx.load_dialect(dialect)

    def _watch(self) -> Watch:
        args = self.args
        return Watch(
            verify=not args.disable_verify,
            verify_each=args.verify_each,
            checker=self._checker() if args.check else None,
            print_between=args.print_between_passes,
            print_changes=args.print_ir_after_change,
            filter_passes=split_names(args.print_ir_filter_pass),
            filter_functions=split_names(args.print_ir_filter_func),
            generic=args.print_op_generic,
            debug_info=args.print_debuginfo,
            reraise=args.debug,
            before_step=self._enter if args.crash_reproducer and args.crash_reproducer_local else None,
        )

    def _checker(self) -> Checker:
        from irkit.checking import Checker

        args = self.args
        return Checker(args.check_seed, args.cc, args.machine, special=args.check_special)

    def run(self) -> None:
        """Does what the command line asks for; `failed` says whether errors were printed."""
        self.load_plugins()
        self.remarks = asked_remarks(self.args)
        self.manager.watch = replace(self.manager.watch, remarks=self.remarks)
        if self.args.version:
            print(_version())
        elif self.args.list_passes:
            print(self.list_passes(self.args.list_passes == "all"))
        else:
            Diagnostic.colored = self.args.syntax_highlight
            self._run_on_input()

    def list_passes(self, with_xdsl: bool) -> str:
        """The passes, each with the first line of its description and its options."""
        rows: list[str] = []
        for name in sorted(self.available_passes if with_xdsl else pipeline.PASSES):
            try:
                cls = self.available_passes[name]()
            except (ImportError, AttributeError) as fault:
                rows.append(f"  {name:28} (cannot be imported: {fault})")
                continue
            described = (
                "__doc__" in vars(cls) and cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(")
            )
            rows.append(
                f"  {name:28} {(cls.__doc__ or '').strip().splitlines()[0] if described else ''}".rstrip()
            )
            if options := describe_options(cls):
                rows.append(f"  {'':28}   {{{options}}}")
        return "\n".join(rows)

    # the way from input to output

    def _run_on_input(self) -> None:
        name = self.args.input_file
        self._check_format()
        self.sources[SOURCE_NAME] = self.args.passes
        steps = parse_pipeline(self.args.passes, self.available_passes)
        text = self.text if self.text is not None else read_text(name)
        name = "<stdin>" if name == "-" else name
        self.sources[name] = text
        kind = self.args.frontend or ("tg" if name.endswith(".tg") else "mlir")
        outputs: list[str] = []
        for chunk in _chunks(text) if self.args.split_input_file else [text]:
            output = self._run_on_chunk(chunk, name, kind, steps)
            if self.args.output_file is None:
                sys.stdout.write(f"{SPLIT}\n{output}" if outputs else output)
            outputs.append(output)
        if self.remarks is not None:
            show_remarks(self.remarks, self.args, sys.stderr, self.sources)
        if self.args.output_file is not None and not self.failed:
            write_atomically(self.args.output_file, f"{SPLIT}\n".join(outputs))
        if self.args.timing:
            print(self.manager.timing_table(), file=sys.stderr)
        if self.args.stats:
            print(self.manager.stats_table(), file=sys.stderr)

    def _check_format(self) -> None:
        name = parse_spec(self.args.target).name
        if name not in self.available_targets:
            near = get_close_matches(name, self.available_targets, n=1, cutoff=0.5)
            known = ", ".join(self.available_targets)
            hint = f"did you mean '{near[0]}'?" if near else "machines are named by --target"
            raise IrkitError(f"unknown output format '{name}'", expected=f"one of {known}", hint=hint)

    def _run_on_chunk(self, text: str, name: str, kind: str, steps: Sequence[Step]) -> str:
        """The output for one part of the input; errors are printed."""
        try:
            if self.args.emit == "ast":
                return self._syntax_tree(text, name, kind)
            with self.manager.timed("parse"):
                module = self._parse_tg(text, name) if kind == "tg" else self._parse_mlir(text, name)
        except PARSE_FAULTS as fault:
            self.report(fault, name, tolerated=self.args.parsing_diagnostics)
            return ""
        try:
            return self._compile(module, steps)
        except PASS_FAULTS as fault:
            self.report(fault, name, tolerated=self.args.verify_diagnostics)
            return ""

    def _compile(self, module: ModuleOp, steps: Sequence[Step]) -> str:
        if not self.args.crash_reproducer:
            return self._run_and_print(module, steps)
        self.entry = Entry(module.clone(), tuple(steps), self.args.emit)
        try:
            return self._run_and_print(module, steps)
        except (BrokenPipeError, ShrinkException):
            raise
        except Exception:
            self._write_reproducer()
            raise

    def _run_and_print(self, module: ModuleOp, steps: Sequence[Step]) -> str:
        if self.args.check_grad:
            from irkit.gradient_check import check_module

            check_module(module, self.args.check_seed)
        if steps or not self.args.emit:
            self._run_passes(module, steps)
        if self.args.emit == "tg":
            return self._tg_text(module)
        if self.args.emit:
            if self.entry is not None and self.args.crash_reproducer_local:
                self.entry = Entry(module.clone(), (), self.args.emit)
            standard = self._standard_steps(module)
            to_c = self.args.emit if self.args.emit in ("c", pipeline.CUDA) else None
            if self.entry is not None and not self.args.crash_reproducer_local:
                self.entry = Entry(self.entry.module, (*steps, *standard), to_c)
            self._run_passes(module, standard)
            if self.entry is not None and self.args.crash_reproducer_local:
                self.entry = Entry(module.clone(), (), to_c)
        with self.manager.timed("print"):
            if self.args.emit == pipeline.CUDA:
                return self._cuda_text(module)
            return self._c_text(module) if self.args.emit == "c" else self.output_resulting_program(module)

    def _enter(self, module: ModuleOp, step: Step) -> None:
        """Keeps what a pass is about to be run on."""
        self.entry = Entry(module.clone(), (step,))

    def _standard_steps(self, module: ModuleOp) -> list[Step]:
        level, goal = pipeline.level_of(module), self.args.emit
        if goal == pipeline.CUDA:
            return [Step(run) for run in pipeline.passes_cuda(level, self._device())]
        machine, cc = self.args.machine, self.args.cc
        folder = tuned_folder(machine, cc) if self.args.tuned else ""
        if goal == pipeline.UPSTREAM:
            return [Step(run) for run in pipeline.passes_upstream(level, machine, cc, folder)]
        if pipeline.LEVELS.index(goal) < pipeline.LEVELS.index(level):
            raise IrkitError(
                f"the input is at the {level} level already, which is below the {goal} level",
                hint=f"ask for one of {', '.join(pipeline.LEVELS[pipeline.LEVELS.index(level) :])}",
            )
        return [
            Step(run) for run in pipeline.passes_to(level, goal, machine, cc, folder, self.args.fast_math)
        ]

    def _run_passes(self, module: ModuleOp, steps: Sequence[Step]) -> None:
        if self.args.dump_pass_pipeline:
            print(f"pass pipeline: {format_pipeline(steps)}", file=sys.stderr)
        self.manager.run(module, steps)

    def _write_reproducer(self) -> None:
        assert self.entry is not None
        out = StringIO()
        Printer(stream=out, print_debuginfo=True).print_op(self.entry.module)
        path = self.args.crash_reproducer
        write_atomically(path, reproducer_text(self.args, out.getvalue(), self.entry.steps, self.entry.emit))
        command = shlex.join(["irkit-opt", "--run-reproducer", path])
        print(f"wrote {path}; run: {command}", file=sys.stderr)

    def _read_reproducer(self, parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
        """Takes options from the file; those of the command line come after them. Raises IrkitError."""
        name = self.args.input_file
        self.text = read_text(name)
        shown = "<stdin>" if name == "-" else name
        self.sources[shown] = self.text
        self.args = parser.parse_args([*read_configuration(self.text, shown, parser), *argv])

    # front ends and emitters

    def _parse_mlir(self, text: str, name: str) -> ModuleOp:
        return parse_mlir(self.ctx, text, name, not self.args.no_implicit_module)

    def _parse_tg(self, text: str, name: str) -> ModuleOp:
        dims = self._dims()
        from irkit.lang import parse, to_graph

        return to_graph(parse(text, name), fn=self.args.fn, dims=dims)

    def _syntax_tree(self, text: str, name: str, kind: str) -> str:
        if kind != "tg":
            raise IrkitError(
                "only .tg files have a syntax tree",
                found=f"'{name}'",
                hint="leave --emit=ast out, or use -f tg",
            )
        from irkit.lang.parser import parse
        from irkit.lang.tree import dump

        return dump(parse(text, name))

    def _dims(self) -> dict[str, int]:
        return read_dims([*self.args.dim, self.args.dims])

    def _tg_text(self, module: ModuleOp) -> str:
        """The module as it is, in the language."""
        from irkit.lang.unparse import unparse
        from lowering.verify import verify_module

        with self.manager.timed("print"):
            if not self.args.disable_verify:
                verify_module(module)
            return unparse(module)

    def _c_text(self, module: ModuleOp) -> str:
        from lowering.c.emit import emit_c
        from lowering.target import get_target

        return emit_c(module, get_target(self.args.machine, self.args.cc))

    def _cuda_text(self, module: ModuleOp) -> str:
        from lowering.cuda.emit import emit_cuda
        from lowering.target import get_target

        return emit_cuda(module, get_target(self._device())).source

    def _device(self) -> str:
        """The machine to emit CUDA text for, where one is named."""
        return pipeline.CUDA if self.args.machine == "native" else self.args.machine

    def report(self, fault: BaseException, name: str, tolerated: bool = False) -> None:
        """Prints an error with its source lines; one that the command line expects does not fail the run."""
        text = render(errors_of(fault, name), self.sources).rstrip("\n")
        print(text, file=sys.stdout if tolerated else sys.stderr)
        self.failed = self.failed or not tolerated


def _dialect(name: str) -> Dialect:
    return getattr(import_module(f"dialects.{name}"), name.capitalize())


def _version() -> str:
    try:
        own = version("irkit")
    except PackageNotFoundError:
        own = "from a checkout"
    return f"irkit-opt {own} (xdsl {version('xdsl')})"


def _chunks(text: str) -> list[str]:
    """The parts of a split input, each after as many empty lines as came before it, so that lines count right."""
    parts, line = [], 0
    for part in SPLIT_LINE.split(text):
        parts.append("\n" * line + part)
        line += part.count("\n")
    return parts


def main(
    argv: Sequence[str] | None = None,
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Runs irkit-opt on a command line (without the program's name) and streams; returns the exit code."""
    return run_on(lambda: _main(argv), stdin, stdout, stderr)


def _main(argv: Sequence[str] | None) -> int:
    try:
        driver = OptMain(argv)
    except IrkitError as fault:  # a reproducer that cannot be read
        print(render([fault]), file=sys.stderr)
        return 1
    can_shrink = False
    try:
        driver.run()
        sys.stdout.flush()
    except ShrinkException:
        can_shrink = True
    except PASS_FAULTS as fault:
        driver.report(fault, driver.args.input_file)
    except BrokenPipeError:
        raise
    except Exception as fault:
        if driver.args.debug:
            traceback.print_exc()
        driver.report(crash("irkit-opt", fault), driver.args.input_file)
    if driver.args.shrink:
        print("Success, can shrink" if can_shrink else "Failure, can't shrink")
        return 0 if can_shrink else 1
    return 1 if driver.failed else 0


if __name__ == "__main__":
    sys.exit(main())
