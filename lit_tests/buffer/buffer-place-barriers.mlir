// RUN: irkit-opt -p buffer-place-barriers %s | filecheck %s

loop.func @f (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>) {}
loop.func @g (in %x: !buffer.ref<[16], f32>, in %z: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>) {}
loop.func @pack (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>) {
  %p = loop.alloc : !buffer.ref<[16], f32, space = team>
}

// Two branches need no barrier between them; one serves both when they meet.
// CHECK-LABEL: buffer.program @waits_once_for_two
// CHECK: buffer.call @f
// CHECK-NEXT: buffer.call @f
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.call @g
// CHECK-NEXT: }
buffer.program @waits_once_for_two (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>)
    arena_bytes 128 scratch_bytes 0 peak_bytes 128 lower_bound_bytes 128 interface [{name = "a0", kind = "input", dtype = "f32"}, {name = "a1", kind = "input", dtype = "f32"}] {
  %a = buffer.view 0 : !buffer.ref<[16], f32>
  %b = buffer.view 64 : !buffer.ref<[16], f32>
  buffer.call @f (%x, %a)
  buffer.call @f (%x, %b)
  buffer.call @g (%a, %b, %y)
}

// Readers of one array do not wait for each other; a writer of bytes that are still read does, and so does the next writer.
// CHECK-LABEL: buffer.program @waits_to_overwrite
// CHECK: buffer.call @f (%x, %y)
// CHECK-NEXT: buffer.call @f (%x, %z)
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.copy %y to %x
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.call @f (%z, %y)
// CHECK-NEXT: }
buffer.program @waits_to_overwrite (inout %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>, out %z: !buffer.ref<[16], f32>)
    arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [{name = "a0", kind = "input", dtype = "f32"}, {name = "a1", kind = "input", dtype = "f32"}, {name = "a2", kind = "input", dtype = "f32"}] {
  buffer.call @f (%x, %y)
  buffer.call @f (%x, %z)
  buffer.copy %y to %x
  buffer.call @f (%z, %y)
}

// Views that share bytes depend on each other, those side by side do not; team arrays are bytes like any.
// CHECK-LABEL: buffer.program @compares_bytes
// CHECK: buffer.call @f (%x, %[[A:.*]])
// CHECK-NEXT: buffer.call @pack (%x, %y) team 64
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.call @f (%x, %{{.*}})
// CHECK-NEXT: }
buffer.program @compares_bytes (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>)
    arena_bytes 192 scratch_bytes 0 peak_bytes 192 lower_bound_bytes 192 interface [{name = "a0", kind = "input", dtype = "f32"}, {name = "a1", kind = "input", dtype = "f32"}] {
  %a = buffer.view 0 : !buffer.ref<[16], f32>
  %c = buffer.view 96 : !buffer.ref<[16], f32>
  buffer.call @f (%x, %a)
  buffer.call @pack (%x, %y) team 64
  buffer.call @f (%x, %c)
}

// Ping-pong: an iteration reads what the one before wrote. The first one also waits for the copy, so that none is needed
// before the loop.
// CHECK-LABEL: buffer.program @waits_for_previous_iteration
// CHECK: buffer.copy %x to
// CHECK-NEXT: buffer.for
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.call @f
// CHECK-NEXT: }
// CHECK-NEXT: }
buffer.program @waits_for_previous_iteration (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>)
    arena_bytes 64 scratch_bytes 0 peak_bytes 64 lower_bound_bytes 64 interface [{name = "a0", kind = "input", dtype = "f32"}, {name = "a1", kind = "input", dtype = "f32"}] {
  %a = buffer.view 0 : !buffer.ref<[16], f32>
  buffer.copy %x to %a
  %r = buffer.for %t in 0 to 11 carry (%c : %n = %a swap %y) {
    buffer.call @f (%c, %n)
  }
}

// A body that runs once does not wait for itself; what it needs from before is waited for before the loop.
// CHECK-LABEL: buffer.program @waits_before_loop
// CHECK: buffer.call @f (%x, %[[A:.*]])
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.for
// CHECK-NEXT: buffer.call @f (%[[A]], %y)
// CHECK-NEXT: }
// CHECK-NEXT: }
buffer.program @waits_before_loop (in %x: !buffer.ref<[16], f32>, out %y: !buffer.ref<[16], f32>)
    arena_bytes 64 scratch_bytes 0 peak_bytes 64 lower_bound_bytes 64 interface [{name = "a0", kind = "input", dtype = "f32"}, {name = "a1", kind = "input", dtype = "f32"}] {
  %a = buffer.view 0 : !buffer.ref<[16], f32>
  buffer.call @f (%x, %a)
  buffer.for %t in 0 to 1 {
    buffer.call @f (%a, %y)
  }
}

// A loop whose trip count is read from an array waits for the array; after the loop its result may be in either place.
// CHECK-LABEL: buffer.program @waits_for_bound
// CHECK: buffer.copy %steps to %[[N:.*]]
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: %[[R:.*]] = buffer.for %t in 0 to %[[N]]
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.call @f
// CHECK-NEXT: }
// CHECK-NEXT: buffer.barrier
// CHECK-NEXT: buffer.copy %[[R]] to %y
buffer.program @waits_for_bound (inout %x: !buffer.ref<[16], f32>, in %steps: !buffer.ref<[], i32>, out %y: !buffer.ref<[16], f32>)
    arena_bytes 128 scratch_bytes 0 peak_bytes 128 lower_bound_bytes 128 interface [{name = "a0", kind = "input", dtype = "f32"}, {name = "a1", kind = "input", dtype = "f32"}, {name = "a2", kind = "input", dtype = "f32"}] {
  %n = buffer.view 0 : !buffer.ref<[], i32>
  %s = buffer.view 64 : !buffer.ref<[16], f32>
  buffer.copy %steps to %n
  %r = buffer.for %t in 0 to %n carry (%c : %d = %x swap %s) {
    buffer.call @f (%c, %d)
  }
  buffer.copy %r to %y
}
