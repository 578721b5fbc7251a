"""From bundle to bundle only what changed is compiled, and nothing of the old one holds on."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.bundle import EngineBundle
from guard.bundle_loading import load_engine_bundle
from guard.bundle_writing import write_bundle
from guard.engine.matcher import PhraseMatcher, Tokens
from guard.engine.segment import compile_segment
from guard.engine.segments import MAX_SEGMENTS, SegmentSet, segments_of
from guard.engine.symbols import symbol_vocabulary
from guard.phrase_table import BundlePhrase
from tests.guard.engine.conftest import target

CPU = torch.device("cpu")
LETTERS = [bytes([letter]) for letter in b"abcdefghij "]


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(symbol_vocabulary(LETTERS), CPU)


def bundle_of(root: Path, policy: dict[str, list[str]]) -> EngineBundle:
    made = write_bundle(
        root,
        targets=[target(name) for name in policy],
        phrases=[
            BundlePhrase(text, index, "hard")
            for index, texts in enumerate(policy.values())
            for text in texts
        ],
    )
    return load_engine_bundle(root, made.digest)


def bans(
    made: SegmentSet, bundle: EngineBundle, tokens: Tokens, texts: list[list[int]]
) -> list[object]:
    """Which tokens each target bans after each text."""
    matcher = PhraseMatcher(tokens, made.bound)
    found: list[object] = []
    for index in range(len(bundle.target_ids)):
        logits = torch.zeros(len(texts), len(LETTERS))
        active = torch.zeros(len(texts), len(bundle.target_ids), dtype=torch.bool)
        active[:, index] = True
        matcher.penalise(logits, torch.arange(len(texts)), tokens.windows.read_texts(texts), active)
        found.append(logits.tolist())
    return found


def test_any_course_of_edits_bans_what_a_fresh_compile_would(
    tokens: Tokens, tmp_path: Path
) -> None:
    draw = random.Random(3)

    def word() -> str:
        return "".join(draw.choice("abcdefghij") for _ in range(draw.randrange(2, 9)))

    policy = {f"t{i}": [word() for _ in range(4)] for i in range(8)}
    held: SegmentSet | None = None
    for step in range(25):
        change = draw.randrange(4)
        name = draw.choice(sorted(policy))
        if change == 0:
            policy[f"n{step}"] = [word() for _ in range(draw.randrange(1, 4))]
        elif change == 1 and len(policy) > 2:
            del policy[name]
        elif change == 2:
            policy[name] = [*policy[name], word()]
        else:
            policy = dict(draw.sample(sorted(policy.items()), len(policy)))
        bundle = bundle_of(tmp_path, policy)
        held = segments_of(bundle, tokens, held.segments if held else ())
        assert len(held.segments) <= MAX_SEGMENTS
        phrases = [text for texts in policy.values() for text in texts]
        texts = [
            [LETTERS.index(letter.encode()) for letter in text[: draw.randrange(len(text))]]
            for text in draw.sample(phrases, min(6, len(phrases)))
        ]
        fresh = segments_of(bundle, tokens)
        assert bans(held, bundle, tokens, texts) == bans(fresh, bundle, tokens, texts)


def test_one_more_target_compiles_that_target_alone(
    tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[int] = []

    def counting(texts: list[str], *rest: Any) -> object:
        compiled.append(len(texts))
        return compile_segment(texts, *rest)

    monkeypatch.setattr("guard.engine.segments.compile_segment", counting)
    policy = {f"t{i}": [f"abcdefg{'abcdefghij'[i]}"] for i in range(10)}
    first = segments_of(bundle_of(tmp_path, policy), tokens)
    more = {"new": ["jihgfedcba"], **policy}
    second = segments_of(bundle_of(tmp_path, more), tokens, first.segments)
    # The canary's phrase is one of the first eleven.
    assert compiled == [11, 1]
    assert second.segments[0] is first.segments[0]
    third = segments_of(
        bundle_of(tmp_path, {**more, "new": ["jihgfedcbb"]}), tokens, second.segments
    )
    assert compiled == [11, 1, 1]
    assert len(third.segments) == 2
