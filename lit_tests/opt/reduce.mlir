// RUN: irkit reduce %s --test 'grep -q graph.exp' -o %t 2>&1 | filecheck %s
// RUN: filecheck %s --check-prefix=SMALL < %t
// RUN: not irkit reduce %s --test 'grep -q graph.sin' 2>&1 | filecheck %s --check-prefix=BORING
// RUN: not irkit reduce %s -p graph-cse 2>&1 | filecheck %s --check-prefix=SOUND
// RUN: not irkit reduce %s 2>&1 | filecheck %s --check-prefix=ASK
// RUN: not irkit reduce %s --test no-such-command 2>&1 | filecheck %s --check-prefix=COMMAND

// CHECK: 4 ops and 2 arguments -> 1 op and 1 argument; {{.*}} candidates in
// CHECK: wrote

// SMALL: func.func @main(%{{.*}}: tensor<1xf32>{{.*}}) -> tensor<1xf32>
// SMALL-NEXT: graph.exp
// SMALL-NEXT: func.return

// BORING: error: the module is not interesting as it is
// BORING: found: exit code 1
// BORING: expected: 'grep -q graph.sin' exits with 0
// BORING: help: nothing was reduced
// SOUND: found: they do not
// SOUND: expected: the passes fail on the module
// ASK: error: irkit reduce needs to know what is interesting
// ASK: expected: one of --test COMMAND, -p PASSES and --emit LEVEL, or --check
// COMMAND: error: cannot run the test 'no-such-command': No such file or directory

func.func @main(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %a = graph.add %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = graph.exp %a : (tensor<4xf32>) -> tensor<4xf32>
  %c = graph.tanh %y : (tensor<4xf32>) -> tensor<4xf32>
  %d = graph.mul %b, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %d : tensor<4xf32>
}
