"""The verifier between passes: every fault, with its place; dominance; leftover ops."""

import pytest
from xdsl.context import Context
from xdsl.dialects.arith import Arith
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.dialects.cf import Cf
from xdsl.dialects.func import Func
from xdsl.dialects.scf import Scf
from xdsl.rewriter import InsertPoint, Rewriter

from dialects.errors import ErrorList
from irkit.mlir_parser import LocatedParser
from lowering.verify import check_only, dominance_errors, verify_module


def read(text: str) -> ModuleOp:
    ctx = Context()
    for dialect in (Builtin, Arith, Func, Scf, Cf):
        ctx.load_dialect(dialect)
    return LocatedParser(ctx, text, "m.mlir").parse_module()


def faults(text: str) -> list[str]:
    return [f"{error.loc}: {error.message}" for error in dominance_errors(read(text))]


def test_use_before_definition():
    text = """func.func @f(%x: i32) -> i32 {
  %a = arith.addi %x, %b : i32
  %b = arith.addi %x, %x : i32
  func.return %a : i32
}"""
    assert faults(text) == ["m.mlir:2:3: operand %b of 'arith.addi' op does not dominate its use"]


def test_use_of_a_value_from_a_closed_region():
    module = read("""func.func @f(%c: i1) {
  %a = arith.constant 1 : i32
  scf.if %c {
  }
  %b = arith.addi %a, %a : i32
  func.return
}""")
    constant, branch = (op for op in module.walk() if op.name in ("arith.constant", "scf.if"))
    constant.detach()
    Rewriter.insert_op(constant, InsertPoint.at_start(branch.regions[0].block))
    found = list(dominance_errors(module))
    assert len(found) == 2 and all(
        "lies in a region that is closed" in (error.found or "") for error in found
    )


def test_use_of_outer_values_and_of_block_arguments_is_fine():
    text = """func.func @f(%c: i1, %n: index) {
  %one = arith.constant 1 : index
  scf.for %i = %one to %n step %one {
    %s = arith.addi %i, %one : index
    scf.if %c {
      %t = arith.addi %s, %n : index
    }
  }
  func.return
}"""
    assert faults(text) == []


def test_an_op_may_not_use_its_own_result_inside():
    text = """func.func @f(%c: i1, %x: i32) -> i32 {
  %r = scf.if %c -> (i32) {
    scf.yield %r : i32
  } else {
    scf.yield %x : i32
  }
  func.return %r : i32
}"""
    assert faults(text) == ["m.mlir:3:5: operand %r of 'scf.yield' op does not dominate its use"]


def test_dominance_over_blocks():
    text = """func.func @f(%c: i1) -> i32 {
  cf.cond_br %c, ^left, ^right
^left:
  %a = arith.constant 1 : i32
  cf.br ^end
^right:
  cf.br ^end
^end:
  func.return %a : i32
}"""
    assert faults(text) == ["m.mlir:9:3: operand %a of 'func.return' op does not dominate its use"]
    assert faults(text.replace("^right:\n  cf.br ^end", "^right:\n  cf.br ^left")) == []


def test_all_faults_are_told_at_once():
    text = """func.func @f(%x: i32) -> i32 {
  func.return
}
func.func @g(%x: i32) -> i32 {
  func.return
}"""
    with pytest.raises(ErrorList) as caught:
        verify_module(read(text))
    assert [str(error.loc) for error in caught.value.errors] == ["m.mlir:2:3", "m.mlir:5:3"]


def test_a_valid_module_passes():
    verify_module(read("func.func @f(%x: i32) -> i32 { func.return %x : i32 }"))


def test_leftover_ops_are_counted_and_placed():
    text = """func.func @f(%x: i32) -> i32 {
  %a = arith.addi %x, %x : i32
  %b = arith.addi %a, %x : i32
  %c = arith.muli %b, %x : i32
  func.return %c : i32
}"""
    module = read(text)
    check_only(module, ("func", "arith"), "graph-to-kernel")
    with pytest.raises(ErrorList) as caught:
        check_only(module, ("func.func", "func.return", "arith.constant"), "graph-to-kernel")
    add, multiply = caught.value.errors
    assert add.message == "2 leftover 'arith.addi' ops are not allowed after graph-to-kernel"
    assert multiply.message == "1 leftover 'arith.muli' op is not allowed after graph-to-kernel"
    assert [str(e.loc) for e in (add, multiply)] == ["m.mlir:2:3", "m.mlir:4:3"]
    assert add.hint
