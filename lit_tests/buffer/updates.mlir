// RUN: irkit-opt %s --emit=buffer --check | filecheck %s

// What a run updates has one array, which holds the new value after it; nothing is copied where nothing reads the old one.
// CHECK: buffer.program @in_place (inout %w: !buffer.ref<[64], f32>, in %g: !buffer.ref<[64], f32>, out %n: !buffer.ref<[], f32>)
// CHECK-SAME: {name = "w", kind = "param", dtype = "f32", updated = "1"}
// CHECK-NOT: buffer.copy
// CHECK: buffer.call @{{.*}} (%w, %g, %w
// CHECK-NOT: buffer.copy
// CHECK: }
func.func @in_place(%w: tensor<64xf32> {graph.name = "w", graph.kind = "param", graph.donated}, %g: tensor<64xf32> {graph.name = "g"}) -> (tensor<f32> {graph.name = "n"}, tensor<64xf32> {graph.updates = "w"}) {
  %0 = graph.reduce_sum %w {axes = array<i64: 0>, keepdims = false} : (tensor<64xf32>) -> tensor<f32>
  %1 = graph.add %w, %g : (tensor<64xf32>, tensor<64xf32>) -> tensor<64xf32>
  func.return %0, %1 : tensor<f32>, tensor<64xf32>
}
