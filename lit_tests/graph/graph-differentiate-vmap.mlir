// RUN: irkit-opt -p graph-differentiate --verify-each --check %s | filecheck %s

// What the parts share stays one, and is repeated where it is a result.
// CHECK-LABEL: @shared
// CHECK:       [[B:%\w+]] = graph.transpose %b {perm = array<i64: 1, 0>}

// CHECK-NEXT:  [[W:%\w+]] = graph.exp %w : (tensor<4x2xf32>) -> tensor<4x2xf32>
// CHECK-NEXT:  [[Y:%\w+]] = graph.matmul %x, [[W]]
// CHECK-NEXT:  %v = graph.add [[Y]], [[B]]
// CHECK-NEXT:  [[S:%\w+]] = graph.reduce_sum [[W]]
// CHECK-NEXT:  %s = graph.broadcast [[S]] {shape = #dim.list<[3]>}
func.func @shared(%x: tensor<3x4xf32>, %w: tensor<4x2xf32>, %b: tensor<2x3xf32>) -> (tensor<3x2xf32>, tensor<3xf32>) {
  %v, %s = graph.vmap 3 (%x, %b) axes [0, 1] : (tensor<3x4xf32>, tensor<2x3xf32>) {
  ^bb0(%a: tensor<4xf32>, %c: tensor<2xf32>):
    %0 = graph.exp %w : (tensor<4x2xf32>) -> tensor<4x2xf32>
    %1 = graph.matmul %a, %0 : (tensor<4xf32>, tensor<4x2xf32>) -> tensor<2xf32>
    %2 = graph.add %1, %c : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    %3 = graph.reduce_sum %0 : (tensor<4x2xf32>) -> tensor<f32>
    graph.yield %2, %3 : tensor<2xf32>, tensor<f32>
  }
  func.return %v, %s : tensor<3x2xf32>, tensor<3xf32>
}

// Index notation has one more axis.
// CHECK-LABEL: @index
// CHECK:       graph.index axes [part0_: 3, i: 6] reduce sum [k: 3] reads (%x[part0_, i + k], %w[k])
// CHECK-NEXT:  ^bb0({{%\w+: f32, %\w+: f32, %\w+}}: i64, %i: i64, %k: i64):
func.func @index(%x: tensor<3x8xf32>, %w: tensor<3xf32>) -> tensor<3x6xf32> {
  %v = graph.vmap 3 (%x) axes [0] : (tensor<3x8xf32>) {
  ^bb0(%a: tensor<8xf32>):
    %0 = graph.index axes [i: 6] reduce sum [k: 3] reads (%a[i + k], %w[k]) : (tensor<8xf32>, tensor<3xf32>) -> tensor<6xf32> {
    ^bb1(%1: f32, %2: f32, %i: i64, %k: i64):
      %3 = arith.mulf %1, %2 : f32
      graph.yield %3 : f32
    }
    graph.yield %0 : tensor<6xf32>
  }
  func.return %v : tensor<3x6xf32>
}

// A loop goes on until all parts are done, and leaves alone those that are.
// CHECK-LABEL: @until_all_are_done
// CHECK:       [[GO:%\w+]] = graph.compare %x
// CHECK-NEXT:  [[ANY:%\w+]] = graph.reduce_any [[GO]]
// CHECK:       graph.for 0 to 100 while ([[ANY]], [[GO]], %x)
// CHECK-NEXT:  ^bb0({{.*}}, %c: tensor<3xi1>, %y: tensor<3xf32>):
// CHECK:       graph.where %c, {{%\w+}}, %y
// CHECK:       graph.reduce_any
func.func @until_all_are_done(%x: tensor<3xf32>) -> tensor<3xf32> {
  %v = graph.vmap 3 (%x) axes [0] : (tensor<3xf32>) {
  ^bb0(%a: tensor<f32>):
    %ten = graph.constant dense<10.0> : tensor<f32>
    %go = graph.compare %a, %ten {pred = "lt"} : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %g, %r = graph.for 0 to 100 while (%go, %a) : (tensor<i1>, tensor<f32>) {
    ^bb1(%t: tensor<si64>, %c: tensor<i1>, %y: tensor<f32>):
      %n = graph.add %y, %y : (tensor<f32>, tensor<f32>) -> tensor<f32>
      %m = graph.compare %n, %ten {pred = "lt"} : (tensor<f32>, tensor<f32>) -> tensor<i1>
      graph.yield %m, %n : tensor<i1>, tensor<f32>
    }
    graph.yield %r : tensor<f32>
  }
  func.return %v : tensor<3xf32>
}

// A choice by a condition that differs goes both ways.
// CHECK-LABEL: @both_ways
// CHECK-NOT:   graph.if
// CHECK:       [[YES:%\w+]] = graph.exp %x
// CHECK:       graph.where {{%\w+}}, [[YES]], %x : (tensor<3x1xi1>, tensor<2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
func.func @both_ways(%c: tensor<3xi1>, %x: tensor<2xf32>) -> tensor<3x2xf32> {
  %v = graph.vmap 3 (%c) axes [0] : (tensor<3xi1>) {
  ^bb0(%a: tensor<i1>):
    %r = graph.if %a (%x) : (tensor<2xf32>) {
    ^bb1(%y: tensor<2xf32>):
      %n = graph.exp %y : (tensor<2xf32>) -> tensor<2xf32>
      graph.yield %n : tensor<2xf32>
    } else {
    ^bb1(%y: tensor<2xf32>):
      graph.yield %y : tensor<2xf32>
    }
    graph.yield %r : tensor<2xf32>
  }
  func.return %v : tensor<3x2xf32>
}

// Filters of a number of parts that is no constant make no groups: one part after another.
// CHECK-LABEL: @part_after_part
// CHECK:       graph.for 0 to B
// CHECK:       graph.gather %x
// CHECK:       graph.gather %w
// CHECK:       graph.conv2d
// CHECK:       graph.scatter
func.func @part_after_part(%x: tensor<?x1x4x5x5xf32, #graph.t<dims=[B, 1, 4, 5, 5]>>, %w: tensor<?x6x2x3x3xf32, #graph.t<dims=[B, 6, 2, 3, 3]>>) -> tensor<?x1x6x3x3xf32, #graph.t<dims=[B, 1, 6, 3, 3]>> attributes {graph.symbols = #dim.symbols<[B: 1 to 64]>} {
  %v = graph.vmap B (%x, %w) axes [0, 0] : (tensor<?x1x4x5x5xf32, #graph.t<dims=[B, 1, 4, 5, 5]>>, tensor<?x6x2x3x3xf32, #graph.t<dims=[B, 6, 2, 3, 3]>>) {
  ^bb0(%a: tensor<1x4x5x5xf32>, %c: tensor<6x2x3x3xf32>):
    %0 = graph.conv2d %a, %c {groups = 2 : i64} : (tensor<1x4x5x5xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x3x3xf32>
    graph.yield %0 : tensor<1x6x3x3xf32>
  }
  func.return %v : tensor<?x1x6x3x3xf32, #graph.t<dims=[B, 1, 6, 3, 3]>>
}

// Parts of parts, and the gradient of each part: the innermost first.
// CHECK-LABEL: @each
// CHECK-NOT:   graph.{{vjp|vmap}}
// CHECK:       func.return
func.func @each(%x: tensor<3x4xf32>, %w: tensor<4xf32>, %one: tensor<f32>) -> tensor<3x4xf32> {
  %g = graph.vmap 3 (%x) axes [0] : (tensor<3x4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    %y, %d = graph.vjp (%w) seed (%one) : (tensor<4xf32>, tensor<f32>) {
    ^bb1(%b: tensor<4xf32>):
      %0 = graph.vmap 4 (%a, %b) axes [0, 0] : (tensor<4xf32>, tensor<4xf32>) {
      ^bb2(%p: tensor<f32>, %q: tensor<f32>):
        %1 = graph.mul %p, %q : (tensor<f32>, tensor<f32>) -> tensor<f32>
        graph.yield %1 : tensor<f32>
      }
      %2 = graph.reduce_sum %0 : (tensor<4xf32>) -> tensor<f32>
      graph.yield %2 : tensor<f32>
    }
    graph.yield %d : tensor<4xf32>
  }
  func.return %g : tensor<3x4xf32>
}
