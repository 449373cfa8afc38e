// RUN: not irkit-opt -p loop-map-gpu %s --split-input-file 2>&1 | filecheck %s

// CHECK: error: cannot map @team to blocks and threads: it has a team array of its own
// CHECK: expected: a schedule without pack
// CHECK: help: kernel-schedule{target=cuda} writes one
loop.func @team (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  %p = loop.alloc : !buffer.ref<[8], f32, space = team>
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
}

// -----

// CHECK: error: cannot map @meets to blocks and threads: its threads meet at a barrier
// CHECK: help: blocks do not wait for one another
loop.func @meets (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
  loop.barrier
}

// -----

// CHECK: error: cannot map @two to blocks and threads: it has 2 nests
// CHECK: expected: outputs over the same axes
// CHECK: help: write each output as a kernel of its own
loop.func @two (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>, out %z: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
  loop.for i in 0 to 4 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %z[i] : f32
  }
}

// -----

// CHECK: error: cannot map @carried to blocks and threads: iterations of loop i depend on one another
// CHECK: expected: a loop whose iterations write to elements of their own
// CHECK: help: a state that is carried along all points
loop.func @carried (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  loop.for i in 1 to 8 {
    %p = loop.load %y[i - 1] : f32
    loop.store %p, %y[i] : f32
  }
}

// -----

// Two iterations of i that write to one element.
// CHECK: error: cannot map @overlaps to blocks and threads: iterations of loop i depend on one another
loop.func @overlaps (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[16], f32>) {
  loop.for i in 0 to 8 {
    loop.for j in 0 to 8 {
      %p = loop.load %x[i] : f32
      loop.store %p, %y[i + j] : f32
    }
  }
}
