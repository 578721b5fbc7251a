"""What one request asks of the engine, the same for both vLLM interfaces.

vLLM checks a request's parameters in its API process (``check_request``), and hands the request to
a worker, where ``Enforcer.requirement`` turns its plan into what the sampler must hold.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from guard.engine.bundles import BundleCache, LoadedBundle, admit, bundles_root
from guard.engine.probe import ProbeScribe, ProbeScript
from guard.errors import GuardError
from guard.plan import XARG, admitted_plan, load_key

if TYPE_CHECKING:
    from vllm import SamplingParams

_log = logging.getLogger("vllm.unlearn_guard")


@lru_cache(maxsize=1)
def _trust() -> tuple[bytes, Path]:
    return load_key(), bundles_root()


def check_request(extra_args: Mapping[str, Any] | None) -> None:
    """Refuse a request without a plan that can be kept.

    Raises:
        ValueError: with the reason; vLLM answers 400.
    """
    try:
        admit((extra_args or {}).get(XARG), *_trust())
    except GuardError as error:
        raise ValueError(f"unlearn-guard: {error}") from error


def is_narrowed(params: SamplingParams) -> bool:
    """Whether something besides the guard takes tokens away, so that none may be left.

    A grammar whose every path is forbidden does that. vLLM would sample token 0 then.
    """
    return bool(
        params.structured_outputs
        or params.allowed_token_ids
        or params.logit_bias
        or params.bad_words
    )


def end_where_nothing_is_left(logits: torch.Tensor, rows: torch.Tensor, end_token: int) -> None:
    """Let a row end where neither the guard nor what else binds it leaves a token.

    A grammar that may not end there rejects even that, upon which vLLM (0.32, `update_from_output`
    of its scheduler) ends the request with an error; the proxy makes `content_filter` of it.

    Args:
        logits: [N, V] float32, changed in place.
        rows: [N] bool, the rows to look at.
    """
    empty = rows & (logits.amax(dim=1) == float("-inf"))
    logits[:, end_token] = torch.where(empty, 0.0, logits[:, end_token])


@dataclass(frozen=True, slots=True, eq=False)
class Requirement:
    """What the sampler must hold for one request.

    Attributes:
        bundle: None where the plan could not be kept after all; the request may then say nothing.
        active: [n_slots] bool on the host.
        script: what a canary's answer must be pushed to say.
    """

    bundle: LoadedBundle | None
    active: torch.Tensor
    script: ProbeScript | None = None


class Enforcer:
    """Turns plans into requirements for one model.

    Args:
        vocabulary: bytes of each token id.
        end_token: the token that ends an answer.
        device: where the logits will be.

    Attributes:
        tokens: the vocabulary on the device, for every bundle alike.
        windows: reads tokens.

    Raises:
        PlanError: no signing key.
        BundleError: no bundle folder.
    """

    def __init__(self, vocabulary: Sequence[bytes], end_token: int, device: torch.device) -> None:
        self._key, root = _trust()
        self.end_token = end_token
        self._bundles = BundleCache(root, self._key, vocabulary, device)
        self.tokens = self._bundles.tokens
        self.windows = self.tokens.windows
        self._scribe = ProbeScribe(vocabulary, end_token)
        _log.info("unlearn-guard: enforcing plans, bundles in %s", root)

    def requirement(self, extra_args: Mapping[str, Any] | None) -> Requirement | None:
        """What a request asks for; None where nothing is active."""
        try:
            plan = admitted_plan((extra_args or {}).get(XARG), self._key)
            bundle = self._bundles.get(plan.bundle)
            active = bundle.active_row(plan)
        except (GuardError, LookupError) as error:
            # The API process has checked all of this. Raising here would stop the engine for
            # everyone, so this request alone ends, without a word.
            _log.error("unlearn-guard: a request was silenced: %s", error)
            return Requirement(None, torch.zeros(0, dtype=torch.bool))
        except Exception:
            # A bundle is loaded when it is first asked for: memory may be short by then.
            _log.exception("unlearn-guard: a request was silenced, its bundle cannot be loaded")
            return Requirement(None, torch.zeros(0, dtype=torch.bool))
        if active is None:
            return None
        script = self._scribe.write(plan.nonce) if plan.mode == "probe" else None
        return Requirement(bundle, active, script)
