// RUN: irkit-opt --print-debuginfo %s | irkit-opt --print-debuginfo | filecheck %s
// RUN: irkit-opt --print-op-generic %s | irkit-opt | filecheck %s --check-prefix=PLAIN
// RUN: irkit-opt -p graph-simplify,graph-cse,graph-dce --verify-each --check %s | filecheck %s --check-prefix=OPTIMISED
// RUN: irkit-opt -p graph-decompose --verify-each --check --print-debuginfo %s | filecheck %s --check-prefix=FORMULA

// An op of the file is whole; its settings stand on it, its formula in it, and every place is kept.
// CHECK-LABEL: func.func @swish
// CHECK: %y = graph.custom swish(%x) {beta = 1.500000e+00 : f64, mode = "fast"} attributes {graph.schedule = ["vector j 8"]} : (tensor<8xf32>
// CHECK-NEXT: ^bb0(%a: tensor<8xf32>
// CHECK-NEXT: %s = graph.sigmoid %a {{.*}} loc("{{.*}}":[[# @LINE + 18]]:5)
// CHECK: graph.yield
// CHECK: } loc("{{.*}}":[[# @LINE + 14]]:3)
// PLAIN: graph.custom swish(%x) {beta = 1.500000e+00 : f64, mode = "fast"} attributes {graph.schedule

// Equal calls are one, what nothing needs goes from formulas too, and no formula takes a constant from around it.
// OPTIMISED-LABEL: func.func @swish
// OPTIMISED: graph.custom swish(%x)
// OPTIMISED-NOT: graph.custom swish

// The formula stands in the place of the op, at both places; a schedule goes on to what gives the result.
// FORMULA-LABEL: func.func @swish
// FORMULA-NEXT: %s = graph.sigmoid %x : {{.*}} loc(fused["{{.*}}":[[# @LINE + 4]]:3, "{{.*}}":[[# @LINE + 6]]:5])
// FORMULA-NEXT: %n = graph.mul %x, %s {graph.schedule = ["vector j 8"]}
// FORMULA-NOT: graph.custom
func.func @swish(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %y = graph.custom swish(%x) {beta = 1.5 : f64, mode = "fast"} attributes {graph.schedule = ["vector j 8"]} : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %s = graph.sigmoid %a : (tensor<8xf32>) -> tensor<8xf32>
    %n = graph.mul %a, %s : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
    graph.yield %n : tensor<8xf32>
  }
  %z = graph.custom swish(%x) {beta = 1.5 : f64, mode = "fast"} attributes {graph.schedule = ["vector j 8"]} : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%b: tensor<8xf32>):
    %t = graph.sigmoid %b : (tensor<8xf32>) -> tensor<8xf32>
    %d = graph.exp %b : (tensor<8xf32>) -> tensor<8xf32>
    %m = graph.mul %b, %t : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
    graph.yield %m : tensor<8xf32>
  }
  func.return %y, %z : tensor<8xf32>, tensor<8xf32>
}

// OPTIMISED-LABEL: func.func @own_constants
// OPTIMISED: graph.constant
// OPTIMISED: graph.custom f
// OPTIMISED: graph.constant
// OPTIMISED: graph.yield
func.func @own_constants(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %two = graph.constant dense<2.0> : tensor<f32>
  %p = graph.mul %x, %two : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %q = graph.custom f(%x) : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %c = graph.constant dense<2.0> : tensor<f32>
    %r = graph.pow %a, %c : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
    graph.yield %r : tensor<8xf32>
  }
  func.return %p, %q : tensor<8xf32>, tensor<8xf32>
}

// An op of constants alone is computed, as built-in ones are.
// OPTIMISED-LABEL: func.func @constants
// OPTIMISED-NEXT: %{{.*}} = graph.constant dense<[2.000000e+00, 4.000000e+00]>
// OPTIMISED-NEXT: func.return
func.func @constants() -> tensor<2xf32> {
  %x = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %y = graph.custom twice(%x) : (tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    %s = graph.add %a, %a : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    graph.yield %s : tensor<2xf32>
  }
  func.return %y : tensor<2xf32>
}

// Several results, ops inside ops, and derived ops in formulas.
// FORMULA-LABEL: func.func @nested
// FORMULA-NOT: graph.custom
// FORMULA-NOT: graph.log_softmax
// FORMULA: func.return %x, %{{.*}} :
func.func @nested(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %p, %q = graph.custom two(%x) : (tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  ^bb0(%a: tensor<2x8xf32>):
    %b = graph.custom one(%a) : (tensor<2x8xf32>) -> tensor<2x8xf32> {
    ^bb0(%c: tensor<2x8xf32>):
      %d = graph.log_softmax %c : (tensor<2x8xf32>) -> tensor<2x8xf32>
      graph.yield %d : tensor<2x8xf32>
    }
    graph.yield %a, %b : tensor<2x8xf32>, tensor<2x8xf32>
  }
  func.return %p, %q : tensor<2x8xf32>, tensor<2x8xf32>
}
