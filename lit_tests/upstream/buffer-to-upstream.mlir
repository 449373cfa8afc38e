// RUN: irkit-opt -p buffer-to-upstream %s | filecheck %s

// A parallel loop is an scf.parallel, a vector access with a count a transfer with a mask.
// CHECK-LABEL: func.func @k_scale(%x: memref<20xf32>, %y: memref<20xf32>) {
// CHECK: "scf.parallel"(%{{.*}}, %{{.*}}, %{{.*}}) <{{.*}}> ({
// CHECK: ^bb0([[J:%j]]: index):
// CHECK: [[LEFT:%.*]] = arith.subi %{{.*}}, [[J]] : index
// CHECK: [[COUNT:%.*]] = arith.minsi [[LEFT]], %{{.*}} : index
// CHECK: [[MASK:%.*]] = vector.create_mask [[COUNT]] : vector<8xi1>
// CHECK: [[V:%.*]] = vector.transfer_read %x{{\[}}[[J]]], %{{.*}}, [[MASK]] {in_bounds = [true]} : memref<20xf32>, vector<8xf32>
// CHECK: vector.transfer_write %{{.*}}, %y{{\[}}[[J]]], [[MASK]]
// CHECK: scf.reduce
loop.func @scale (in %x: !buffer.ref<[20], f32>, out %y: !buffer.ref<[20], f32>) {
  loop.for j in 0 to 20 step 8 parallel {
    %v = loop.load %x[j] along [0] valid [min(8, 20 - j)] : vector<8xf32>
    %w = arith.addf %v, %v : vector<8xf32>
    loop.store %w, %y[j] along [0] valid [min(8, 20 - j)] : vector<8xf32>
  }
}

// What a guard leaves out is not read. Bools are bytes in memory.
// CHECK-LABEL: func.func @k_shifted(%u: memref<9xi8>, %v: memref<9xi8>) {
// CHECK: [[I:%.*]] = arith.subi %i, %{{.*}} : index
// CHECK: [[IN:%.*]] = arith.cmpi sge, [[I]], %{{.*}} : index
// CHECK: [[B:%.*]] = scf.if [[IN]] -> (i1) {
// CHECK: [[BYTE:%.*]] = memref.load %u{{\[}}[[I]]] : memref<9xi8>
// CHECK: [[BIT:%.*]] = arith.cmpi ne, [[BYTE]], %{{.*}} : i8
// CHECK: scf.yield [[BIT]] : i1
// CHECK: } else {
// CHECK: [[OUT:%.*]] = arith.extui [[B]] : i1 to i8
// CHECK: memref.store [[OUT]], %v[%i] : memref<9xi8>
loop.func @shifted (in %u: !buffer.ref<[9], i1>, out %v: !buffer.ref<[9], i1>) {
  loop.for i in 0 to 9 {
    %b = loop.load %u[i - 1] guard [i - 1] else false : i1
    loop.store %b, %v[i] : i1
  }
}

// A tile that two dims apart hold is spread over the dims between them.
// CHECK-LABEL: func.func @k_tile
// CHECK: [[T:%.*]] = vector.transfer_read %x{{.*}} : memref<6x5xf32>, vector<2x1xf32>
// CHECK: [[S:%.*]] = "vector.shape_cast"([[T]]) : (vector<2x1xf32>) -> vector<2xf32>
// CHECK: "vector.outerproduct"([[S]], %{{.*}}, %{{.*}}) <{kind = #vector.kind<add>}> : (vector<2xf32>, vector<4xf32>, vector<2x4xf32>) -> vector<2x4xf32>
// CHECK: "vector.shape_cast"(%{{.*}}) : (vector<2x4xf32>) -> vector<2x1x4xf32>
loop.func @tile (in %x: !buffer.ref<[6, 5], f32>, in %w: !buffer.ref<[4], f32>, out %y: !buffer.ref<[2, 3, 4], f32>) {
  %z = arith.constant dense<0.0> : vector<2x4xf32>
  %a = loop.load %x[0, 3] along [0] : vector<2xf32>
  %b = loop.load %w[0] along [0] : vector<4xf32>
  %t = loop.contract %a, %b, %z : vector<2x4xf32>
  loop.store %t, %y[0, 2, 0] along [0, 2] : vector<2x4xf32>
}

// A gather goes lane by lane, an index that is rounded down stays so.
// CHECK-LABEL: func.func @k_gather
// CHECK: scf.for [[L:%.*]] = %{{.*}} iter_args([[F:%.*]] = %{{.*}}) -> (vector<4xf32>) {
// CHECK: [[N:%.*]] = vector.extract %{{.*}}{{\[}}[[L]]] : i64 from vector<4xi64>
// CHECK: [[P:%.*]] = arith.index_cast [[N]] : i64 to index
// CHECK: arith.floordivsi [[P]], %{{.*}} : index
// CHECK: vector.insert %{{.*}}, [[F]]{{ ?\[}}[[L]]] : f32 into vector<4xf32>
loop.func @gather (in %x: !buffer.ref<[9], f32>, in %n: !buffer.ref<[4], i64>, out %y: !buffer.ref<[4], f32>) {
  %i = loop.load %n[0] along [0] : vector<4xi64>
  %v = loop.load %x[_0 floordiv 2](%i) : vector<4xf32>
  loop.store %v, %y[0] along [0] : vector<4xf32>
}
