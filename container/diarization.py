"""Who speaks when: voices become speakers by clustering, and segments are cut where the speaker changes."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from chalicelib.transcript import Segment, Span, Voice
from chalicelib.wording import cleaned, slices
from container.stitching import part

ALIKE = 0.35
"""Mean cosine similarity from which two groups of voices are one speaker."""

MOST_COMPARED = 800
"""Voices that are compared each with each; in longer files these are taken evenly, and the others go to the nearest."""

FEWEST = 3
"""Voices that make a speaker, if others have more: fewer go to the nearest."""

Vectors = NDArray[np.float32]


def label(segments: Sequence[Segment], voices: Sequence[Voice], speakers: Sequence[int]) -> list[Segment]:
    """The segments, cut where the speaker changes, with `Speaker 1` … as the speakers; voices are in order of time."""
    if not voices:
        return list(segments)
    middles = [(voice.start + voice.end) / 2 for voice in voices]

    def speaker(span: Span) -> int:
        middle = (span.start + span.end) / 2
        after = bisect_left(middles, middle)
        near = range(max(0, after - 1), min(len(voices), after + 1))
        return speakers[min(near, key=lambda index: abs(middles[index] - middle))]

    labelled: list[Segment] = []
    for segment in map(cleaned, segments):
        texts = slices(segment)
        told = [speaker(word) for word in segment.words] if texts else [speaker(segment)]
        start = 0
        for number, same in groupby(told):
            count = len(list(same))
            own = part(segment, texts, start, start + count) if texts else segment
            labelled.append(own.model_copy(update={"speaker": f"Speaker {number + 1}"}))
            start += count
    return labelled


def cluster(voices: Sequence[Voice]) -> list[int]:
    """The number of each voice's speaker, from 0 by first appearance. How many there are is found out.

    Time and memory do not depend on how many voices there are beyond `MOST_COMPARED`, but for one pass over them.
    """
    if not voices:
        return []
    vectors = np.array([voice.vector for voice in voices], np.float32)
    taken = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MOST_COMPARED)).round().astype(int))
    centres = _centres(vectors[taken], _grouped(vectors[taken]))
    nearest = np.argmax(vectors @ centres.T, axis=1)
    numbers = {group: number for number, group in enumerate(dict.fromkeys(nearest.tolist()))}
    return [numbers[group] for group in nearest.tolist()]


def _centres(vectors: Vectors, groups: NDArray[np.int64]) -> Vectors:
    """The mean voice of each group that is large enough, of length 1."""
    labels, counts = np.unique(groups, return_counts=True)
    large = labels[counts >= min(FEWEST, counts.max())]
    means = np.stack([vectors[groups == label].mean(axis=0) for label in large])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def _grouped(vectors: Vectors) -> NDArray[np.int64]:
    """Average-linkage clustering: the two groups most alike become one, as long as they are `ALIKE`."""
    groups = np.arange(len(vectors))
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    sizes = np.ones(len(vectors), np.float32)
    while len(vectors) > 1:
        first, second = divmod(int(np.argmax(similarity)), len(vectors))
        if similarity[first, second] < ALIKE:
            break
        joined = sizes[first] * similarity[first] + sizes[second] * similarity[second]
        sizes[first] += sizes[second]
        similarity[first] = similarity[:, first] = joined / sizes[first]
        similarity[first, first] = -np.inf
        similarity[second] = similarity[:, second] = -np.inf
        groups[groups == groups[second]] = groups[first]
    return groups
