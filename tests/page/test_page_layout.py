"""The layered layout: boxes apart, edges downwards, few crossings, linear in what it draws."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings, strategies as st

from irkit.page.layout import GAP_X, crossings, layered, layers_of


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    count = draw(st.integers(1, 12))
    sizes = draw(st.lists(st.tuples(st.floats(5, 200), st.floats(5, 40)), min_size=count, max_size=count))
    pairs = list(combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=20)) if pairs else []
    return sizes, list(dict.fromkeys(edges))


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_boxes_are_apart_and_edges_lead_down(graph):
    sizes, edges = graph
    layout = layered(sizes, edges)
    boxes = [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for (x, y), (w, h) in zip(layout.centres, sizes, strict=True)
    ]
    for a, b in combinations(boxes, 2):
        gap = GAP_X - 1e-6
        assert a[2] + gap <= b[0] or b[2] + gap <= a[0] or a[3] < b[1] or b[3] < a[1]
    for left, top, right, bottom in boxes:
        assert left >= -1e-6 and top >= -1e-6
        assert right <= layout.width + 1e-6 and bottom <= layout.height + 1e-6
    assert all(s.start[1] < s.end[1] for s in layout.segments)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_every_edge_is_a_path_from_its_source_to_its_target(graph):
    sizes, edges = graph
    layout = layered(sizes, edges)
    reached = {(s.source, s.target) for s in layout.segments if s.target is not None}
    assert reached == set(edges)
    for segment in layout.segments:
        (x, y), (_, height) = layout.centres[segment.source], sizes[segment.source]
        from_box = segment.start == (x, y + height / 2)
        assert from_box or any(s.end == segment.start for s in layout.segments if s.source == segment.source)


def test_layers_follow_the_longest_way_and_sources_stay_near():
    # 0 -> 1 -> 2 -> 4, and 3 -> 4 alone
    assert layers_of(5, [(0, 1), (1, 2), (2, 4), (3, 4)]) == [0, 1, 2, 2, 3]


def test_crossings_are_counted_and_removed():
    assert crossings([[0, 1], [2, 3]], [[3], [2], [], []]) == 1
    layout = layered([(10, 10)] * 4, [(0, 3), (1, 2)])
    x = [at for at, _ in layout.centres]
    assert (x[0] < x[1]) == (x[3] < x[2])


def test_a_value_read_in_every_layer_is_drawn_once_for_each():
    """A chain whose every box also reads the first: two segments for each layer, not one path for each reader."""
    count = 1000
    edges = [(n, n + 1) for n in range(count - 1)] + [(0, n) for n in range(2, count)]
    layout = layered([(10, 10)] * count, edges)
    assert len(layout.segments) <= 3 * count
