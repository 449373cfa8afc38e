"""The memory plan over time as SVG."""

from __future__ import annotations

from collections.abc import Mapping

from irkit.commands.arguments import bytes_text
from irkit.page.facts import MemoryPlan
from irkit.page.markup import CHAR, MarkId, button, hue, text

PLAN_HEIGHT = 220.0
PLAN_LEFT = 90.0


def memory_svg(plan: MemoryPlan, mark_id: MarkId, order: Mapping[str, int]) -> str:
    """Tasks from left to right, offsets in the arena upwards."""
    top = max(plan.peak_bytes, plan.lower_bound_bytes, 1)
    step = min(120.0, max(12.0, 1100.0 / max(1, len(plan.tasks))))
    right = PLAN_LEFT + step * len(plan.tasks)
    longest = max((len(t.name) for t in plan.tasks), default=0) if step >= 14 else 0
    base = PLAN_HEIGHT + 40
    height = base + 24 + longest * CHAR * 0.72

    def y(offset: float) -> float:
        return base - offset / top * PLAN_HEIGHT

    parts = [
        f'<svg class="plan" role="group" aria-label="memory plan" width="{right + 130:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {right + 130:.0f} {height:.0f}">'
    ]
    for n, task in enumerate(plan.tasks):
        x = PLAN_LEFT + n * step
        name = ""
        if step >= 14:
            at = f"{x + step / 2 - 4:.1f} {base + 16:.1f}"
            name = f'<text transform="translate({at}) rotate(40)">{text(task.name)}</text>'
        inside = f'<rect x="{x + 1:.1f}" y="{base:.1f}" width="{step - 2:.1f}" height="8"/>{name}'
        parts.append(
            button(
                "task",
                task.mark,
                f"task {n + 1}: {task.name}",
                mark_id,
                hue(task.mark.kernels, order),
                inside,
            )
        )
    for piece in plan.pieces:
        x, w = PLAN_LEFT + piece.begin * step, (piece.end - piece.begin) * step
        h = piece.size / top * PLAN_HEIGHT
        label = (
            f"{piece.name}: {piece.type}, {bytes_text(piece.size)} at byte {piece.offset}, "
            f"tasks {piece.begin + 1} to {piece.end}"
        )
        shown = piece.name[: int((w - 8) / CHAR)] if h >= 14 else ""
        low, under = y(piece.offset), y(piece.offset + piece.size)
        inside = (
            f'<rect x="{x + 1:.1f}" y="{under:.2f}" width="{max(1.0, w - 2):.1f}" height="{h:.2f}"/>'
            f'<text x="{x + 6:.1f}" y="{(low + under) / 2 + 4:.1f}">{text(shown)}</text>'
        )
        parts.append(button("piece", piece.mark, label, mark_id, hue(piece.mark.kernels, order), inside))
    for kind, size, dy in (("peak", plan.peak_bytes, -6), ("bound", plan.lower_bound_bytes, 14)):
        name = {"peak": "peak", "bound": "lower bound"}[kind]
        parts.append(
            f'<line class="{kind}" x1="{PLAN_LEFT}" x2="{right:.1f}" y1="{y(size):.1f}" y2="{y(size):.1f}"/>'
            f'<text class="{kind}" x="{right + 6:.1f}" y="{y(size) + dy:.1f}">{name} {bytes_text(size)}</text>'
        )
    parts += [
        f'<text class="axis" x="{PLAN_LEFT - 8}" y="{y(share * top) + 4:.1f}">{bytes_text(share * top)}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    return "".join([*parts, "</svg>"])
