// RUN: irkit-opt %s -p canonicalize,cse,canonicalize --print-ir-after-change 2>&1 | filecheck %s
// RUN: irkit-opt %s -p canonicalize,cse --print-ir-after-change --print-ir-filter-pass=canonicalize 2>&1 \
// RUN:   | filecheck %s --check-prefix=PASS
// RUN: irkit-opt %s -p cse --print-ir-after-change --print-ir-filter-func=second 2>&1 | filecheck %s --check-prefix=FUNC
// RUN: irkit-opt %s -p cse,canonicalize --print-between-passes --print-ir-filter-func=second | filecheck %s --check-prefix=BETWEEN

// CHECK: --- before canonicalize
// CHECK: +++ after canonicalize
// CHECK: -    %unused = arith.subi %x, %x : i32
// CHECK: --- before cse
// CHECK: -    %b = arith.addi %x, %x : i32
// CHECK-NEXT: -    %c = arith.muli %a, %b : i32
// CHECK-NEXT: +    %c = arith.muli %a, %a : i32
// CHECK: no change by canonicalize

// PASS-NOT: before cse
// PASS: --- before canonicalize
// PASS-NOT: before cse

// FUNC: no change by cse

// BETWEEN: IR after cse:
// BETWEEN-NEXT: func.func @second
// BETWEEN-NEXT: func.return
// BETWEEN: builtin.module

func.func @first(%x: i32) -> i32 {
  %a = arith.addi %x, %x : i32
  %b = arith.addi %x, %x : i32
  %c = arith.muli %a, %b : i32
  %unused = arith.subi %x, %x : i32
  func.return %c : i32
}

func.func @second(%x: i32) -> i32 {
  func.return %x : i32
}
