// RUN: irkit-opt -p loop-split-nests %s --split-input-file --verify-each | filecheck %s

// A nest that updates what one before it wrote is a function of its own, and takes that in place.
// CHECK-LABEL: loop.func @f_part0 (in %x: {{.*}}, out %y: !buffer.ref<[8], f32>, out %z: {{.*}}) {
// CHECK: loop.store {{.*}}, %y[i]
// CHECK-NOT: loop.barrier
// CHECK: loop.store {{.*}}, %z[i]
// CHECK-LABEL: loop.func @f_part1 (in %u: {{.*}}, in %y: {{.*}}, inout {{%y.*}}: !buffer.ref<[8], f32> alias 1) {
// CHECK-NOT: loop.for i
// CHECK: loop.for n in 0 to 3
// CHECK-NOT: loop.func @f
// CHECK: [[Y:%.*]], [[Z:%.*]] = kernel.launch @f_part0(%x)
// CHECK: [[V:%.*]] = kernel.launch @f_part1(%u, [[Y]])
// CHECK: func.return [[V]], [[Z]]
loop.func @f (in %x: !buffer.ref<[8], f32>, in %u: !buffer.ref<[3], f32>, out %y: !buffer.ref<[8], f32>, out %z: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
  loop.for i in 0 to 4 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %z[i] : f32
  }
  loop.barrier
  loop.for solo in 0 to 1 parallel {
    loop.for n in 0 to 3 {
      %v = loop.load %u[n] : f32
      %old = loop.load %y[n * 2] : f32
      %s = arith.addf %old, %v : f32
      loop.store %s, %y[n * 2] : f32
    }
  }
}
func.func @main(%x: tensor<8xf32> {graph.name = "x"}, %u: tensor<3xf32> {graph.name = "u"}) -> (tensor<8xf32> {graph.name = "y"}, tensor<4xf32> {graph.name = "z"}) {
  %y, %z = kernel.launch @f(%x, %u) : (tensor<8xf32>, tensor<3xf32>) -> (tensor<8xf32>, tensor<4xf32>)
  func.return %y, %z : tensor<8xf32>, tensor<4xf32>
}

// -----

// What it takes over when it begins goes to the first part that changes it.
// CHECK-LABEL: loop.func @g_part0 (in %y: {{.*}}, inout {{%y.*}}: {{.*}} alias 0)
// CHECK-LABEL: loop.func @g_part1 (in %y: {{.*}}, inout {{%y.*}}: {{.*}} alias 0)
// CHECK: [[Y:%.*]] = kernel.launch @g_part0(%x)
// CHECK: [[V:%.*]] = kernel.launch @g_part1([[Y]])
loop.func @g (in %x: !buffer.ref<[8], f32>, inout %y: !buffer.ref<[8], f32> alias 0) {
  loop.for i in 0 to 7 {
    %v = loop.load %y[i] : f32
    loop.store %v, %y[i + 1] : f32
  }
  loop.barrier
  loop.for i in 0 to 7 {
    %v = loop.load %y[i + 1] : f32
    loop.store %v, %y[i] : f32
  }
}
func.func @main(%x: tensor<8xf32> {graph.name = "x"}) -> (tensor<8xf32> {graph.name = "y"}) {
  %y = kernel.launch @g(%x) : (tensor<8xf32>) -> tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// -----

// Nests that write to parts of one array have nothing to wait for: their vectors too end before the others begin.
// CHECK-LABEL: loop.func @keeps_concatenation
// CHECK-NOT: loop.barrier
// CHECK: loop.store {{.*}}, %y[N + j + 6]
loop.func @keeps_concatenation symbols [N: 1 to 9] (in %x: !buffer.ref<[6], f32>, in %z: !buffer.ref<[N], f32>, out %y: !buffer.ref<[6 + 2 * N], f32>) {
  loop.for i in 0 to 6 step 4 parallel {
    %v = loop.load %x[i] along [0] valid [min(4, 6 - i)] : vector<4xf32>
    loop.store %v, %y[i] along [0] valid [min(4, 6 - i)] : vector<4xf32>
  }
  loop.barrier
  loop.for j in 0 to N parallel {
    %v = loop.load %z[j] : f32
    loop.store %v, %y[6 + j] : f32
  }
  loop.barrier
  loop.for j in 0 to N parallel {
    %v = loop.load %z[j] : f32
    loop.store %v, %y[6 + N + j] : f32
  }
}

// -----

// Left alone: memory of its own, and a value that is read before what it is read from changes.
// CHECK-LABEL: loop.func @keeps_its_memory
// CHECK: loop.barrier
loop.func @keeps_its_memory (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  %p = loop.alloc : !buffer.ref<[8], f32, space = team>
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %p[i] : f32
  }
  loop.barrier
  loop.for i in 0 to 8 parallel {
    %v = loop.load %p[7 - i] : f32
    loop.store %v, %y[i] : f32
  }
}

// CHECK-LABEL: loop.func @keeps_what_is_read_early
// CHECK: loop.load %y[0]
// CHECK: loop.barrier
loop.func @keeps_what_is_read_early (in %x: !buffer.ref<[8], f32>, inout %y: !buffer.ref<[8], f32> alias 0, out %z: !buffer.ref<[8], f32>) {
  %early = loop.load %y[0] : f32
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
  loop.barrier
  loop.for i in 0 to 8 parallel {
    %w = loop.load %y[7 - i] : f32
    %v = arith.addf %w, %early : f32
    loop.store %v, %z[i] : f32
  }
}
