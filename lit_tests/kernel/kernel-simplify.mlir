// RUN: irkit-opt %s -p kernel-simplify | filecheck %s

// Equal fields become one, unused ones go, and so do axes that no access names.
// CHECK-LABEL: kernel.def @tidies axes [i: 8] (
// CHECK-NEXT: [[A:%\S+]] = kernel.read %x[i]
// CHECK-NEXT: [[E:%\S+]] = math.exp [[A]]
// CHECK-NEXT: [[S:%\S+]] = arith.addf [[E]], [[E]]
// CHECK-NEXT: kernel.write [[S]], %y[i]
kernel.def @tidies axes [i: 8, k: 4] (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  %a = kernel.read %x[i] : f32
  %b = kernel.read %x[i] : f32
  %e = math.exp %a : f32
  %f = math.exp %b : f32
  %unused = math.tanh %a : f32
  %s = arith.addf %e, %f : f32
  kernel.write %s, %y[i]
}

// A read at another place, or of an array that is an output, is another field.
// CHECK-LABEL: kernel.def @keeps axes [i: 7] (
// CHECK-COUNT-2: kernel.read %x
// CHECK: kernel.write
kernel.def @keeps axes [i: 7] (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[7], f32>) {
  %a = kernel.read %x[i] : f32
  %b = kernel.read %x[i + 1] : f32
  %s = arith.addf %a, %b : f32
  kernel.write %s, %y[i]
}
