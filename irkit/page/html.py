"""The page as one HTML text with its style and script inside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

from irkit.commands.arguments import bytes_text, count_text
from irkit.page.facts import Kernel, Level, Mark, Page, Place
from irkit.page.graph_svg import graph_svg
from irkit.page.markup import MarkId, hue, text
from irkit.page.memory_svg import memory_svg
from irkit.page.roofline_svg import roofline_svg

NO_MARK = Mark()


class MarkTable:
    """Numbers marks, each once, and writes them down for the script."""

    def __init__(self) -> None:
        self.ids: dict[Mark, int] = {}
        self.lines: dict[Place, int] = {}
        self.kernels: dict[str, int] = {}

    def __call__(self, mark: Mark) -> int:
        return self.ids.setdefault(mark, len(self.ids))

    def json(self) -> str:
        """The table, in a form that cannot end the script element that holds it."""
        of = [
            [
                mark.ops,
                [self.lines.setdefault(p, len(self.lines)) for p in mark.lines],
                [self.kernels.setdefault(k, len(self.kernels)) for k in mark.kernels],
            ]
            for mark in self.ids
        ]
        lines = [f"{file}:{line}" for file, line in self.lines]
        table = json.dumps({"of": of, "lines": lines, "kernels": list(self.kernels)}, separators=(",", ":"))
        return table.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page_html(page: Page) -> str:
    """The whole page; it needs nothing but itself."""
    table = MarkTable()
    order = {k.name: n for n, k in enumerate(page.kernels)}
    panels = {
        "graph": graph_svg(page.graph, "graph", table, order),
        "kernels": graph_svg(page.kernel_graph, "kernels", table, order),
        "memory plan": _memory(page, table, order),
        "roofline": roofline_svg(page.kernels, page.roof, table, order) + _note(f"Roof: {page.roof.basis}."),
        "costs": _costs(page, table),
    }
    script = _data("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "title": text(page.title),
        "facts": text("; ".join([f"function {page.function}", f"target {page.target}", *page.notes])),
        "style": _data("page.css"),
        "script": script,
        "script_hash": f"sha256-{digest}",
        "toggles": "".join(_toggle(level) for level in page.levels),
        "levels": "".join(_level(level, table, order) for level in page.levels),
        "tabs": "".join(_tab(n, name) for n, name in enumerate(panels)),
        "panels": "".join(_panel(n, name, content) for n, (name, content) in enumerate(panels.items())),
    }
    parts["marks"] = table.json()
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _data("page.html"))


def _data(name: str) -> str:
    return files("irkit.page").joinpath(name).read_text(encoding="utf-8")


def _toggle(level: Level) -> str:
    return (
        f'<label><input type="checkbox" value="level-{text(level.name)}" checked> {text(level.name)}</label>'
    )


def _level(level: Level, mark_id: MarkId, order: Mapping[str, int]) -> str:
    name = text(level.name)
    parts = [
        f'<section class="level {name.lower()}" id="level-{name}">',
        f"<h2>{name} <span>{text(level.about)}</span></h2>",
        f'<div class="code" role="listbox" aria-multiselectable="true" aria-label="{name} level">',
    ]
    for section in level.sections:
        style = hue((section.name,), order)[:-1] or ' style="'
        parts.append(
            f'<ol role="group" aria-label="{text(section.name)}"{style};--lines:{len(section.lines)}">'
        )
        for line in section.lines:
            facts = ' aria-disabled="true"' if line.mark == NO_MARK else f' data-g="{mark_id(line.mark)}"'
            parts.append(f'<li role="option"{facts}>{text(line.text)}</li>')
        parts.append("</ol>")
    return "".join([*parts, "</div></section>"])


def _tab(number: int, name: str) -> str:
    return (
        f'<button type="button" role="tab" id="tab-{number}" aria-controls="panel-{number}"'
        f' aria-selected="{"false" if number else "true"}">{text(name)}</button>'
    )


def _panel(number: int, name: str, content: str) -> str:
    return (
        f'<div class="panel" role="tabpanel" id="panel-{number}" aria-labelledby="tab-{number}"'
        f' data-name="{text(name)}">{content}</div>'
    )


def _note(words: str) -> str:
    return f'<p class="note">{text(words)}</p>'


def _memory(page: Page, mark_id: MarkId, order: Mapping[str, int]) -> str:
    plan = page.memory
    words = (
        f"Intermediates {bytes_text(plan.peak_bytes)} at the peak, lower bound {bytes_text(plan.lower_bound_bytes)}"
        + (f"; {bytes_text(plan.scratch_bytes)} of scratch for each thread" if plan.scratch_bytes else "")
        + (f"; {bytes_text(plan.prepared_bytes)} prepared once" if plan.prepared_bytes else "")
        + "."
    )
    return memory_svg(plan, mark_id, order) + _note(words)


def _costs(page: Page, mark_id: MarkId) -> str:
    """The table that `irkit show` prints, with the schedule and what bounds each kernel."""
    titles = ("kernel", "axes", "schedule", "scalar ops", "runs", "FLOPs", "bytes", "FLOP/byte", "bound by")
    words = {"axes", "schedule", "bound by"}
    head = "".join(f'<th{" class=words" if t in words else ""} scope="col">{t}</th>' for t in titles)
    rows = "".join(_row(k, page, mark_id) for k in page.kernels)
    runs = sum(k.runs for k in page.kernels)
    flops = sum(k.runs * k.flops for k in page.kernels)
    size = sum(k.runs * k.bytes for k in page.kernels)
    foot = "".join(
        f"<td>{cell}</td>"
        for cell in (
            "all runs",
            "",
            "",
            "",
            runs,
            count_text(flops),
            bytes_text(size),
            _ratio(flops, size),
            "",
        )
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody><tfoot><tr>{foot}</tr></tfoot></table>"


def _row(kernel: Kernel, page: Page, mark_id: MarkId) -> str:
    compute = kernel.flops / page.roof.flops > kernel.bytes / page.roof.bytes
    cells: Iterator[tuple[str, str]] = iter(
        (
            ("words", kernel.axes),
            ("words", kernel.schedule),
            ("", str(kernel.ops)),
            ("", "once" if kernel.once and not kernel.runs else str(kernel.runs)),
            ("", count_text(kernel.flops)),
            ("", bytes_text(kernel.bytes)),
            ("", _ratio(kernel.flops, kernel.bytes)),
            ("words", "arithmetic" if compute else "memory"),
        )
    )
    shown = "".join(f"<td{f' class={c}' if c else ''}>{text(cell)}</td>" for c, cell in cells)
    return f'<tr data-g="{mark_id(kernel.mark)}"><td>{text(kernel.name)}</td>{shown}</tr>'


def _ratio(flops: int, size: int) -> str:
    return f"{flops / size:.3g}" if size else "-"
