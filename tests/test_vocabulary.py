"""Numbers of tokens and the tokens of texts, against whisper.cpp's."""

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _pywhispercpp as whisper
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.languages import CODES
from container import catalogue, ggml, weights
from container.binary import Reader
from container.vocabulary import Vocabulary
from container.whispercpp import _hush

Pair = tuple[Vocabulary, Any]


@pytest.fixture(scope="module", params=["tiny.en", "base"])
def pair(request: pytest.FixtureRequest, models_dir: Path) -> Iterator[Pair]:
    """Ours, and a context of whisper.cpp."""
    _hush()
    path = weights.install(request.param, models_dir, lambda *_: None)
    with path.open("rb") as file:
        reader = Reader(file, path.name)
        model = ggml.read_hyperparameters(reader)
        ggml.read_filters(reader)
        own = Vocabulary(ggml.read_tokens(reader), model.vocabulary, model.multilingual)
    context = whisper.whisper_init_from_file_with_params(str(path), whisper.whisper_context_default_params())
    yield own, context
    whisper.whisper_free(context)


def test_special_tokens_are_where_they_should_be(pair: Pair) -> None:
    own, context = pair
    assert own.end == whisper.whisper_token_eot(context)
    assert own.start == whisper.whisper_token_sot(context)
    assert own.previous == whisper.whisper_token_prev(context)
    assert own.no_stamps == whisper.whisper_token_not(context)
    assert own.texts[own.space] == b" "
    assert [own.texts[number] for number in (0, 262, 5000)] == [
        whisper.whisper_token_to_bytes(context, number) for number in (0, 262, 5000)
    ]


@pytest.fixture(scope="module")
def raw(pair: Pair, models_dir: Path) -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p]]:
    """The library and a context of it, for what the binding has no function."""
    library = ctypes.CDLL(whisper.__file__)
    library.whisper_init_from_file.restype = ctypes.c_void_p
    name = "base" if pair[0].multilingual else "tiny.en"
    context = ctypes.c_void_p(library.whisper_init_from_file(str(catalogue.path(name, models_dir)).encode()))
    yield library, context
    library.whisper_free(context)


def test_tokens_that_the_binding_does_not_tell(pair: Pair, raw: tuple[ctypes.CDLL, ctypes.c_void_p]) -> None:
    own, (library, context) = pair[0], raw
    assert own.no_speech == library.whisper_token_nosp(context)
    assert own.translate == library.whisper_token_translate(context)
    assert own.transcribe == library.whisper_token_transcribe(context)


def test_tasks_are_what_whisper_is_told(pair: Pair) -> None:
    own, context = pair
    if not own.multilingual:
        assert own.task("en", False) == [whisper.whisper_token_sot(context), own.no_stamps]
        return
    for code in set(CODES) - {"yue"}:
        spoken = whisper.whisper_token_lang(context, whisper.whisper_lang_id(code))
        assert spoken in own.languages
        assert own.task(code, True) == [own.start, spoken, whisper.whisper_token_translate(context), own.no_stamps]
        assert own.task(code, False) == [own.start, spoken, whisper.whisper_token_transcribe(context), own.no_stamps]
    assert own.task("yue", False) == own.task("zh", False), "base has no Cantonese"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello, world!",
        " my fellow AMERICANS' 3.5%",
        "they're I'll it's",
        "a  b\n\n c ",
        "Straße, 日本語 😀",
        "\t",
    ],
)
def test_texts_become_the_same_tokens(pair: Pair, raw: tuple[ctypes.CDLL, ctypes.c_void_p], text: str) -> None:
    library, context = raw
    theirs = (ctypes.c_int32 * 1000)()
    count = library.whisper_tokenize(context, text.encode(), theirs, 1000)
    assert pair[0].tokens(text) == theirs[:count]


def test_a_long_prompt_without_spaces_is_no_burden(pair: Pair) -> None:
    began = time.process_time()
    assert pair[0].tokens("語" * 900)
    assert time.process_time() - began < 0.5


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_written_as_it_is(pair: Pair, text: str) -> None:
    own, _ = pair
    assert b"".join(own.texts[token] for token in own.tokens(text)) == text.encode()


def test_the_text_of_tokens_is_without_special_ones_and_broken_characters() -> None:
    texts = [b" ", b" caf", b"\xc3", b"\xa9", *(b"<%d>" % number for number in range(4, 50_257))]
    words = Vocabulary(texts, 51_864, multilingual=False)
    assert words.text([1, 2, 3, words.end]) == " café"
    assert words.text([1, 2]) == " caf"
