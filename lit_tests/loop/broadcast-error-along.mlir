// RUN: not irkit-opt %s 2>&1 | filecheck %s
// CHECK: vector<4xf32> does not run along dim 7 of vector<2x4xf32>
loop.func @f (in %x: !buffer.ref<[4], f32>) {
  %0 = loop.load %x[0] along [0] : vector<4xf32>
  %1 = loop.broadcast %0 along [7] : vector<4xf32> to vector<2x4xf32>
}
