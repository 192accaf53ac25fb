"""The networks of a small Whisper model in memory, and what they are given and give as arrays."""

import ctypes
import itertools
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from container import ggml, mel
from container.decoder import Heads, decoder
from container.encoder import encoder
from container.tensors import Floats, Weights

Tokens = NDArray[np.int64]

FOLLOWING: dict[tuple[int, bool], Heads] = {
    (4, False): [(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)],
    (4, True): [(2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)],
    (6, False): [(3, 3), (4, 7), (5, 1), (5, 5), (5, 7)],
    (6, True): [(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)],
}
"""The heads whose attention follows the sound, of tiny.en, tiny, base.en and base, by blocks of the decoder and whether
they are multilingual: OpenAI's `_ALIGNMENT_HEADS`.
"""


def follows(model: ggml.Hyperparameters) -> bool:
    """Whether it is known which heads of a model follow the sound."""
    heads = FOLLOWING.get((model.text_layers, model.multilingual), [])
    return any(heads) and max(head for _, head in heads) < model.text_heads


@dataclass(frozen=True)
class Sounds:
    """What the decoder attends to: which positions are there [sounds, 1, 1, 1, positions], 0 or minus infinity, and for
    each of its blocks keys [sounds, heads, 1, size, positions] and values.
    """

    parts: list[Floats]

    def only(self, places: list[int]) -> "Sounds":
        """Those at these places, as many as there are, moved within the same memory: this is of no use afterwards."""
        for part in self.parts:
            for to, place in enumerate(places):
                if to != place:
                    part[to] = part[place]
        return Sounds([part[: len(places)] for part in self.parts])


@dataclass(frozen=True)
class Past:
    """What was read of each attempt at each sound: keys and values for each block of the decoder, as `decoder` says."""

    parts: list[Floats]
    length: int

    def of(self, kept: list[int], attempts: list[list[int]]) -> "Past":
        """The past of these attempts at each of the sounds that are kept."""
        sounds, had = self.parts[0].shape[:2]
        if kept == list(range(sounds)) and all(own == list(range(had)) for own in attempts):
            return self
        places = np.array(kept)[:, np.newaxis], np.array(attempts)
        return Past([part[places] for part in self.parts], self.length)


@dataclass(frozen=True)
class Read:
    """What comes of reading tokens: scores [sounds, attempts, vocabulary] of those that may be next, and the shares of
    the sound [sounds, attempts, heads, positions] that were listened to for it.
    """

    scores: Floats
    attention: Floats
    past: Past


class Network:
    """A model. Not for several threads at once."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises MalformedFile."""
        weights = Weights(path)
        self.model, self._filters, self.vocabulary = weights.model, weights.filters, weights.vocabulary
        self._embeddings = weights.rows("decoder.token_embedding.weight")
        self._places = {part: weights[f"{part}.positional_embedding"] for part in ("encoder", "decoder")}
        following = FOLLOWING[self.model.text_layers, self.model.multilingual]
        self._encoder = _session(encoder(self.model, weights), threads)
        self._decoder = _session(decoder(self.model, weights, following), threads)
        self._heads = self.model.text_heads, self.model.text_state // self.model.text_heads
        self.room = self.model.text_context // 2 - 4
        self.longest_prompt = self.model.text_context // 2 - 1
        self._names = [given.name for given in self._decoder.get_inputs()]

    def listen(self, sounds: list[Floats], positions: list[int]) -> Sounds:
        """Sounds of any length, each heard for so many positions of 20 ms: silence after its end is heard as well."""
        heads, size = self._heads
        shapes = [(len(sounds), heads, 1, *last) for last in ((size, max(positions)), (max(positions), size))]
        memory = np.zeros((self.model.text_layers, 2, math.prod(shapes[0])), np.float32)
        keys, values = ([block[part].reshape(shape) for block in memory] for part, shape in enumerate(shapes))
        there = np.full((len(sounds), 1, 1, 1, max(positions)), -np.inf, np.float32)
        for place, (sound, own) in enumerate(zip(sounds, positions, strict=True)):
            spectrum = mel.spectrum(sound, self._filters, 2 * own)
            given = {"mels": spectrum[np.newaxis], "places": self._places["encoder"][:own]}
            heard = self._encoder.run(None, given)
            there[place, ..., :own] = 0
            for block in range(self.model.text_layers):
                keys[block][place, ..., :own] = heard[2 * block]
                values[block][place, ..., :own, :] = heard[2 * block + 1]
            del heard
            _give_back()
        return Sounds([there, *itertools.chain.from_iterable(zip(keys, values, strict=True))])

    def nothing_read(self, sounds: int) -> Past:
        """The past before the first token, of one attempt at each sound."""
        keys = np.empty((sounds, 1, *self._heads, 0), np.float32)
        return Past([keys, keys.swapaxes(3, 4)] * self.model.text_layers, 0)

    def read(self, tokens: Tokens, past: Past, sounds: Sounds) -> Read:
        """The next tokens, [sounds, attempts, n]."""
        count, after = tokens.shape[2], past.length + tokens.shape[2]
        x = self._embeddings(tokens) + self._places["decoder"][past.length : after]
        mask = np.triu(np.full((count, after), -np.inf, np.float32), past.length + 1)
        there, *heard = sounds.parts
        arrays = [x, mask, there]
        for block in range(0, len(heard), 2):
            arrays += [*past.parts[block : block + 2], *heard[block : block + 2]]
        scores, attention, *parts = self._decoder.run(None, dict(zip(self._names, arrays, strict=True)))
        scores = scores.reshape(*tokens.shape[:2], -1)
        return Read(scores, attention[:, :, :, -1].swapaxes(1, 2), Past(parts, after))


def _give_back() -> None:
    """What was freed, which C's library would keep (glibc's alone can be told): between two sounds lie some 100 MB, in
    pieces of which the next finds few that fit. Sounds are one piece, which is given back by itself.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(ctypes.c_size_t(0))


def _session(network: bytes, threads: int) -> onnxruntime.InferenceSession:
    """By way of a file: of bytes the binding keeps its own copy. An arena would keep the most that ever was needed,
    and plans of memory are for sounds of one length.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(network)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
