"""The roofline of the kernels as SVG (Williams, Waterman and Patterson, "Roofline", 2009)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from irkit.commands.arguments import count_text
from irkit.page.facts import Kernel, Roof
from irkit.page.markup import MarkId, button, hue

ROOF_WIDTH, ROOF_HEIGHT = 640.0, 230.0
ROOF_LEFT, ROOF_TOP = 80.0, 20.0


def roofline_svg(kernels: Sequence[Kernel], roof: Roof, mark_id: MarkId, order: Mapping[str, int]) -> str:
    """Kernels by FLOPs for each byte, under what the machine allows; both axes are logarithmic.

    A kernel without floating-point arithmetic has no place here. A point's area says how much of the least time of all
    runs is the kernel's.
    """
    points = [(k, k.flops / k.bytes) for k in kernels if k.flops and k.bytes]
    ridge = roof.flops / roof.bytes
    span = [x for _, x in points] + [ridge]
    low, high = math.floor(math.log10(min(span)) - 0.3), math.ceil(math.log10(max(span)) + 0.3)
    most = math.ceil(math.log10(roof.flops))
    least = math.floor(math.log10(roof.bound(10.0**low)))

    def x(intensity: float) -> float:
        return ROOF_LEFT + (math.log10(intensity) - low) / (high - low) * ROOF_WIDTH

    def y(rate: float) -> float:
        return ROOF_TOP + (most - math.log10(rate)) / (most - least) * ROOF_HEIGHT

    base = ROOF_TOP + ROOF_HEIGHT
    parts = [
        f'<svg class="roofline" role="group" aria-label="roofline" width="{ROOF_LEFT + ROOF_WIDTH + 40:.0f}"'
        f' height="{base + 50:.0f}" viewBox="0 0 {ROOF_LEFT + ROOF_WIDTH + 40:.0f} {base + 50:.0f}">'
    ]
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{ROOF_TOP}" y2="{base}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{base + 16}">{10.0**power:g}</text>')
    for power in range(least, most + 1):
        at = y(10.0**power)
        parts.append(
            f'<line class="grid" x1="{ROOF_LEFT}" x2="{ROOF_LEFT + ROOF_WIDTH}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(f'<text class="axis" x="{ROOF_LEFT - 8}" y="{at + 4:.1f}">{_rate(10.0**power)}</text>')
    parts.append(f'<text class="tick" x="{ROOF_LEFT + ROOF_WIDTH / 2}" y="{base + 38}">FLOP/byte</text>')
    corner = f"{x(10.0**low):.1f} {y(roof.bound(10.0**low)):.1f}L{x(ridge):.1f} {y(roof.flops):.1f}"
    parts.append(f'<path class="roof" d="M{corner}H{x(10.0**high):.1f}"/>')
    total = sum(k.runs * roof.seconds(k.flops, k.bytes) for k, _ in points) or 1.0
    for kernel, intensity in points:
        rate = roof.bound(intensity)
        share = kernel.runs * roof.seconds(kernel.flops, kernel.bytes) / total
        label = (
            f"{kernel.name}: {intensity:.3g} FLOP/byte, at most {_rate(rate)}, {share:.0%} of the least time"
        )
        inside = f'<circle cx="{x(intensity):.1f}" cy="{y(rate):.1f}" r="{4 + 14 * math.sqrt(share):.1f}"/>'
        parts.append(button("point", kernel.mark, label, mark_id, hue((kernel.name,), order), inside))
    return "".join([*parts, "</svg>"])


def _rate(flops: float) -> str:
    found = count_text(flops)
    return f"{found}FLOP/s" if found[-1].isalpha() else f"{found} FLOP/s"
