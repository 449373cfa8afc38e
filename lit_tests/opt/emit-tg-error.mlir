// RUN: not irkit-opt %s --split-input-file --emit=tg 2>&1 | filecheck %s

// What the language cannot say is an error with its place.

// CHECK: emit-tg-error.mlir:8:1: error: the language has no source 'dice'
// CHECK: emit-tg-error.mlir:14:1: error: 'a.b' draws its numbers by its name, which is no name here
// CHECK: help: give the parameter a name that is an identifier
func.func @f(%x: tensor<2xf32> {graph.name = "x", graph.kind = "param", graph.source = "dice"}) -> tensor<2xf32> {
  func.return %x : tensor<2xf32>
}

// -----

func.func @f(%x: tensor<2xf32> {graph.name = "a.b", graph.kind = "param", graph.source = "normal seed=1"}) -> tensor<2xf32> {
  func.return %x : tensor<2xf32>
}

// -----

// CHECK: error: dim 'N' has no range
// CHECK: expected: graph.symbols = #dim.symbols<[N: 1 to 64]>
func.func @f(%x: tensor<?xf32, #graph.t<dims=[N]>>) -> tensor<?xf32, #graph.t<dims=[N]>> {
  func.return %x : tensor<?xf32, #graph.t<dims=[N]>>
}

// -----

// CHECK: error: the language has no layouts
func.func @f(%x: tensor<4xf32, #graph.t<layout="nhwc">>) -> tensor<4xf32, #graph.t<layout="nhwc">> {
  func.return %x : tensor<4xf32, #graph.t<layout="nhwc">>
}

// -----

// CHECK: error: the language has no least or greatest of dims in a type or a list
// CHECK: found: min(4, N)
func.func @f(%x: tensor<?xf32, #graph.t<dims=[min(N, 4)]>>) -> tensor<?xf32, #graph.t<dims=[min(N, 4)]>>
  attributes {graph.symbols = #dim.symbols<[N: 1 to 64]>} {
  func.return %x : tensor<?xf32, #graph.t<dims=[min(N, 4)]>>
}

// -----

// CHECK: :[[# @LINE + 4]]:3: error: the language has no such setting
// CHECK: found: ["a"]
// CHECK: expected: a number, true or false, a word, or a list of numbers
func.func @f(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = graph.custom g(%x) {k = ["a"]} : (tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%a: tensor<3xf32>):
    graph.yield %a : tensor<3xf32>
  }
  func.return %y : tensor<3xf32>
}

// -----

// CHECK: error: 'return' cannot be the name of a setting
// CHECK: expected: an identifier that the language has no meaning for
func.func @f(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = graph.custom g(%x) {"return" = 1 : i64} : (tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%a: tensor<3xf32>):
    graph.yield %a : tensor<3xf32>
  }
  func.return %y : tensor<3xf32>
}
