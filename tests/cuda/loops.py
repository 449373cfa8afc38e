"""Functions of the loop level for each way in which nests that are not alone are run, and a program that launches them."""

from __future__ import annotations

ROW = """
    %zero = arith.constant dense<0.0> : vector<4xf32>
    %s = loop.for k in 0 to 96 step 4 iter (%a = %zero : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %n = arith.addf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %r = loop.fold (%s) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.addf %p, %q : f32
      loop.yield %u : f32
    }
"""
"""The sum of row i of %x."""

FUNCTIONS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "several": (
        f"""(in %x: !buffer.ref<[5, 96], f32>, out %y: !buffer.ref<[17], f32>, out %z: !buffer.ref<[300], f32>) {{
  loop.for i in 0 to 5 parallel {{{ROW}
    loop.store %r, %y[i] : f32
  }}
  loop.for j in 0 to 12 parallel {{
    %w = loop.load %x[2, j * 3] : f32
    loop.store %w, %y[j + 5] : f32
  }}
  loop.for j in 0 to 300 parallel {{
    %w = loop.load %x[j floordiv 96, j mod 96] : f32
    loop.store %w, %z[299 - j] : f32
  }}
}}""",
        ("5x96",),
        ("17", "300"),
    ),
    "follows": (
        """(in %x: !buffer.ref<[40], f32>, in %u: !buffer.ref<[3], f32>, out %y: !buffer.ref<[40], f32>, out %z: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 40 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[39 - i] : f32
  }
  loop.for i in 0 to 4 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %z[i] : f32
  }
  loop.barrier
  loop.for solo in 0 to 1 parallel {
    loop.for n in 0 to 6 {
      %v = loop.load %u[n floordiv 2] : f32
      %old = loop.load %y[n * 3] : f32
      %s = arith.addf %old, %v : f32
      loop.store %s, %y[n * 3 + 2] : f32
    }
  }
  loop.barrier
  loop.for i in 0 to 4 parallel {
    %v = loop.load %y[i * 5] : f32
    %w = loop.load %z[i] : f32
    %s = arith.addf %w, %v : f32
    loop.store %s, %z[i] : f32
  }
}""",
        ("40", "3"),
        ("40", "4"),
    ),
    "team": (
        """(in %x: !buffer.ref<[300], f32>, out %y: !buffer.ref<[90], f32>) {
  %panel = loop.alloc : !buffer.ref<[300], f32, space = team>
  %row = loop.alloc : !buffer.ref<[7], f32, space = scratch>
  loop.for c in 0 to 3 {
    loop.for i in 0 to 300 parallel {
      %v = loop.load %x[i] : f32
      loop.store %v, %panel[(i * 7 + c) mod 300] : f32
    }
    loop.barrier
    loop.for j in 0 to 30 parallel {
      loop.for n in 0 to 7 {
        %v = loop.load %panel[j * 9 + n] : f32
        loop.store %v, %row[6 - n] : f32
      }
      %w = loop.load %row[c] : f32
      loop.store %w, %y[j * 3 + c] : f32
    }
    loop.barrier
  }
}""",
        ("300",),
        ("90",),
    ),
    "one": (
        """(in %x: !buffer.ref<[50], f32>, out %y: !buffer.ref<[50], f32>) {
  loop.for i in 0 to 50 {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
    loop.for j in 0 to i {
      %p = loop.load %y[j] : f32
      %q = loop.load %y[i] : f32
      %m = arith.maximumf %p, %q : f32
      loop.store %m, %y[i] : f32
    }
  }
}""",
        ("50",),
        ("50",),
    ),
    "in_place": (
        f"""(in %x: !buffer.ref<[5, 96], f32>, out %y: !buffer.ref<[5, 96], f32> alias 0) {{
  loop.for i in 0 to 5 parallel {{{ROW}
    loop.for j in 0 to 96 {{
      %w = loop.load %x[i, j] : f32
      %d = arith.subf %w, %r : f32
      loop.store %d, %y[i, j] : f32
    }}
  }}
}}""",
        ("5x96",),
        ("5x96",),
    ),
    "sorts": (
        """(in %x: !buffer.ref<[3, 50], f32>, out %y: !buffer.ref<[3, 50], i64>) {
  %s = loop.alloc : !buffer.ref<[1264], i8, space = scratch>
  kernel.extern "argsort" {axis = 1 : i64, descending = false} (%x) to (%y) scratch %s : (tensor<3x50xf32>) -> (tensor<3x50xsi64>)
}""",
        ("3x50",),
        ("3x50",),
    ),
}
"""By name: the function after its name, the dims of the arrays that it takes and makes."""


def program() -> str:
    """A module with all of them, and a function that launches each."""
    args: list[str] = []
    launches: list[str] = []
    results: list[str] = []
    types: list[str] = []
    for name, (_, taken, made) in FUNCTIONS.items():
        element = "si64" if name == "sorts" else "f32"
        given = [f"%{name}_in{n}" for n in range(len(taken))]
        args += [f"{v}: tensor<{d}xf32>" for v, d in zip(given, taken, strict=True)]
        out = [f"%{name}_out{n}" for n in range(len(made))]
        kinds = [f"tensor<{d}x{element}>" for d in made]
        inputs = ", ".join(f"tensor<{d}xf32>" for d in taken)
        launches.append(
            f"  {', '.join(out)} = kernel.launch @{name}({', '.join(given)}) : ({inputs}) -> ({', '.join(kinds)})"
        )
        results += out
        types += kinds
    functions = "\n".join(f"loop.func @{name} {text}" for name, (text, _, _) in FUNCTIONS.items())
    body = "\n".join(launches)
    return (
        f"{functions}\nfunc.func @main({', '.join(args)}) -> ({', '.join(types)}) {{\n{body}\n"
        f"  func.return {', '.join(results)} : {', '.join(types)}\n}}"
    )
