// RUN: not irkit-opt -p 'loop-map-gpu{target=avx2}' %s 2>&1 | filecheck %s

// CHECK: error: target 'avx2' has no blocks and threads
// CHECK: expected: a CUDA target
// CHECK: help: loop-map-gpu{target=cuda}
loop.func @f (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
}
