"""The bytes that each token of a tokenizer adds to the output text.

Byte-level tokenizers hide bytes behind printable stand-ins (the GPT-2 alphabet), SentencePiece
ones behind ``▁`` and ``<0xNN>``, tiktoken-style ones store them plainly. Which of these a
tokenizer uses is read from its own decoder, and the outcome is checked against the tokenizer's
own decoding before it is trusted.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any, Final

from guard.errors import EngineUnsupportedError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_METASPACE: Final = "\u2581"
_CHECKED_PAIRS: Final = 400
# What a special token reads as: nobody sees it, but it parts words. In many chat templates one is
# all that stands between the last word of the prompt and the first of the answer.
SPECIAL: Final = b"\n"


def gpt2_alphabet() -> dict[str, int]:
    """The stand-in character of each byte, as GPT-2's byte-level BPE defines it."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in plain}
    shifted = (byte for byte in range(256) if byte not in plain)
    table.update({chr(0x100 + place): byte for place, byte in enumerate(shifted)})
    return table


def token_bytes(tokenizer: Any, vocab_size: int) -> list[bytes]:
    """Bytes of every token id; a line break for special tokens, empty beyond the vocabulary.

    Args:
        tokenizer: a Hugging Face fast tokenizer, or vLLM's ``MistralTokenizer``.
        vocab_size: width of the model's logits, which may exceed the vocabulary.

    Raises:
        EngineUnsupportedError: of a kind not known here, or its own decoding disagrees.
    """
    if hasattr(tokenizer, "backend_tokenizer"):
        pieces = _from_fast_tokenizer(tokenizer)
        _check(tokenizer, pieces)
    elif hasattr(tokenizer, "is_tekken"):
        pieces = _from_mistral(tokenizer)
    else:
        raise EngineUnsupportedError(
            f"tokenizer class `{type(tokenizer).__name__}` is not supported",
            fix="serve the model with a Hugging Face fast tokenizer (a `tokenizer.json`)",
        )
    return [pieces.get(token, b"") for token in range(vocab_size)]


def _decoder_kinds(decoder: Any) -> set[str]:
    if not isinstance(decoder, dict):
        return set()
    kinds = {str(decoder.get("type"))}
    for part in decoder.get("decoders", []):
        kinds |= _decoder_kinds(part)
    return kinds


def _from_fast_tokenizer(tokenizer: Any) -> dict[int, bytes]:
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    kinds = _decoder_kinds(described.get("decoder"))
    added = {int(t["id"]): t for t in described.get("added_tokens", [])}
    alphabet = gpt2_alphabet()
    pieces: dict[int, bytes] = {}
    for text, token in tokenizer.get_vocab().items():
        if token in added:
            content = added[token]["content"].encode()
            pieces[token] = SPECIAL if added[token]["special"] else content
        elif "ByteLevel" in kinds:
            pieces[token] = bytes(alphabet[char] for char in text)
        elif kinds & {"ByteFallback", "Metaspace", "Replace"}:
            match = _BYTE_TOKEN.fullmatch(text)
            pieces[token] = (
                bytes([int(match.group(1), 16)])
                if match
                else text.replace(_METASPACE, " ").encode()
            )
        else:
            raise EngineUnsupportedError(
                f"tokenizer decoder `{'/'.join(sorted(kinds)) or 'none'}` is not supported",
                fix="report the model's name, so that its decoder can be added and tested",
            )
    return pieces


def _from_mistral(tokenizer: Any) -> dict[int, bytes]:
    inner = tokenizer.tokenizer
    special = inner.num_special_tokens if tokenizer.is_tekken else 0
    pieces: dict[int, bytes] = {}
    for token in range(tokenizer.vocab_size):
        if tokenizer.is_tekken:
            pieces[token] = SPECIAL if token < special else inner.id_to_byte_piece(token)
        else:
            text = inner.id_to_piece(token)
            match = _BYTE_TOKEN.fullmatch(text)
            control = text in ("<s>", "</s>", "<unk>") or text.startswith("[")
            if match:
                pieces[token] = bytes([int(match.group(1), 16)])
            else:
                plain = text.replace(_METASPACE, " ").encode()
                pieces[token] = SPECIAL if control else plain
    return pieces


def _check(tokenizer: Any, pieces: dict[int, bytes]) -> None:
    """Compare pairs of tokens with the tokenizer's own decoding of them."""
    # Clean-up rewrites spaces before punctuation, which folding ignores, so compare without it.
    ordinary = sorted(token for token, data in pieces.items() if data and data != SPECIAL)
    draw = random.Random(0)  # noqa: S311 - a sample, not a secret
    for _ in range(_CHECKED_PAIRS):
        pair = [draw.choice(ordinary), draw.choice(ordinary)]
        ours = b"".join(pieces[token] for token in pair).decode("utf-8", "replace")
        theirs = tokenizer.decode(
            pair, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        if ours.strip() != theirs.strip():
            raise EngineUnsupportedError(
                f"token bytes of `{type(tokenizer).__name__}` disagree with its decoding",
                fix="report the model's name, so that its tokenizer can be added and tested",
            )
