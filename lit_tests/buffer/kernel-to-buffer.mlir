// RUN: irkit-opt -p kernel-to-buffer %s | filecheck %s

loop.func @matmul (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 64], f32>, out %y: !buffer.ref<[32, 64], f32>) {
  %p = loop.alloc : !buffer.ref<[100], f32, space = team>
  %q = loop.alloc : !buffer.ref<[10], f32, space = scratch>
}
loop.func @relu (in %x: !buffer.ref<[32, 64], f32>, out %y: !buffer.ref<[32, 64], f32> alias 0) {}
loop.func @add (in %x: !buffer.ref<[32, 64], f32>, in %z: !buffer.ref<[32, 64], f32>, out %y: !buffer.ref<[32, 64], f32> alias 0) {}
loop.func @flip (in %x: !buffer.ref<[32, 64], f32>, out %y: !buffer.ref<[32, 64], f32>) {}

// Team arrays lie beside what lives during the call, a result is written where the caller wants it, in place by alias.
// CHECK-LABEL: buffer.program @writes_result_in_place
// CHECK-SAME: arena_bytes 8640 scratch_bytes 64 peak_bytes 8640 lower_bound_bytes 8640
// CHECK-SAME: {name = "w", kind = "param", dtype = "f32", source = "zeros"}, {name = "y", kind = "output", dtype = "f32"}
// CHECK-NEXT: %[[H:.*]] = buffer.view 0
// CHECK-NEXT: buffer.call @matmul (%x, %w, %[[H]]) team 8192
// CHECK-NEXT: buffer.call @relu (%[[H]], %[[H]])
// CHECK-NEXT: buffer.call @matmul (%[[H]], %w, %y) team 8192
// CHECK-NEXT: buffer.call @relu (%y, %y)
// CHECK-NEXT: }
func.func @writes_result_in_place(%x: tensor<32x64xf32>,
    %w: tensor<64x64xf32> {graph.name = "w", graph.kind = "param", graph.source = "zeros"})
    -> (tensor<32x64xf32> {graph.name = "y"}) {
  %0 = kernel.launch @matmul(%x, %w) : (tensor<32x64xf32>, tensor<64x64xf32>) -> tensor<32x64xf32>
  %1 = kernel.launch @relu(%0) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  %2 = kernel.launch @matmul(%1, %w) : (tensor<32x64xf32>, tensor<64x64xf32>) -> tensor<32x64xf32>
  %3 = kernel.launch @relu(%2) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  func.return %3 : tensor<32x64xf32>
}

// An operand that is needed later, that comes twice, that the signature does not name, or that is the caller's, stays.
// CHECK-LABEL: buffer.program @keeps_operands
// CHECK: buffer.call @relu (%x, %[[A:[^,]*]])
// CHECK: buffer.call @add (%[[A]], %[[A]], %[[B:[^,]*]])
// CHECK: buffer.call @flip (%[[A]], %[[C:[^,]*]])
// CHECK: buffer.call @add (%[[B]], %[[C]], %[[B]])
// CHECK: buffer.call @flip (%[[B]], %out0)
func.func @keeps_operands(%x: tensor<32x64xf32>) -> tensor<32x64xf32> {
  %0 = kernel.launch @relu(%x) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  %1 = kernel.launch @add(%0, %0) : (tensor<32x64xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
  %2 = kernel.launch @flip(%0) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  %3 = kernel.launch @add(%1, %2) : (tensor<32x64xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
  %4 = kernel.launch @flip(%3) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  func.return %4 : tensor<32x64xf32>
}

// CHECK-LABEL: buffer.program @copies_what_the_caller_has
// CHECK-SAME: arena_bytes 0
// CHECK: buffer.call @relu (%x, %out1)
// CHECK-NEXT: buffer.copy %x to %out0
// CHECK-NEXT: buffer.copy %out1 to %out2
// CHECK-NEXT: }
func.func @copies_what_the_caller_has(%x: tensor<32x64xf32>) -> (tensor<32x64xf32>, tensor<32x64xf32>, tensor<32x64xf32>) {
  %0 = kernel.launch @relu(%x) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  func.return %x, %0, %0 : tensor<32x64xf32>, tensor<32x64xf32>, tensor<32x64xf32>
}

// CHECK-LABEL: buffer.program @overwrites_donated
// CHECK-SAME: (inout %x: !buffer.ref<[32, 64], f32>, out %out0
// CHECK-SAME: arena_bytes 0
// CHECK: buffer.call @relu (%x, %x)
// CHECK-NEXT: buffer.call @flip (%x, %out0)
func.func @overwrites_donated(%x: tensor<32x64xf32> {graph.donated}) -> tensor<32x64xf32> {
  %0 = kernel.launch @relu(%x) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  %1 = kernel.launch @flip(%0) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  func.return %1 : tensor<32x64xf32>
}

// A reshape is another view of the same bytes; a constant is data of the program.
// CHECK-LABEL: buffer.program @reshapes_without_copy
// CHECK: %[[C:.*]] = buffer.constant dense<5.000000e-01> : tensor<32x64xf32> as !buffer.ref<[32, 64], f32>
// CHECK: %[[X:.*]] = buffer.reshape %x : !buffer.ref<[32, 64], f32>
// CHECK: %[[Y:.*]] = buffer.reshape %out0 : !buffer.ref<[32, 64], f32>
// CHECK: buffer.call @add (%[[X]], %[[C]], %[[Y]])
// CHECK-NEXT: buffer.call @relu (%[[Y]], %[[Y]])
// CHECK-NEXT: }
func.func @reshapes_without_copy(%x: tensor<2048xf32>) -> tensor<2048xf32> {
  %0 = graph.constant dense<0.5> : tensor<32x64xf32>
  %1 = graph.reshape %x {shape = #dim.list<[32, 64]>} : (tensor<2048xf32>) -> tensor<32x64xf32>
  %2 = kernel.launch @add(%1, %0) : (tensor<32x64xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
  %3 = kernel.launch @relu(%2) : (tensor<32x64xf32>) -> tensor<32x64xf32>
  %4 = graph.reshape %3 {shape = #dim.list<[2048]>} : (tensor<32x64xf32>) -> tensor<2048xf32>
  func.return %4 : tensor<2048xf32>
}
