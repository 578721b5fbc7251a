"""Protected texts through the V2 adapter: slots that come and go, rows for draft tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="the engine extra is not installed")

from guard.engine import enforcer, vllm_v2
from guard.plan import BUNDLES_VARIABLE, KEY_VARIABLE
from tests.guard.engine.conftest import KEY, Engine
from tests.guard.engine.test_vllm_v1 import bans
from tests.guard.engine.test_vllm_v1_verbatim import LIKELY, TARGETS, bans_of, protecting_engine
from tests.guard.engine.test_vllm_v2 import LENGTH, SLOTS, Runner


@pytest.fixture
def engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_tokenizer: Callable[[Any], None]
) -> Iterator[Engine]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv(BUNDLES_VARIABLE, str(tmp_path))
    enforcer._trust.cache_clear()
    small_tokenizer(vllm_v2)
    yield protecting_engine(tmp_path)
    enforcer._trust.cache_clear()


@pytest.mark.parametrize("max_drafts", [0, 3])
def test_any_schedule_of_slots_keeps_every_bound(engine: Engine, max_drafts: int) -> None:
    draw = random.Random(max_drafts)
    runner = Runner(engine, max_drafts)
    wanted: dict[int, tuple[str, ...]] = {}
    rows_with_bans = 0
    for _ in range(100):
        for slot in range(SLOTS):
            full = len(runner.text.get(slot, [])) > LENGTH - 8
            if slot in runner.text and (full or draw.random() < 0.05):
                del runner.text[slot]
            if slot not in runner.text and draw.random() < 0.4:
                text = draw.choices(LIKELY, k=draw.randrange(1, 8))
                wanted[slot] = tuple(sorted(draw.sample(TARGETS, draw.randrange(4))))
                runner.join(slot, engine.args(*wanted[slot]), text, prompt_len=1)
        order = draw.sample(sorted(runner.text), draw.randrange(len(runner.text) + 1))
        if not order:
            continue
        drafts = {slot: draw.choices(LIKELY, k=draw.randrange(max_drafts + 1)) for slot in order}
        logits = runner.step(order, drafts)
        row = 0
        for slot in order:
            for offset in range(len(drafts[slot]) + 1):
                expected = bans_of([*runner.text[slot], *drafts[slot][:offset]], wanted[slot])
                rows_with_bans += bool(expected)
                assert bans(logits, row) == expected
                row += 1
            accepted = drafts[slot][: draw.randrange(len(drafts[slot]) + 1)]
            runner.commit(slot, [*accepted, draw.choice(LIKELY)])
    assert rows_with_bans > 20
