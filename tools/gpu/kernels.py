"""Programs that are run on a GPU: what each element of their result is in double precision, and what a run costs."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Case:
    """One program. `wanted` is C++ for the element [i, j] of the result and sets `scale`, the size of the numbers that were
    summed to it; `sizes` are elements of each input and of the output; `bytes` and `flops` are of one run. Peers know a case
    by its `kind` and `dims`."""

    name: str
    kind: str
    dims: tuple[int, ...]
    text: str
    wanted: str
    sizes: tuple[int, ...]
    columns: int
    bytes: int
    flops: int
    dtype: str = "f32"
    suffix: str = ""
    """What is added to the name of the target."""
    small: bool = False
    """Whether a CPU runs it in a moment."""
    rounded: float = 0.0
    """By how much, of itself, what a sum adds up may be rounded first; such errors are random and grow as a root."""
    terms: int = 1
    samples: int = 2000
    """Elements that are compared with double precision."""

    @property
    def sums(self) -> float:
        """The error of a sum, of the sizes of its terms together: that of its type, and of terms that are rounded."""
        return (2.0**-52 if self.dtype == "f64" else 2.0**-23) + self.rounded / self.terms**0.5


ELEMENTWISE = (
    "scale = 2; return tanh(in(0, i * columns + j)) * in(1, i * columns + j) + in(0, i * columns + j);"
)

SOFTMAX = """
  double most = -1e300, sum = 0;
  for (int64_t k = 0; k < columns; k++) most = fmax(most, in(0, i * columns + k));
  for (int64_t k = 0; k < columns; k++) sum += exp(in(0, i * columns + k) - most);
  return scale = exp(in(0, i * columns + j) - most) / sum;"""

LAYER_NORM = """
  double mean = 0, square = 0;
  for (int64_t k = 0; k < columns; k++) mean += in(0, i * columns + k) / columns;
  for (int64_t k = 0; k < columns; k++) square += pow(in(0, i * columns + k) - mean, 2) / columns;
  scale = 8;
  return (in(0, i * columns + j) - mean) / sqrt(square + 1e-5) * in(1, j) + in(2, j);"""

ROW_SUM = """
  double sum = 0;
  for (int64_t k = 0; k < DEPTH; k++) sum += pow(in(0, j * DEPTH + k), 2);
  return scale = sum;"""

GEMM = """
  double sum = 0;
  const int64_t first = i / ROWS * DEPTH * columns; /* of a batch */
  for (int64_t k = 0; k < DEPTH; k++) {
    const double p = in(0, i * DEPTH + k) * in(1, first + k * columns + j);
    sum += p;
    scale += fabs(p);
  }
  RETURN"""

GELU = "const double y = sum + in(2, j); scale += 1; return 0.5 * y * (1 + erf(y / sqrt(2.0)));"

ATTENTION = """
  const int64_t head = i / SEQUENCE * SEQUENCE, last = CAUSAL ? i - head + 1 : SEQUENCE;
  double most = -1e300, sum = 0, total = 0;
  std::vector<double> scores(last);
  for (int64_t k = 0; k < last; k++) {
    double s = 0;
    for (int64_t d = 0; d < columns; d++) s += in(0, i * columns + d) * in(1, (head + k) * columns + d);
    most = fmax(most, scores[k] = s / sqrt((double)columns));
  }
  for (int64_t k = 0; k < last; k++) {
    const double e = exp(scores[k] - most);
    sum += e;
    total += e * in(2, (head + k) * columns + j);
    scale += e * fabs(in(2, (head + k) * columns + j));
  }
  scale /= sum;
  return total / sum;"""

CONV = """
  const int64_t n = i / WIDE / WIDE, y = i / WIDE % WIDE, x = i % WIDE; /* [i, j] is [n, y, x, o] */
  double sum = 0;
  for (int64_t a = 0; a < SIDE; a++)
    for (int64_t b = 0; b < SIDE; b++) {
      const int64_t v = y + a - SIDE / 2, u = x + b - SIDE / 2;
      if (v < 0 || v >= WIDE || u < 0 || u >= WIDE) continue;
      for (int64_t c = 0; c < IN; c++) {
        const double p = in(0, ((n * WIDE + v) * WIDE + u) * IN + c) * in(1, ((a * SIDE + b) * IN + c) * columns + j);
        sum += p;
        scale += fabs(p);
      }
    }
  return sum;"""

WIDTH = {"f64": 8, "f32": 4, "f16": 2, "bf16": 2}


def filled(text: str, **numbers: object) -> str:
    for name, value in numbers.items():
        text = text.replace(name, str(value))
    return text


def elementwise(m: int, n: int) -> Case:
    text = f"fn main(x: f32[{m}, {n}], y: f32[{m}, {n}]) -> f32[{m}, {n}] {{ return tanh(x) * y + x }}"
    sizes = (m * n,) * 3
    return Case(f"elementwise_{m}x{n}", "elementwise", (m, n), text, ELEMENTWISE, sizes, n, 12 * m * n, 0)


def softmax(m: int, n: int) -> Case:
    text = f"fn main(x: f32[{m}, {n}]) -> f32[{m}, {n}] {{ return softmax(x) }}"
    return Case(f"softmax_{m}x{n}", "softmax", (m, n), text, SOFTMAX, (m * n,) * 2, n, 8 * m * n, 0)


def layer_norm(m: int, n: int) -> Case:
    text = f"fn main(x: f32[{m}, {n}], s: f32[{n}], b: f32[{n}]) -> f32[{m}, {n}] {{ return layer_norm(x, s, b) }}"
    sizes = (m * n, n, n, m * n)
    return Case(f"layer_norm_{m}x{n}", "layer_norm", (m, n), text, LAYER_NORM, sizes, n, 8 * m * n, 0)


def row_sum(m: int, n: int, dtype: str) -> Case:
    text = f"fn main(x: {dtype}[{m}, {n}]) -> {dtype}[{m}] {{ return sum(x * x, axis=1) }}"
    wanted, moved = filled(ROW_SUM, DEPTH=n), WIDTH[dtype] * m * n
    return Case(f"row_sum_{dtype}_{m}x{n}", "row_sum", (m, n), text, wanted, (m * n, m), m, moved, 0, dtype)


def gemm(m: int, k: int, n: int, dtype: str = "f32", batch: int = 1) -> Case:
    lead = f"{batch}, " if batch > 1 else ""
    text = f"fn main(x: {dtype}[{lead}{m}, {k}], w: {dtype}[{lead}{k}, {n}]) -> {dtype}[{lead}{m}, {n}] {{ return x @ w }}"
    wanted = filled(GEMM, DEPTH=k, ROWS=m, RETURN="return sum;")
    sizes = batch * m * k, batch * k * n, batch * m * n
    moved, flops = WIDTH[dtype] * sum(sizes), 2 * batch * m * k * n
    name = f"gemm_{dtype}_{f'{batch}x' if batch > 1 else ''}{m}x{k}x{n}"
    return Case(name, "gemm", (batch, m, k, n), text, wanted, sizes, n, moved, flops, dtype)


def tf32(case: Case) -> Case:
    """A product of f32 that may round its operands to tf32."""
    return replace(
        case,
        name=case.name.replace("f32", "tf32"),
        kind="gemm_tf32",
        suffix="+tf32",
        rounded=2.0**-11,
        terms=case.dims[2],
    )


def gelu(m: int, k: int, n: int, dtype: str) -> Case:
    """A product with an epilogue."""
    case = gemm(m, k, n, dtype)
    text = f"fn main(x: {dtype}[{m}, {k}], w: {dtype}[{k}, {n}], b: {dtype}[{n}]) -> {dtype}[{m}, {n}] {{ return gelu(x @ w + b) }}"
    wanted = filled(GEMM, DEPTH=k, ROWS=m, RETURN=GELU)
    sizes = m * k, k * n, n, m * n
    return replace(
        case, name=case.name.replace("gemm", "gelu"), kind="gelu", text=text, wanted=wanted, sizes=sizes
    )


def attention(heads: int, length: int, width: int, causal: bool, dtype: str = "bf16") -> Case:
    """All heads of all members of a batch are one dim."""
    type_ = f"{dtype}[{heads}, {length}, {width}]"
    text = f"fn main(q: {type_}, k: {type_}, v: {type_}) -> {type_} {{ return attention(q, k, v, causal={str(causal).lower()}) }}"
    size, flops = heads * length * width, 4 * heads * length * length * width // (2 if causal else 1)
    name = f"attention_{dtype}_{'causal_' if causal else ''}{heads}x{length}x{width}"
    wanted = filled(ATTENTION, SEQUENCE=length, CAUSAL=int(causal))
    moved, dims = 4 * WIDTH[dtype] * size, (heads, length, width, int(causal))
    return Case(
        name,
        "attention",
        dims,
        text,
        wanted,
        (size,) * 4,
        width,
        moved,
        flops,
        dtype,
        rounded=2.0**-9,
        terms=length,
        samples=100,
    )


def conv(n: int, c: int, o: int, wide: int, side: int, dtype: str = "f32") -> Case:
    """A convolution that keeps the size, of channels last; so are those of its filters."""
    x, w, y = f"[{n}, {wide}, {wide}, {c}]", f"[{side}, {side}, {c}, {o}]", f"[{n}, {wide}, {wide}, {o}]"
    image, filters = "transpose(x, perm=[0, 3, 1, 2])", "transpose(w, perm=[3, 2, 0, 1])"
    text = f"""fn main(x: {dtype}{x}, w: {dtype}{w}) -> {dtype}{y} {{
  return transpose(conv2d({image}, {filters}, padding={side // 2}), perm=[0, 2, 3, 1])
}}"""
    sizes = n * c * wide * wide, o * c * side * side, n * o * wide * wide
    wanted = filled(CONV, WIDE=wide, IN=c, SIDE=side)
    moved, flops = WIDTH[dtype] * sum(sizes), 2 * sizes[2] * c * side * side
    name = f"conv_{dtype}_{side}x{side}_{n}x{c}x{o}x{wide}"
    return Case(name, "conv", (n, c, o, wide, side), text, wanted, sizes, o, moved, flops, dtype)


def small(case: Case) -> Case:
    return replace(case, small=True)
