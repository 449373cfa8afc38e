// RUN: irkit-opt -p kernel-to-buffer %s | filecheck %s

loop.func @stencil (in %u: !buffer.ref<[32], f32>, out %v: !buffer.ref<[32], f32>) {}
loop.func @scale (in %u: !buffer.ref<[32], f32>, out %v: !buffer.ref<[32], f32> alias 0) {}
loop.func @leap (in %u: !buffer.ref<[32], f32>, in %before: !buffer.ref<[32], f32>, out %v: !buffer.ref<[32], f32> alias 1) {}

// A stencil cannot overwrite what it reads: two arrays change places. After an odd number of steps the second one holds
// the result, so that is the caller's.
// CHECK-LABEL: buffer.program @swaps_for_stencil
// CHECK-SAME: arena_bytes 128
// CHECK: %[[A:.*]] = buffer.view 0
// CHECK-NEXT: buffer.copy %u to %[[A]]
// CHECK-NEXT: %{{.*}} = buffer.for %t in 0 to 11 carry (%[[C:.*]] : %[[N:.*]] = %[[A]] swap %out0) {
// CHECK-NEXT: buffer.call @stencil (%[[C]], %[[N]])
// CHECK-NEXT: }
// CHECK-NEXT: }
func.func @swaps_for_stencil(%u: tensor<32xf32>) -> tensor<32xf32> {
  %r = graph.for 0 to 11 (%u) : (tensor<32xf32>) {
  ^bb0(%t: tensor<si64>, %c: tensor<32xf32>):
    %n = kernel.launch @stencil(%c) : (tensor<32xf32>) -> tensor<32xf32>
    graph.yield %n : tensor<32xf32>
  }
  func.return %r : tensor<32xf32>
}

// The number of steps is an input: the result is in one of the two, and is copied unless that is the caller's.
// CHECK-LABEL: buffer.program @counts_at_run_time
// CHECK: buffer.copy %u to %out0
// CHECK: %[[R:.*]] = buffer.for %t in 0 to %steps carry (%{{.*}} : %{{.*}} = %out0 swap %{{.*}}) {
// CHECK: buffer.copy %[[R]] to %out0
func.func @counts_at_run_time(%u: tensor<32xf32>, %steps: tensor<si32>) -> tensor<32xf32> {
  %r = graph.for 0 to %steps : tensor<si32> (%u) : (tensor<32xf32>) {
  ^bb0(%t: tensor<si64>, %c: tensor<32xf32>):
    %n = kernel.launch @stencil(%c) : (tensor<32xf32>) -> tensor<32xf32>
    graph.yield %n : tensor<32xf32>
  }
  func.return %r : tensor<32xf32>
}

// Every kernel on the way to the next value may overwrite its operand: one array, the caller's, from start to end.
// CHECK-LABEL: buffer.program @updates_in_place
// CHECK-SAME: arena_bytes 0
// CHECK: buffer.call @stencil (%u, %out0)
// CHECK-NEXT: %{{.*}} = buffer.for %t in 0 to 10 carry (%[[C:.*]] = %out0) {
// CHECK-NEXT: buffer.call @scale (%[[C]], %[[C]])
// CHECK-NEXT: buffer.call @scale (%[[C]], %[[C]])
// CHECK-NEXT: }
func.func @updates_in_place(%u: tensor<32xf32>) -> tensor<32xf32> {
  %a = kernel.launch @stencil(%u) : (tensor<32xf32>) -> tensor<32xf32>
  %r = graph.for 0 to 10 (%a) : (tensor<32xf32>) {
  ^bb0(%t: tensor<si64>, %c: tensor<32xf32>):
    %m = kernel.launch @scale(%c) : (tensor<32xf32>) -> tensor<32xf32>
    %n = kernel.launch @scale(%m) : (tensor<32xf32>) -> tensor<32xf32>
    graph.yield %n : tensor<32xf32>
  }
  func.return %r : tensor<32xf32>
}

// The initial value is used after the loop, so the loop works on a copy.
// CHECK-LABEL: buffer.program @keeps_initial_value
// CHECK: buffer.call @stencil (%u, %[[A:.*]])
// CHECK: buffer.copy %[[A]] to %[[B:.*]]
// CHECK: %[[R:.*]] = buffer.for %t in 0 to 10 carry (%{{.*}} = %[[B]]) {
// CHECK: buffer.call @leap (%[[R]], %[[A]], %out0)
func.func @keeps_initial_value(%u: tensor<32xf32>) -> tensor<32xf32> {
  %a = kernel.launch @stencil(%u) : (tensor<32xf32>) -> tensor<32xf32>
  %r = graph.for 0 to 10 (%a) : (tensor<32xf32>) {
  ^bb0(%t: tensor<si64>, %c: tensor<32xf32>):
    %n = kernel.launch @scale(%c) : (tensor<32xf32>) -> tensor<32xf32>
    graph.yield %n : tensor<32xf32>
  }
  %y = kernel.launch @leap(%r, %a) : (tensor<32xf32>, tensor<32xf32>) -> tensor<32xf32>
  func.return %y : tensor<32xf32>
}

// Carried values that move up: the older one is overwritten when the body ends. What the loop never changes is not carried.
// CHECK-LABEL: buffer.program @moves_carried_values_up
// CHECK: buffer.for %t in 0 to 12 carry (%[[P:[^ ]*]] = %{{[^ ]*}}, %[[C:[^ ]*]] : %[[N:[^ ]*]] = %out0 swap %{{[^ ]*}}) {
// CHECK-NEXT: buffer.call @leap (%[[C]], %[[P]], %[[N]])
// CHECK-NEXT: buffer.copy %[[C]] to %[[P]]
// CHECK-NEXT: }
func.func @moves_carried_values_up(%p: tensor<32xf32>, %u: tensor<32xf32>, %k: tensor<32xf32>) -> tensor<32xf32> {
  %r:3 = graph.for 0 to 12 (%p, %u, %k) : (tensor<32xf32>, tensor<32xf32>, tensor<32xf32>) {
  ^bb0(%t: tensor<si64>, %before: tensor<32xf32>, %now: tensor<32xf32>, %same: tensor<32xf32>):
    %n = kernel.launch @leap(%now, %before) : (tensor<32xf32>, tensor<32xf32>) -> tensor<32xf32>
    graph.yield %now, %n, %same : tensor<32xf32>, tensor<32xf32>, tensor<32xf32>
  }
  func.return %r#1 : tensor<32xf32>
}

// Inner loop, even number of steps: it leaves the next value where the outer loop wants it.
// CHECK-LABEL: buffer.program @nests
// CHECK: buffer.for %t in 0 to %steps carry (%[[C:[^ ]*]] : %[[N:[^ ]*]] = %out0 swap %{{[^ ]*}}) {
// CHECK: buffer.call @stencil (%[[C]], %[[N]])
// CHECK: buffer.for %s in 0 to 4 carry (%[[A:[^ ]*]] : %[[B:[^ ]*]] = %[[N]] swap %{{[^ ]*}}) {
// CHECK-NEXT: buffer.call @stencil (%[[A]], %[[B]])
// CHECK-NEXT: }
// CHECK-NEXT: }
func.func @nests(%u: tensor<32xf32>, %steps: tensor<si32>) -> tensor<32xf32> {
  %r = graph.for 0 to %steps : tensor<si32> (%u) : (tensor<32xf32>) {
  ^bb0(%t: tensor<si64>, %c: tensor<32xf32>):
    %m = kernel.launch @stencil(%c) : (tensor<32xf32>) -> tensor<32xf32>
    %n = graph.for 0 to 4 (%m) : (tensor<32xf32>) {
    ^bb1(%s: tensor<si64>, %d: tensor<32xf32>):
      %e = kernel.launch @stencil(%d) : (tensor<32xf32>) -> tensor<32xf32>
      graph.yield %e : tensor<32xf32>
    }
    graph.yield %n : tensor<32xf32>
  }
  func.return %r : tensor<32xf32>
}
