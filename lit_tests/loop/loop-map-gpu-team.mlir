// RUN: irkit-opt -p loop-map-gpu %s --split-input-file --verify-each | filecheck %s
// RUN: irkit-opt --emit=cuda %s --split-input-file | filecheck %s --check-prefix=TEXT

// A function with memory of its own is run by one block as by a team: its threads share the parallel loops.
// CHECK-LABEL: loop.func @packs
// CHECK: %panel = loop.alloc : !buffer.ref<[300], f32, space = team>
// CHECK: loop.for b in 0 to 1 block
// CHECK: loop.for t in 0 to 256 thread
// CHECK: %row = loop.alloc : !buffer.ref<[7], f32, space = scratch>
// CHECK: loop.for i in t to 300 step 256
// CHECK: loop.barrier
// CHECK: loop.for j in t to 4 step 256
// TEXT: k_packs  1       256      0             17600
// TEXT: char *memory) {
// TEXT: float *const __restrict__ panel = (float *)(memory + 0);
// TEXT: float *const __restrict__ row = (float *)(memory + 1216 + (int64_t)(blockIdx.x * blockDim.x + threadIdx.x) * 64);
// TEXT: for (int i = t; i < 300; i += 256) {
// TEXT: __syncthreads();
// TEXT: (uintptr_t)memory % 64
// TEXT: IRK_LAUNCH(k_packs, blocks, 256, stream, x, y, memory);
loop.func @packs (in %x: !buffer.ref<[300], f32>, out %y: !buffer.ref<[4], f32>) {
  %panel = loop.alloc : !buffer.ref<[300], f32, space = team>
  %row = loop.alloc : !buffer.ref<[7], f32, space = scratch>
  loop.for i in 0 to 300 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %panel[299 - i] : f32
  }
  loop.barrier
  loop.for j in 0 to 4 parallel {
    loop.for n in 0 to 7 {
      %v = loop.load %panel[j * 7 + n] : f32
      loop.store %v, %row[n] : f32
    }
    %w = loop.load %row[3] : f32
    loop.store %w, %y[j] : f32
  }
}

// -----

// What each thread of a team would store to one place has one thread for a team.
// CHECK-LABEL: loop.func @one_of_a_team
// CHECK: loop.for t in 0 to 1 thread
// CHECK: loop.for i in 0 to 300 {
// TEXT: k_one_of_a_team  1       1 
loop.func @one_of_a_team (in %x: !buffer.ref<[300], f32>, out %y: !buffer.ref<[300], f32>) {
  %panel = loop.alloc : !buffer.ref<[1], f32, space = team>
  %v = loop.load %x[0] : f32
  loop.store %v, %panel[0] : f32
  loop.for i in 0 to 300 parallel {
    %w = loop.load %panel[0] : f32
    loop.store %w, %y[i] : f32
  }
}

// -----

// Nests that wait for one another, where they were not split before.
// CHECK-LABEL: loop.func @waits
// CHECK: loop.for b in 0 to 1 block
// CHECK: loop.for t in 0 to 32 thread
// CHECK: loop.for i in t to 8 step 32
// CHECK: loop.barrier
// CHECK: loop.for i in t to 8 step 32
loop.func @waits (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>, out %z: !buffer.ref<[8], f32>) {
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
  loop.barrier
  loop.for i in 0 to 8 parallel {
    %v = loop.load %y[7 - i] : f32
    loop.store %v, %z[i] : f32
  }
}

// -----

// A kernel written by hand for a GPU has the grid that it asks for, and memory for all of it.
// CHECK-LABEL: loop.func @sorts
// CHECK: [[S:%.*]] = loop.alloc : !buffer.ref<[2592], i8, space = team>
// CHECK: loop.for b in 0 to 3 block
// CHECK: loop.for t in 0 to 512 thread
// CHECK-NEXT: kernel.extern "argsort" {{.*}} scratch [[S]]
// TEXT: k_sorts  3       512      0             2624
loop.func @sorts (in %x: !buffer.ref<[3, 50], f32>, out %y: !buffer.ref<[3, 50], i64>) {
  %s = loop.alloc : !buffer.ref<[1264], i8, space = scratch>
  kernel.extern "argsort" {axis = 1 : i64, descending = false} (%x) to (%y) scratch %s : (tensor<3x50xf32>) -> (tensor<3x50xsi64>)
}
