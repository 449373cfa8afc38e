// RUN: not irkit-opt %s --check -p graph-simplify 2>&1 | filecheck %s

// CHECK: error: --check finds no function to run
// CHECK: expected: a func.func at the graph, kernel or loop level
// CHECK: help: start from an earlier level

builtin.module {
}
