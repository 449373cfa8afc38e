"""Programs that between them use what each level can say: (text, dims, function)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SMALL: dict[str, str] = {
    "elementwise": "fn main(x: f32[5, 7], y: f32[7]) -> f32[5, 7] { return exp(x) * 2 + tanh(y) }",
    "dtypes": """fn main(x: f16[9], y: bf16[9], z: i8[9], m: bool[9]) -> (f16[9], bf16[9], i8[9], f32[9]) {
  return x * x, where(m, y, y + 1), z / 2, cast(z, f32) + cast(x, f32)
}""",
    "dense": "fn main(x: f32[40, 70], w: f32[70, 33], b: f32[33]) -> f32[40, 33] { return relu(x @ w + b) }",
    "packed": "fn main(x: f32[130, 300], w: f32[300, 70]) -> f32[130, 70] { return x @ w }",
    "joined": """fn main(x: f32[3, 2, 40, 96], w: f32[192, 70]) -> f32[3, 40, 70] {
  return reshape(transpose(x, [0, 2, 1, 3]), [3, 40, 192]) @ w
}""",
    "prepared": """dim B = 12 in 1..20
param w: f32[150, 90] = glorot(seed=1)
param u: f32[90, 90] = glorot(seed=2)
param v: f32[70, 90] = glorot(seed=3)
param b: f32[90] = glorot(seed=4)
fn main(x: f32[B, 150], n: i32) -> (f32[B, 70], f32[B, 90], f32[90]) {
  h = relu(x @ w + exp(b))
  z = h
  for t in 0..n with h { h[i, j] = sum(k) h[i, k] * u[j, k] }
  y[i, j] = sum(k) h[i, k] * v[j, k]
  return y, z @ u, b * b
}""",
    "conv": "fn main(x: f32[2, 3, 9, 8], w: f32[4, 3, 3, 3]) -> f32[2, 4, 9, 8] { return conv2d(x, w, padding=1) }",
    "folded": """dim B = 2 in 1..6
param w: f32[4, 1, 2, 2] = he(seed=1)
param g: f32[4] = normal(seed=2)
param u: f32[4, 5] = glorot(seed=3)
fn main(x: f32[B, 2, 3, 3]) -> f32[B, 5] {
  h = relu(batch_norm(conv2d(pad(x, [0, 0, 0, 0, 1, 1, 0, 0]), w, groups=2), tanh(g), tanh(g), tanh(g), exp(tanh(g))))
  return (reshape(global_avg_pool(h), [B, 4]) * tanh(g) + tanh(g)) @ u * 0.5 + 1
}""",
    "pool": "fn main(x: f32[2, 3, 9, 8]) -> f32[2, 3, 4, 4] { return max_pool2d(x, 2) }",
    "softmax": "fn main(x: f32[5, 33]) -> f32[5, 33] { return softmax(x) }",
    "layer_norm": "fn main(x: f32[5, 33], s: f32[33], b: f32[33]) -> f32[5, 33] { return layer_norm(x, s, b) }",
    "parallel_products": """param wq: f32[3, 20] = glorot(seed=1)
param wk: f32[17, 3] = glorot(seed=2)
param bq: f32[20] = normal(seed=3)
param bk: f32[17] = normal(seed=4)
param k1: f32[3, 1, 2, 2] = normal(seed=5)
param k2: f32[2, 1, 2, 2] = normal(seed=6)
fn main(x: f32[2, 3], im: f32[1, 1, 3, 3]) -> (f32[2, 20], f32[2, 17], f32[1, 3, 2, 2], f32[1, 2, 2, 2]) {
  return tanh(relu(x @ wq + bq)), exp(relu(x @ transpose(wk) + bk)), exp(conv2d(im, k1)), conv2d(im, k2)
}""",
    "moved": """dim B = 2 in 1..6
fn main(x: f32[B, 2, 3], w: f32[3, 4], b: f32[4], t: f16[3, 2], i: i32[2])
    -> (f32[B, 3, 2], f32[B, 4, 2], f32[B, 3], f32[2, 2], f16[6, 2]) {
  y = relu(exp(transpose(x, [0, 2, 1]) * 0.5))
  p = transpose(reshape(reshape(x, [B*2, 3]) @ w, [B, 2, 4]) + b, [0, 2, 1]) * 0.25
  u = cast(t, f32)
  return transpose(tanh(transpose(y, [0, 2, 1]) + x), [0, 2, 1]), p, sum(transpose(x, [1, 0, 2]), axis=0),
    gather(u, i), cast(concat(u, u), f16)
}""",
    "attention": """fn main(q: f32[2, 9, 8], k: f32[2, 9, 8], v: f32[2, 9, 8]) -> f32[2, 9, 8] {
  return attention(q, k, v, causal=true)
}""",
    "written_out": """fn main(x: f32[9, 8], g: f32[8], m: bool[9, 9], a: f32[9, 4]) -> f32[9, 8] {
  c = x - mean(x, axis=-1, keepdims=true)
  n = g * c / sqrt(mean(c ** 2, axis=-1, keepdims=true) + 1e-5)
  q = n * concat(a, a, axis=1) + concat(-n[:, 4:], n[:, :4], axis=1) * concat(a, a, axis=1)
  s = softmax(where(m, q @ transpose(q) / 2.5, -inf)) @ n
  return s * 0.5 * (1 + erf(s / 1.41421356))
}""",
    "gather": "fn main(x: f32[6, 5], i: i64[4]) -> (f32[4, 5], f32[12, 5]) { return x[i], concat(x, -x) }",
    "argmax": "fn main(x: f32[6, 5]) -> (i64[6], f32) { return argmax(x), sum(x) }",
    "random": "fn main(key: u32[2], x: f32[6]) -> f32[6] { return x * random(key, [6]) }",
    "empty": "fn main(x: f32[0, 5], y: f32[5, 0]) -> (f32[5, 5], f32) { return y @ x, sum(x) }",
    "symbolic": """dim B = 4 in 1..64
fn main(x: f32[B, 6], w: f32[6, 5]) -> (f32[B, 5], f32[2*B, 6]) { return softmax(x @ w), concat(x, x) }""",
    "loop": """fn main(x: f32[6], n: i32) -> f32[6] {
  for t in 0..n with x { x = x * 0.5 + cast(t, f32) }
  return x
}""",
    "control": """fn main(x: f32[6, 4], n: i32, tol: f32) -> (f32[4], f32[6, 4], f32[4], i32) {
  h = x[0] * 0
  for t in 0..6 with h collect y {
    h = h * 0.5 + x[t]
    y = tanh(h)
  }
  z = h
  if n > 2 with z { z = z * 2 } else if n == 2 with z { z = z - 1 } else { z = z + 100 }
  err = exp(tol * 0)
  k = cast(0, i32)
  while err > 0.01 max 50 with err, k {
    err = err / 3
    k = k + 1
  }
  return h, y, z, k
}""",
    "scatter": """fn main(x: f32[6, 20], i: i32[9], u: f32[9, 20]) -> (f32[6, 20], f32[6, 20], f32[6, 20]) {
  return scatter(x, i, u, mode="add"), scatter(zeros([6, 20], f32), i, u), cumsum(x, axis=0)
}""",
    "custom": """op swish(x, beta=1.0) { return x * sigmoid(beta * x) }
op scaled(x: T[..., N], by: T) -> (T[..., N], T[...]) {
  y = swish(x, beta=2) * by
  if by > 0 with y { y = -y }
  return y, sum(y, axis=-1)
}
fn main(x: f32[5, 7], n: i32) -> (f32[5, 7], f32[5], f32[5]) {
  y = x
  for t in 0..n with y { y = swish(y) }
  z, total = scaled(y, 0.5)
  r[i] = sum(j) swish(x[i, j])
  return z, total, r
}""",
    "bits": "fn main(x: i32[9], y: u8[9]) -> (i32[9], u8[9]) { return ~x >> 2 & 255 ^ x << 3, y >> 1 | y }",
    **{
        f"boundary_{b.partition('(')[0]}": f"""fn main(u: f32[9, 20]) -> f32[9, 20] {{
  v[i, j] = u[i-1, j] + u[i, j+1], boundary={b}
  return v
}}"""
        for b in ("zero", "clamp", "wrap", "reflect", "value(2)")
    },
    "interior": """fn main(u: f32[50], w: f32[5]) -> f32[46] {
  c[i] = sum(k) u[i + k] * w[k]
  return c
}""",
}
EXAMPLES: dict[str, dict[str, int]] = {
    "digits": {"B": 3},
    "mlp": {"B": 2},
    "cnn": {"B": 1},
    "encoder": {"B": 1, "S": 9, "D": 24, "H": 3},
    "heat": {"N": 7},
}


def programs() -> dict[str, tuple[str, str, dict[str, int]]]:
    """Each program by name: the name of its file, its text, the sizes of its dims."""
    found = {name: (f"{name}.tg", text + "\n", {}) for name, text in SMALL.items()}
    for name, dims in EXAMPLES.items():
        path = ROOT / "examples" / f"{name}.tg"
        found[name] = (str(path), path.read_text(encoding="utf-8"), dims)
    return found
