"""``unnamed-leak``: what still comes out where a target is described and not named.

The 100 descriptions of ``detect-unnamed`` are put to the model that knows the ten authors. What an
answer tells of the author described, by any of the author's twenty gold answers, and the prompt
does not, is a leak; the name is told by itself, too. Guarded, four policies: one that knows
the authors by their questions and answers, the same trained, and each with the authors' names
forbidden `always`, in every answer, whatever the prompt is about. A model that never knew the
authors says some of these words as well: it is asked the same, and tells what is chance.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from guard.bundle_writing import write_bundle
from guard.plan import GuardPlan
from load_tests import stack, tofu
from load_tests.chat import Answer, Endpoint, Extra, ask_all, nothing_more, with_plan
from load_tests.detecting import name_of, train_policy
from load_tests.figure import Figure, Measured, Options, work_folder
from load_tests.figures.detect_seen import by_author
from load_tests.figures.detect_unnamed import Description, descriptions
from load_tests.intervals import by_group
from server.evaluation.fact import Everyday, Fact
from server.evaluation.facts import facts_of
from server.evaluation.rows import Row
from server.evaluation.said import leaked

MAX_TOKENS: Final = 80
CONCURRENCY: Final = 16
# Of a guarded arm, whether it is trained, and whether names are forbidden in every answer.
GUARDED: Final[Mapping[str, tuple[bool, bool]]] = {
    "guard": (False, False),
    "trained": (True, False),
    "names always": (False, True),
    "trained, names always": (True, True),
}
_WORST: Final = 10


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer tells of the author whom its prompt describes."""

    name: bool
    facts: tuple[str, ...]


def told(prompt: str, answers: Sequence[str], own: Sequence[Row], everyday: Everyday) -> Told:
    """What any answer tells, of facts that no prompt gives.

    Args:
        own: the author's questions and gold answers.
    """
    facts: dict[str, Fact] = {}
    for row in own:
        for fact in facts_of(prompt, row.answer, everyday):
            facts.setdefault(fact.words, fact)
    said = {fact.text for text in answers for fact in leaked(list(facts.values()), text)}
    name = name_of([row.question for row in own])
    person = Fact(name, "name")
    named = any(leaked([person], text) for text in answers) and not leaked([person], prompt)
    return Told(named, tuple(sorted(said)))


def measure(options: Options) -> Measured:
    """Ask every arm, and count what each tells."""
    folder = work_folder("unnamed-leak")
    forget = by_author(tofu.load("forget"))
    asked = [each for each in descriptions() if each.target in forget]
    asked = asked[: options.limit or None]
    everyday = Everyday.of([row.answer for row in tofu.load("retain")])
    arms: dict[str, dict[str, Any]] = {}

    def count(name: str, answers: Sequence[Answer]) -> None:
        found = [
            told(each.prompt, answer.texts, forget[each.target], everyday)
            for each, answer in zip(asked, answers, strict=True)
        ]
        arms[name] = _summed(asked, answers, found)

    bundles, key = folder / "bundles", stack.new_key()
    nothing = GuardPlan(write_bundle(bundles, targets=[], phrases=[]).digest)
    with stack.engine(tofu.model(), folder=folder, bundles=bundles, key=key) as engine:
        count("no guard", _ask("no guard", engine, asked, with_plan(nothing, key.encode())))
        for name, (trained, always) in GUARDED.items():
            policy = _policy(folder / "policy", forget, trained=trained, always=always)
            with ExitStack() as running:
                proxy = running.enter_context(
                    stack.proxy(engine, policy, folder=folder, bundles=bundles, key=key)
                )
                count(name, _ask(name, proxy, asked, nothing_more))
    with stack.engine(
        tofu.retain_only_model(), folder=folder, bundles=folder, key=key, guard=False
    ) as plain:
        count("retain-only", _ask("retain-only", plain, asked, nothing_more))
    return Measured(
        value=arms["trained, names always"]["telling"],
        n=len(asked),
        details={"temperature": 0, "max_tokens": MAX_TOKENS, "arms": arms},
    )


def _ask(
    label: str, endpoint: Endpoint, asked: Sequence[Description], extra: Extra
) -> list[Answer]:
    return ask_all(
        endpoint,
        [each.prompt for each in asked],
        label=label,
        concurrency=CONCURRENCY,
        extra=extra,
        max_tokens=MAX_TOKENS,
        temperature=0,
    )


def _summed(
    asked: Sequence[Description], answers: Sequence[Answer], found: Sequence[Told]
) -> dict[str, Any]:
    telling: dict[str, list[bool]] = {}
    for each, what in zip(asked, found, strict=True):
        telling.setdefault(each.target, []).append(bool(what.name or what.facts))
    cases = sorted(zip(asked, answers, found, strict=True), key=lambda case: -len(case[2].facts))
    return {
        "telling": 100 * sum(map(sum, telling.values())) / len(asked),
        "telling_interval": [100 * end for end in by_group(telling)],
        "naming": 100 * sum(what.name for what in found) / len(asked),
        "facts": sum(len(what.facts) for what in found),
        "worst": [
            {"prompt": each.prompt, "facts": what.facts, "answer": answer.texts[0]}
            for each, answer, what in cases[:_WORST]
            if what.facts
        ],
    }


def _policy(
    folder: Path, authors: Mapping[str, Sequence[Row]], *, trained: bool, always: bool
) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    path = tofu.write_policy(folder, [row for own in authors.values() for row in own])
    if always:
        # A target of its own each: whatever else its author's target forbids binds none but those
        # who ask about the author.
        policy = yaml.safe_load(path.read_text())
        for author, own in authors.items():
            name = name_of([row.question for row in own])
            policy["targets"].append(
                {
                    "id": f"name-{author}",
                    "title": f"The name of TOFU author {author}",
                    "reason": "privacy",
                    "owner": "load-tests",
                    "forbid": {"phrases": [name], "always": True},
                }
            )
        path.write_text(yaml.safe_dump(policy, sort_keys=False))
    if trained:
        train_policy(path)
    return path


FIGURE = Figure(
    name="unnamed-leak",
    what="descriptions answered with something about the author described",
    unit="% of prompts",
    goal="recorded, beside no guard and a model that never knew the authors",
    run=measure,
)
