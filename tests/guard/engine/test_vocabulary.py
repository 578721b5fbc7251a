"""Token bytes agree with what each kind of real tokenizer decodes."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine.vocabulary import gpt2_alphabet, token_bytes
from guard.errors import EngineUnsupportedError
from guard.normalise import normalise

tokenizers = pytest.importorskip("tokenizers")


def fast(model: Any, decoder: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    inner = tokenizers.Tokenizer(model)
    inner.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=inner)


@lru_cache
def mistral(name: str) -> Any:
    try:
        files = distribution("mistral_common").files or []
    except PackageNotFoundError:
        pytest.skip("mistral_common, which carries real tokenizers, is not installed")
    path = next((file for file in files if Path(file).name == name), None)
    if path is None:
        pytest.skip(f"this mistral_common does not carry {name}")
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    tokenizer: Any = MistralTokenizer.from_file(
        str(distribution("mistral_common").locate_file(path))
    )
    return tokenizer.instruct_tokenizer.tokenizer


class AsVllm:
    """What ``token_bytes`` uses of vLLM's wrapper around a mistral_common tokenizer."""

    def __init__(self, inner: Any, is_tekken: bool) -> None:
        self.tokenizer, self.is_tekken, self.vocab_size = inner, is_tekken, inner.n_words


@lru_cache
def mistral_bytes(name: str) -> list[bytes]:
    inner = mistral(name)
    return token_bytes(AsVllm(inner, name.startswith("tekken")), inner.n_words)


def test_the_gpt2_alphabet_covers_every_byte_once() -> None:
    alphabet = gpt2_alphabet()
    assert sorted(alphabet.values()) == list(range(256))
    assert all(char.isprintable() and not char.isspace() for char in alphabet)


def test_a_byte_level_tokenizer_gives_its_bytes_and_a_break_for_special_tokens() -> None:
    vocab = {"a": 0, "\u0120b": 1, "\u00c3": 2, "\u00a9": 3}
    tokenizer = fast(tokenizers.models.BPE(vocab=vocab, merges=[]), tokenizers.decoders.ByteLevel())
    tokenizer.add_special_tokens({"eos_token": "<end>"})
    assert token_bytes(tokenizer, 6) == [b"a", b" b", b"\xc3", b"\xa9", b"\n", b""]


def test_a_byte_fallback_tokenizer_gives_spaces_and_raw_bytes() -> None:
    vocab = {"<0xC3>": 0, "<0xA9>": 1, "\u2581b": 2, "c": 3}
    decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("\u2581", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
        ]
    )
    tokenizer = fast(tokenizers.models.BPE(vocab=vocab, merges=[]), decoder)
    assert token_bytes(tokenizer, 4) == [b"\xc3", b"\xa9", b" b", b"c"]


def test_an_unknown_decoder_is_refused() -> None:
    tokenizer = fast(
        tokenizers.models.WordPiece(vocab={"a": 0, "##b": 1}, unk_token="a"),
        tokenizers.decoders.WordPiece(),
    )
    with pytest.raises(EngineUnsupportedError, match="decoder `WordPiece` is not supported"):
        token_bytes(tokenizer, 2)


def test_an_unknown_tokenizer_is_refused() -> None:
    with pytest.raises(EngineUnsupportedError, match="`object` is not supported"):
        token_bytes(object(), 2)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=30))
def test_a_real_tiktoken_style_tokenizer_spells_any_text_with_our_bytes(text: str) -> None:
    inner = mistral("tekken_240911.json")
    pieces = mistral_bytes("tekken_240911.json")
    tokens = inner.encode(text, bos=False, eos=False)
    assert b"".join(pieces[token] for token in tokens).decode() == text


@settings(max_examples=200, deadline=None)
@given(text=st.text("abc \u00e9\u6771\U0001f600,.1\n", max_size=30))
def test_a_real_sentencepiece_tokenizer_spells_any_text_with_our_bytes(text: str) -> None:
    inner = mistral("tokenizer.model.v1")
    pieces = mistral_bytes("tokenizer.model.v1")
    tokens = inner.encode(text, bos=False, eos=False)
    # SentencePiece puts a space in front of every text.
    assert b"".join(pieces[token] for token in tokens).decode() == (f" {text}" if text else "")


def test_the_demo_tokenizer_is_understood(demo_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo_model)
    pieces = token_bytes(tokenizer, len(tokenizer))
    text = "Basil Mahfouz Al-Kuwaiti, caf\u00e9 \u6771\u4eac \U0001f600"
    assert b"".join(pieces[token] for token in tokenizer.encode(text)).decode() == text


def test_special_tokens_part_the_prompt_from_the_answer(demo_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo_model)
    pieces = token_bytes(tokenizer, len(tokenizer))
    ids = tokenizer.encode("the capital of France<|im_end|>Paris")
    text = b"".join(pieces[token] for token in ids)
    assert normalise(text.decode()).split() == ["the", "capital", "of", "france", "paris"]
