// RUN: irkit-opt -p kernel-to-buffer %s | filecheck %s
// RUN: irkit-opt -p kernel-to-buffer,buffer-place-barriers %s | filecheck %s --check-prefix=BARRIER

loop.func @f (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32> alias 0) {}
loop.func @g (in %x: !buffer.ref<[16], f32>, in %z: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32> alias 1) {}

// What runs once comes first, whatever stands before it; what runs read of it has memory that they never write, and
// what they do not read lies in the arena. The result that is such an array is copied.
// CHECK-LABEL: buffer.program @main
// CHECK-SAME: arena_bytes 128 scratch_bytes 0 peak_bytes 128 lower_bound_bytes 128 prepared_bytes 128
// CHECK-NEXT: %[[T:.*]] = buffer.view {{[0-9]+}}
// CHECK-NEXT: %[[C:.*]] = buffer.constant
// CHECK-NEXT: %[[A:.*]] = buffer.view prepared 0 : !buffer.ref<[16], f32>
// CHECK-NEXT: %[[B:.*]] = buffer.view prepared 64 : !buffer.ref<[16], f32>
// CHECK-NEXT: buffer.once {
// CHECK-NEXT: buffer.call @f (%w, %[[T]])
// CHECK-NEXT: buffer.call @g (%[[C]], %[[T]], %[[A]])
// CHECK-NEXT: buffer.call @f (%[[A]], %[[B]])
// CHECK-NEXT: }
// CHECK: buffer.call @f (%x, %[[X:.*]])
// CHECK-NEXT: buffer.call @g (%[[X]], %[[A]], %y)
// CHECK-NEXT: buffer.copy %[[B]] to %z

// Calls that run once wait for each other; a run does not wait for them.
// BARRIER: buffer.once {
// BARRIER-NEXT: buffer.call @f
// BARRIER-NEXT: buffer.barrier
// BARRIER-NEXT: buffer.call @g
// BARRIER-NEXT: buffer.barrier
// BARRIER-NEXT: buffer.call @f
// BARRIER-NEXT: }
// BARRIER-NOT: buffer.barrier
// BARRIER: buffer.call @f (%x
// BARRIER-NEXT: buffer.barrier
// BARRIER-NEXT: buffer.call @g
func.func @main(%x: tensor<16xf32> {graph.name = "x"}, %w: tensor<16xf32> {graph.name = "w", graph.kind = "param"})
    -> (tensor<16xf32> {graph.name = "y"}, tensor<16xf32> {graph.name = "z"}) {
  %0 = kernel.launch @f(%x) : (tensor<16xf32>) -> tensor<16xf32>
  %1 = kernel.launch once @f(%w) : (tensor<16xf32>) -> tensor<16xf32>
  %c = graph.constant dense<1.0> : tensor<16xf32>
  %a = kernel.launch once @g(%c, %1) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
  %b = kernel.launch once @f(%a) : (tensor<16xf32>) -> tensor<16xf32>
  %2 = kernel.launch @g(%0, %a) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
  func.return %2, %b : tensor<16xf32>, tensor<16xf32>
}
