// RUN: irkit-opt -p buffer-to-upstream %s | filecheck %s

// Division by 0 gives 0, by -1 the negation that wraps: arith.floordivsi sees neither.
// CHECK-LABEL: func.func @k_divide
// CHECK: [[A:%.*]] = memref.load %a
// CHECK: [[B:%.*]] = memref.load %b
// CHECK: [[ZERO:%.*]] = arith.cmpi eq, [[B]], [[C0:%.*]] : i32
// CHECK: [[MINUS:%.*]] = arith.cmpi eq, [[B]], %{{.*}} : i32
// CHECK: [[SPECIAL:%.*]] = arith.ori [[ZERO]], [[MINUS]] : i1
// CHECK: [[SAFE:%.*]] = arith.select [[SPECIAL]], %{{.*}}, [[B]] : i32
// CHECK: [[Q:%.*]] = arith.floordivsi [[A]], [[SAFE]] : i32
// CHECK: [[N:%.*]] = arith.subi [[C0]], [[A]] : i32
// CHECK: [[R:%.*]] = arith.select [[MINUS]], [[N]], [[Q]] : i32
// CHECK: arith.select [[ZERO]], [[C0]], [[R]] : i32
loop.func @divide (in %a: !buffer.ref<[], i32>, in %b: !buffer.ref<[], i32>, out %y: !buffer.ref<[], i32>) {
  %p = loop.load %a[] : i32
  %q = loop.load %b[] : i32
  %r = kernel.integer "floordiv" %p, %q : i32
  loop.store %r, %y[] : i32
}

// A float becomes the nearest integer of the type, NaN 0. Vectors do the same lane by lane.
// CHECK-LABEL: func.func @k_saturate
// CHECK: [[LOW:%.*]] = "arith.cmpf"([[X:%.*]], %{{.*}}) <{predicate = 4 : i64}>
// CHECK: [[HIGH:%.*]] = "arith.cmpf"([[X]], %{{.*}}) <{predicate = 3 : i64}>
// CHECK: "arith.fptosi"(%{{.*}}) : (vector<4xf32>) -> vector<4xi8>
// CHECK: [[L:%.*]] = "arith.select"([[LOW]], %{{.*}}, %{{.*}})
// CHECK: "arith.select"([[HIGH]], %{{.*}}, [[L]])
loop.func @saturate (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], i8>) {
  %v = loop.load %x[0] along [0] : vector<4xf32>
  %i = kernel.fptoint "signed" %v : vector<4xf32> to vector<4xi8>
  loop.store %i, %y[0] along [0] : vector<4xi8>
}

// Minimum and maximum hand NaN on; a reciprocal root is a division.
// CHECK-LABEL: func.func @k_floats
// CHECK: arith.maximumf %{{.*}}, %{{.*}} : f32
// CHECK: [[ROOT:%.*]] = math.sqrt %{{.*}} : f32
// CHECK: arith.divf %{{.*}}, [[ROOT]] : f32
// CHECK: "arith.remf"(%{{.*}}, %{{.*}}) : (f32, f32) -> f32
loop.func @floats (in %x: !buffer.ref<[], f32>, out %y: !buffer.ref<[], f32>) {
  %a = loop.load %x[] : f32
  %z = arith.constant 0.0 : f32
  %m = arith.maximumf %a, %z : f32
  %r = math.rsqrt %m : f32
  %s = kernel.remf %r, %a : f32
  loop.store %s, %y[] : f32
}
