"""The memory planner on its own: no two live buffers share a byte, and the peak is close to the bound."""

from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from lowering.buffer.planner import Interval, Plan, lower_bound, plan
from tests.growth import growth

intervals = st.builds(
    lambda begin, life, size: Interval(begin, begin + life, size),
    st.integers(0, 40),
    st.integers(0, 20),
    st.integers(0, 5000),
)


def check(buffers: list[Interval], placed: Plan, alignment: int = 64) -> None:
    """Offsets are aligned and inside the peak; those that are live together lie apart."""
    assert len(placed.offsets) == len(buffers)
    assert placed.peak_bytes >= placed.lower_bound_bytes == lower_bound(buffers, alignment)
    live = ((o, b) for o, b in zip(placed.offsets, buffers, strict=True) if b.size and b.end > b.begin)
    laid = sorted(live, key=lambda pair: pair[0])
    for number, (offset, buffer) in enumerate(laid):
        assert offset >= 0 and offset % alignment == 0 and offset + buffer.size <= placed.peak_bytes
        for other_offset, other in laid[number + 1 :]:
            if other_offset >= offset + buffer.size:
                break
            assert other.begin >= buffer.end or other.end <= buffer.begin


@given(st.lists(intervals, max_size=40), st.sampled_from((1, 16, 64)))
@settings(deadline=None)
def test_live_buffers_never_share_a_byte(buffers: list[Interval], alignment: int):
    check(buffers, plan(buffers, alignment), alignment)


@given(st.lists(intervals, max_size=20))
@settings(deadline=None, max_examples=30)
def test_plan_depends_on_nothing_else(buffers: list[Interval]):
    assert plan(buffers) == plan(list(buffers))


def test_nothing_takes_no_bytes():
    assert plan([]) == Plan((), 0, 0)
    assert plan([Interval(3, 3, 100), Interval(0, 5, 0)]).peak_bytes == 0


def test_sizes_count_as_aligned():
    placed = plan([Interval(0, 2, 1), Interval(1, 3, 65)])
    assert placed.peak_bytes == placed.lower_bound_bytes == 64 + 128


def packing(seed: int, steps: int) -> list[Interval]:
    """A rectangle of 64 KiB and `steps` units of time cut into buffers: some plan fills it without a hole."""
    random = Random(seed)
    done: list[Interval] = []
    work = [(0, steps, 1024)]
    while work:
        begin, end, lines = work.pop()
        if random.random() < 0.5 and end - begin > 1:
            cut = random.randrange(begin + 1, end)
            work += (begin, cut, lines), (cut, end, lines)
        elif lines > 1 and random.random() < 0.9:
            cut = random.randrange(1, lines)
            work += (begin, end, cut), (begin, end, lines - cut)
        else:
            done.append(Interval(begin, end, lines * 64))
    random.shuffle(done)
    return done


@pytest.mark.parametrize("seed", range(8))
def test_perfect_packings_are_nearly_found(seed: int):
    """The hardest case, without any slack: within a quarter of the bound."""
    buffers = packing(seed, 60)
    placed = plan(buffers)
    check(buffers, placed)
    assert placed.lower_bound_bytes == 64 * 1024
    assert placed.peak_bytes <= 1.25 * placed.lower_bound_bytes


def training(layers: int, seed: int) -> list[Interval]:
    """Forward and backward over layers: activations live until their gradient, temporaries for a step or two."""
    random = Random(seed)
    buffers: list[Interval] = []
    for layer in range(layers):
        size = random.choice((4096, 16384, 65536, 262144))
        back = 2 * layers - layer
        buffers.append(Interval(2 * layer, 2 * back + 1, size))
        buffers.append(Interval(2 * layer + 1, 2 * layer + 3, size * 2))
        buffers.append(Interval(2 * back, 2 * back + 2, size))
        buffers.append(Interval(2 * back + 1, 2 * back + 2, size // 2))
    return buffers


@pytest.mark.parametrize("layers", (3, 50, 400))
def test_training_reaches_the_bound(layers: int):
    buffers = training(layers, layers)
    placed = plan(buffers)
    check(buffers, placed)
    assert placed.peak_bytes <= 1.01 * placed.lower_bound_bytes


def test_a_chain_takes_two_buffers():
    buffers = [Interval(i, i + 2, 4096) for i in range(1000)]
    assert plan(buffers).peak_bytes == 8192


def many_buffers(count: int) -> list[Interval]:
    """Buffers of which about thirty live at a time."""
    random = Random(0)
    buffers: list[Interval] = []
    for _ in range(count):
        begin = random.randrange(count)
        buffers.append(Interval(begin, begin + random.randrange(1, 60), random.randrange(1, 100_000)))
    return buffers


def test_planning_is_nearly_linear():
    def work(count: int):
        buffers = many_buffers(count)
        return lambda: plan(buffers)

    assert growth(work, 750, 3000) < 1.3


def test_three_thousand_buffers():
    buffers = many_buffers(3000)
    check(buffers, plan(buffers))
