"""Dynamic time warping against the same cell by cell."""

import numpy as np
import pytest
from numpy.typing import NDArray

from container.warping import starts


def slowly(attention: NDArray[np.float32]) -> list[int]:
    """As whisper.cpp does it."""
    standard = (attention - attention.mean(1, keepdims=True)) / np.sqrt(attention.var(1, keepdims=True) + 1e-9)
    padded = np.pad(standard, ((0, 0), (0, 0), (3, 3)), mode="reflect")
    filtered = np.stack([np.median(padded[:, :, at : at + 7], axis=2) for at in range(attention.shape[2])], axis=2)
    steps = -filtered.mean(0)
    rows, columns = steps.shape
    costs = np.full((rows + 1, columns + 1), np.inf)
    costs[0, 0] = 0
    for row in range(rows):
        for column in range(columns):
            before = min(costs[row, column], costs[row, column + 1], costs[row + 1, column])
            costs[row + 1, column + 1] = steps[row, column] + before
    row, column, path = rows, columns, []
    while row and column:
        path.append((row - 1, column - 1))
        moves = {(row - 1, column - 1): 0, (row - 1, column): 0, (row, column - 1): 0}
        row, column = min(moves, key=lambda place: costs[place])
    return [min(column for at, column in path if at == row) for row in range(rows)]


@pytest.mark.parametrize("seed", range(20))
def test_the_cheapest_way_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, positions = rng.integers(3, 12), rng.integers(10, 60)
    attention = rng.random((4, rows, positions)).astype(np.float32)
    assert starts(attention).tolist() == slowly(attention)


def test_attention_that_moves_on_is_followed() -> None:
    """Each token rests on ten positions."""
    attention = np.full((2, 6, 60), 0.001, np.float32)
    for row in range(6):
        attention[:, row, 10 * row : 10 * row + 10] = 0.1
    assert starts(attention).tolist() == [0, 10, 20, 30, 40, 50]
    assert starts(attention[:, :1]).tolist() == [0]
