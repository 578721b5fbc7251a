"""Several rows for a request in the V2 adapter: drafts, chunks, ranks, slots given up, grammars."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

pytest.importorskip("vllm", reason="the engine extra is not installed")

from vllm.sampling_params import StructuredOutputsParams

from guard.engine import vllm_v2
from guard.engine.rows import StepRows
from tests.guard.engine.conftest import END, VOCABULARY, Engine
from tests.guard.engine.test_vllm_v1 import PAIRS, MakeEngine, bans, expected_bans, text_of
from tests.guard.engine.test_vllm_v2 import SLOTS, Runner

LIKELY = [token for token, data in enumerate(VOCABULARY) if data and data in b" red blue abcafe"]
GRAMMAR = {"structured_outputs": StructuredOutputsParams(regex="x")}


def spell(text: str) -> list[int]:
    """A text in single letters."""
    return [VOCABULARY.index(bytes([letter])) for letter in text.encode()]


@pytest.fixture
def engine(make_engine: MakeEngine, small_tokenizer: Callable[[Any], None]) -> Engine:
    small_tokenizer(vllm_v2)
    return make_engine(PAIRS)


def accepted(logits: torch.Tensor, drafts: Sequence[int]) -> list[int]:
    """What greedy verification keeps of a request's drafts, and the token that follows."""
    kept = []
    for row, draft in enumerate(drafts):
        best = int(logits[row].argmax())
        kept.append(best)
        if best != draft:
            return kept
    return [*kept, int(logits[len(drafts)].argmax())]


def test_drafts_that_spell_a_phrase_are_stopped_at_its_last_token(engine: Engine) -> None:
    runner = Runner(engine, 4)
    runner.join(0, engine.args("letters"), spell("xy "), 3)
    runner.join(1, engine.args(), spell("xy "), 3)
    drafts = spell("abcd")
    liked = torch.zeros(10, len(VOCABULARY))
    for offset, token in enumerate([*drafts, spell("e")[0]]):
        # The model likes every draft best, and the letter after them.
        liked[[offset, 5 + offset], token] = 5.0
    runner.processor.apply_staged_writes()
    logits = runner.apply([0, 1], {0: drafts, 1: drafts}, liked)
    guarded, free = accepted(logits[:5], drafts), accepted(logits[5:], drafts)
    assert text_of(free) == b"abcde"
    assert text_of(guarded)[:2] == b"ab"
    assert guarded[2] != drafts[2]
    assert len(guarded) == 3


def test_rejected_drafts_leave_no_trace(engine: Engine) -> None:
    runner = Runner(engine, 3)
    runner.join(0, engine.args("letters", "colours"), spell("x "), 2)
    for drafts in (spell("abx"), spell("bl"), spell("ab")):
        runner.step([0], {0: drafts})
        runner.commit(0, spell(" "))
    # Had the drafts "ab" counted, "c" would be banned now, or "ue" after "bl".
    assert bans(runner.step([0], {}), 0) == expected_bans(runner.text[0], ["letters", "colours"])
    assert spell("c")[0] not in expected_bans(runner.text[0], ["letters", "colours"])
    runner.commit(0, spell("ab"))
    assert spell("c")[0] in bans(runner.step([0], {}), 0)


def test_drafts_that_stand_for_nothing_change_no_other_row(engine: Engine) -> None:
    # vLLM marks them so where a step begins within the prompt (`gather_draft_sampled`).
    runner = Runner(engine, 2)
    runner.join(0, engine.args("letters"), spell("ab"), 2)
    runner.join(1, engine.args("letters"), spell(" ab"), 3)
    logits = runner.step([0, 1], {0: [-1, -1], 1: [-1]})
    assert bans(logits, 0) == expected_bans(spell("ab"), ["letters"]) != set()
    assert bans(logits, 3) == expected_bans(spell(" ab"), ["letters"]) != set()
    runner.commit(0, spell(" ab"))
    assert bans(runner.step([0], {}), 0) == expected_bans(spell("ab ab"), ["letters"]) != set()


def test_no_token_that_a_vocabulary_lacks_reaches_the_kernels(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They would read beside their tables.
    runner = Runner(engine, 2)
    runner.join(0, engine.args("letters"), spell("ab"), 2)
    fed: list[int] = []
    rows = runner.processor._rows
    penalise = rows.penalise

    def watched(logits: torch.Tensor, step: StepRows, slots: Any) -> None:
        fed.extend(step.token.tolist())
        penalise(logits, step, slots)

    monkeypatch.setattr(rows, "penalise", watched)
    runner.step([0], {0: [-1, -1]})
    assert len(fed) == 3
    assert min(fed) >= 0


def test_a_batch_verified_in_chunks_is_guarded_like_a_whole_one(engine: Engine) -> None:
    draw = random.Random(2)
    whole, parts = Runner(engine, 3), Runner(engine, 3)
    for slot in range(SLOTS):
        text, names = draw.choices(LIKELY, k=4), draw.sample(["accents", "colours", "letters"], 2)
        for runner in (whole, parts):
            runner.join(slot, engine.args(*names), text, 4)
    for _ in range(20):
        order = draw.sample(range(SLOTS), SLOTS)
        drafts = {slot: draw.choices(LIKELY, k=draw.randrange(4)) for slot in order}
        expected = whole.step(order, drafts)
        parts.processor.apply_staged_writes()
        cut = draw.randrange(1, SLOTS)
        rows = sum(1 + len(drafts[slot]) for slot in order[:cut])
        blank = torch.zeros(len(expected), len(VOCABULARY))
        first = parts.apply(order[:cut], drafts, blank[:rows])
        second = parts.apply(order[cut:], drafts, blank[rows:])
        assert torch.equal(torch.cat([first, second]), expected)
        for slot in order:
            tokens = [*drafts[slot][: draw.randrange(4)], draw.choice(LIKELY)]
            whole.commit(slot, tokens)
            parts.commit(slot, tokens)


def test_tokens_that_other_ranks_sampled_are_read_when_a_slot_comes_back(engine: Engine) -> None:
    # Where vLLM shards a batch, a rank sees a request only in some steps.
    draw = random.Random(4)
    runner = Runner(engine, 2)
    names = ["accents", "colours", "letters"]
    for slot in range(SLOTS):
        runner.join(slot, engine.args(*names), draw.choices(LIKELY, k=3), 3)
    met = 0
    for _ in range(12):
        order = draw.sample(range(SLOTS), 2)
        drafts = {slot: draw.choices(LIKELY, k=draw.randrange(3)) for slot in order}
        logits = runner.step(order, drafts)
        row = 0
        for slot in order:
            for offset in range(len(drafts[slot]) + 1):
                expected = expected_bans([*runner.text[slot], *drafts[slot][:offset]], names)
                assert bans(logits, row) == expected
                met += bool(expected)
                row += 1
        for slot in range(SLOTS):
            runner.commit(slot, draw.choices(LIKELY, k=draw.randrange(1, 4)))
    assert met > 10


def test_a_preempted_request_goes_on_in_another_slot(engine: Engine) -> None:
    runner = Runner(engine, 2)
    runner.join(0, engine.args("letters"), spell("x "), 2)
    runner.step([0], {0: spell("ab")})
    runner.commit(0, spell("ab"))
    text = runner.text.pop(0)
    # Another request takes its slot; it comes back in a third, its output now part of what is fed.
    runner.join(0, engine.args("colours"), spell("x"), 1)
    runner.join(3, engine.args("letters"), text, 2)
    logits = runner.step([0, 3], {3: spell("x")})
    assert bans(logits, 0) == expected_bans(spell("x"), ["colours"])
    assert bans(logits, 1) == expected_bans(text, ["letters"]) != set()
    assert bans(logits, 2) == expected_bans([*text, *spell("x")], ["letters"])


def test_a_grammar_that_leaves_only_what_is_forbidden_ends_the_answer(engine: Engine) -> None:
    runner = Runner(engine, 2)
    c, d = spell("cd")
    for slot, args in ((0, engine.args("letters")), (1, engine.args("letters")), (2, {})):
        runner.join(slot, args or engine.args(), spell("x "), 2, **GRAMMAR)
    runner.processor.apply_staged_writes()
    allowed = torch.full((5, len(VOCABULARY)), float("-inf"))
    # Slot 0 may only say "abc"; slot 1 has another way on after it; slot 2 is not guarded.
    for row, token in enumerate(spell("abc")):
        allowed[row, token] = 1.0
    allowed[3, [c, d]] = 1.0
    kept = allowed.clone()
    logits = runner.apply([0, 1, 2], {0: spell("ab")}, allowed)
    assert torch.equal(logits[:2], kept[:2])
    assert logits[2].argmax() == END
    assert bans(logits, 2) == set(range(len(VOCABULARY))) - {END}
    assert torch.equal(logits[3], kept[3])
    assert torch.equal(logits[4], kept[4])
    assert not logits.isnan().any()


def test_an_unguarded_row_with_nothing_left_is_not_the_guards_affair(engine: Engine) -> None:
    runner = Runner(engine, 0)
    runner.join(0, engine.args(), spell("x"), 1, **GRAMMAR)
    runner.join(1, engine.args("letters"), spell("x"), 1)
    runner.processor.apply_staged_writes()
    nothing = torch.full((1, len(VOCABULARY)), float("-inf"))
    logits = runner.apply([0, 1], {}, torch.cat([nothing, torch.zeros(1, len(VOCABULARY))]))
    assert torch.equal(logits[:1], nothing)
