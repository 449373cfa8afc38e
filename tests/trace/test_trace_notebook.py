"""What a notebook shows: well-formed, without scripts, standing alone, and cut where it is large."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np

import irkit

X = np.ones((4, 8), np.float32)
SVG = "{http://www.w3.org/2000/svg}"


def tags(text: str) -> Counter[str]:
    found = Counter(e.tag.removeprefix(SVG) for e in ET.fromstring(text).iter())
    assert not {"script", "link", "img", "iframe"} & found.keys()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    return found


def test_a_graph_is_drawn():
    @irkit.trace
    def quoted(x):
        def step(c, r):
            return c + r, None

        h = np.exp(x)
        return irkit.scan(step, h[0], h)[0]

    graph = quoted.graph(X)
    svg = graph._repr_svg_()
    assert ET.fromstring(svg).tag == f"{SVG}svg"
    titles = [e.text for e in ET.fromstring(svg).iter(f"{SVG}text")]
    assert {"x", "exp", "for", "end of for", "add"} <= set(titles)
    assert tags(graph._repr_html_())["svg"] == 1


def test_a_program_is_drawn_with_its_memory_plan():
    program = irkit.trace(lambda x: np.exp(x @ x.T).sum(axis=0) @ (x * 2)).compile(X)
    page = program._repr_html_()
    assert tags(page)["svg"] == 2
    assert "Intermediates: " in page and "at the peak, lower bound" in page
    assert 'class="item piece"' in page and "--hue:" in page


def test_a_program_of_a_file_and_one_that_was_loaded(tmp_path):
    program = irkit.compile("fn main(x: f32[4]) -> f32[4] { return exp(x) <= 1 }\n".replace(" <= 1", " - 1"))
    assert tags(program._repr_html_())["svg"] == 2
    program.save(tmp_path / "p.irk")
    shown = irkit.load(tmp_path / "p.irk")._repr_html_()
    assert tags(shown) == {"code": 1} and "&lt;irkit program" in shown


def test_a_large_graph_is_cut_with_a_word():
    def deep(x):
        for _ in range(400):
            x = np.tanh(x)
        return x

    page = irkit.trace(deep).graph(X)._repr_html_()
    assert "The first 200 of 402 boxes." in page
    assert len(page) < 200_000
    tags(page)
