"""Protected texts through the V1 adapter: rows join, move, are preempted and leave."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("vllm", reason="the engine extra is not installed")

from vllm import SamplingParams
from vllm.v1.sample.logits_processor.interface import BatchUpdate, MoveDirectionality

from guard.bundle_writing import write_bundle
from guard.engine import enforcer, vllm_v1
from guard.engine.vllm_v1 import GuardLogitsProcessor
from guard.phrase_table import BundlePhrase
from guard.plan import BUNDLES_VARIABLE, KEY_VARIABLE
from tests.guard.engine.conftest import KEY, VOCABULARY, Engine, target, vllm_settings
from tests.guard.engine.oracle import completed
from tests.guard.engine.test_verbatim import Corpus, expected
from tests.guard.words import filter_of

CORPORA: dict[str, Corpus] = {
    "song": (["red blue red can blue blue red can red", "a cafe a can"], 2),
    "verse": (["can red blue red can"], 3),
}
PHRASES = {"letters": "abc"}
TARGETS = [*CORPORA, *PHRASES]
LIKELY = [
    token
    for token, data in enumerate(VOCABULARY)
    if data in (b" red", b" blue", b" can", b" ", b"a")
]


def protecting_engine(folder: Path) -> Engine:
    """An engine environment for ``CORPORA`` and ``PHRASES``, over ``VOCABULARY``."""
    bundle = write_bundle(
        folder,
        targets=[target(name) for name in TARGETS],
        phrases=[BundlePhrase(text, TARGETS.index(name), "hard") for name, text in PHRASES.items()],
        verbatim=[(TARGETS.index(name), filter_of(*corpus)) for name, corpus in CORPORA.items()],
    )
    return Engine(bundle, vllm_settings())


@pytest.fixture
def engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_tokenizer: Callable[[Any], None]
) -> Iterator[Engine]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv(BUNDLES_VARIABLE, str(tmp_path))
    enforcer._trust.cache_clear()
    small_tokenizer(vllm_v1)
    yield protecting_engine(tmp_path)
    enforcer._trust.cache_clear()


def bans_of(tokens: list[int], targets: tuple[str, ...]) -> set[int]:
    text = b"".join(VOCABULARY[token] for token in tokens)
    phrases = [text for name, text in PHRASES.items() if name in targets]
    by_phrase = {token for token, data in enumerate(VOCABULARY) if completed(text, data, phrases)}
    active = [name in targets for name in CORPORA]
    return by_phrase | expected(text, VOCABULARY, list(CORPORA.values()), active)


def test_any_schedule_of_rows_keeps_every_bound(engine: Engine) -> None:
    processor = GuardLogitsProcessor(engine.config, torch.device("cpu"), False)
    draw = random.Random(3)
    rows: dict[int, tuple[list[int], list[int], tuple[str, ...]]] = {}
    runs_met = 0
    for _ in range(200):
        removed = [row for row in rows if draw.random() < 0.04]
        for row in removed:
            del rows[row]
        added = []
        for row in range(5):
            if row not in rows and draw.random() < 0.3:
                prompt, output = (draw.choices(LIKELY, k=draw.randrange(5)) for _ in range(2))
                targets = tuple(sorted(draw.sample(TARGETS, draw.randrange(4))))
                rows[row] = (prompt, output, targets)
                params = SamplingParams(extra_args=engine.args(*targets))
                added.append((row, params, prompt, output))
        moved = []
        if draw.random() < 0.2 and len(rows) > 1:
            one, two = draw.sample(sorted(rows), 2)
            rows[one], rows[two] = rows[two], rows[one]
            moved.append((one, two, MoveDirectionality.SWAP))
        changed = removed or added or moved
        processor.update_state(
            BatchUpdate(batch_size=5, removed=removed, added=added, moved=moved)
            if changed
            else None
        )
        logits = processor.apply(torch.zeros(5, len(VOCABULARY)))
        for row in range(5):
            banned = set((logits[row] == float("-inf")).nonzero().flatten().tolist())
            wanted = set()
            if row in rows:
                prompt, output, targets = rows[row]
                wanted = bans_of([*prompt, *output], targets)
                runs_met += bool(wanted)
                output.append(draw.choice(LIKELY))
            assert banned == wanted, rows.get(row)
    assert runs_met > 50


def test_a_bundle_without_protected_texts_reads_no_words(tmp_path: Path, engine: Engine) -> None:
    plain = write_bundle(
        tmp_path, targets=[target("letters")], phrases=[BundlePhrase("abc", 0, "hard")]
    )
    processor = GuardLogitsProcessor(engine.config, torch.device("cpu"), False)
    args = engine.args("letters", digest=plain.digest)
    params = SamplingParams(extra_args=args)
    processor.update_state(
        BatchUpdate(batch_size=1, removed=[], added=[(0, params, [1, 2], [])], moved=[])
    )
    banned = processor.apply(torch.zeros(1, len(VOCABULARY))) == float("-inf")
    assert banned.nonzero().tolist() == [[0, 3]]
    assert processor._enforcer.tokens.runs is None
