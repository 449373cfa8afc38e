// RUN: irkit-opt %s -p kernel-to-loop | filecheck %s

// What does not change in a loop is computed before it: exp(s) once, the row's factor once for each row.
// CHECK-LABEL: loop.func @rows
// CHECK: [[S:%\S+]] = loop.load %s[] : f32
// CHECK: math.exp [[S]] : f32
// CHECK: loop.for i in 0 to 6 parallel
// CHECK: [[R:%\S+]] = loop.load %r[i] : f32
// CHECK: math.tanh [[R]] : f32
// CHECK: loop.for j
// CHECK-NOT: math.tanh
// CHECK-NOT: math.exp
// CHECK: loop.store
kernel.def @rows axes [i: 6, j: 48] (in %x: !buffer.ref<[6, 48], f32>, in %r: !buffer.ref<[6], f32>, in %s: !buffer.ref<[], f32>, out %y: !buffer.ref<[6, 48], f32>) schedule ["vector j 16"] {
  %a = kernel.read %x[i, j] : f32
  %b = kernel.read %r[i] : f32
  %c = kernel.read %s[] : f32
  %t = math.tanh %b : f32
  %e = math.exp %c : f32
  %m = arith.mulf %a, %t : f32
  %n = arith.addf %m, %e : f32
  kernel.write %n, %y[i, j]
}
