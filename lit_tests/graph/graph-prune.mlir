// RUN: irkit-opt %s -p graph-prune --check --stats --remarks=prune 2>%t.told | filecheck %s
// RUN: filecheck %s --input-file %t.told --check-prefix=TOLD
// RUN: irkit-opt %s -p graph-prune{params=true} --check 2>&1 | filecheck %s --check-prefix=PARAMS
// RUN: irkit-opt %s -p "graph-prune{params=true inputs=true}" --check --remarks=prune 2>%t.more | filecheck %s --check-prefix=BOTH
// RUN: filecheck %s --input-file %t.more --check-prefix=MORE

// The interface stays as it is; two dims of `n` and `z` are told from others.
// CHECK: func.func @main(%x: {{.*}}, %w: {{.*}}, %n: {{.*}}, %z: {{.*}}, %v: {{.*}}, %u:
// PARAMS: func.func @main(%x: {{.*}}, %n: {{.*}}, %z: {{.*}}, %v: {{.*}}, %u: {{.*}}) ->
// PARAMS-NOT: %w
// BOTH: func.func @main(%x: {{.*}}, %z: {{.*}}, %v: {{.*}}, %u: {{.*}}) ->
// BOTH-NOT: %w

// TOLD: no result needs parameter w: f32[8] [prune: analysis]
// TOLD: because: 32 bytes for nothing; graph-prune{params=true} drops what can go
// TOLD: no result needs input n: f32[B] [prune: analysis]
// TOLD: no result needs input z: f32[C] [prune: analysis]
// TOLD: result 1 is a constant
// TOLD: result 2 is x as it came
// TOLD: result 3 is result 0 again
// TOLD-NOT: updated
// TOLD: 1  graph-prune: carried values dropped
// TOLD: 1  graph-prune: operands dropped
// TOLD: 1  graph-prune: unused parameters
// TOLD: 2  graph-prune: unused inputs
// TOLD: 1  graph-prune: constant results
// TOLD: 1  graph-prune: results that copy an argument
// TOLD: 1  graph-prune: results that copy another

// The last argument that tells the size of C stays, and one that a run updates, and those that the formula reads.
// MORE: no result needs parameter w: f32[8] [prune: applied]
// MORE: no result needs input n: f32[B] [prune: applied]
// MORE: no result needs input z: f32[C] [prune: analysis]

// CHECK: graph.custom add_one(%x) :
// CHECK: graph.if %{{\S+}} (%x) :
// CHECK-NEXT: ^bb0(%{{\S+}}: tensor<?xf32, #graph.t<dims=[B]>>):
func.func @main(%x: tensor<?xf32, #graph.t<dims=[B]>> {graph.name = "x", graph.kind = "input"},
                %w: tensor<8xf32> {graph.name = "w", graph.kind = "param"},
                %n: tensor<?xf32, #graph.t<dims=[B]>> {graph.name = "n", graph.kind = "input"},
                %z: tensor<?xf32, #graph.t<dims=[C]>> {graph.name = "z", graph.kind = "input"},
                %v: tensor<i1> {graph.name = "v", graph.kind = "input"},
                %u: tensor<8xf32> {graph.name = "u", graph.kind = "param", graph.donated})
    -> (tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32>, tensor<?xf32, #graph.t<dims=[B]>>,
        tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32> {graph.updates = "u"})
    attributes {graph.symbols = #dim.symbols<[B: 1 to 4, C: 1 to 4]>} {
  %one = graph.constant dense<1.0> : tensor<8xf32>
  %a = graph.custom add_one(%x, %w) : (tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32>)
      -> tensor<?xf32, #graph.t<dims=[B]>> {
  ^bb0(%p: tensor<?xf32, #graph.t<dims=[B]>>, %q: tensor<8xf32>):
    %1 = graph.constant dense<1.0> : tensor<f32>
    %2 = graph.add %p, %1 : (tensor<?xf32, #graph.t<dims=[B]>>, tensor<f32>) -> tensor<?xf32, #graph.t<dims=[B]>>
    graph.yield %2 : tensor<?xf32, #graph.t<dims=[B]>>
  }
  %b, %c = graph.if %v (%x, %one) : (tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32>) {
  ^bb0(%d: tensor<?xf32, #graph.t<dims=[B]>>, %e: tensor<8xf32>):
    %f = graph.exp %d : (tensor<?xf32, #graph.t<dims=[B]>>) -> tensor<?xf32, #graph.t<dims=[B]>>
    graph.yield %f, %e : tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32>
  } else {
  ^bb0(%g: tensor<?xf32, #graph.t<dims=[B]>>, %h: tensor<8xf32>):
    graph.yield %g, %h : tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32>
  }
  %r = graph.add %a, %b
      : (tensor<?xf32, #graph.t<dims=[B]>>, tensor<?xf32, #graph.t<dims=[B]>>) -> tensor<?xf32, #graph.t<dims=[B]>>
  func.return %r, %one, %x, %r, %u : tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32>,
    tensor<?xf32, #graph.t<dims=[B]>>, tensor<?xf32, #graph.t<dims=[B]>>, tensor<8xf32>
}
