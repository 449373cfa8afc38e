"""Random numbers: Philox-4x32-10 in arith, the same bits as everywhere else."""

from __future__ import annotations

from xdsl.dialects import arith, math, scf
from xdsl.dialects.builtin import f32, f64, i32
from xdsl.ir import SSAValue

from dialects.types import shape_of
from lowering.upstream.build import Build
from lowering.upstream.types import shaped

ROUNDS = 10
FACTORS = (0xD2511F53, 0xCD9E8D57)
STEPS = (0x9E3779B9, 0xBB67AE85)


def random(build: Build, dist: str, key0: SSAValue, key1: SSAValue, counter: SSAValue) -> SSAValue:
    """`kernel.random`: bits (i32), uniform or normal (f32) numbers; see `dialects.graph.numerics.random_numbers`."""
    words = _philox(build, key0, key1, counter)
    if dist == "bits":
        return words[0]
    shape = shape_of(counter.type)
    element = f32 if dist == "uniform" else f64
    scale = build.number(2.0**-24, shaped(element, shape))
    eight = build.number(8, words[0].type)

    def number(word: SSAValue) -> SSAValue:
        return build.cast("uitofp", build.add(arith.ShRUIOp(word, eight)), element)

    if dist == "uniform":
        return build.add(arith.MulfOp(number(words[0]), scale))
    type_, u, v = scale.type, number(words[0]), number(words[1])
    u = build.add(arith.MulfOp(build.add(arith.AddfOp(u, build.number(1.0, type_))), scale))
    v = build.add(arith.MulfOp(v, scale))
    square = build.add(arith.MulfOp(build.number(-2.0, type_), build.add(math.LogOp(u))))
    turn = build.add(arith.MulfOp(build.number(2 * 3.141592653589793, type_), v))
    normal = arith.MulfOp(build.add(math.SqrtOp(square)), build.add(math.CosOp(turn)))
    return build.cast("truncf", build.add(normal), f32)


def _philox(build: Build, key0: SSAValue, key1: SSAValue, counter: SSAValue) -> list[SSAValue]:
    """Four words for a key of two and a counter of 64 bits."""
    type_ = shaped(i32, shape_of(counter.type))
    zero = build.number(0, type_)
    high = build.add(arith.ShRUIOp(counter, build.number(32, counter.type)))
    start = [build.cast("trunci", counter, i32), build.cast("trunci", high, i32), zero, zero, key0, key1]
    with build.loop((0, ROUNDS, 1), start) as (loop, block):
        _, c0, c1, c2, c3, k0, k1 = block.args
        low0, high0 = _product(build, c0, FACTORS[0])
        low1, high1 = _product(build, c2, FACTORS[1])
        words = [_xor(build, high1, c1, k0), low1, _xor(build, high0, c3, k1), low0]
        keys = [
            build.add(arith.AddiOp(k, build.number(_signed(step), type_)))
            for k, step in zip((k0, k1), STEPS, strict=True)
        ]
        build.do(scf.YieldOp(*words, *keys))
    return list(loop.results[:4])


def _product(build: Build, a: SSAValue, factor: int) -> tuple[SSAValue, SSAValue]:
    op = arith.MulUIExtendedOp(a, build.number(_signed(factor), a.type))
    build.do(op)
    return op.results[0], op.results[1]


def _xor(build: Build, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
    return build.add(arith.XOrIOp(build.add(arith.XOrIOp(a, b)), c))


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
