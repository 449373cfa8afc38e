// RUN: not irkit-opt %s -p graph-cse,kernel-to-loop --verify-each --crash-reproducer=%t 2>&1 | filecheck %s
// RUN: not irkit-opt --run-reproducer %t 2>&1 | filecheck %s --check-prefix=AGAIN
// RUN: filecheck %s --check-prefix=FILE < %t
// RUN: not irkit-opt %s -p graph-cse,kernel-to-loop --crash-reproducer=%t --crash-reproducer-local 2>%t.err
// RUN: filecheck %s --check-prefix=LOCAL < %t

// What fails is written with all that it takes to fail again: passes, options, and the source lines of ops.
// CHECK: wrote {{.*}}; run: irkit-opt --run-reproducer
// CHECK: crash-reproducer.mlir:[[# @LINE + 11]]:3: error: 1 leftover 'graph.exp' op is not allowed after kernel-to-loop
// AGAIN: crash-reproducer.mlir:[[# @LINE + 10]]:3: error: 1 leftover 'graph.exp' op is not allowed after kernel-to-loop
// FILE: // irkit-opt --run-reproducer
// FILE-NEXT: // configuration: -f mlir -p 'builtin.module(graph-cse,kernel-to-loop)' --target=native --cc=gcc --verify-each
// FILE: graph.exp %x : (tensor<4xf32>) -> tensor<4xf32> loc("{{.*}}crash-reproducer.mlir":[[# @LINE + 7]]:3)

// Locally, the pass that fails is the only one.
// LOCAL: // configuration: -f mlir -p 'builtin.module(kernel-to-loop)' --target=native --cc=gcc
// LOCAL-NEXT: builtin.module {

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
