"""One evaluation: ask every arm what the suites want to know, keep it, and score what is there."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from guard.errors import GuardError
from server.evaluation.asking import Endpoint, ask, ask_in_turn, identify
from server.evaluation.findings import ARMS, Said, Section, Suite
from server.evaluation.progress import bar
from server.evaluation.requests import Answer, Request
from server.evaluation.transcripts import Transcript, read

_FOLDER = "transcripts"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask, of whom, and where to keep it.

    Attributes:
        endpoints: by arm. An arm without one is read from the folder, if it is there.
        folder: of the report; transcripts lie below it.
    """

    suites: Sequence[Suite]
    endpoints: Mapping[str, Endpoint]
    folder: Path
    concurrency: int = 16


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of every arm that has answered everything.

    Attributes:
        identities: of each arm: its model, and behind a guard its version and the bundle in force.
    """

    by_arm: Mapping[str, Mapping[str, Answer]]
    identities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[str, ...]:
        """In the order of `ARMS`."""
        return tuple(arm for arm in ARMS if arm in self.by_arm)

    def __call__(self, arm: str, request: Request) -> Answer:
        """What an arm said."""
        return self.by_arm[arm][request.key]

    def holds(self, arm: str, request: Request) -> bool:
        """Whether it was asked this."""
        return request.key in self.by_arm[arm]


def transcript_file(folder: Path, arm: str) -> Path:
    """Where an arm's answers are kept."""
    return folder / _FOLDER / f"{arm}.jsonl"


def evaluate(plan: Plan) -> tuple[Answers, list[Section]]:
    """Ask what is missing, then score.

    Raises:
        GuardError: an endpoint failed, or the guarded or unguarded arm has no answers.
    """
    wanted: dict[str, list[Request]] = {arm: _first(plan.suites, arm) for arm in ARMS}
    asyncio.run(_ask(plan, wanted))
    said = _read(plan, wanted)
    more: dict[str, list[Request]] = {}
    for suite in plan.suites:
        for arm, requests in suite.follow_up(said).items():
            more.setdefault(arm, []).extend(requests)
    if any(more.values()):
        asyncio.run(_ask(plan, more))
        wanted = {arm: [*own, *more.get(arm, ())] for arm, own in wanted.items()}
        said = _read(plan, wanted, required=False)
    return said, [section for suite in plan.suites for section in scored(suite, said)]


def scored(suite: Suite, said: Said) -> list[Section]:
    """What a suite finds, with what was refused as a request: that counts as an empty answer."""
    shares: dict[str, float] = {}
    told: list[tuple[str, str]] = []
    follow_up = suite.follow_up(said)
    for arm in said.arms:
        asked = dict.fromkeys([*suite.requests(arm), *follow_up.get(arm, ())])
        answers = [said(arm, each) for each in asked if said.holds(arm, each)]
        refused = [answer.refused for answer in answers if answer.rejected]
        if refused:
            shares[arm] = len(refused) / len(answers)
            what = f"{len(refused)} of {len(answers)} were rejected ({refused[0][:100]})"
            told.append((f"requests of the {arm} model", f"{what}; they count as empty answers"))
    return [
        replace(each, not_applicable=(*each.not_applicable, *told), rejected=shares)
        for each in suite.score(said)
    ]


def _first(suites: Sequence[Suite], arm: str) -> list[Request]:
    return [request for suite in suites for request in suite.requests(arm)]


async def _ask(plan: Plan, wanted: Mapping[str, Sequence[Request]]) -> None:
    with contextlib.ExitStack() as open_:
        arms: dict[str, tuple[Endpoint, Transcript]] = {}
        for arm, endpoint in plan.endpoints.items():
            kept = Transcript(transcript_file(plan.folder, arm), await identify(endpoint))
            arms[arm] = (endpoint, open_.enter_context(kept))
        for arm, (endpoint, kept) in arms.items():
            untimed = [each for each in wanted.get(arm, ()) if not each.timed]
            missing = [each for each in dict.fromkeys(untimed) if kept.get(each) is None]
            with bar(len(missing), f"asking {arm}") as shown:
                await ask(endpoint, missing, kept, concurrency=plan.concurrency, tick=shown.update)
        timed = list(dict.fromkeys(r for own in wanted.values() for r in own if r.timed))
        open_timed = sum(kept.get(r) is None for r in timed for _, kept in arms.values())
        if arms and open_timed:
            with bar(open_timed, "timing, one at a time") as shown:
                await ask_in_turn(list(arms.values()), timed, shown.update)


def _read(plan: Plan, wanted: Mapping[str, Sequence[Request]], *, required: bool = True) -> Answers:
    by_arm: dict[str, Mapping[str, Answer]] = {}
    identities: dict[str, Mapping[str, str]] = {}
    for arm in ARMS:
        found = read(transcript_file(plan.folder, arm))
        missing = (
            [each for each in wanted.get(arm, ()) if each.key not in found[1]] if found else []
        )
        if found is not None and not (missing and required):
            identities[arm], by_arm[arm] = found
            continue
        if arm != "retain_only":
            raise GuardError(
                f"the {arm} model has not answered"
                + (f" {len(missing)} of the requests" if found else ""),
                fix=f"give its address with `--{arm}`",
            )
        if found is not None:
            sys.stderr.write(
                f"retain_only: {len(missing)} answers are missing, so it is left out; give its"
                " address with `--retain-only`\n"
            )
    return Answers(by_arm, identities)
