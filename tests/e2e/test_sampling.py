"""Every way of vLLM's to choose a token: what is forbidden is not said, and nobody else notices."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import Any

import openai
import pytest

from tests.e2e.asking import (
    RUN,
    WORDS,
    Asking,
    Said,
    chant,
    differ,
    longest_run,
    refrain,
    run_of,
    says,
    together,
)
from tests.e2e.conftest import MODEL, Stack

COUNTING = "one, two, three, four, five, six,"

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "temperature": {"temperature": 1.0, "n": 2},
    "seed": {"temperature": 0.8, "seed": 11, "n": 2},
    "top-k": {"temperature": 1.0, "top_k": 3, "seed": 2, "n": 2},
    "top-k of one": {"temperature": 1.0, "top_k": 1},
    "top-p": {"temperature": 1.0, "top_p": 0.5, "seed": 3, "n": 2},
    "min-p": {"temperature": 1.2, "min_p": 0.2, "seed": 4, "n": 2},
    "all of them": {"temperature": 1.0, "top_k": 5, "top_p": 0.9, "min_p": 0.05, "seed": 5},
    "rewards": {"presence_penalty": -2.0, "frequency_penalty": -2.0, "repetition_penalty": 0.5},
    "log probabilities": {"logprobs": 5, "temperature": 1.0, "seed": 6},
    "five answers": {"temperature": 1.0, "seed": 7, "n": 5},
}


@pytest.fixture(scope="module")
def asking(stack: Stack) -> Asking:
    return Asking.of(stack.engine, stack.key, stack.bundles, MODEL)


def test_no_way_of_sampling_says_what_is_forbidden(asking: Asking) -> None:
    cases = [(way, word) for way in WAYS for word in WORDS]
    calls = [
        partial(asking.ask, chant(word), forbidden, max_tokens=10, **WAYS[way])
        for way, word in cases
        for forbidden in ((), (word,))
    ]
    answers = together(calls)
    known = dict.fromkeys(WAYS, 0)
    for (way, word), free, guarded in zip(cases, answers[::2], answers[1::2], strict=True):
        known[way] += any(says(choice.text, word) for choice in free)
        assert len(guarded) == WAYS[way].get("n", 1)
        for choice in guarded:
            assert choice.text.strip(), (way, word)
            assert not says(choice.text, word), (way, word, choice.text)
    # The control: asked for the same in the same batch, the model says it.
    assert min(known.values()) >= len(WORDS) - 2, known


def test_penalties_on_what_was_said_leave_the_ban_in_place(asking: Asking) -> None:
    strong = {"presence_penalty": 2.0, "frequency_penalty": 2.0, "repetition_penalty": 1.5}
    for penalties in (strong, {"repetition_penalty": 1.2}, {"frequency_penalty": 0.5}):
        free, guarded = together(
            [partial(asking.ask, COUNTING, words, **penalties) for words in ((), ("seven",))]
        )
        assert says(free[0].text, "seven")
        assert not says(guarded[0].text, "seven")


def test_log_probabilities_name_no_forbidden_token(asking: Asking) -> None:
    free, guarded = together(
        [partial(asking.ask, chant("Paris"), words, logprobs=5) for words in ((), ("Paris",))]
    )
    assert any(" Paris" in step for step in free[0].steps)
    assert not any(" Paris" in step for step in guarded[0].steps)


def test_a_seed_gives_the_same_guarded_answer_again(asking: Asking) -> None:
    def ask() -> str:
        (said,) = asking.ask(chant("London", 3), ("London",), temperature=1, seed=4)
        return said.text

    assert ask() == ask()


def test_a_shared_prompt_in_the_prefix_cache_guards_each_request_for_itself(
    asking: Asking,
) -> None:
    shared = chant("Berlin", 120)
    hits = asking.metric("vllm:prefix_cache_hits_total")
    orders: list[tuple[str, ...]] = [(), ("Berlin",), (), ("Berlin",), ("Paris",)]
    for forbidden in orders:
        (said,) = asking.ask(shared, forbidden)
        assert says(said.text, "Berlin") == ("Berlin" not in forbidden)
    assert asking.metric("vllm:prefix_cache_hits_total") > hits + 100


def test_an_unguarded_request_is_the_same_in_a_busy_batch_as_alone(asking: Asking) -> None:
    prompts = [chant(word, times) for word in WORDS for times in (5, 12)]
    alone: list[Said] = [asking.ask(prompt, logprobs=2)[0] for prompt in prompts]
    crowd = [partial(asking.ask, chant(word), (word,), n=2, temperature=1) for word in WORDS * 3]
    free = [partial(asking.ask, prompt, logprobs=2) for prompt in prompts]
    mixed: list[Any] = [call for pair in zip(free, crowd, strict=False) for call in pair]
    answers = together(mixed)[::2]
    assert [differ(one, other[0]) for one, other in zip(alone, answers, strict=True)] == (
        [""] * len(prompts)
    )


def test_requests_that_join_leave_and_move_rows_keep_apart(asking: Asking) -> None:
    """Each stream may say all words but one; a third of them goes away in the middle."""
    draw = random.Random(8)
    finished: list[tuple[str, tuple[str, ...], str]] = []
    lock = threading.Lock()

    def follow(
        prompt: str, word: str, forbidden: tuple[str, ...], start: float, length: int, leave: int
    ) -> int:
        time.sleep(start)
        text = ""
        with asking.stream(prompt, forbidden, max_tokens=length, ignore_eos=True) as pieces:
            for count, piece in enumerate(pieces):
                text += piece
                if leave and count > leave:
                    break
        with lock:
            finished.append((word, forbidden, text))
        return len(text)

    calls = []
    for number in range(40):
        word = WORDS[number % len(WORDS)]
        other = draw.choice([name for name in WORDS if name != word])
        plans: list[tuple[str, ...]] = [(), (word,), (other,), (word, other), (run_of(word),)]
        forbidden = plans[number % 8 // 2 if number < 32 else -1]
        prompt = chant(word, draw.randrange(8, 20)) if number < 32 else refrain(word)
        leave = draw.randrange(3, 20) if number % 3 == 0 else 0
        length = draw.randrange(8, 64)
        calls.append(partial(follow, prompt, word, forbidden, draw.random() * 4, length, leave))
    draw.shuffle(calls)
    assert all(together(calls))
    assert len(finished) == len(calls)
    for word, forbidden, text in finished:
        if run_of(word) in forbidden:
            assert 0 < longest_run(text, word) <= RUN, (word, text)
        else:
            # Those that may say it, do: no other row's ban fell on theirs.
            assert says(text, word) == (word not in forbidden), (word, forbidden, text)


def test_beam_search_is_refused_by_the_engine_and_named_by_the_proxy(
    stack: Stack, asking: Asking
) -> None:
    for forbidden in ((), ("Paris",)):
        answer = asking.send(chant("Paris"), forbidden, use_beam_search=True, n=3)
        assert answer.status_code == 400
        assert "no guard plan" in answer.text
    with pytest.raises(openai.BadRequestError) as caught:
        stack.chat("Hello?", n=3, extra_body={"use_beam_search": True})
    assert caught.value.param == "use_beam_search"
    assert "beams" in caught.value.message
