"""The house rewriter: order, budget, locations, dead code, and size."""

import pytest
from xdsl.context import Context
from xdsl.dialects.arith import AddiOp, Arith, ConstantOp, MuliOp, SubiOp
from xdsl.dialects.builtin import Builtin, FusedLoc, IntegerAttr, ModuleOp, UnknownLoc, i32
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import Block, Region
from xdsl.parser import Parser

from dialects.errors import IrkitError, op_loc
from lowering.rewriting import Rewriter, pattern, rewrite_greedily
from lowering.verify import verify_module


def read(text: str) -> ModuleOp:
    ctx = Context()
    for dialect in (Builtin, Arith, Func):
        ctx.load_dialect(dialect)
    return Parser(ctx, text).parse_module()


@pattern(AddiOp)
def add_of_zero(op: AddiOp, rewriter: Rewriter) -> None:
    """x + 0 = x"""
    if isinstance(zero := op.rhs.owner, ConstantOp) and zero.value == IntegerAttr(0, i32):
        rewriter.replace_with_values(op, [op.lhs])


@pattern(AddiOp)
def swap(op: AddiOp, rewriter: Rewriter) -> None:
    """x + y = y + x"""
    rewriter.replace(op, AddiOp(op.rhs, op.lhs))


@pattern(AddiOp)
def add_of_self(op: AddiOp, rewriter: Rewriter) -> None:
    """(a - b) + (a - b) = (a - b) * 2"""
    if op.lhs is not op.rhs or not isinstance(inner := op.lhs.owner, SubiOp):
        return
    two = ConstantOp(IntegerAttr(2, i32))
    rewriter.replace(op, [two, MuliOp(op.lhs, two.result)], absorbed=(inner,))


CHAIN = """
func.func @f(%x: i32) -> i32 {
  %zero = arith.constant 0 : i32 loc("m.tg":1:1)
  %a = arith.addi %x, %zero : i32 loc("m.tg":2:1)
  %b = arith.addi %a, %zero : i32 loc("m.tg":3:1)
  func.return %b : i32
}
"""


def test_applies_until_nothing_does_and_erases_what_dies():
    module = read(CHAIN)
    assert rewrite_greedily(module, [add_of_zero]) == {"add_of_zero": 2}
    assert [op.name for op in module.walk()] == ["builtin.module", "func.func", "func.return"]
    verify_module(module)


def test_dead_ops_stay_on_request():
    module = read(CHAIN)
    rewrite_greedily(module, [add_of_zero], erase_dead=False)
    assert [op.name for op in module.walk()][2:] == ["arith.constant", "func.return"]


def test_no_rule_no_change():
    module = read(CHAIN)
    before = str(module)
    assert rewrite_greedily(module, []) == {}
    assert str(module) == before


def test_budget_names_the_rules_that_do_not_end():
    with pytest.raises(IrkitError, match=r"swap \(\d+ times\) exceeded the budget of 50 rewrites") as caught:
        rewrite_greedily(read(CHAIN), [swap], budget=50)
    assert caught.value.hint


def test_new_ops_get_the_united_location_of_those_they_stand_for():
    module = read("""
    func.func @f(%x: i32, %y: i32) -> i32 {
      %d = arith.subi %x, %y : i32 loc("m.tg":2:1)
      %s = arith.addi %d, %d : i32 loc("m.tg":3:1)
      func.return %s : i32
    }
    """)
    assert rewrite_greedily(module, [add_of_self]) == {"add_of_self": 1}
    (product,) = (op for op in module.walk() if isinstance(op, MuliOp))
    assert isinstance(product.location, FusedLoc)
    assert [str(op_loc(op)) for op in module.walk() if isinstance(op, MuliOp | ConstantOp | SubiOp)] == [
        "m.tg:2:1",
        "m.tg:3:1",
        "m.tg:3:1",
    ]


def test_names_are_kept():
    module = read(CHAIN)
    rewrite_greedily(module, [pattern(AddiOp)(lambda op, rewriter: double_once(op, rewriter))])
    assert "%b = arith.muli" in str(module)


def double_once(op: AddiOp, rewriter: Rewriter) -> None:
    rewriter.replace(op, MuliOp(op.lhs, op.rhs))


def test_a_change_in_place_is_seen():
    @pattern(ConstantOp)
    def zero_to_one(op: ConstantOp, rewriter: Rewriter) -> None:
        """0 = 1, for the sake of the test"""
        if op.value == IntegerAttr(0, i32):
            op.properties["value"] = IntegerAttr(1, i32)
            rewriter.modified(op)

    module = read(CHAIN)
    assert rewrite_greedily(module, [zero_to_one, add_of_zero]) == {"zero_to_one": 1}


def test_a_long_chain_takes_no_recursion():
    block = Block(arg_types=[i32])
    zero = ConstantOp(IntegerAttr(0, i32))
    block.add_op(zero)
    value = block.args[0]
    for _ in range(20_000):
        op = AddiOp(value, zero.result)
        block.add_op(op)
        value = op.result
    block.add_op(ReturnOp(value))
    module = ModuleOp([FuncOp("chain", ([i32], [i32]), Region(block))])
    assert rewrite_greedily(module, [add_of_zero]) == {"add_of_zero": 20_000}
    assert len(list(module.walk())) == 3
    assert isinstance(module.location, UnknownLoc)


@pattern(MuliOp)
def made_in_vain(op: MuliOp, rewriter: Rewriter) -> None:
    """Makes an op, and throws it away."""
    AddiOp(op.lhs, op.rhs)


def test_an_op_that_a_rule_throws_away_uses_nothing():
    module = read("""
func.func @f(%x: i32, %y: i32) -> i32 {
  %zero = arith.constant 0 : i32
  %a = arith.addi %x, %zero : i32
  %m = arith.muli %a, %y : i32
  func.return %m : i32
}
""")
    assert rewrite_greedily(module, [made_in_vain, add_of_zero]) == {"add_of_zero": 1}
    func = next(iter(module.ops))
    assert isinstance(func, FuncOp)
    assert all(arg.has_one_use() for arg in func.args)
    verify_module(module)
