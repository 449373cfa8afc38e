// RUN: irkit-opt -p kernel-prepack{target=avx2} %s | filecheck %s
// RUN: irkit-opt -p kernel-prepack{target=avx2} --remarks=once -o /dev/null %s 2>&1 | filecheck %s --check-prefix=REMARK
// RUN: irkit-opt -p 'kernel-prepack{target=avx2 off=true}' %s | filecheck %s --check-prefix=OFF
// OFF-NOT: once

kernel.def @double axes [i: 8] (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) schedule [] {
  %a = kernel.read %x[i] : f32
  %b = arith.addf %a, %a : f32
  kernel.write %b, %y[i]
}
kernel.def @spread axes [i: 8, j: 4] (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8, 4], f32>) schedule [] {
  %a = kernel.read %x[i] : f32
  kernel.write %a, %y[i, j]
}

// What is made of a parameter or a constant leaves the loop, and so does what is made of that.
// CHECK-LABEL: func.func @moves_what_is_constant
// CHECK-NEXT: %[[A:.*]] = kernel.launch once @double(%w)
// CHECK-NEXT: %[[B:.*]] = kernel.launch once @double(%[[A]])
// CHECK-NEXT: %[[C:.*]] = graph.constant
// CHECK-NEXT: %[[D:.*]] = kernel.launch once @double(%[[C]])
// CHECK-NOT: once
// CHECK: graph.yield %[[B]], %[[D]]
// REMARK: @double: runs once, before all runs [once: applied]
func.func @moves_what_is_constant(%w: tensor<8xf32> {graph.kind = "param"}) -> (tensor<8xf32>, tensor<8xf32>) {
  %c = graph.constant dense<1.0> : tensor<8xf32>
  %r:2 = graph.for 0 to 3 (%w, %w) : (tensor<8xf32>, tensor<8xf32>) {
  ^bb0(%t: tensor<si64>, %x: tensor<8xf32>, %y: tensor<8xf32>):
    %a = kernel.launch @double(%w) : (tensor<8xf32>) -> tensor<8xf32>
    %b = kernel.launch @double(%a) : (tensor<8xf32>) -> tensor<8xf32>
    %d = kernel.launch @double(%c) : (tensor<8xf32>) -> tensor<8xf32>
    graph.yield %b, %d : tensor<8xf32>, tensor<8xf32>
  }
  func.return %r#0, %r#1 : tensor<8xf32>, tensor<8xf32>
}

// An input, a parameter that a run writes, what a loop carries: all of them differ from run to run.
// CHECK-LABEL: func.func @keeps_what_changes
// CHECK-NOT: once
func.func @keeps_what_changes(%x: tensor<8xf32>, %w: tensor<8xf32> {graph.kind = "param", graph.donated}, %v: tensor<8xf32> {graph.kind = "param"}) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %a = kernel.launch @double(%x) : (tensor<8xf32>) -> tensor<8xf32>
  %b = kernel.launch @double(%w) : (tensor<8xf32>) -> tensor<8xf32>
  %r = graph.for 0 to 3 (%v) : (tensor<8xf32>) {
  ^bb0(%t: tensor<si64>, %y: tensor<8xf32>):
    %c = kernel.launch @double(%y) : (tensor<8xf32>) -> tensor<8xf32>
    graph.yield %c : tensor<8xf32>
  }
  func.return %a, %b, %r : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

// CHECK-LABEL: func.func @keeps_what_grows
// CHECK-NOT: once
// REMARK: @spread: runs in each run [once: missed]
// REMARK: because: its results would take 128 bytes for good, more than 2 times the 32 that it reads
func.func @keeps_what_grows(%w: tensor<8xf32> {graph.kind = "param"}) -> tensor<8x4xf32> {
  %a = kernel.launch @spread(%w) : (tensor<8xf32>) -> tensor<8x4xf32>
  func.return %a : tensor<8x4xf32>
}

// A reshape that stands in the loop does not leave it.
// CHECK-LABEL: func.func @keeps_what_is_made_in_a_loop
// CHECK-NOT: once
func.func @keeps_what_is_made_in_a_loop(%w: tensor<2x4xf32> {graph.kind = "param"}, %x: tensor<8xf32>) -> tensor<8xf32> {
  %r = graph.for 0 to 3 (%x) : (tensor<8xf32>) {
  ^bb0(%t: tensor<si64>, %y: tensor<8xf32>):
    %v = graph.reshape %w {shape = #dim.list<[8]>} : (tensor<2x4xf32>) -> tensor<8xf32>
    %c = kernel.launch @double(%v) : (tensor<8xf32>) -> tensor<8xf32>
    graph.yield %c : tensor<8xf32>
  }
  func.return %r : tensor<8xf32>
}
