// RUN: irkit-opt -p buffer-to-upstream %s | filecheck %s

// What runs once runs first, and leaves its results in memory of its own.
// CHECK-LABEL: func.func @main
// CHECK: %[[ARENA:.*]] = memref.alloc() {alignment = 64 : i64} : memref<64xi8>
// CHECK: %[[PREPARED:.*]] = memref.alloc() {alignment = 64 : i64} : memref<128xi8>
// CHECK: %[[P:[0-9a-z]+]] = memref.view %[[PREPARED]]
// CHECK: func.call @k_f(%w, %[[P]])
// CHECK: %[[H:.*]] = memref.view %[[ARENA]]
// CHECK: func.call @k_f(%x, %[[H]])
// CHECK: memref.dealloc %[[ARENA]]
// CHECK: memref.dealloc %[[PREPARED]]
loop.func @f (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>) {
  loop.for i in 0 to 16 {
    %a = loop.load %x[i] : f32
    loop.store %a, %y[i] : f32
  }
}
buffer.program @main (in %x: !buffer.ref<[16], f32>, in %w: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>)
    arena_bytes 64 scratch_bytes 0 peak_bytes 64 lower_bound_bytes 64 prepared_bytes 128 interface [{name = "x", kind = "input", dtype = "f32"}, {name = "w", kind = "param", dtype = "f32"}, {name = "y", kind = "output", dtype = "f32"}] {
  %p = buffer.view prepared 64 : !buffer.ref<[16], f32>
  buffer.once {
    buffer.call @f (%w, %p)
  }
  %h = buffer.view 0 : !buffer.ref<[16], f32>
  buffer.call @f (%x, %h)
  buffer.call @f (%h, %y)
}
