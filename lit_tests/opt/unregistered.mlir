// RUN: irkit-opt %s --allow-unregistered-dialect --print-op-generic | filecheck %s
// RUN: irkit-opt %s --allow-unregistered-dialect --print-debuginfo | filecheck %s --check-prefix=LOC

// CHECK: "mystery.op"() : () -> ()
// LOC: "mystery.op"() : () -> () loc("model.tg":7:3)
"mystery.op"() : () -> () loc("model.tg":7:3)
