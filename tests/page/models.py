"""Models for the tests of the page."""

from __future__ import annotations

from pathlib import Path

from irkit.page.collect import collect
from irkit.page.facts import Page, Section

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = """// </script><script>window.attacked = 1</script> <img src=x onerror="window.attacked = 2"> &amp; \x07
dim B = 4
param w: f32[8, 8] = glorot(seed=1)  // '"><svg onload=window.attacked=3>
fn main(x: f32[B, 8]) -> (y: f32[B, 8]) {
  h = relu(x @ w)  // <!-- <script> ]]>
  return softmax(h @ w)
}
"""

MODELS: dict[str, str] = {
    "hostile": HOSTILE,
    "loop": """fn main(x: f32[70], n: i32) -> f32[70] {
  y = exp(x)
  for t in 0..n with y {
    z[i] = y[i - 1] + y[i + 1], boundary=clamp
    y = 0.5 * z
  }
  return y + x
}
""",
    "symbolic": """dim B = 4 in 1..64
fn main(x: f32[B, 600], w: f32[600, 50]) -> (f32[B, 50], f32[B, 600]) {
  return softmax(x @ w), sin(x)
}
""",
    "branches": """fn main(x: f32[40, 30]) -> f32[30] {
  a = softmax(x)
  b = softmax(x * 2)
  c = tanh(a)
  return sum(c * b, axis=0) + max(a, axis=0)
}
""",
    "unused": "fn main(x: f32[3]) -> f32[3] { return x }\n",
    "empty": "fn main(x: f32[0, 5], y: f32[5, 0]) -> (f32[5, 5], f32) { return y @ x, sum(x) }\n",
    "encoder": (ROOT / "examples" / "encoder.tg").read_text(encoding="utf-8"),
    "heat": (ROOT / "examples" / "heat.tg").read_text(encoding="utf-8"),
}


def write_model(folder: Path, name: str) -> Path:
    path = folder / f"{name}.tg"
    path.write_text(MODELS[name], encoding="utf-8")
    return path


def page_of(folder: Path, name: str) -> Page:
    return collect(str(write_model(folder, name)), target="avx2")


def level(page: Page, name: str) -> tuple[Section, ...]:
    return next(x.sections for x in page.levels if x.name == name)


def texts(section: Section) -> list[str]:
    return [line.text for line in section.lines]
