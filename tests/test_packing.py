from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.transcript import Batch, BatchChunk
from container.packing import MAX_CHUNKS, Turn, alike, pack, rounds


def chunks_of(*files: list[float]) -> list[BatchChunk]:
    return [
        BatchChunk(file=file, index=index, seconds=seconds)
        for file, lengths in enumerate(files)
        for index, seconds in enumerate(lengths)
    ]


def lengths(batches: list[Batch]) -> list[list[float]]:
    return [[chunk.seconds for chunk in batch.chunks] for batch in batches]


def test_nothing_makes_no_batches() -> None:
    assert pack([], 60) == []


def test_batches_run_on_from_file_to_file_in_order() -> None:
    batches = pack(chunks_of([20, 25, 15], [28], [10, 22]), 60)
    assert batches == [
        Batch(index=0, chunks=chunks_of([20, 25, 15])),
        Batch(
            index=1,
            chunks=[
                BatchChunk(file=1, index=0, seconds=28),
                BatchChunk(file=2, index=0, seconds=10),
                BatchChunk(file=2, index=1, seconds=22),
            ],
        ),
    ]


@pytest.mark.parametrize(
    ("seconds", "target", "workers", "expected"),
    [
        pytest.param([30, 30], 600, 1, [[30, 30]], id="all-fit"),
        pytest.param([30, 30, 30], 600, 2, [[30, 30], [30]], id="a-batch-for-each-worker"),
        pytest.param([30] * 5, 60, 2, [[30, 30], [30], [30], [30]], id="as-many-for-each-worker"),
        pytest.param([30, 30], 600, 8, [[30], [30]], id="fewer-chunks-than-workers"),
        pytest.param([100], 30, 1, [[100]], id="chunk-longer-than-a-batch"),
        pytest.param([1, 1, 28], 10, 1, [[1], [1], [28]], id="no-empty-batch"),
        pytest.param([0, 0], 10, 1, [[0, 0]], id="no-seconds"),
        pytest.param([9, 1, 5, 5, 2, 8], 10, 1, [[9, 1], [5, 5], [2, 8]], id="even"),
    ],
)
def test_how_chunks_are_divided(seconds: list[float], target: float, workers: int, expected: list[list[float]]) -> None:
    assert lengths(pack(chunks_of(seconds), target, workers)) == expected


def test_an_item_of_the_map_stays_below_its_limit_of_256_kib() -> None:
    batches = pack(chunks_of([0.123456789] * (2 * MAX_CHUNKS + 1)), 1e9)
    assert [len(batch.chunks) for batch in batches] == [1334, 1334, 1333]
    assert max(len(batch.model_dump_json()) for batch in batches) < 200 * 1024


CHUNKS = st.lists(
    st.lists(st.integers(0, 30_000).map(lambda milliseconds: milliseconds / 1000), max_size=20), max_size=8
)


@given(CHUNKS, st.floats(1, 1000), st.integers(1, 40))
def test_every_chunk_is_in_one_batch_and_no_batch_is_long(
    files: list[list[float]], target: float, workers: int
) -> None:
    chunks = chunks_of(*files)
    batches = pack(chunks, target, workers)
    assert [chunk for batch in batches for chunk in batch.chunks] == chunks
    assert [batch.index for batch in batches] == list(range(len(batches)))
    assert all(batch.chunks for batch in batches)
    if chunks:
        assert len(batches) % workers == 0 or len(batches) == len(chunks)
        sums = list(map(sum, lengths(batches)))
        assert max(sums) <= sum(sums) / len(sums) + max(chunk.seconds for chunk in chunks) + 1e-6


@given(st.lists(st.integers(0, 30), min_size=1, max_size=9), st.integers(1, 9))
def test_no_other_division_has_a_shorter_longest_batch(seconds: list[float], workers: int) -> None:
    batches = lengths(pack(chunks_of(seconds), 1e6, workers))
    every_way = (
        [0, *middle, len(seconds)] for middle in combinations(range(1, len(seconds)), min(workers, len(seconds)) - 1)
    )
    best = min(max(sum(seconds[start:end]) for start, end in pairwise(ends)) for ends in every_way)
    assert max(map(sum, batches)) == best


@given(st.lists(st.floats(0.1, 30), max_size=20), st.integers(1, 5))
def test_chunks_heard_together_are_alike(seconds: list[float], count: int) -> None:
    chunks = [BatchChunk(file=0, index=index, seconds=each) for index, each in enumerate(seconds)]
    groups = [[turn.chunk for turn in group] for group in alike(map(Turn, chunks), count)]
    assert sorted(chunk.index for group in groups for chunk in group) == list(range(len(chunks)))
    sizes = [len(group) for group in groups]
    assert len(groups) == round(len(seconds) / count) or sizes == [len(seconds)]
    assert not sizes or max(sizes) <= min(1.5 * count, min(sizes) + 1)
    row = [chunk.seconds for group in groups for chunk in group]
    assert row == sorted(seconds, reverse=True)


@given(st.lists(st.integers(1, 40), max_size=6), st.integers(1, 5))
def test_chunks_of_a_file_are_heard_in_their_order(files: list[int], count: int) -> None:
    """All but the first of a file are led, most by the one before them."""
    chunks = [
        BatchChunk(file=file, index=index, seconds=1 + 7 * index % 29)
        for file, length in enumerate(files)
        for index in range(length)
    ]
    groups = list(rounds(chunks, count))
    turns = [turn for group in groups for turn in group]
    assert sorted((turn.chunk.file, turn.chunk.index) for turn in turns) == [(each.file, each.index) for each in chunks]
    assert all(len(group) <= max(1.5 * count, 1) for group in groups)
    heard: set[tuple[int, int]] = set()
    for group in groups:
        for chunk, before in group:
            assert (before is None) == (chunk.index == 0)
            assert before is None or (before.file == chunk.file and before.index in (0, chunk.index - 1))
            assert before is None or (before.file, before.index) in heard
        heard |= {(turn.chunk.file, turn.chunk.index) for turn in group}
    right_before = [turn for turn in turns if turn.before and turn.before.index == turn.chunk.index - 1]
    assert len(turns) - len(right_before) <= count + 2 * len(files)


def test_a_long_file_is_heard_at_several_places_at_once() -> None:
    chunks = [BatchChunk(file=0, index=index, seconds=20.0) for index in range(3, 13)]
    turns = [[(chunk.index, before and before.index) for chunk, before in group] for group in rounds(chunks, 4)]
    assert turns == [
        [(3, None)],
        [(4, 3), (7, 3), (10, 3)],
        [(5, 4), (8, 7), (11, 10)],
        [(6, 5), (9, 8), (12, 11)],
    ]
    assert list(rounds([], 4)) == []


def test_what_is_missing_of_a_file_is_not_what_was_said_before() -> None:
    chunks = [BatchChunk(file=0, index=index, seconds=20.0) for index in (0, 1, 3)]
    assert [[(chunk.index, before and before.index) for chunk, before in group] for group in rounds(chunks, 4)] == [
        [(0, None), (3, None)],
        [(1, 0)],
    ]
