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


def starts(attention: Floats) -> NDArray[np.int64]:
    """The position of the sound at which each token begins.

    `attention` is [heads, tokens, positions]: by head, the shares of the sound that were listened to for each token.
    The heads are those that follow the sound.
    """
    mean, variance = attention.mean(1, keepdims=True), attention.var(1, keepdims=True)
    standard = (attention - mean) / np.sqrt(variance + EPSILON)
    # Head by head: all at once take several times as long, for what they hold is too much for a cache.
    return _firsts(_costs(-np.stack([_medians(head) for head in standard]).mean(0, dtype=np.float64)))


def _medians(rows: Floats) -> Floats:
    """Of each place and those around it, mirrored at both ends. The larger half is sorted out of all windows at once,
    one by one: several times as quick as sorting each window.
    """
    reach = MEDIAN // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="reflect")
    left = [padded[:, start : start + rows.shape[1]] for start in range(MEDIAN)]
    for _ in range(reach + 1):
        largest, *rest = left
        left = []
        for other in rest:
            left.append(np.minimum(largest, other))
            largest = np.maximum(largest, other)
    return largest


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
    """The first column of each row on the way back from the last corner."""
    row, column = (size - 1 for size in costs.shape)
    firsts = np.zeros(row, np.int64)
    while row > 1:
        firsts[row - 1] = column - 1
        both, up, left = costs[row - 1, column - 1], costs[row - 1, column], costs[row, column - 1]
        if both < up and both < left:
            row, column = row - 1, column - 1
        elif up < left:
            row -= 1
        else:
            column -= 1
    return firsts
