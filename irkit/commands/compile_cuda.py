"""What `irkit compile --target=cuda` writes: a .cu/.h pair that nvcc builds alone, and an example `main.cu`."""

from __future__ import annotations

import argparse

from dialects.errors import IrkitError
from irkit.commands.compile import HostSteps, elements
from irkit.runtime.artefact import SUFFIX
from irkit.runtime.compiler import INCLUDE
from lowering.c.abi import C_TYPES, ProgramSpec
from lowering.c.names import c_field
from lowering.cuda.emit import CUDA_INCLUDE, HOST_FLAGS, NVCC_FLAGS
from lowering.target import get_target, runs_on_cpu

HEADERS = ("irk_math.h", "irk_functions.h")
"""What the headers for CUDA include of those for C."""


def check(args: argparse.Namespace) -> None:
    """Raises IrkitError for options that have no meaning for a GPU."""
    for option, value in {"--size": args.size, "--size-file": args.size_file}.items():
        if value:
            raise IrkitError(
                f"{option} tells what a C program takes on a device",
                found=f"--target={args.target}",
                hint="nvcc -Xptxas -v tells what kernels take",
            )
    if args.output.endswith(SUFFIX):
        raise IrkitError(
            f"a program for a GPU is not written as one {SUFFIX} file", hint="name a folder: -o DIR"
        )


def source_files(spec: ProgramSpec) -> dict[str, bytes]:
    """The content of the pair, and of what it includes."""
    files = {f"{spec.name}.cu": spec.source.encode(), f"{spec.name}.h": spec.header.encode()}
    for path in [INCLUDE / name for name in HEADERS] + sorted(CUDA_INCLUDE.glob("*.h")):
        files[path.name] = path.read_bytes()
    return files


def build_command(target: str, cc: str, name: str, data: str) -> str:
    """What builds the program and its example; `data` is the C file of its weights, or nothing."""
    if runs_on_cpu(target):
        return f"{cc} {' '.join(HOST_FLAGS)} {name}.cu main.cu {data + ' ' if data else ''}-o {name} -lm"
    gpu = get_target(target).gpu
    assert gpu is not None
    return f"nvcc {' '.join(NVCC_FLAGS)} {gpu.flag} {name}.cu main.cu {data + ' ' if data else ''}-o {name}"


class DeviceSteps(HostSteps):
    """The statements of the example for a device, where every array has a copy."""

    includes = ('#include "irk_cuda_host.h"',)
    helpers = (
        "static void need(int code) {",
        "  if (!code) return;",
        '  fprintf(stderr, "failed with code %d: %s\\n", code, code > 0 ? irk_error(code) : "see the header");',
        "  exit(1);",
        "}",
        "",
        "// Memory of the device; with what an array of the host holds, unless that is NULL.",
        "static void *on_device(const void *from, size_t bytes) {",
        "  void *place;",
        "  need(irk_allocate(&place, bytes));",
        "  if (from) need(irk_write(place, from, bytes, NULL));",
        "  return place;",
        "}",
        "",
    )

    def _size(self, number: int) -> str:
        arg = self.spec.args[number]
        return f"{elements(arg, self.most)} * sizeof({C_TYPES[arg.dtype]})"

    def begin(self) -> list[str]:
        name, field = self.spec.name, self.spec.prepared_field
        lines = [f"  {name}_args device = args;"]
        for number, arg in enumerate(self.spec.args):
            const = "" if arg.is_written else "const "
            place = c_field(arg.name)
            lines.append(
                f"  device.{place} = ({const}{C_TYPES[arg.dtype]} *)on_device(args.{place}, {self._size(number)});"
            )
        lines.append(f"  void *arena = on_device(NULL, {name}_arena_bytes(&device));")
        if field:
            lines += [
                f"  device.{field} = on_device(NULL, {name}_prepared_bytes(&device));",
                f"  need({name}_init(&device, arena, NULL));",
            ]
        return lines

    def run(self) -> list[str]:
        lines = [f"  code = {self.spec.name}_run(&device, arena, NULL);", "  need(code);"]
        for number, arg in enumerate(self.spec.args):
            if arg.role == "output":
                place = c_field(arg.name)
                lines.append(f"  need(irk_read(args.{place}, device.{place}, {self._size(number)}, NULL));")
        return lines

    def end(self) -> list[str]:
        field = self.spec.prepared_field
        places = [c_field(a.name) for a in self.spec.args] + ([field] if field else [])
        return [*(f"  need(irk_release((void *)device.{p}));" for p in places), "  need(irk_release(arena));"]
