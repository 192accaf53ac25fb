"""When each token was said: dynamic time warping over what the decoder's cross-attention rested on.

As OpenAI's `timing.py` and whisper.cpp do it, a row of the matrix at once.
"""

import numpy as np
from numpy.typing import NDArray

MEDIAN = 7
"""Positions, 0.14 s, whose median is taken in place of each."""

EPSILON = 1e-9
"""Added to variances."""

Floats = NDArray[np.float32]


def ends(attention: Floats, kept: slice) -> NDArray[np.int64]:
    """The position of the sound at which each row of `kept` but the first begins, which is where the one before ends.

    `attention` is [heads, rows, positions]: by head, for each token that was read, the shares of the sound. The heads
    are those that follow the sound.
    """
    mean, variance = attention.mean(1, keepdims=True), attention.var(1, keepdims=True)
    standard = (attention - mean) / np.sqrt(variance + EPSILON)
    reach = MEDIAN // 2
    padded = np.pad(standard, ((0, 0), (0, 0), (reach, reach)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, MEDIAN, axis=2)
    followed = np.partition(windows, reach, axis=3)[..., reach].mean(0)
    return _firsts(_costs(-followed[kept].astype(np.float64)))


def _costs(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least sum of steps from the first corner to each place, moving by one row, one column or both."""
    rows, columns = steps.shape
    costs = np.full((rows + 1, columns + 1), np.inf)
    costs[0, 0] = 0
    for row in range(rows):
        into = np.minimum(costs[row, :-1], costs[row, 1:])
        # Whoever enters the row at one place and stays in it until another takes all steps between: a running sum.
        sums = np.cumsum(steps[row])
        costs[row + 1, 1:] = sums + np.minimum.accumulate(into - sums + steps[row])
    return costs


def _firsts(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The first column of each row but the first on the way back from the last corner."""
    row, column = (size - 1 for size in costs.shape)
    firsts = np.zeros(row, np.int64)
    while row > 1 or column > 1:
        firsts[row - 1] = column - 1
        both, up, left = costs[row - 1, column - 1], costs[row - 1, column], costs[row, column - 1]
        if both < up and both < left:
            row, column = row - 1, column - 1
        elif up < left:
            row -= 1
        else:
            column -= 1
    return firsts[1:]
