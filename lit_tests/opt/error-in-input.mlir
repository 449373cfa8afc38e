// RUN: not irkit-opt %s --split-input-file 2>&1 | filecheck %s
// RUN: not irkit-opt %S/eror-in-input.mlir 2>&1 | filecheck %s --check-prefix=MISSING
// RUN: not irkit-opt %s --emit=ast 2>&1 | filecheck %s --check-prefix=AST
// RUN: not irkit-opt %S 2>&1 | filecheck %s --check-prefix=FOLDER

// MISSING: error: there is no file '{{.*}}eror-in-input.mlir'
// MISSING: did you mean '{{.*}}/error-in-input.mlir'?
// AST: error: only .tg files have a syntax tree
// FOLDER: error: cannot read '{{.*}}': Is a directory

// CHECK-NOT: Traceback

// CHECK: error-in-input.mlir:16:3: error: operand %b of 'arith.addi' op does not dominate its use
// CHECK: expected: {{.*}}before the use
func.func @used_before_definition(%x: i32) -> i32 {
  %a = arith.addi %x, %b : i32
  %b = arith.addi %x, %x : i32
  func.return %a : i32
}

// -----

// CHECK: error: %xx is not defined
// CHECK: did you mean %x?
func.func @undefined(%x: i32) -> i32 {
  func.return %xx : i32
}

// -----

// CHECK: error: Operation mystery.op is not registered
"mystery.op"() : () -> ()

// -----

// CHECK: error-in-input.mlir:38:3: error: Integer value 300 is out of range
func.func @attribute_that_refuses() -> i8 {
  %a = arith.constant 300 : i8
  func.return %a : i8
}
