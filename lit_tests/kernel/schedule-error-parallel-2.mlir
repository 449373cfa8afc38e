// RUN: not irkit-opt -p kernel-to-loop %s 2>&1 | filecheck %s

// CHECK: error: schedule of @s: along axis 'n' updates follow one another
// CHECK: found: "parallel n"
// CHECK: expected: an axis that is an index of its own in every write
kernel.def @s axes [j: 64, n: 50]
    (in %x: !buffer.ref<[9, 64], f32>, in %i: !buffer.ref<[50], i32>, in %u: !buffer.ref<[50, 64], f32>,
     inout %y: !buffer.ref<[9, 64], f32> alias 0) schedule ["parallel n"] {
  %0 = kernel.read %i[n] : i32
  %1 = kernel.read %u[n, j] : f32
  kernel.write %1, %y[_0, j](%0) add
}
