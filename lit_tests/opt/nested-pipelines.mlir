// RUN: irkit-opt %s -p canonicalize,cse | filecheck %s --check-prefixes=BOTH,OUTER
// RUN: irkit-opt < %s -p 'builtin.module(canonicalize,cse)' | filecheck %s --check-prefixes=BOTH,OUTER
// RUN: irkit-opt - -p 'func.func(canonicalize,cse)' < %s | filecheck %s --check-prefixes=BOTH,OUTER
// RUN: irkit-opt %s -p 'builtin.module(builtin.module(func.func(cse)))' | filecheck %s --check-prefixes=INNER

// A pass inside an anchor runs on the ops of that name directly inside the op around it.

// BOTH-LABEL: func.func @adds_once
// BOTH: [[SUM:%.*]] = arith.addi %x, %y : i32
// BOTH-NEXT: arith.muli [[SUM]], [[SUM]] : i32
// INNER-LABEL: func.func @adds_once
// INNER-COUNT-2: arith.addi
func.func @adds_once(%x: i32, %y: i32) -> i32 {
  %a = arith.addi %x, %y : i32
  %b = arith.addi %x, %y : i32
  %c = arith.muli %a, %b : i32
  %unused = arith.subi %x, %y : i32
  func.return %c : i32
}

builtin.module {
  // OUTER-LABEL: func.func @one_level_down
  // INNER-LABEL: func.func @one_level_down
  // INNER: [[SUM:%.*]] = arith.addi %x, %x : i32
  // INNER-NEXT: arith.muli [[SUM]], [[SUM]] : i32
  func.func @one_level_down(%x: i32) -> i32 {
    %a = arith.addi %x, %x : i32
    %b = arith.addi %x, %x : i32
    %c = arith.muli %a, %b : i32
    func.return %c : i32
  }
}
