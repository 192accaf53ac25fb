"""The networks of a small Whisper model in memory, and what they are given and give as arrays."""

import ctypes
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """What the decoder attends to: which positions are there [sounds, 1, 1, positions], 0 or minus infinity, and what
    `encoder` gives for each of the sounds, padded to the same number of positions.
    """

    parts: list[NDArray[Any]]

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
        count, (heads, size), longest = len(sounds), self._heads, max(positions)
        memory = np.zeros((self.model.text_layers, 2, count, heads * size * longest), np.int8)
        parts: list[NDArray[Any]] = []
        for keys, values in memory:
            parts += [keys.reshape(count, heads, size, longest), np.empty((count, heads, 1, 1), np.float32)]
            parts += [values.reshape(count, heads, longest, size), np.empty((count, heads, 1, size), np.float32)]
        there = np.full((count, 1, 1, longest), -np.inf, np.float32)
        for place, (sound, own) in enumerate(zip(sounds, positions, strict=True)):
            spectrum = mel.spectrum(sound, self._filters, 2 * own)
            given = {"mels": spectrum[np.newaxis], "places": self._places["encoder"][:own]}
            there[place, ..., :own] = 0
            for part, heard in zip(parts, self._encoder.run(None, given), strict=True):
                part[place][tuple(map(slice, heard.shape))] = heard
            _give_back()
        return Sounds([there, *parts])

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
        for block in range(self.model.text_layers):
            arrays += [*past.parts[2 * block : 2 * block + 2], *heard[4 * block : 4 * block + 4]]
        scores, attention, *parts = self._decoder.run(None, dict(zip(self._names, arrays, strict=True)))
        scores = scores.reshape(*tokens.shape[:2], -1)
        attention = attention.reshape(*attention.shape[:2], *tokens.shape[1:], -1)[:, :, :, -1].swapaxes(1, 2)
        return Read(scores, attention, Past(parts, after))


def _give_back() -> None:
    """What was freed, which C's library would keep (glibc's alone can be told): between two sounds lie some 100 MB, in
    pieces of which the next finds few that fit.
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
