"""A lit test format that runs `irkit-opt`, `irkit`, `filecheck`, `echo` and `not` inside lit's worker process.

A RUN line made of these, of pipes, `&&` and plain redirections costs milliseconds; any other line goes to bash, with
the same names defined. As under lit's own shell, a pipe fails when any of its commands does.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field

import lit.formats
import lit.Test
import lit.TestRunner
from filecheck.matcher import Matcher
from filecheck.options import parse_argv_options

import irkit.opt

Tool = Callable[[list[str], io.StringIO, io.StringIO, io.StringIO], int]

TIMEOUT_S = 300
TOKEN = re.compile(
    r"""\s*(?:(?P<mark>&&|2>&1|2>|>(?!>)|<(?!<)|\|(?!\|))"""
    r"""|(?P<word>(?:[^\s'"|&<>;`$()*?~\#\\]|'[^']*'|"[^"\\$`]*")+))"""
)
SHELL_NAMES = """
irkit-opt() { "$IRKIT_PYTHON" -m irkit.opt "$@"; }
irkit() { "$IRKIT_PYTHON" -m irkit.cli "$@"; }
filecheck() { "$IRKIT_PYTHON" -m filecheck "$@"; }
not() { ! "$@"; }
set -o pipefail
"""


def run_irkit(argv: list[str], stdin: io.StringIO, stdout: io.StringIO, stderr: io.StringIO) -> int:
    """The `irkit` command; imported when a test asks for it."""
    import irkit.cli

    return irkit.cli.main(argv, stdin, stdout, stderr)


def run_filecheck(argv: list[str], stdin: io.StringIO, stdout: io.StringIO, stderr: io.StringIO) -> int:
    """The `filecheck` command of the package of that name."""
    old, sys.stdin = sys.stdin, stdin
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            return Matcher.from_opts(parse_argv_options(["filecheck", *argv])).run()
    finally:
        sys.stdin = old


def run_echo(argv: list[str], stdin: io.StringIO, stdout: io.StringIO, stderr: io.StringIO) -> int:
    """The `echo` command, without options."""
    stdout.write(" ".join(argv) + "\n")
    return 0


TOOLS: dict[str, Tool] = {
    "irkit-opt": irkit.opt.main,
    "irkit": run_irkit,
    "filecheck": run_filecheck,
    "echo": run_echo,
}


@dataclass
class Command:
    """One command of a pipe, with the files that its streams are tied to."""

    argv: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    merges_stderr: bool = False

    def tool(self) -> tuple[Tool | None, list[str], bool]:
        """The tool that runs it (None: not one of ours), its arguments, and whether it has to fail."""
        argv, fails = list(self.argv), False
        while argv and argv[0] == "not":
            argv, fails = argv[1:], not fails
        return (TOOLS.get(argv[0]) if argv else None), argv[1:], fails


def parse_line(line: str) -> list[list[Command]] | None:
    """The pipes of a RUN line that `&&` joins; None when it takes a shell to understand it."""
    pipes, position, pending = [[Command()]], 0, ""
    line = line.strip()
    while position < len(line):
        token = TOKEN.match(line, position)
        if token is None:
            return None
        position = token.end()
        command = pipes[-1][-1]
        if token["word"]:
            word = re.sub(
                r"'([^']*)'|\"([^\"]*)\"", lambda m: m[1] if m[1] is not None else m[2], token["word"]
            )
            if pending:
                command.files[pending] = word
            else:
                command.argv.append(word)
            pending = ""
        elif pending:
            return None
        elif token["mark"] == "&&":
            pipes.append([Command()])
        elif token["mark"] == "|":
            pipes[-1].append(Command())
        elif token["mark"] == "2>&1":
            command.merges_stderr = True
        else:
            pending = token["mark"]
    commands = [command for pipe in pipes for command in pipe]
    if pending or any(c.tool()[0] is None or (c.merges_stderr and len(c.files) > 0) for c in commands):
        return None
    return pipes


def run_pipe(pipe: list[Command], log: io.StringIO) -> int:
    """Runs the commands of a pipe one after the other; returns the first exit code that is not 0."""
    data, result = "", 0
    for command in pipe:
        tool, argv, fails = command.tool()
        assert tool is not None
        if "<" in command.files:
            with open(command.files["<"], encoding="utf-8") as file:
                data = file.read()
        stdout, stderr = io.StringIO(), io.StringIO()
        if command.merges_stderr:
            stderr = stdout
        try:
            code = tool(argv, io.StringIO(data), stdout, stderr)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except Exception:
            stderr.write(traceback.format_exc())
            code = 70
        code = (0 if code not in (0, 70) else 1) if fails else code
        data = stdout.getvalue()
        if not command.merges_stderr:
            log.write(stderr.getvalue())
        for mark, text in ((">", data), ("2>", stderr.getvalue())):
            if mark in command.files:
                with open(command.files[mark], "w", encoding="utf-8") as file:
                    file.write(text)
                data = "" if mark == ">" else data
        if code and not result:
            result = code
            log.write(f"exit code {code} of: {' '.join(command.argv)}\n{data}\n")
    log.write("" if result else data)
    return result


class InProcess(lit.formats.ShTest):
    """The format: one test a file, its RUN lines in order until one fails."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self.root = root

    def execute(self, test: lit.Test.Test, lit_config: object) -> lit.Test.Result:
        if test.config.unsupported:
            return lit.Test.Result(lit.Test.UNSUPPORTED, "Test is unsupported")
        script = lit.TestRunner.parseIntegratedTestScript(test)
        if isinstance(script, lit.Test.Result):
            return script
        folder, base = lit.TestRunner.getTempPaths(test)
        os.makedirs(os.path.dirname(base), exist_ok=True)
        substitutions = lit.TestRunner.getDefaultSubstitutions(test, folder, base)
        features = dict.fromkeys(test.config.available_features, True)
        lines = lit.TestRunner.applySubstitutions(script, substitutions, features)
        for line in lines:
            text = re.sub(r"^%dbg\([^)]*\)\s*", "", line)
            code, log = self._run_line(text, folder, test.config.environment)
            if code:
                return lit.Test.Result(lit.Test.FAIL, f"$ {text}\n{log}\nexit code {code}\n")
        return lit.Test.Result(lit.Test.PASS)

    def _run_line(self, text: str, folder: str, environment: dict[str, str]) -> tuple[int, str]:
        pipes = parse_line(text)
        if pipes is None:
            return self._run_in_shell(text, folder, environment)
        log = io.StringIO()
        with chdir(folder):
            for pipe in pipes:
                if code := run_pipe(pipe, log):
                    return code, log.getvalue()
        return 0, log.getvalue()

    def _run_in_shell(self, text: str, folder: str, environment: dict[str, str]) -> tuple[int, str]:
        try:
            done = subprocess.run(
                ["bash", "-c", SHELL_NAMES + text],
                cwd=folder,
                env={**os.environ, **environment, "IRKIT_PYTHON": sys.executable, "PYTHONPATH": self.root},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, f"not done after {TIMEOUT_S} s"
        return done.returncode, done.stdout + done.stderr
