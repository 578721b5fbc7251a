"""The canary: proof, not configuration, that the engine enforces plans.

A probe asks for one short completion under a plan in ``probe`` mode. The engine then pushes its
sampler towards a phrase that every bundle forbids; only the ordinary ban can prevent its
completion, and only an engine that read this very plan can say the plan's nonce. So a healthy
answer proves key, bundle, plan and ban at once, in the sampler that serves users.

Until the first probe succeeds, and whenever one fails, guarded requests are refused.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guard.bundle import CANARY_PHRASE, CANARY_TARGET
from guard.engine.versions import check_vllm_version
from guard.errors import GuardError
from guard.normalise import normalise
from guard.plan import XARG, GuardPlan, sign_plan
from server.errors import ApiError, CanaryError
from server.metrics import Metrics
from server.upstream import Upstream
from server.wire.answers import to_json

_log = logging.getLogger("unlearn_guard.canary")

NONCE_LENGTH: Final = 16
PROBE_TOKENS: Final = 64
# While unhealthy the engine is asked this often, so that a restart is noticed soon.
RETRY_S: Final = 2.0
_PROMPT: Final = "canary"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the engine is known to enforce plans, and if not, why, in one sentence."""

    ok: bool
    reason: str
    checked: float = 0.0


class ServedModels:
    """The model names that the upstream serves, asked again when an unknown one comes up."""

    def __init__(self, upstream: Upstream, *, refresh_s: float = 1.0) -> None:
        self._upstream = upstream
        self._refresh_s = refresh_s
        self._names: tuple[str, ...] = ()
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def serves(self, name: str) -> bool:
        """Whether the upstream serves a model of that name.

        Raises:
            ApiError: the upstream does not say.
        """
        if name in self._names:
            return True
        async with self._lock:
            if name not in self._names and time.monotonic() - self._asked >= self._refresh_s:
                await self.refresh()
        return name in self._names

    async def refresh(self) -> tuple[str, ...]:
        """The names, asked for now.

        Raises:
            ApiError: the upstream does not say.
        """
        answer = await self._upstream.get("/v1/models")
        rows = answer.json.get("data")
        names = [row.get("id") for row in rows or () if isinstance(row, dict)]
        self._names = tuple(name for name in names if isinstance(name, str))
        self._asked = time.monotonic()
        return self._names


class Canary:
    """Probes the engine and keeps what is known of its health.

    Args:
        digest: gives the digest of the bundle in force when called.
        interval_s: time between two probes of a healthy engine.
    """

    def __init__(
        self,
        upstream: Upstream,
        models: ServedModels,
        *,
        key: bytes,
        digest: Callable[[], str],
        metrics: Metrics,
        interval_s: float,
    ) -> None:
        self._upstream = upstream
        self._models = models
        self._key = key
        self._digest = digest
        self._metrics = metrics
        self._interval_s = interval_s
        self.health = Health(ok=False, reason="the engine has not been probed yet")

    async def run(self) -> None:
        """Probe until cancelled. Should this ever end, the engine no longer counts as healthy."""
        try:
            while True:
                await self.check()
                healthy = self.health.ok
                await asyncio.sleep(self._interval_s if healthy else min(RETRY_S, self._interval_s))
        except asyncio.CancelledError:
            self.health = Health(ok=False, reason="the proxy is stopping")
            raise
        except BaseException:
            self._set(Health(ok=False, reason="the canary is not running"))
            raise

    async def check(self) -> Health:
        """Probe once with the bundle in force."""
        try:
            await self.probe(self._digest())
        except GuardError as error:
            self._set(Health(ok=False, reason=str(error), checked=time.time()))
        except Exception:
            _log.exception("canary: the probe itself failed")
            self._set(Health(ok=False, reason="the canary failed", checked=time.time()))
        else:
            self._set(Health(ok=True, reason="", checked=time.time()))
        return self.health

    async def probe(self, digest: str) -> None:
        """Have the engine prove that it enforces the bundle of that digest.

        Raises:
            CanaryError: it did not, or could not be asked; the message says which.
            EngineUnsupportedError: it is a vLLM that the guard has not been verified on.
        """
        try:
            version = (await self._upstream.get("/version")).json.get("version")
            names = await self._models.refresh()
        except ApiError as error:
            raise CanaryError(f"the engine cannot be asked ({error.message})") from error
        check_vllm_version(version if isinstance(version, str) else "")
        if not names:
            raise CanaryError("the engine serves no model", fix="load a model and wait")
        nonce = "".join(secrets.choice(string.ascii_lowercase) for _ in range(NONCE_LENGTH))
        said = await self._ask(names[0], digest, nonce)
        if normalise(CANARY_PHRASE) in normalise(said):
            raise CanaryError(
                "the engine said the phrase that the canary forbids: it does not enforce plans",
                fix="start vLLM with the guard's logits processor",
            )
        if nonce not in normalise(said).replace(" ", ""):
            raise CanaryError(
                "the engine ignored the canary: the guard's logits processor is not loaded",
                fix="start vLLM with `--logits-processors"
                " guard.engine.vllm_v1:GuardLogitsProcessor`",
            )

    async def _ask(self, model: str, digest: str, nonce: str) -> str:
        plan = GuardPlan(bundle=digest, targets=(CANARY_TARGET,), mode="probe", nonce=nonce)
        request = {
            "model": model,
            "prompt": _PROMPT,
            "max_tokens": PROBE_TOKENS,
            "temperature": 0,
            "vllm_xargs": {XARG: sign_plan(plan, self._key)},
        }
        try:
            answer = await self._upstream.post("/v1/completions", to_json(request))
        except ApiError as error:
            raise CanaryError(f"the engine did not answer the canary ({error.message})") from error
        try:
            text = answer.json["choices"][0]["text"]
        except (KeyError, IndexError, TypeError) as error:
            raise CanaryError("the engine's answer to the canary has no text") from error
        return text if isinstance(text, str) else ""

    def _set(self, health: Health) -> None:
        self._metrics.canaries.labels("healthy" if health.ok else "failed").inc()
        self._metrics.engine_healthy.set(health.ok)
        if health.ok != self.health.ok or health.reason != self.health.reason:
            if health.ok:
                _log.info("the engine enforces plans")
            else:
                _log.error("guarded requests are refused: %s", health.reason)
        self.health = health
