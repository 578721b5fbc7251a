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
from typing import Final

import torch

from guard.bundle import Bundle, load_bundle
from guard.engine.matcher import PhraseMatcher, Tokens
from guard.engine.segments import SegmentSet, segments_of
from guard.engine.store import SegmentStore
from guard.engine.symbols import symbol_vocabulary
from guard.errors import BundleError, PlanError
from guard.plan import BUNDLES_VARIABLE, GuardPlan, verify_plan

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
def _target_ids(root: Path, digest: str) -> frozenset[str]:
    return frozenset(target.id for target in load_bundle(root, digest).targets)


def admit(signed: object, key: bytes, root: Path) -> GuardPlan:
    """Check that a request's plan is genuine and can be kept here.

    Raises:
        PlanError: missing, forged or expired plan, or one that names an unknown target.
        BundleError: its bundle is absent or altered.
    """
    plan = verify_plan(signed, key)
    unknown = set(plan.targets) - _target_ids(root, plan.bundle)
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
        bundle: Bundle,
        tokens: Tokens,
        previous: LoadedBundle | None = None,
        store: SegmentStore | None = None,
    ) -> None:
        self.index = {target.id: place for place, target in enumerate(bundle.targets)}
        at_hand = previous._held.segments if previous else ()
        self._held: SegmentSet = segments_of(bundle, tokens, at_hand, store)
        self.matcher = PhraseMatcher(tokens, self._held.bound)

    def active_row(self, targets: Sequence[str]) -> torch.Tensor:
        """[n_targets] bool on the host, True for the targets of a plan.

        Raises:
            KeyError: a target that this bundle does not have.
        """
        row = torch.zeros(len(self.index), dtype=torch.bool)
        row[[self.index[target] for target in targets]] = True
        return row


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
            loaded = LoadedBundle(load_bundle(self._root, digest), self.tokens, newest, self._store)
        self._loaded[digest] = loaded
        while len(self._loaded) > _KEPT:
            self._loaded.popitem(last=False)
        return loaded
