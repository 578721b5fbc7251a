"""The V1 adapter against vLLM's own interface: rows join, move, are preempted and leave."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

pytest.importorskip("vllm", reason="the engine extra is not installed")

from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.sample.logits_processor.interface import BatchUpdate, MoveDirectionality

from guard.bundle import CANARY_PHRASE, CANARY_TARGET
from guard.engine import vllm_v1
from guard.engine.vllm_v1 import GuardLogitsProcessor
from guard.plan import XARG
from tests.guard.engine.conftest import END, VOCABULARY, Engine
from tests.guard.engine.oracle import completed

PAIRS = [("colours", "red"), ("colours", "blue"), ("letters", "abc"), ("accents", "cafe")]
MakeEngine = Callable[[Sequence[tuple[str, str]]], Engine]
SWAP, MOVE = MoveDirectionality.SWAP, MoveDirectionality.UNIDIRECTIONAL


@pytest.fixture
def engine(make_engine: MakeEngine, small_tokenizer: Callable[[Any], None]) -> Engine:
    small_tokenizer(vllm_v1)
    return make_engine(PAIRS)


@pytest.fixture
def processor(engine: Engine) -> GuardLogitsProcessor:
    return GuardLogitsProcessor(engine.config, torch.device("cpu"), False)


def params(args: dict[str, Any]) -> SamplingParams:
    return SamplingParams(extra_args=args)


def update(
    removed: Sequence[int] = (), added: Sequence[Any] = (), moved: Sequence[Any] = (), size: int = 8
) -> BatchUpdate:
    return BatchUpdate(batch_size=size, removed=removed, added=added, moved=moved)


def text_of(tokens: Sequence[int]) -> bytes:
    return b"".join(VOCABULARY[token] for token in tokens)


def expected_bans(tokens: Sequence[int], targets: Sequence[str]) -> set[int]:
    phrases = [text for name, text in PAIRS if name in targets]
    return {
        token for token, data in enumerate(VOCABULARY) if completed(text_of(tokens), data, phrases)
    }


def bans(logits: torch.Tensor, row: int) -> set[int]:
    return set((logits[row] == float("-inf")).nonzero().flatten().tolist())


def test_any_schedule_of_rows_bans_what_each_text_demands(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    draw = random.Random(7)
    rows: dict[int, tuple[list[int], list[int], tuple[str, ...]]] = {}
    steps_with_bans = 0
    for _ in range(300):
        removed = [row for row in rows if draw.random() < 0.08]
        for row in removed:
            del rows[row]
        added = []
        for row in range(6):
            if row not in rows and draw.random() < 0.3:
                prompt = [draw.randrange(1, len(VOCABULARY)) for _ in range(draw.randrange(6))]
                # A preempted request returns with the output it already had.
                output = [draw.randrange(1, len(VOCABULARY)) for _ in range(draw.randrange(3))]
                targets = tuple(
                    sorted(draw.sample(["accents", "colours", "letters"], draw.randrange(4)))
                )
                rows[row] = (prompt, output, targets)
                added.append((row, params(engine.args(*targets)), prompt, output))
        moved = []
        if draw.random() < 0.3:
            one, two = draw.sample(range(6), 2)
            if one in rows and two in rows:
                rows[one], rows[two] = rows[two], rows[one]
                moved.append((one, two, SWAP))
            elif one in rows:
                rows[two] = rows.pop(one)
                moved.append((one, two, MOVE))
        changed = removed or added or moved
        processor.update_state(update(removed, added, moved) if changed else None)
        logits = processor.apply(torch.zeros(6, len(VOCABULARY)))
        for row in range(6):
            wanted = set()
            if row in rows:
                prompt, output, targets = rows[row]
                wanted = expected_bans([*prompt, *output], targets)
                # Mostly walk towards phrases, so that bans do occur.
                likely = [t for t, d in enumerate(VOCABULARY) if d and d in b" red blue abcafe"]
                output.append(draw.choice(likely))
            steps_with_bans += bool(wanted)
            assert bans(logits, row) == wanted
    assert steps_with_bans > 100


def test_a_request_without_active_targets_costs_no_row(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    processor.update_state(update(added=[(0, params(engine.args()), [1], [])]))
    logits = torch.randn(1, len(VOCABULARY))
    kept = logits.clone()
    assert torch.equal(processor.apply(logits), kept)
    assert processor._rows == {}


@pytest.mark.parametrize("args", [None, {}, {XARG: ""}, {XARG: "ug1.e30.00"}, {XARG: 7}])
def test_a_request_without_a_genuine_plan_is_refused(
    processor: GuardLogitsProcessor, args: dict[str, Any] | None
) -> None:
    with pytest.raises(ValueError, match=r"unlearn-guard: .*(no guard plan|signature)"):
        GuardLogitsProcessor.validate_params(SamplingParams(extra_args=args))


def test_a_plan_for_an_unknown_bundle_or_target_is_refused(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    with pytest.raises(ValueError, match="share the proxy's bundle folder"):
        GuardLogitsProcessor.validate_params(params(engine.args("colours", digest="0" * 64)))
    with pytest.raises(ValueError, match="targets that its bundle does not have"):
        GuardLogitsProcessor.validate_params(params(engine.args("nobody")))


def test_a_plan_that_cannot_be_kept_after_all_ends_the_answer_and_no_other(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    broken = params(engine.args("colours", digest="0" * 64))
    processor.update_state(
        update(added=[(0, broken, [1], []), (1, params(engine.args("letters")), [], [])])
    )
    logits = processor.apply(torch.zeros(2, len(VOCABULARY)))
    assert bans(logits, 0) == set(range(len(VOCABULARY))) - {END}
    assert bans(logits, 1) == expected_bans([], ["letters"])


def test_a_bundle_that_memory_is_too_short_for_ends_the_answer_and_no_other(
    engine: Engine, processor: GuardLogitsProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = processor._enforcer._bundles.get

    def get(digest: str) -> Any:
        if digest == engine.bundle.digest:
            raise torch.OutOfMemoryError("none left")
        return real(digest)

    monkeypatch.setattr(processor._enforcer._bundles, "get", get)
    processor.update_state(update(added=[(0, params(engine.args("colours")), [1], [])]))
    logits = processor.apply(torch.zeros(1, len(VOCABULARY)))
    assert bans(logits, 0) == set(range(len(VOCABULARY))) - {END}


def test_a_token_of_the_prompt_beyond_the_models_own_parts_words(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    # vLLM takes ids as high as the tokenizer's, which may have more than the model has.
    bl, beyond = VOCABULARY.index(b"bl"), len(VOCABULARY) + 3
    for prompt in ([beyond], [beyond, bl], [bl, beyond]):
        processor.update_state(update(added=[(0, params(engine.args("colours")), prompt, [])]))
        logits = processor.apply(torch.zeros(1, len(VOCABULARY)))
        known = [bl] if prompt[-1] == bl else []
        assert bans(logits, 0) == expected_bans(known, ["colours"])


def test_unknown_output_tokens_end_the_answer_rather_than_pass_unguarded(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    processor.update_state(update(added=[(0, params(engine.args("colours")), [1], [-1])]))
    logits = processor.apply(torch.zeros(1, len(VOCABULARY)))
    assert logits[0].argmax().item() == END


def test_a_row_that_a_grammar_leaves_nothing_ends_and_no_other(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    grammar = StructuredOutputsParams(regex="abc")
    guarded = SamplingParams(extra_args=engine.args("letters"), structured_outputs=grammar)
    free = SamplingParams(extra_args=engine.args(), structured_outputs=grammar)
    ab, c = [VOCABULARY.index(b"a"), VOCABULARY.index(b"b")], VOCABULARY.index(b"c")
    processor.update_state(
        update(added=[(0, guarded, ab, []), (1, free, ab, []), (2, guarded, ab[:1], [])])
    )
    logits = torch.full((3, len(VOCABULARY)), float("-inf"))
    logits[:, c] = 1.0
    kept = logits.clone()
    logits = processor.apply(logits)
    assert bans(logits, 0) == set(range(len(VOCABULARY))) - {END}
    assert torch.equal(logits[1:], kept[1:])


def test_tokens_that_vllm_takes_back_are_forgotten(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    # As where the KV cache of some could not be loaded (`_update_states` of its model runner).
    space, a, b = (VOCABULARY.index(letter) for letter in (b" ", b"a", b"b"))
    output: list[int] = []
    processor.update_state(update(added=[(0, params(engine.args("letters")), [space], output)]))
    for token in (a, b):
        processor.apply(torch.zeros(1, len(VOCABULARY)))
        output.append(token)
    assert bans(processor.apply(torch.zeros(1, len(VOCABULARY))), 0)
    del output[1:]
    logits = processor.apply(torch.zeros(1, len(VOCABULARY)))
    assert bans(logits, 0) == expected_bans([space, a], ["letters"]) == set()
    output.append(b)
    logits = processor.apply(torch.zeros(1, len(VOCABULARY)))
    assert bans(logits, 0) == expected_bans([space, a, b], ["letters"]) != set()


def generate(processor: GuardLogitsProcessor, args: dict[str, Any], guarded: bool = True) -> bytes:
    output: list[int] = []
    processor.update_state(update(added=[(0, params(args), [1, 2], output)]))
    if not guarded:
        for row in processor._rows.values():
            row.needs.active.zero_()
    for _ in range(80):
        logits = processor.apply(torch.randn(1, len(VOCABULARY)))
        token = int(logits[0].argmax())
        if token == END:
            break
        output.append(token)
    return text_of(output)


def test_the_canary_says_its_nonce_and_not_the_phrase(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    answer = generate(processor, engine.args(CANARY_TARGET, mode="probe", nonce="qwxyz"))
    assert answer.decode() == " unlearn guard canar qwxyz"


def test_the_canary_says_its_phrase_where_the_ban_does_not_hold(
    engine: Engine, processor: GuardLogitsProcessor
) -> None:
    args = engine.args(CANARY_TARGET, mode="probe", nonce="qwxyz")
    assert CANARY_PHRASE in generate(processor, args, guarded=False).decode()
