// RUN: irkit-opt -p loop-split-sums %s --split-input-file --verify-each | filecheck %s

// A sum of all there is: parts for many blocks, each folded, and a second function that adds them up in their order.
// CHECK-LABEL: loop.func @whole_sums
// CHECK-SAME: out %{{.*}}: !buffer.ref<[512], f32>
// CHECK: loop.for p in 0 to 512 parallel
// CHECK: loop.for k in 0 to min(-p * 32768 + 16777212, 32768) step 4 iter
// CHECK: loop.load %x[k + p * 32768] along [0]
// CHECK: [[R:%.*]] = loop.fold
// CHECK: loop.store [[R]], %{{.*}}[p] : f32
// CHECK-LABEL: loop.func @whole
// CHECK-SAME: in %parts: !buffer.ref<[512], f32>
// CHECK: [[S:%.*]] = loop.for p in 0 to 512 iter
// CHECK: loop.load %parts[p] : f32
// CHECK-NOT: loop.fold
// CHECK: math.sqrt [[S]]
// CHECK-LABEL: func.func @main
// CHECK: [[P:%.*]] = kernel.launch @whole_sums(%x) : (tensor<16777212xf32>) -> tensor<512xf32>
// CHECK: kernel.launch @whole(%x, [[P]])
loop.func @whole (in %x: !buffer.ref<[16777212], f32>, out %y: !buffer.ref<[], f32>) {
  %zeros = arith.constant dense<0.0> : vector<4xf32>
  %s = loop.for k in 0 to 16777212 step 4 iter (%a = %zeros : vector<4xf32>) {
    %v = loop.load %x[k] along [0] : vector<4xf32>
    %n = arith.addf %a, %v : vector<4xf32>
    loop.yield %n : vector<4xf32>
  }
  %r = loop.fold (%s) : (vector<4xf32>) {
  ^bb0(%p: f32, %q: f32):
    %u = arith.addf %p, %q : f32
    loop.yield %u : f32
  }
  %w = math.sqrt %r : f32
  loop.for solo in 0 to 1 parallel {
    loop.store %w, %y[] : f32
  }
}
func.func @main(%x: tensor<16777212xf32>) -> tensor<f32> {
  %y = kernel.launch @whole(%x) : (tensor<16777212xf32>) -> tensor<f32>
  func.return %y : tensor<f32>
}

// -----

// Sums of columns: the lanes of a part are a row of what it leaves.
// CHECK-LABEL: loop.func @columns_sums
// CHECK: loop.for p in 0 to 528 parallel
// CHECK: loop.for j in 0 to 8 step 4
// CHECK: loop.load %x[k + p * 1894, j] along [1]
// CHECK: loop.store {{.*}}[p, j] along [1] : vector<4xf32>
// CHECK-LABEL: loop.func @columns
// CHECK: loop.load %parts[p, j] along [1] : vector<4xf32>
loop.func @columns (in %x: !buffer.ref<[1000000, 8], f32>, out %y: !buffer.ref<[8], f32>) {
  loop.for j in 0 to 8 step 4 parallel {
    %zeros = arith.constant dense<0.0> : vector<4xf32>
    %s = loop.for k in 0 to 1000000 iter (%a = %zeros : vector<4xf32>) {
      %v = loop.load %x[k, j] along [1] : vector<4xf32>
      %n = arith.addf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    loop.store %s, %y[j] along [0] : vector<4xf32>
  }
}
func.func @main(%x: tensor<1000000x8xf32>) -> tensor<8xf32> {
  %y = kernel.launch @columns(%x) : (tensor<1000000x8xf32>) -> tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// -----

// Not where blocks are many, and not what a sum's own terms depend on.
// CHECK-LABEL: loop.func @enough
// CHECK-NOT: _sums
loop.func @enough (in %x: !buffer.ref<[4096, 4096], f32>, out %y: !buffer.ref<[4096], f32>) {
  loop.for i in 0 to 4096 parallel {
    %zero = arith.constant 0.0 : f32
    %s = loop.for k in 0 to 4096 iter (%a = %zero : f32) {
      %v = loop.load %x[i, k] : f32
      %n = arith.addf %a, %v : f32
      loop.yield %n : f32
    }
    loop.store %s, %y[i] : f32
  }
}
loop.func @recurs (in %x: !buffer.ref<[100000], f32>, out %y: !buffer.ref<[], f32>) {
  %zero = arith.constant 0.0 : f32
  %s = loop.for k in 0 to 100000 iter (%a = %zero : f32) {
    %v = loop.load %x[k] : f32
    %m = arith.mulf %a, %v : f32
    %n = arith.addf %a, %m : f32
    loop.yield %n : f32
  }
  loop.for solo in 0 to 1 parallel {
    loop.store %s, %y[] : f32
  }
}
func.func @main(%x: tensor<4096x4096xf32>, %z: tensor<100000xf32>) -> (tensor<4096xf32>, tensor<f32>) {
  %y = kernel.launch @enough(%x) : (tensor<4096x4096xf32>) -> tensor<4096xf32>
  %w = kernel.launch @recurs(%z) : (tensor<100000xf32>) -> tensor<f32>
  func.return %y, %w : tensor<4096xf32>, tensor<f32>
}
