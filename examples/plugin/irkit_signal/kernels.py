"""C text for the running median: one kernel for any width, one for a width of three."""

from __future__ import annotations

from dialects.graph.kernels import Call, Code, register_kernel


def _takes(call: Call) -> bool:
    return call.operands[0].dtype in ("f32", "f64")


@register_kernel("median", when=_takes)
def by_insertion(code: Code) -> str:
    """Keeps the window sorted: one sample leaves it, one is put into its place."""
    x, out, width = code.inputs[0], code.outputs[0], code.call.values["width"]
    return f"""
int64_t row, last;
irk_chunk(0, {x.size(0, -1)}, 1, tid, nthreads, &row, &last);
for (; row < last; row++) {{
  const int64_t n = {x.dims[-1]};
  const {x.ctype} *const from = {x.name} + row * n;
  for (int64_t i = 0; i < n; i++) {{
    {x.ctype} window[{width}];
    for (int k = 0; k < {width}; k++) {{
      int64_t at = i + k - {width} / 2;
      at = at < 0 ? 0 : at >= n ? n - 1 : at;
      int p = k;
      for (; p > 0 && window[p - 1] > from[at]; p--) window[p] = window[p - 1];
      window[p] = from[at];
    }}
    {out.name}[row * n + i] = window[{width} / 2];
  }}
}}"""


@register_kernel("median", when=lambda call: _takes(call) and call.values["width"] == 3)
def of_three(code: Code) -> str:
    """The median of three without a branch: max(min(a, b), min(max(a, b), c))."""
    x, out = code.inputs[0], code.outputs[0]
    return f"""
int64_t row, last;
irk_chunk(0, {x.size(0, -1)}, 1, tid, nthreads, &row, &last);
for (; row < last; row++) {{
  const int64_t n = {x.dims[-1]};
  const {x.ctype} *const from = {x.name} + row * n;
  for (int64_t i = 0; i < n; i++) {{
    const {x.ctype} a = from[i > 0 ? i - 1 : 0], b = from[i], c = from[i + 1 < n ? i + 1 : n - 1];
    const {x.ctype} low = a < b ? a : b, high = a < b ? b : a, rest = high < c ? high : c;
    {out.name}[row * n + i] = low > rest ? low : rest;
  }}
}}"""
