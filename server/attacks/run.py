"""One attack run: every arm asked, what is there already reused, everything counted."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from guard.errors import GuardError
from server.attacks.asking import Endpoint, Task, hold, served_model, tasks
from server.attacks.family import Family
from server.attacks.item import Item
from server.attacks.results import ARMS, Arm, Outcome, Result, count
from server.attacks.transcripts import Held, Key, Transcripts, digest
from server.evaluation.asking import Endpoint as EvaluationEndpoint
from server.evaluation.asking import bearer, identify

CONCURRENCY: Final = 16
# A larger share of requests without any answer, over all or in one family, and nothing is measured.
MOST_FAILED: Final = 0.01
MOST_FAILED_IN_FAMILY: Final = 0.1
# A larger share of requests that the guarded endpoint rejects as such, and it is not the guard.
MOST_REJECTED: Final = 0.5


class Bar(Protocol):
    """What of a progress bar is used."""

    def update(self) -> object:
        """One more is done."""


# Makes a progress bar: its name, and of how many steps.
Bars = Callable[[str, int], AbstractContextManager[Bar]]


@dataclass(frozen=True, slots=True)
class Run:
    """What to ask.

    Attributes:
        folder: of transcripts, one file an arm.
    """

    families: Sequence[Family]
    items: Sequence[Item]
    samples: int
    folder: Path

    def ask(self, arm: Arm, endpoint: Endpoint, bars: Bars, concurrency: int = CONCURRENCY) -> None:
        """Ask one model everything that it was not asked before, under this policy.

        Raises:
            GuardError: the folder cannot be written, or holds something else.
        """
        wanted, kept = self._tasks(), self._kept(arm)
        aside = kept.claim(asyncio.run(_identity(endpoint)))
        if aside is not None:
            sys.stderr.write(f"{arm}: another model or policy; its answers are now in {aside}\n")
        with bars(arm, len(wanted)) as bar:
            asyncio.run(hold(endpoint, wanted, kept, concurrency=concurrency, done=bar.update))

    def _tasks(self) -> list[Task]:
        return [task for f in self.families for task in tasks(f, self.items, self.samples)]

    def score(self) -> list[Result]:
        """Count what the transcripts of all arms give away.

        Raises:
            GuardError: the guarded model was not asked all of it, or a model did not answer: what
                was not answered has not been held back.
        """
        held = {arm: self._held(arm) for arm in ARMS if self._kept(arm).path.exists()}
        if "guarded" not in held:
            raise GuardError(f"there are no answers in `{self.folder}`", fix="give `--guarded`")
        if missing := len(self._tasks()) - len(held["guarded"]):
            raise GuardError(
                f"the guarded model was not asked {missing} of {len(self._tasks())} conversations",
                fix="give `--guarded`: it goes on where it was",
            )
        arms = {
            arm: {family.name: count(family, self.items, own) for family in self.families}
            for arm, own in held.items()
        }
        for arm, own in arms.items():
            _check(arm, own)
        return [
            Result(
                family,
                len(arms["guarded"][family.name].found),
                {arm: own[family.name] for arm, own in arms.items()},
            )
            for family in self.families
        ]

    def _held(self, arm: Arm) -> dict[Key, Held]:
        """Of what is kept, the conversations of this run: begun by the same request."""
        kept = self._kept(arm).read()
        return {
            task.key: own
            for task in self._tasks()
            if (own := kept.get(task.key)) is not None and own.first == digest(next(task.start()))
        }

    def _kept(self, arm: Arm) -> Transcripts:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GuardError(
                f"cannot write to `{self.folder}` ({error.strerror})",
                fix="give a folder you may write to",
            ) from error
        return Transcripts(self.folder / f"{arm}.jsonl")


def _check(arm: Arm, outcomes: Mapping[str, Outcome]) -> None:
    replies = sum((outcome.replies for outcome in outcomes.values()), Counter[str]())
    if not replies:
        raise GuardError(f"the {arm} model was not asked these questions", fix="ask it as well")
    if replies["failed"] > MOST_FAILED * replies.total():
        raise GuardError(
            f"{replies['failed']} of {replies.total()} requests to the {arm} model failed",
            fix="see the last `error` in its transcript, mend it, and run this again: what was"
            " answered is kept",
        )
    for name, outcome in outcomes.items():
        own = outcome.replies
        if own["failed"] > MOST_FAILED_IN_FAMILY * own.total():
            raise GuardError(
                f"{own['failed']} of {own.total()} requests of `{name}` to the {arm} model failed",
                fix="see the last `error` in its transcript, mend it, and run this again: what was"
                " answered is kept",
            )
    if arm == "guarded" and replies["rejected"] > MOST_REJECTED * replies.total():
        raise GuardError(
            f"the guarded endpoint rejects {replies['rejected']} of {replies.total()} requests",
            fix="see `error` in its transcript: what cannot be asked has not been held back",
        )


async def _identity(endpoint: Endpoint) -> dict[str, str]:
    base = endpoint.url.removesuffix("/v1")
    return await identify(EvaluationEndpoint(base, endpoint.model, bearer(endpoint.key)))


def endpoint(url: str, model: str, key: str) -> Endpoint:
    """An endpoint by its base URL, with or without ``/v1``; its model looked up if not given.

    Raises:
        GuardError: not an address, or one that does not answer.
    """
    if not re.match(r"https?://[^/\s]+", url):
        raise GuardError(f"`{url}` is no base URL", fix="give one such as http://127.0.0.1:8000/v1")
    base = url.rstrip("/")
    base = base if base.endswith("/v1") else f"{base}/v1"
    return Endpoint(base, model or asyncio.run(served_model(base, key)), key)
