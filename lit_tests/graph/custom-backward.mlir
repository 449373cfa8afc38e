// RUN: irkit-opt %s | filecheck %s
// RUN: irkit-opt -p graph-differentiate %s | filecheck %s --check-prefix=PUT
// RUN: irkit-opt -p graph-cse,graph-dce %s | filecheck %s --check-prefix=CSE
// RUN: irkit-opt -p graph-decompose %s | filecheck %s --check-prefix=DROP

// The rule prints and parses, is used by graph-differentiate, and is gone afterwards; calls with other rules stay apart.

// CHECK: graph.custom swish(%a) : (tensor<4xf32>) -> tensor<4xf32> {
// CHECK: } backward {
// CHECK-NEXT: (%{{.*}}: tensor<4xf32>, %{{.*}}: tensor<4xf32>, %{{.*}}: tensor<4xf32>):
// PUT-LABEL: func.func @main
// PUT: %[[Y:[a-z0-9]+]] = graph.custom swish
// PUT-NOT: backward
// PUT: %[[D:[a-z0-9_]+]] = graph.mul %g, %[[Y]]
// PUT: func.return %[[Y]], %[[D]]
func.func @main(%x: tensor<4xf32>, %g: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %v, %d = graph.vjp (%x) seed (%g) : (tensor<4xf32>, tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    %y = graph.custom swish(%a) : (tensor<4xf32>) -> tensor<4xf32> {
    ^bb0(%b: tensor<4xf32>):
      %e = graph.exp %b : (tensor<4xf32>) -> tensor<4xf32>
      graph.yield %e : tensor<4xf32>
    } backward {
    ^bb0(%b: tensor<4xf32>, %r: tensor<4xf32>, %s: tensor<4xf32>):
      %e = graph.mul %s, %r : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      graph.yield %e : tensor<4xf32>
    }
    graph.yield %y : tensor<4xf32>
  }
  func.return %v, %d : tensor<4xf32>, tensor<4xf32>
}

// CSE-LABEL: func.func @twice
// CSE: } backward {
// CSE: graph.custom same
// CSE: } backward {
// CSE-NOT: graph.custom
// CSE: func.return
// DROP-LABEL: func.func @twice
// DROP-NOT: graph.neg
// DROP: func.return
func.func @twice(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %y = graph.custom same(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%b: tensor<4xf32>):
    graph.yield %b : tensor<4xf32>
  } backward {
  ^bb0(%b: tensor<4xf32>, %r: tensor<4xf32>, %s: tensor<4xf32>):
    graph.yield %s : tensor<4xf32>
  }
  %z = graph.custom same(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%b: tensor<4xf32>):
    graph.yield %b : tensor<4xf32>
  } backward {
  ^bb0(%b: tensor<4xf32>, %r: tensor<4xf32>, %s: tensor<4xf32>):
    %n = graph.neg %s : (tensor<4xf32>) -> tensor<4xf32>
    graph.yield %n : tensor<4xf32>
  }
  %w = graph.custom same(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%b: tensor<4xf32>):
    graph.yield %b : tensor<4xf32>
  } backward {
  ^bb0(%b: tensor<4xf32>, %r: tensor<4xf32>, %s: tensor<4xf32>):
    graph.yield %s : tensor<4xf32>
  }
  func.return %y, %z, %w : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
