"""Sorting on a GPU: a block for each row."""

from __future__ import annotations

from dialects.dims import Dim, product
from dialects.graph.kernels import Call, Code, register_kernel
from dialects.graph.shapes import integer
from dialects.graph.sort import keys_of


def _row_bytes(n: Dim) -> Dim:
    """Keys, and two lists of places."""
    return 16 * n + 64


def _rows(call: Call) -> Dim:
    axis = integer(call.values, "axis")
    return product(d for i, d in enumerate(call.operands[0].dims) if i != axis)


def _scratch(call: Call) -> Dim:
    return _rows(call) * _row_bytes(call.operands[0].dims[integer(call.values, "axis")])


@register_kernel("argsort", target="cuda", scratch=_scratch, blocks=_rows, threads=512)
def merge_by_ranks(code: Code) -> str:
    """A stable merge sort in which every element finds its place in the merged run for itself: how far it is in its own run, and
    how many of the other one come before it, by halving. Threads wait for one another after each width (O. Green, R. McColl
    and D. Bader, "GPU merge path", 2012, do the same for parts of runs)."""
    x, out, axis = code.inputs[0], code.outputs[0], integer(code.call.values, "axis")
    key, read, before = keys_of(code)
    return f"""
const int64_t n = {x.dims[axis]}, inner = {x.size(axis + 1)}, row = blockIdx.x;
const int64_t base = row / inner * n * inner + row % inner, first = threadIdx.x, step = blockDim.x;
char *const room = {code.scratch} + row * (16 * n + 64);
{key} *const keys = ({key} *)room;
int *from = (int *)(room + 8 * n), *to = from + n;
for (int64_t i = first; i < n; i += step) {{
  const int64_t at = base + i * inner;
  keys[i] = {read};
  from[i] = (int)i;
}}
__syncthreads();
for (int64_t width = 1; width < n; width *= 2) {{
  for (int64_t i = first; i < n; i += step) {{
    const int64_t run = i / (2 * width) * (2 * width), middle = run + width < n ? run + width : n;
    const int64_t end = middle + width < n ? middle + width : n;
    const bool is_left = i < middle;
    const int place = from[i];
    const {key} mine = keys[place];
    int64_t low = is_left ? middle : run, high = is_left ? end : middle;
    const int64_t start = low;
    while (low < high) {{
      const int64_t half = (low + high) / 2;
      const {key} its = keys[from[half]];
      const {key} a = is_left ? its : mine, b = is_left ? mine : its;
      if ({before} == is_left) low = half + 1;
      else high = half;
    }}
    to[(is_left ? i : i - width) + low - start] = place;
  }}
  __syncthreads();
  int *const other = from;
  from = to;
  to = other;
}}
for (int64_t i = first; i < n; i += step) {out.name}[base + i * inner] = from[i];"""
