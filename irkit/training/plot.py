"""The losses of a run as a picture: an SVG of the loss of each step, and of validation after each epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from irkit.page.markup import text

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 44
MOST = 1000
"""Points that a line is drawn with; those of a longer run are means of several."""

COLOURS = ("#2563a8", "#c2410c", "#15803d", "#7e22ce")

Points = Sequence[tuple[float, float]]


def loss_svg(title: str, lines: Sequence[tuple[str, Points]]) -> str:
    """A picture of named lines over the number of the step."""
    shown = [(name, _thinned(points)) for name, points in lines if points]
    xs = [x for _, points in shown for x, _ in points] or [0.0]
    ys = [y for _, points in shown for _, y in points] or [0.0]
    low, high, step = _scale(min(ys), max(ys))
    right = max(xs) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + x / right * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18">{text(title)}</text>',
    ]
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        _, y = at(0, value)
        out += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>',
        ]
    for part in range(5):
        x, y = at(right * part / 4, low)
        out.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{right * part / 4:.0f}</text>')
    out.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
    for number, (name, points) in enumerate(shown):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in points))
        out += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
            f'<text x="{WIDTH - RIGHT}" y="{TOP + 14 + 16 * number}" text-anchor="end" fill="{colour}">{text(name)}</text>',
        ]
    return "\n".join([*out, "</svg>", ""])


def _thinned(points: Points) -> list[tuple[float, float]]:
    """The points, or means of as many neighbours as are needed for there to be few."""
    size = -(-len(points) // MOST)
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Round ends of an axis, and the distance of its lines."""
    span = high - low or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(f for f in (1, 2, 5, 10) if span / (step * f) <= 6)
    return math.floor(low / step) * step, math.ceil(high / step + 1e-9) * step, step
