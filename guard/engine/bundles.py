"""Bundles as the engine holds them: loaded by digest, compiled for the served tokenizer, few.

The API process of vLLM uses ``admit`` to refuse a request without a plan that can be kept; the
worker uses ``BundleCache`` for the compiled form.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from guard.bundle import EngineBundle
from guard.bundle_loading import load_engine_bundle
from guard.engine.cpu import is_compiled_for
from guard.engine.matcher import PhraseMatcher, Tokens
from guard.engine.reader import parts
from guard.engine.segments import SegmentSet, segments_of
from guard.engine.store import SegmentStore
from guard.engine.symbols import symbol_vocabulary
from guard.engine.verbatim import FilterTensors, VerbatimMatcher, filters_of
from guard.errors import BundleError, PlanError
from guard.plan import BUNDLES_VARIABLE, GuardPlan, verify_plan

if TYPE_CHECKING:
    from guard.engine.cpu.step import HostStep

_KEPT: Final = 4


def bundles_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of bundles that the proxy shares with the engine.

    Raises:
        BundleError: not set or not a folder.
    """
    value = environ.get(BUNDLES_VARIABLE, "")
    if not value or not Path(value).is_dir():
        raise BundleError(
            f"`{BUNDLES_VARIABLE}` does not name a folder",
            fix="share the proxy's bundle folder with the engine and name it there",
        )
    return Path(value)


@lru_cache(maxsize=_KEPT)
def _known(root: Path, digest: str) -> tuple[frozenset[str], int]:
    """Ids of a bundle's targets, and how many cues it has."""
    bundle = load_engine_bundle(root, digest)
    return frozenset(bundle.target_ids), len(bundle.slot_owner()) - len(bundle.target_ids)


def admit(signed: object, key: bytes, root: Path) -> GuardPlan:
    """Check that a request's plan is genuine and can be kept here.

    Raises:
        PlanError: missing, forged or expired plan, or one that names an unknown target.
        BundleError: its bundle is absent or altered.
    """
    plan = verify_plan(signed, key)
    ids, n_cues = _known(root, plan.bundle)
    unknown = [target for target in {*plan.targets, *plan.exempt} if target not in ids]
    unknown += [str(cue) for cue in plan.said if not 0 <= cue < n_cues]
    if unknown:
        raise PlanError(
            f"the guard plan names {len(unknown)} targets that its bundle does not have",
            fix="run the same version of proxy and engine",
        )
    return plan


class LoadedBundle:
    """A bundle, compiled for one vocabulary and device.

    Args:
        previous: a bundle whose compiled segments may hold most targets of this one already.
        store: where large segments are kept.
    """

    def __init__(
        self,
        bundle: EngineBundle,
        tokens: Tokens,
        previous: LoadedBundle | None = None,
        store: SegmentStore | None = None,
    ) -> None:
        self._index = {target: place for place, target in enumerate(bundle.target_ids)}
        self._until = torch.from_numpy(bundle.until)
        self._owner = torch.from_numpy(bundle.slot_owner().astype(np.int64))
        self._some_always = bool((self._until > 0).any())
        at_hand = previous._held.segments if previous else ()
        self._held: SegmentSet = segments_of(bundle, tokens, at_hand, store)
        self.matcher = PhraseMatcher(tokens, self._held.bound)
        kept: FilterTensors | None = previous._filters if previous else None
        self._boundaries = tokens.boundaries
        self._filters: FilterTensors | None = filters_of(
            bundle.verbatim, tokens.windows.device, kept
        )
        self.verbatim: VerbatimMatcher | None = None
        if self._filters is not None:
            self.verbatim = VerbatimMatcher(tokens.word_ends(), self._filters)
        self._step = _compiled_step(tokens, self.matcher, self.verbatim)

    def penalise(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        state: torch.Tensor,
        active: torch.Tensor,
    ) -> None:
        """Lower the logits of what active targets forbid.

        Args:
            logits: [N, V] float32, changed in place.
            rows: [B] int64, the rows of ``logits`` to guard, each at most once.
            state: [B, READER_WIDTH] int64, after the text so far.
            active: [B, n_slots] bool, not changed afterwards.
        """
        if self._step is not None:
            self._step.penalise(logits, rows, state, active)
            return
        phrases, runs = parts(state)
        best = self._boundaries.best(logits, rows)
        self.matcher.penalise(logits, rows, phrases, active)
        if self.verbatim is not None:
            self.verbatim.penalise(logits, rows, runs, active)
        self._boundaries.keep(logits, rows, phrases, best)

    def active_row(self, plan: GuardPlan) -> torch.Tensor | None:
        """[n_slots] bool on the host, True for what a plan enforces; None for nothing.

        Raises:
            KeyError: a target that this bundle does not have.
            IndexError: a cue that it does not have.
        """
        # A probe must show what its own target does, whatever else is forbidden.
        always = self._some_always and plan.mode != "probe"
        if not plan.targets and not always:
            return None
        row = self._until >= plan.day
        if not always:
            row = torch.zeros_like(row)
        row[[self._index[target] for target in plan.exempt]] = False
        row[[self._index[target] for target in plan.targets]] = True
        if not bool(row.any()):
            return None
        by_slot = row[self._owner]
        by_slot[[len(self._index) + cue for cue in plan.said]] = False
        return by_slot


def _compiled_step(
    tokens: Tokens, matcher: PhraseMatcher, verbatim: VerbatimMatcher | None
) -> HostStep | None:
    """None where torch has to do."""
    if not is_compiled_for(tokens.windows.device):
        return None
    # Not imported before: numba is not everywhere.
    from guard.engine.cpu.step import HostStep

    return HostStep(tokens, matcher, verbatim)


class BundleCache:
    """The bundles in use by an engine worker, the least recently used dropped first.

    Requests hold on to their own bundle, so dropping one here never changes a running request.
    """

    def __init__(
        self, root: Path, key: bytes, vocabulary: Sequence[bytes], device: torch.device
    ) -> None:
        self._root = root
        symbols = symbol_vocabulary(vocabulary)
        self.tokens = Tokens(symbols, device)
        self._store = SegmentStore(root, key, symbols)
        self._loaded: OrderedDict[str, LoadedBundle] = OrderedDict()

    def get(self, digest: str) -> LoadedBundle:
        """The compiled bundle of a digest.

        Raises:
            BundleError: absent or altered.
        """
        loaded = self._loaded.pop(digest, None)
        if loaded is None:
            newest = next(reversed(self._loaded.values()), None)
            loaded = LoadedBundle(
                load_engine_bundle(self._root, digest), self.tokens, newest, self._store
            )
        self._loaded[digest] = loaded
        while len(self._loaded) > _KEPT:
            self._loaded.popitem(last=False)
        return loaded
