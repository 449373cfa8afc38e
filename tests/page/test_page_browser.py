"""The page in a real browser: it opens, links its levels, and lets nothing of the model act."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from irkit.page.collect import collect
from irkit.page.facts import Page
from irkit.page.html import page_html
from tests.page.browser import Browser, find_chromium
from tests.page.models import level, page_of
from tools.bench import programs

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

LEVELS = ("source", "graph", "kernel", "loop", "buffer", "C")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    found = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


def show(browser: Browser, folder: Path, page: Page, scheme: str = "light") -> None:
    path = folder / "page.html"
    path.write_text(page_html(page), encoding="utf-8")
    browser.open(path, scheme)


def numbers(browser: Browser, name: str, kind: str) -> list[int]:
    """The numbers of a level's lines of a class."""
    return browser.run(
        f"[...document.querySelectorAll('#level-{name} li')].flatMap((x, n) => x.matches('.{kind}') ? [n] : [])"
    )


def count(browser: Browser, selector: str) -> int:
    return browser.run(f"document.querySelectorAll({selector!r}).length")


def marks_of(page: Page, name: str) -> list[Any]:
    return [line.mark for section in level(page, name) for line in section.lines]


@pytest.mark.parametrize("name", ("encoder", "loop", "symbolic", "unused", "empty"))
def test_a_page_opens_alone_with_all_its_drawings(browser: Browser, tmp_path: Path, name: str):
    page = page_of(tmp_path, name)
    show(browser, tmp_path, page)
    assert browser.faults == [] and len(browser.requests) == 1
    assert count(browser, "svg.plan .piece > rect") == len(page.memory.pieces)
    assert count(browser, "svg.plan .task > rect") == len(page.memory.tasks)
    assert count(browser, "svg.plan line.peak") == count(browser, "svg.plan line.bound") == 1
    boxes = len(page.graph.nodes), len(page.kernel_graph.nodes)
    assert (count(browser, "#panel-0 .item > rect"), count(browser, "#panel-1 .item > rect")) == boxes
    points = [k for k in page.kernels if k.flops and k.bytes]
    assert count(browser, "svg.roofline circle") == len(points)
    assert count(browser, "tbody tr") == len(page.kernels)
    for shown in LEVELS:
        lines = [line for section in level(page, shown) for line in section.lines]
        assert count(browser, f"#level-{shown} li") == len(lines)


def test_choosing_an_op_marks_what_belongs_to_it_at_every_level(browser: Browser, tmp_path: Path):
    page = page_of(tmp_path, "encoder")
    show(browser, tmp_path, page)
    number = next(n for n, node in enumerate(page.graph.nodes) if node.title == "gelu")
    mark = page.graph.nodes[number].mark
    browser.click(f"#panel-0 .item:nth-of-type({number + 1})")
    for name in LEVELS:
        expected: dict[str, list[int]] = {"same-op": [], "same-line": [], "same-kernel": []}
        for n, other in enumerate(marks_of(page, name)):
            if set(mark.ops) & set(other.ops):
                expected["same-op"].append(n)
            elif set(mark.lines) & set(other.lines):
                expected["same-line"].append(n)
            elif set(mark.kernels) & set(other.kernels):
                expected["same-kernel"].append(n)
        assert expected["same-op"], name
        assert {kind: numbers(browser, name, kind) for kind in expected} == expected, name
        selected = count(browser, f'#level-{name} [aria-selected="true"]')
        assert selected == sum(map(len, expected.values()))
        assert seen(browser, f"#level-{name} .same-op"), name
    status = browser.run("document.getElementById('status').textContent")
    assert f"{page.title}:33" in status and "matmul_add_gelu" in status
    browser.press("Escape")
    assert count(browser, ".same-op, .same-line, .same-kernel, .picked, li[aria-selected]") == 0
    assert browser.faults == []


def seen(browser: Browser, selector: str) -> bool:
    """Whether one of the elements shows in its pane."""
    return browser.run(f"""[...document.querySelectorAll({selector!r})].some((item) => {{
      const pane = item.closest('.code').getBoundingClientRect(), own = item.getBoundingClientRect();
      return own.top >= pane.top - 1 && own.bottom <= pane.bottom + 1;
    }})""")


@pytest.mark.parametrize("name", LEVELS)
def test_a_line_of_any_level_leads_to_the_others(browser: Browser, tmp_path: Path, name: str):
    page = page_of(tmp_path, "heat")
    show(browser, tmp_path, page)
    kernel = "index_mul_add"
    picked = next(n for n, mark in enumerate(marks_of(page, name)) if mark.kernels == (kernel,))
    browser.run(f"document.querySelectorAll('#level-{name} li')[{picked}].id = 'here'")
    browser.click("#here")
    assert browser.run("document.getElementById('here').classList.contains('picked')")
    for other in LEVELS:
        found = [n for kind in ("same-op", "same-line", "same-kernel") for n in numbers(browser, other, kind)]
        own = {n for n, mark in enumerate(marks_of(page, other)) if kernel in mark.kernels}
        assert own and own <= set(found), other


def test_keys_do_what_the_mouse_does(browser: Browser, tmp_path: Path):
    page = page_of(tmp_path, "heat")
    show(browser, tmp_path, page)
    browser.run("document.querySelector('#level-graph li[tabindex=\"0\"]').focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "Enter"):
        browser.press(key)
    focused = browser.run("document.activeElement.textContent")
    assert focused == level(page, "graph")[0].lines[3].text
    assert browser.run("document.activeElement.classList.contains('picked')")
    assert count(browser, "#level-source .same-op") == 1
    assert count(browser, '#level-graph li[tabindex="0"]') == 1
    browser.run("document.getElementById('tab-0').focus()")
    browser.press("ArrowRight")
    assert browser.run("document.querySelector('.panel:not([hidden])').dataset.name") == "kernels"
    assert browser.run("document.querySelector('#panel-1 .same-op') !== null")
    unnamed = (
        "[...document.querySelectorAll('svg .item')].filter((x) => !x.getAttribute('aria-label')).length"
    )
    assert browser.run(unnamed) == 0


def test_levels_can_be_hidden_and_drawings_zoomed(browser: Browser, tmp_path: Path):
    show(browser, tmp_path, page_of(tmp_path, "heat"))
    browser.click('.toggles input[value="level-kernel"]')
    assert browser.run("document.getElementById('level-kernel').offsetWidth") == 0
    width = "document.querySelector('#panel-0 svg').getBoundingClientRect().width"
    before = browser.run(width)
    browser.click('[data-zoom="1.25"]')
    assert browser.run(width) == pytest.approx(before * 1.25)
    browser.click('[data-zoom="fit"]')
    panel = "document.getElementById('panel-0')"
    assert browser.run(f"{panel}.scrollHeight <= {panel}.clientHeight")


def test_text_of_the_model_is_inert(browser: Browser, tmp_path: Path):
    page = page_of(tmp_path, "hostile")
    show(browser, tmp_path, page)
    assert browser.run("window.attacked") is None and browser.faults == []
    assert count(browser, "script") == 2 and count(browser, "img") == 0
    first = "document.querySelector('#level-source li').textContent"
    assert browser.run(first) == page.levels[0].sections[0].lines[0].text.replace("\x07", "\ufffd")
    # What got in all the same could not run: only the script of the page may.
    browser.run("""(() => {
      const own = document.createElement('script');
      own.textContent = 'window.attacked = 4';
      document.body.append(own);
      document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="window.attacked = 5">');
    })()""")
    assert browser.run("window.attacked") is None
    assert any("Content Security Policy" in fault for fault in browser.faults)


def test_names_of_files_are_inert(browser: Browser, tmp_path: Path):
    path = tmp_path / "<img src=x onerror=alert(1)>\"'&.tg"
    path.write_text("fn main(x: f32[3]) -> f32[3] { return exp(x) }\n")
    show(browser, tmp_path, collect(str(path), target="avx2"))
    assert browser.faults == [] and count(browser, "img") == 0
    assert browser.run("document.querySelector('h1').textContent") == str(path)


def test_the_page_follows_the_colours_of_the_reader(browser: Browser, tmp_path: Path):
    page = page_of(tmp_path, "unused")
    colours = []
    for scheme in ("light", "dark"):
        show(browser, tmp_path, page, scheme)
        colours.append(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(22, 24, 27)"]


def test_a_page_of_a_hundred_kernels_opens(browser: Browser, tmp_path: Path):
    path = tmp_path / "large.tg"
    path.write_text(programs.distinct_blocks(25))
    page = collect(str(path), target="avx2")
    assert len(page.kernels) >= 100
    show(browser, tmp_path, page)
    assert browser.faults == []
    browser.click("#panel-0 .item.op")
    assert count(browser, "#level-loop .same-op") > 0
    assert count(browser, "#panel-0 .item.op") >= 200
