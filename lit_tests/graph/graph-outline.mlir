// RUN: irkit-opt %s -p graph-fuse,graph-outline | filecheck %s

// Equal groups become one kernel; another size, dtype or parameter makes another.
// CHECK: kernel.def @relu (in %x: tensor<8xf32>)
// CHECK-NEXT: [[R:%\S+]] = graph.relu %x
// CHECK-NEXT: kernel.yield [[R]]
// CHECK: kernel.def @relu_1 (in %y: tensor<4xf32>)
// CHECK: kernel.def @relu_2 (in %z: tensor<8xf64>)
// CHECK: kernel.def @reduce_sum (in
// CHECK: kernel.def @reduce_sum_1 (in
// CHECK-NOT: kernel.def

// CHECK-LABEL: func.func @main
// CHECK: kernel.launch @relu(%x)
// CHECK: kernel.launch @relu_1(%y)
// CHECK: kernel.launch @relu_2(%z)
// CHECK: kernel.launch @relu(%w)
// CHECK: kernel.launch @reduce_sum(%m)
// CHECK: kernel.launch @reduce_sum_1(%n)
// CHECK: kernel.launch @reduce_sum(%o)
func.func @main(%x: tensor<8xf32>, %y: tensor<4xf32>, %z: tensor<8xf64>, %w: tensor<8xf32>, %m: tensor<8x8xf32>,
    %n: tensor<8x8xf32>, %o: tensor<8x8xf32>)
    -> (tensor<8xf32>, tensor<4xf32>, tensor<8xf64>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %0 = graph.relu %x : (tensor<8xf32>) -> tensor<8xf32>
  %1 = graph.relu %y : (tensor<4xf32>) -> tensor<4xf32>
  %2 = graph.relu %z : (tensor<8xf64>) -> tensor<8xf64>
  %3 = graph.relu %w : (tensor<8xf32>) -> tensor<8xf32>
  %4 = graph.reduce_sum %m {axes = array<i64: 0>} : (tensor<8x8xf32>) -> tensor<8xf32>
  %5 = graph.reduce_sum %n {axes = array<i64: 1>} : (tensor<8x8xf32>) -> tensor<8xf32>
  %6 = graph.reduce_sum %o {axes = array<i64: 0>} : (tensor<8x8xf32>) -> tensor<8xf32>
  func.return %0, %1, %2, %3, %4, %5, %6
      : tensor<8xf32>, tensor<4xf32>, tensor<8xf64>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}
