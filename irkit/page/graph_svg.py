"""The drawing of a graph as SVG; colours are the style sheet's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from irkit.page.facts import Drawing, Node
from irkit.page.layout import Layout, layered
from irkit.page.markup import CHAR, MarkId, button, hue, text

BOX_HEIGHT = 30.0
LARGEST = 1500
"""Boxes; a larger drawing would be of no use, and slow."""


def graph_svg(drawing: Drawing, name: str, mark_id: MarkId, order: Mapping[str, int]) -> str:
    """Boxes in layers; edges lead down, those of loops back up."""
    if len(drawing.nodes) > LARGEST:
        return f'<p class="note">{len(drawing.nodes)} boxes are too many to draw; {LARGEST} can be.</p>'
    values = _values_of(drawing)
    sizes = [
        (CHAR * max(len(node.title), len(_label(values.get(n, ())))) + 18, BOX_HEIGHT)
        for n, node in enumerate(drawing.nodes)
    ]
    layout = layered(sizes, [(e.source, e.target) for e in drawing.edges if not e.back])
    labels = [x + CHAR * len(_label(values.get(n, ()))) for n, (x, _) in enumerate(layout.centres)]
    width, height = max(layout.width, *labels) + 60, layout.height + 40
    parts = [
        f'<svg class="graph" role="group" aria-label="{text(name)}" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="-30 -10 {width:.0f} {height:.0f}">',
        *_edges(drawing, layout, values),
    ]
    for n, node in enumerate(drawing.nodes):
        (x, y), (w, h) = layout.centres[n], sizes[n]
        label = _label(values.get(n, ()))
        parts.append(
            button(
                node.kind,
                node.mark,
                _spoken(node, label),
                mark_id,
                hue(node.mark.kernels, order),
                f'<rect x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" rx="4"/>'
                f'<text x="{x:.1f}" y="{y + 4:.1f}">{text(node.title)}</text>',
            )
        )
        if label:
            parts.append(f'<text class="value" x="{x + 4:.1f}" y="{y + h / 2 + 12:.1f}">{text(label)}</text>')
    return "".join([*parts, "</svg>"])


def _values_of(drawing: Drawing) -> dict[int, tuple[str, ...]]:
    """The values that leave each box."""
    found: dict[int, dict[str, None]] = {}
    for edge in drawing.edges:
        if not edge.back:
            found.setdefault(edge.source, {})[edge.value] = None
    return {n: tuple(values) for n, values in found.items()}


def _label(values: Sequence[str]) -> str:
    return values[0] + (f" +{len(values) - 1}" if len(values) > 1 else "") if values else ""


def _spoken(node: Node, label: str) -> str:
    kernels = f", in kernel {', '.join(node.mark.kernels)}" if node.mark.kernels and node.kind == "op" else ""
    lines = ", ".join(f"{file}:{line}" for file, line in node.mark.lines[:4])
    return f"{node.kind} {node.title}{f' gives {label}' if label else ''}{kernels}{f', {lines}' if lines else ''}"


def _edges(drawing: Drawing, layout: Layout, values: dict[int, tuple[str, ...]]) -> Iterator[str]:
    for part in layout.segments:
        (x0, y0), (x1, y1) = part.start, part.end
        bend = (y0 + y1) / 2
        tip = " tip" if part.target is not None else ""
        yield (
            f'<path class="edge{tip}" d="M{x0:.1f} {y0:.1f}C{x0:.1f} {bend:.1f} {x1:.1f} {bend:.1f} {x1:.1f} {y1:.1f}">'
            f"<title>{text(', '.join(values[part.source]))}</title></path>"
        )
        if tip:
            yield f'<path class="arrow" d="M{x1:.1f} {y1:.1f}l-3.5 -7h7z"/>'
    for edge in drawing.edges:
        if edge.back:
            (x0, y0), (x1, y1) = layout.centres[edge.source], layout.centres[edge.target]
            side = layout.width + 24
            yield (
                f'<path class="edge back" d="M{x0:.1f} {y0:.1f}H{side:.1f}V{y1:.1f}H{x1:.1f}">'
                f"<title>{text(edge.value)}</title></path>"
            )
