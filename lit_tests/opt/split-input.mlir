// RUN: not irkit-opt %s --split-input-file 2>%t | filecheck %s
// RUN: filecheck %s --check-prefix=ERROR < %t
// RUN: not irkit-opt %s --split-input-file --parsing-diagnostics 2>%t | filecheck %s --check-prefix=PARSE
// RUN: irkit-opt %s --split-input-file --parsing-diagnostics --verify-diagnostics | filecheck %s --check-prefix=ERROR

// A fault in one part does not stop the others, and lines count from the start of the file.

// CHECK: func.func @first
// CHECK: // -----
// CHECK: func.func @last
func.func @first() -> () {
  func.return
}

// -----

// ERROR: split-input.mlir:20:3: error: 'func.return' op does not verify
// PARSE-NOT: 'func.return' op does not verify
func.func @bad_return(%x: i32) -> i32 {
  func.return
}

// -----

// ERROR: split-input.mlir:28:15: error: %y is not defined
// PARSE: split-input.mlir:28:15: error: %y is not defined
func.func @undefined(%x: i32) -> i32 {
  func.return %y : i32
}

// -----

func.func @last() -> () {
  func.return
}
