// RUN: irkit-opt %s --emit=tg | filecheck %s
// RUN: irkit-opt %s --emit=tg -o %t.tg && irkit-opt %t.tg --emit=tg | filecheck %s
// RUN: irkit-opt %s -p graph-dce --emit=tg | filecheck %s --check-prefix=DCE

// Names come from the IR, made identifiers that mean nothing else.

// CHECK: dim B = 64 in 1..64
// CHECK: param w: f32[8, 4] = load("m.safetensors", "w.0")
// CHECK: fn softmax_(x: f32[B, 8], n: i32 = 3) -> (out: f32[B, 4], rest: f32[B, 8]) {
// DCE-LABEL: fn softmax_
func.func @softmax(
    %x: tensor<?x8xf32, #graph.t<dims=[B, 8]>> {graph.name = "x", graph.kind = "input"},
    %w: tensor<8x4xf32> {graph.name = "w", graph.kind = "param", graph.source = "load m.safetensors w.0"},
    %n: tensor<si32> {graph.name = "n", graph.kind = "input", graph.source = "full value=3"}
) -> (tensor<?x4xf32, #graph.t<dims=[B, 4]>> {graph.name = "out"},
      tensor<?x8xf32, #graph.t<dims=[B, 8]>> {graph.name = "rest"})
  attributes {graph.symbols = #dim.symbols<[B: 1 to 64]>} {
// CHECK: unused = x * 2.5
// DCE-NOT: unused
  %c = graph.constant dense<2.5> : tensor<f32>
  %unused = graph.mul %x, %c : (tensor<?x8xf32, #graph.t<dims=[B, 8]>>, tensor<f32>) -> tensor<?x8xf32, #graph.t<dims=[B, 8]>>
// CHECK: sum_ = x @ w, schedule="tile i 8; vector j 4"
  %sum = graph.matmul %x, %w {graph.schedule = ["tile i 8", "vector j 4"]} : (tensor<?x8xf32, #graph.t<dims=[B, 8]>>, tensor<8x4xf32>) -> tensor<?x4xf32, #graph.t<dims=[B, 4]>>
// CHECK: a = x
// CHECK: for t in 0..n with a {
// CHECK: a = relu(a)
  %r = graph.for 0 to %n : tensor<si32> (%x) : (tensor<?x8xf32, #graph.t<dims=[B, 8]>>) {
  ^bb0(%t: tensor<si64>, %a: tensor<?x8xf32, #graph.t<dims=[B, 8]>>):
    %b = graph.relu %a : (tensor<?x8xf32, #graph.t<dims=[B, 8]>>) -> tensor<?x8xf32, #graph.t<dims=[B, 8]>>
    graph.yield %b : tensor<?x8xf32, #graph.t<dims=[B, 8]>>
  }
// CHECK: p = softmax(sum_, axis=0)
// CHECK: return p, a
  %p = graph.softmax %sum {axis = 0 : i64} : (tensor<?x4xf32, #graph.t<dims=[B, 4]>>) -> tensor<?x4xf32, #graph.t<dims=[B, 4]>>
  func.return %p, %r : tensor<?x4xf32, #graph.t<dims=[B, 4]>>, tensor<?x8xf32, #graph.t<dims=[B, 8]>>
}
