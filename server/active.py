"""The policy in force: one immutable snapshot, which a request takes once and keeps to its end."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import numpy as np

from classifiers import BatchingEncoder, Detector, StatementMatcher
from guard.bundle import CANARY_TARGET, Bundle, BundleTarget, Tenant
from guard.context import Span
from guard.phrase_table import BundlePhrase
from guard.phrases import Match, PhraseSearch
from guard.plan import GuardPlan
from guard.stream import ScannedPhrases, Scanner
from guard.views import View, ViewSearch, find_views
from server.errors import UnauthorizedError
from server.tell_signs import TellSigns
from server.telling import Telling

# What holds because of the request; what does not hold of what stands; the cues that are said.
_SetKey = tuple[tuple[str, ...], frozenset[str], tuple[int, ...]]

# Distinct sets of targets that scanners are kept for.
_MAX_SETS: Final = 256
# From how many phrases on a scanner is built beside the event loop.
_SLOW_BUILD: Final = 500


@dataclass(frozen=True, slots=True)
class ActiveSet:
    """The targets that one request is guarded for, and what finds their phrases.

    Attributes:
        own: ids of those that hold because of the request alone, sorted.
        lifted: ids of those that would hold in every answer, but have expired or do not bind the
            caller.
        said: cues that the user has said, and may have said back; sorted.
        standing: ids of those that would hold in every answer.
    """

    own: tuple[str, ...]
    lifted: frozenset[str]
    said: tuple[int, ...]
    standing: AbstractSet[str]
    scanner: Scanner
    in_views: tuple[ViewSearch, ...]

    @property
    def any(self) -> bool:
        """Whether any target holds."""
        return bool(self.own) or len(self.lifted) < len(self.standing)

    def holds(self, target: str) -> bool:
        """Whether a target is one of them."""
        return target in self.own or (target in self.standing and target not in self.lifted)

    def search(self, text: str) -> list[tuple[BundlePhrase, Match]]:
        """Every forbidden phrase in a whole text; what its match names is of no use."""
        return self.scanner.find(text)

    def hides(self, text: str) -> int | None:
        """Index of the target of a phrase that only a view of a text shows; None if none does."""
        found = self.search_hidden(text, find_views(text))
        return found[0][0].target if found else None

    def search_hidden(self, text: str, views: Sequence[View]) -> list[tuple[BundlePhrase, Span]]:
        """Every phrase that only views of a text show, and where the sentence with it came from."""
        return [
            (part.phrases[phrase], span)
            for view in views
            for part, in_views in zip(self.scanner.parts, self.in_views, strict=True)
            for phrase, span in in_views.hidden(view, text, part.search.search)
            if self.scanner.forbids(part.phrases[phrase])
        ]


class ActivePolicy:
    """A bundle ready to serve requests.

    Attributes:
        targets: by id, without the canary.
        standing: ids of those that hold in every answer, detected or not.
        index: by id, the place of each in the bundle.
        tell_signs: what announces that answers tell something of a target.

    Raises:
        GuardError: the bundle's examples were made by another encoder.
    """

    def __init__(self, bundle: Bundle, encoder: BatchingEncoder | None) -> None:
        self.bundle = bundle
        self.detector = Detector(bundle, encoder)
        self.statements = StatementMatcher(bundle, encoder)
        self.targets = {t.id: t for t in bundle.targets if t.id != CANARY_TARGET}
        self.standing = frozenset(t.id for t in self.targets.values() if t.holds_always)
        self._expired: tuple[date, frozenset[str]] = date.min, frozenset()
        self.index = {target.id: index for index, target in enumerate(bundle.targets)}
        self._cues = PhraseSearch([cue.text for cue in bundle.phrases.cues()])
        self._cue_targets = [cue.target for cue in bundle.phrases.cues()]
        # Compiled once for all sets of targets: there may be far more of it than of what one
        # request touches.
        held = [self.index[target] for target in self.standing]
        self._beside = Scanner(bundle.phrases.of_targets(held), bundle.verbatim.of_targets(held))
        self._beside_in_views = tuple(map(_in_views, self._beside.parts))
        self._sets: OrderedDict[_SetKey, ActiveSet] = OrderedDict()
        self._telling: OrderedDict[str, Telling] = OrderedDict()
        watched = _watched(bundle)
        self._watched = frozenset(bundle.targets[index].id for index in watched)
        self.tell_signs = _tell_signs(bundle, watched)

    def tenant(self, authorization: str) -> Tenant | None:
        """Who is calling; None where the policy knows no tenants.

        Args:
            authorization: the header's value, empty if there was none.

        Raises:
            UnauthorizedError: tenants exist and the key is none of theirs.
        """
        if not self.bundle.tenants:
            return None
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise UnauthorizedError("no API key; send the header `Authorization: Bearer YOUR_KEY`")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found: Tenant | None = None
        for tenant in self.bundle.tenants:
            for known in tenant.key_digests:
                # Every key is compared, so that the time taken tells nothing.
                if hmac.compare_digest(known.removeprefix("sha256:").lower(), digest):
                    found = tenant
        if found is None:
            raise UnauthorizedError("the API key is not one that this proxy knows")
        return found

    def exempt(self, tenant: Tenant | None) -> frozenset[str]:
        """Targets that do not bind the caller."""
        return frozenset(tenant.exempt) if tenant else frozenset()

    def lifted(self, skip: frozenset[str]) -> frozenset[str]:
        """Of the targets that hold in every answer those in ``skip``, and the expired."""
        today = datetime.now(UTC).date()
        if self._expired[0] != today:
            over = (target for target in self.standing if expired(self.targets[target], today))
            self._expired = today, frozenset(over)
        return self._expired[1] | (skip & self.standing)

    def to_watch(self, skip: Collection[str]) -> bool:
        """Whether there is a target to be watched for that is not in ``skip``."""
        return any(target not in skip for target in self._watched)

    def watches(self, target: str) -> bool:
        """Whether an answer may tell something of a target that is to be kept from it."""
        return target in self._watched

    def telling(self, target: str) -> Telling:
        """What answers about a target say; kept for the next time."""
        found = self._telling.get(target)
        if found is None:
            index = self.index[target]
            found = Telling(
                self.bundle.phrases.of_targets([index]), self.bundle.verbatim.of_targets([index])
            )
            self._telling[target] = found
            while len(self._telling) > _MAX_SETS:
                self._telling.popitem(last=False)
        self._telling.move_to_end(target)
        return found

    def plan(self, active: ActiveSet, skip: frozenset[str]) -> GuardPlan:
        """What the engine must hold for a request; ``skip`` does not bind the caller."""
        return GuardPlan(
            bundle=self.bundle.digest,
            targets=active.own,
            said=active.said,
            exempt=tuple(sorted(skip & self.standing)),
        )

    def _said(
        self, own: Iterable[str], lifted: frozenset[str], turns: Iterable[str]
    ) -> tuple[int, ...]:
        """The cues of targets in force that the user's turns say."""
        if not self._cue_targets:
            return ()
        found = {match.phrase for turn in turns for match in self._cues.search(turn)}
        owners = ((cue, self.bundle.targets[self._cue_targets[cue]].id) for cue in sorted(found))
        return tuple(
            cue
            for cue, target in owners
            if target in own or (target in self.standing and target not in lifted)
        )

    async def active_set(
        self, touched: Iterable[str], skip: frozenset[str], turns: Iterable[str] = ()
    ) -> ActiveSet:
        """What guards a request; kept for the next one of its kind.

        Args:
            touched: ids of the targets that it touches. What holds in every answer guards it, too.
            skip: ids of targets that do not bind the caller.
            turns: what the user says.
        """
        own = tuple(sorted(set(touched) - self.standing))
        lifted = self.lifted(skip)
        key = own, lifted, self._said(own, lifted, turns)
        found = self._sets.get(key)
        if found is not None:
            self._sets.move_to_end(key)
            return found
        made = await self._build(key)
        self._sets[key] = made
        while len(self._sets) > _MAX_SETS:
            self._sets.popitem(last=False)
        return made

    async def _build(self, key: _SetKey) -> ActiveSet:
        own, lifted, said = key
        indices = [self.index[target] for target in own]
        phrases = self.bundle.phrases.of_targets(indices)
        verbatim = self.bundle.verbatim.of_targets(indices)
        all_lifted = len(lifted) == len(self.standing)

        def build() -> ActiveSet:
            scanner = Scanner(
                phrases,
                verbatim,
                beside=None if all_lifted else self._beside,
                free=[self._cues.phrases[cue] for cue in said],
                lifted=[self.index[target] for target in lifted],
            )
            shared = () if all_lifted else self._beside_in_views
            new = scanner.parts[: len(scanner.parts) - len(shared)]
            return ActiveSet(*key, self.standing, scanner, (*map(_in_views, new), *shared))

        return build() if len(phrases) < _SLOW_BUILD else await asyncio.to_thread(build)


def _in_views(part: ScannedPhrases) -> ViewSearch:
    return ViewSearch(part.search.phrases)


def _watched(bundle: Bundle) -> list[int]:
    """Indices of targets that answers are held to once they are known by what they say."""
    hard = bundle.phrases.target[bundle.phrases.hard]
    tell = {*hard.tolist(), *bundle.verbatim.target.tolist()}
    return [
        index
        for index, target in enumerate(bundle.targets)
        if index in tell
        and target.id != CANARY_TARGET
        and not (target.only_observed or target.holds_always)
    ]


def _tell_signs(bundle: Bundle, watched: Sequence[int]) -> TellSigns:
    """The signs of all targets whose answers are watched; of none where answers pass."""
    if bundle.answers == "pass":
        return TellSigns((), (), ())
    phrases = bundle.phrases
    of_watched = np.isin(phrases.target, np.array(watched, np.int32)) & phrases.hard
    places = np.flatnonzero(of_watched)
    texts = phrases.texts()
    return TellSigns(
        [texts[place] for place in places],
        phrases.target[places].tolist(),
        bundle.verbatim.of_targets(watched),
    )


def expired(target: BundleTarget, today: date) -> bool:
    """Whether a target's last day (UTC) is over."""
    if not target.expires:
        return False
    return date.fromisoformat(target.expires) < today


class PolicyHolder:
    """Where the snapshot in force is; replaced in one assignment."""

    def __init__(self, policy: ActivePolicy) -> None:
        self.current = policy
