import pytest

from container.layout import Layout, layout

GB = 2**30
TINY, LARGE = 43_000_000, 1_650_000_000


@pytest.mark.parametrize(
    ("cpus", "memory", "model", "expected"),
    [
        (2, 24 * GB, TINY, Layout(2, 1)),
        (6, 10 * GB, TINY, Layout(6, 1)),
        (8, 16 * GB, LARGE, Layout(2, 4)),  # 0.6 x 16 GB hold two recognisers of 4.3 GB
        (6, 10 * GB, LARGE, Layout(1, 6)),
        (7, 16 * GB, LARGE, Layout(2, 3)),
        (4, 1 * GB, LARGE, Layout(1, 4)),  # too little memory: one, come what may
        (1, 24 * GB, TINY, Layout(1, 1)),
    ],
)
def test_recognisers_as_far_as_memory_goes_then_threads(cpus: int, memory: int, model: int, expected: Layout) -> None:
    assert layout(cpus, memory, model) == expected
