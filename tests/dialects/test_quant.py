"""The quantised type: it prints and parses to itself, and says what is wrong with it."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given, settings, strategies as st
from xdsl.dialects.builtin import TensorType
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from dialects.graph import quant
from dialects.quant import STORAGES, QuantType, stored_range
from dialects.types import DTYPES, dims_of, element_bytes, is_float, np_dtype, storage, tensor, type_text
from irkit.mlir_parser import parse_mlir
from irkit.pipeline import context

CONTEXT = context()


@st.composite
def quantised(draw: st.DrawFn) -> QuantType:
    """Any quantised type."""
    stored = DTYPES[draw(st.sampled_from(STORAGES))]
    expressed = draw(st.sampled_from(["f64", "f32", "f16", "bf16"]))
    count = draw(st.integers(1, 5))
    positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
    scales = draw(st.lists(positive, min_size=count, max_size=count))
    low, high = (0, 0) if is_float(stored) else stored_range(stored)
    zeros = draw(st.lists(st.integers(int(low), int(high)), min_size=count, max_size=count))
    return quant(stored, DTYPES[expressed], scales, zeros, draw(st.integers(0, 3)), draw(st.integers(0, 9)))


def printed(type_: object) -> str:
    out = StringIO()
    Printer(out).print_attribute(type_)  # pyright: ignore[reportArgumentType]
    return out.getvalue()


@settings(max_examples=100, deadline=None)
@given(quantised())
def test_the_type_reads_back_as_printed(element: QuantType):
    whole = TensorType(element, [2, 3])
    for type_ in (element, whole):
        assert Parser(CONTEXT, printed(type_)).parse_type() == type_
    assert np_dtype(element) == np_dtype(element.storage)
    assert element_bytes(element) == element_bytes(element.storage)
    assert storage(element) == storage(element.storage)


@pytest.mark.parametrize("generic", (False, True))
def test_a_function_on_quantised_tensors_reads_back(generic: bool):
    row = "tensor<2x4x!graph.quant<ui8, f16, scale = [1.0e-05, 0.25], zero_point = [128, 3], axis = 0>>"
    column = row.replace("2x4", "4x2").replace("axis = 0", "axis = 1")
    text = f"""
    func.func @f(%x: {row}) -> tensor<4x2xf32> {{
      %0 = graph.transpose %x {{perm = array<i64: 1, 0>}} : ({row}) -> {column}
      %1 = graph.cast %0 {{dtype = "f32"}} : ({column}) -> tensor<4x2xf32>
      func.return %1 : tensor<4x2xf32>
    }}"""
    module = parse_mlir(CONTEXT, text, "f.mlir")
    module.verify()
    out = StringIO()
    Printer(out, print_generic_format=generic).print_op(module)
    again = parse_mlir(CONTEXT, out.getvalue(), "f.mlir")
    assert again.is_structurally_equivalent(module)


I8, F32 = DTYPES["i8"], DTYPES["f32"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((DTYPES["i64"], F32, [0.1]), "the storage is no small integer: found i64, expected one of i2, i4"),
        ((DTYPES["bool"], F32, [0.1]), "the storage is no small integer: found bool"),
        ((I8, DTYPES["i32"], [0.1]), "what is expressed is no float: found i32"),
        ((I8, F32, []), "scales are positive"),
        ((I8, F32, [0.0]), "scales are positive: found 0.0, expected finite numbers above 0"),
        ((I8, F32, [float("nan")]), "scales are positive: found nan"),
        ((I8, F32, [float("inf")]), "scales are positive: found inf"),
        ((I8, F32, [0.1, 0.2], [1], 0), "found 2 scales and 1 zero points"),
        ((I8, F32, [0.1], [-129]), "zero points are numbers of i8: found -129, expected -128 to 127"),
        ((DTYPES["u4"], F32, [0.1], [16]), "zero points are numbers of u4: found 16, expected 0 to 15"),
        ((DTYPES["f8e4m3"], F32, [0.1], [1]), "f8e4m3 has no zero points: found 1"),
        ((I8, F32, [0.1, 0.2]), "several scales go along a dim"),
        ((I8, F32, [0.1, 0.2], [], 0, -2), "a block has several elements: found block=-2"),
    ],
)
def test_what_the_type_refuses(parts: tuple, message: str):
    with pytest.raises(VerifyException, match=message):
        quant(*parts)


def test_the_parser_tells_an_unknown_field():
    with pytest.raises(
        Exception, match=r"unexpected field 'zero' of !graph.quant: expected scale, zero_point"
    ):
        Parser(CONTEXT, "!graph.quant<si8, f32, zero = [1]>").parse_type()


def test_one_scale_needs_no_dim():
    assert quant(I8, F32, [0.1], [], 1, 4) == quant(I8, F32, [0.1])
    with pytest.raises(Exception, match="one scale holds for the whole tensor"):
        Parser(CONTEXT, "!graph.quant<si8, f32, scale = [0.1], axis = 0>").parse_type()


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (quant(I8, F32, [0.05]), "quant(i8, scale=0.05)"),
        (quant(I8, F32, [0.05], [3]), "quant(i8, scale=0.05, zero=3)"),
        (
            quant(DTYPES["u4"], DTYPES["f16"], [0.5, 1.0], [3, 3], 1, 32),
            "quant(u4, scale=[0.5, 1.0], zero=3, axis=1, block=32, expressed=f16)",
        ),
        (quant(I8, F32, [0.1] * 6, [], 0), "quant(i8, scale=[0.1, 0.1, 0.1, ... 3 more], axis=0)"),
    ],
)
def test_messages_name_the_type_as_it_is_written(element: QuantType, text: str):
    assert type_text(tensor(element, ["B", 64])) == f"{text}[B, 64]"


def test_scales_count_the_elements_of_a_dim():
    rows = quant(I8, F32, [0.1, 0.2], [], 1, 3)
    assert rows.misfit(dims_of(tensor(rows, ["B", 6]))) is None
    assert "no dim 1" in str(rows.misfit(dims_of(tensor(rows, [6]))))
    assert "do not go with dim 1" in str(rows.misfit(dims_of(tensor(rows, [6, 7]))))
    assert "a dim of size B" in str(rows.misfit(dims_of(tensor(rows, [6, "B"]))))
