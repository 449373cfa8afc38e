"""kernel-to-buffer and buffer-place-barriers on random host functions: same numbers, no races, nothing overwritten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from xdsl.dialects.builtin import FileLineColLoc, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

from dialects.buffer import BarrierOp, CopyOp, ForOp, ProgramOp
from dialects.errors import Loc
from dialects.loop import FuncOp as LoopFunc
from irkit.pipeline import context
from lowering.buffer.barriers import BufferPlaceBarriers
from lowering.buffer.kernel_to_buffer import KernelToBuffer
from tests.buffer.generate import Generator
from tests.buffer.machine import programs, run_host
from tests.growth import growth

CONTEXT = context()


def parse(text: str) -> ModuleOp:
    module = Parser(CONTEXT, text).parse_module()
    module.verify()
    return module


def lower(module: ModuleOp) -> ProgramOp:
    for step in (KernelToBuffer(), BufferPlaceBarriers()):
        step.apply(CONTEXT, module)
        module.verify()
    return next(op for op in module.ops if isinstance(op, ProgramOp))


def check_program(seed: int, loops: bool) -> None:
    """Lowers a random function and compares; without loops every barrier must be needed."""
    generator = Generator(seed, loops)
    module = parse(generator.module())
    func = next(op for op in module.ops if isinstance(op, FuncOp))
    random = np.random.default_rng(seed)
    arrays = [random.integers(0, 1000, s).astype(np.int32) for s in generator.inputs]
    inputs = [[np.array(n, np.int32), *arrays] for n in range(4 if loops else 1)]
    kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, LoopFunc)}
    expected = [run_host(func, arguments, kernels) for arguments in inputs]
    program = lower(module)
    assert str(parse(str(module))) == str(module)
    assert program.peak_bytes.data.value >= program.lower_bound_bytes.data.value  # pyright: ignore
    for arguments, wanted in zip(inputs, expected, strict=True):
        machine = programs(module)[0]
        for got, want in zip(machine.run(arguments), wanted, strict=True):
            assert np.array_equal(got, want)
        assert not machine.races
        assert loops or not machine.idle_barriers


@given(st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_straight_programs_keep_the_numbers(seed: int):
    check_program(seed, loops=False)


@given(st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_programs_with_loops_keep_the_numbers(seed: int):
    check_program(seed, loops=True)


STENCIL = """
loop.func @f (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>) {}
func.func @main(%x: tensor<16xf32>) -> tensor<16xf32> {
  %r = graph.for 0 to TRIPS (%x) : (tensor<16xf32>) {
  ^bb0(%t: tensor<si64>, %c: tensor<16xf32>):
    %n = kernel.launch @f(%c) : (tensor<16xf32>) -> tensor<16xf32>
    graph.yield %n : tensor<16xf32>
  }
  func.return %r : tensor<16xf32>
}
"""


@pytest.mark.parametrize("trips", (0, 1, 2, 7, 8))
def test_counted_stencil_copies_its_input_only(trips: int):
    program = lower(parse(STENCIL.replace("TRIPS", str(trips))))
    assert [type(op) for op in program.body.walk()].count(CopyOp) == 1
    assert program.peak_bytes.data.value == 64
    loop = next(op for op in program.block.ops if isinstance(op, ForOp))
    assert sum(isinstance(op, BarrierOp) for op in loop.block.ops) == (trips > 1)


def test_every_op_has_a_location():
    module = parse(STENCIL.replace("TRIPS", "3"))
    for line, op in enumerate(module.walk()):
        op.location = Loc("a.tg", line + 1, 1).attr()
    assert all(isinstance(op.location, FileLineColLoc) for op in lower(module).walk())


def chain(launches: int) -> str:
    """Residual blocks of three launches."""
    t, w = "tensor<32x64xf32>", "tensor<64x64xf32>"
    a, m = "!buffer.ref<[32, 64], f32>", "!buffer.ref<[64, 64], f32>"
    lines = [
        f"loop.func @matmul (in %x: {a}, in %w: {m}, out %y: {a}) {{}}",
        f"loop.func @relu (in %x: {a}, out %y: {a} alias 0) {{}}",
        f"loop.func @add (in %x: {a}, in %z: {a}, out %y: {a} alias 0) {{}}",
        f"func.func @main(%s: {t}, %w: {w}) -> {t} {{",
    ]
    last = "%s"
    for i in range(launches // 3):
        lines.append(f"%m{i} = kernel.launch @matmul({last}, %w) : ({t}, {w}) -> {t}")
        lines.append(f"%r{i} = kernel.launch @relu(%m{i}) : ({t}) -> {t}")
        lines.append(f"%s{i} = kernel.launch @add(%r{i}, {last}) : ({t}, {t}) -> {t}")
        last = f"%s{i}"
    return "\n".join([*lines, f"func.return {last} : {t}", "}"])


def placed(module: ModuleOp) -> ModuleOp:
    for step in (KernelToBuffer(), BufferPlaceBarriers()):
        step.apply(CONTEXT, module)
    return module


def test_placing_is_linear():
    def work(launches: int):
        module = parse(chain(launches))
        return lambda: placed(module)

    assert growth(work, 300, 1200) < 1.2


def test_three_thousand_launches_take_two_arrays():
    module = placed(parse(chain(3000)))
    program = next(op for op in module.ops if isinstance(op, ProgramOp))
    assert program.peak_bytes.data == program.lower_bound_bytes.data
    assert program.peak_bytes.data.value == 2 * 32 * 64 * 4
