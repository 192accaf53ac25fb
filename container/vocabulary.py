"""The tokens of a Whisper model: pieces of text, those with a meaning, and time stamps."""

import re
from collections.abc import Sequence

import _pywhispercpp as whisper

WORDS = re.compile(
    rb"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+",
)
"""What is never divided among tokens of different words, as whisper.cpp has it."""

LANGUAGES_AND_STAMPS = 51_765
"""Tokens of a multilingual model but for its languages and one more; the others are numbered as in whisper.cpp."""

CANTONESE_BEFORE = "zh"
"""What the last of all languages is to models that have no token for it: it came with large-v3."""


class Vocabulary:
    """The numbers of special tokens, in the order that they have: `end`, `start`, languages, `translate`, `transcribe`,
    one for turns, `previous`, `no_speech`, `no_stamps`, and then a token for each time stamp.
    """

    def __init__(self, texts: Sequence[bytes], size: int, multilingual: bool) -> None:
        """`texts` are those of a model file, which has none for most special tokens; `size` counts all."""
        languages = size - LANGUAGES_AND_STAMPS - 1 if multilingual else 99
        self.multilingual = multilingual
        self.texts = texts
        self.end = 50_257 if multilingual else 50_256
        self.start = self.end + 1
        self.languages = range(self.start + 1, self.start + 1 + languages)
        self.translate = self.start + languages + 1 if multilingual else 50_357
        self.transcribe, self.previous, self.no_speech, self.no_stamps = (
            self.translate + further for further in (1, 3, 4, 5)
        )
        self.space = texts.index(b" ")
        self._numbers = {text: number for number, text in enumerate(texts[: self.end])}
        self._longest = max(map(len, self._numbers))

    def task(self, language: str, translate: bool) -> list[int]:
        """What tells the decoder what to write: no time stamps. Attention tells the times."""
        if not self.multilingual:
            return [self.start, self.no_stamps]
        number = whisper.whisper_lang_id(language)
        if number >= len(self.languages):
            number = whisper.whisper_lang_id(CANTONESE_BEFORE)
        return [self.start, self.languages[number], self.translate if translate else self.transcribe, self.no_stamps]

    def text(self, tokens: Sequence[int]) -> str:
        """Without special tokens, and without a character of which there is only a part."""
        return b"".join(self.texts[token] for token in tokens if token < self.end).decode(errors="ignore")

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, the longest that fit first; what no token is made for is left out."""
        return [token for word in WORDS.findall(text.encode()) for token in self._of_word(word)]

    def _of_word(self, word: bytes) -> list[int]:
        found, at = [], 0
        while at < len(word):
            furthest = min(len(word), at + self._longest)
            end = next((end for end in range(furthest, at, -1) if word[at:end] in self._numbers), None)
            if end is not None:
                found.append(self._numbers[word[at:end]])
            at = end or at + 1
        return found
