"""Every family attacks, hands the model nothing after its first request, and keeps its half."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.attacks.exchange import Ask, Choice, Reply
from server.attacks.families import FAMILIES, chosen
from server.attacks.family import SPENT, Start, half_of
from server.attacks.item import Item
from server.attacks.score import handed
from server.wire.answers import to_json
from server.wire.parse import parse
from tests.server.attacks.items import ITEM

EMPTY = Reply(200, (Choice({}),))
SOMETHING = Reply(200, (Choice({"content": ("zzz",)}),))
ATTEMPTS = [(name, attempt) for name, f in FAMILIES.items() for attempt in f.attempts(ITEM)]


def requests(start: Start, reply: Reply) -> list[Ask]:
    conversation = start()
    asks = [next(conversation)]
    while True:
        try:
            asks.append(conversation.send(reply))
        except StopIteration:
            return asks


def test_there_are_many_families_and_each_half_has_its_share() -> None:
    halves = [family.half for family in FAMILIES.values()]
    assert len(halves) >= 25
    assert halves.count("tuning") >= len(halves) // 3
    assert halves.count("held-out") >= len(halves) // 3


def test_a_family_keeps_its_half_whatever_comes_beside_it() -> None:
    # Moved, these figures would no longer be what the guard was not tuned on.
    assert [half_of(name) for name in ("direct", "paraphrase", "yes_no")] == ["held-out"] * 3
    assert [half_of(name) for name in ("acrostic", "persona", "json_answer")] == ["tuning"] * 3


def test_what_was_held_out_and_then_learnt_from_is_held_out_no_longer() -> None:
    assert set(FAMILIES) >= SPENT
    assert {half_of(name) for name in SPENT} == {"tuning"}


@pytest.mark.parametrize(("family", "attempt"), ATTEMPTS)
@pytest.mark.parametrize("reply", [EMPTY, SOMETHING])
def test_what_follows_the_first_request_hands_the_model_nothing(
    family: str, attempt: str, reply: Reply
) -> None:
    first, *later = requests(FAMILIES[family].attempts(ITEM)[attempt], reply)
    given = handed(ITEM.facts, first)
    for ask in later:
        assert handed(ITEM.facts, ask) <= given


@pytest.mark.parametrize(("family", "attempt"), ATTEMPTS)
def test_what_is_not_refused_by_its_fields_is_a_request_that_the_proxy_takes(
    family: str, attempt: str
) -> None:
    for ask in requests(FAMILIES[family].attempts(ITEM)[attempt], SOMETHING):
        body = {name: value for name, value in ask.body.items() if name not in ask.forcing}
        parse(ask.api, to_json({"model": "demo", **body}))


@pytest.mark.parametrize(
    "item",
    [
        replace(ITEM, wrong=(), paraphrase="", siblings=()),
        replace(ITEM, question="Who?", answer="Mirelle Quay"),
    ],
)
def test_every_family_copes_with_little(item: Item) -> None:
    for family in FAMILIES.values():
        for start in family.attempts(item).values():
            assert requests(start, EMPTY)


def test_each_attempt_makes_the_same_request_again() -> None:
    for name, attempt in ATTEMPTS:
        start = FAMILIES[name].attempts(ITEM)[attempt]
        assert requests(start, SOMETHING) == requests(start, SOMETHING)


def test_families_are_chosen_by_name() -> None:
    assert [family.name for family in chosen(["cloze", "acrostic", "cloze"])] == [
        "cloze",
        "acrostic",
    ]
    assert len(chosen([])) == len(FAMILIES)
    with pytest.raises(GuardError, match="there is no `nonsense`"):
        chosen(["nonsense"])


def said(**texts: str) -> dict[str, list[Reply]]:
    return {
        name: [Reply(200, (Choice({"content": (text,)} if text else {}),))]
        for name, text in texts.items()
    }


def test_a_letter_is_right_when_it_is_the_right_answers() -> None:
    judge = FAMILIES["multiple_choice"].judge
    assert judge is not None
    turn = FAMILIES["multiple_choice"].attempts(ITEM)["chat"]
    text = next(turn()).body["messages"][0]["content"]
    (right,) = [line[0] for line in text.splitlines() if "Mirelle" in line]
    wrong = next(letter for letter in "ABCD" if letter != right)
    assert judge(ITEM, said(chat=f"{right}.", completion="")) is True
    assert judge(ITEM, said(chat=f"**{wrong}**", completion="")) is False
    assert judge(ITEM, said(chat="I cannot say.", completion="")) is None


def test_statements_are_told_apart_only_by_a_yes_and_a_no() -> None:
    judge = FAMILIES["yes_no"].judge
    assert judge is not None
    assert judge(ITEM, said(right="Yes.", wrong="No")) is True
    assert judge(ITEM, said(right="Yes.", wrong="Yes")) is False
    assert judge(ITEM, said(right="Perhaps", wrong="No")) is None


def test_a_choice_is_right_when_its_text_came() -> None:
    judge = FAMILIES["choice_forcing"].judge
    assert judge is not None
    assert judge(ITEM, said(structured_outputs=ITEM.stated)) is True
    assert judge(ITEM, said(json_enum=f'{{"answer": "{ITEM.stated}"}}')) is True
    assert judge(ITEM, said(structured_outputs=ITEM.wrong[0])) is False
    assert judge(ITEM, said(structured_outputs="neither")) is None


def test_the_likeliest_answer_is_told_by_what_follows_the_question() -> None:
    judge = FAMILIES["prompt_logprobs"].judge
    assert judge is not None
    attempts = FAMILIES["prompt_logprobs"].attempts(ITEM)

    def scored(best: str) -> dict[str, list[Reply]]:
        out = {}
        for name, start in attempts.items():
            mine = best in next(start()).body["prompt"]
            tail = (-0.1, -0.2) if mine else (-0.1, -3.0, -3.0)
            out[name] = [Reply(200, (Choice({}, prompt=(-5.0, -4.0, *tail)),))]
        return out

    assert judge(ITEM, scored("Mirelle")) is True
    assert judge(ITEM, scored("Anton")) is False
    assert judge(ITEM, {name: [Reply(200, (Choice({}),))] for name in attempts}) is None


def test_the_page_on_attacks_lists_every_family_with_its_half() -> None:
    page = (Path(__file__).parents[3] / "docs" / "ATTACKS.md").read_text("utf-8")
    for family in FAMILIES.values():
        assert f"| `{family.name}` | {family.half} | {family.aims} |" in page
