"""What every guarded endpoint does alike: detect, fail as the policy says, keep the record."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from classifiers import PlacedText
from guard.decision import Detection
from server.active import ActivePolicy, PolicyHolder
from server.decisions import Decision, DecisionLog
from server.detection import Findings, find_targets
from server.errors import ApiError, GuardUnavailableError
from server.metrics import Metrics
from server.wire.texts import RequestText

_log = logging.getLogger("unlearn_guard.request")


@dataclass(frozen=True, slots=True)
class Steps:
    """The policy in force, and where decisions go; one for the life of the app."""

    policies: PolicyHolder
    log: DecisionLog
    metrics: Metrics

    async def detect(
        self,
        policy: ActivePolicy,
        texts: list[RequestText],
        skip: frozenset[str],
        decision: Decision,
    ) -> Findings:
        """What a request touches; nothing where detection failed under ``on_error: open``.

        Raises:
            GuardUnavailableError: it failed, and the policy says ``on_error: closed``.
        """
        with self.timed("detect", decision):
            try:
                return await find_targets(policy.detector, texts, skip, policy.statements)
            except Exception:
                _log.exception("%s: detection failed", decision.id)
                self.failed(policy, decision, "detection failed")
                return Findings()

    async def detect_in_answer(
        self,
        policy: ActivePolicy,
        texts: Sequence[PlacedText],
        skip: frozenset[str],
        decision: Decision,
    ) -> list[tuple[Detection, ...]]:
        """What each text of an answer is about; fails as ``detect`` does."""
        began = time.perf_counter()
        try:
            return await policy.detector.detect(texts, skip=skip)
        except Exception:
            _log.exception("%s: detection in the answer failed", decision.id)
            self.failed(policy, decision, "detection in the answer failed", "no more of it is sent")
            return []
        finally:
            seconds = time.perf_counter() - began
            self.metrics.guard_seconds.labels("watch").observe(seconds)
            spent = decision.steps_ms.get("watch", 0.0) + 1000 * seconds
            decision.steps_ms["watch"] = round(spent, 3)

    def failed(
        self,
        policy: ActivePolicy,
        decision: Decision,
        reason: str,
        kept: str = "nothing was forwarded",
    ) -> None:
        """Refuse, or under ``on_error: open`` say loudly that the request goes on.

        Raises:
            GuardUnavailableError: the policy says ``on_error: closed``.
        """
        if policy.bundle.on_error != "open":
            raise GuardUnavailableError(f"{reason}; {kept}, so try again later")
        decision.failed_open = True
        self.metrics.unguarded.inc()
        _log.error("%s: let through by `on_error: open`: %s", decision.id, reason)

    @contextmanager
    def failing_closed(self, decision: Decision) -> Iterator[None]:
        """Refuse a request in which a step of the guard fails in a way that nobody foresaw.

        Raises:
            ApiError: a step's own, or ``GuardUnavailableError`` for any other failure.
        """
        try:
            yield
        except ApiError:
            raise
        except Exception as error:
            _log.exception("%s: a step of the guard failed", decision.id)
            raise GuardUnavailableError("a step of the guard failed; try again later") from error

    @contextmanager
    def timed(self, name: str, decision: Decision) -> Iterator[None]:
        """Note how long a step took that came to its end."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        decision.steps_ms[name] = round(seconds * 1000, 3)
        self.metrics.guard_seconds.labels(name).observe(seconds)

    def finish(self, decision: Decision) -> None:
        """Log and count a decision; once, when its answer has left or failed."""
        labels = (decision.endpoint, decision.outcome, str(decision.status))
        self.metrics.requests.labels(*labels).inc()
        for detection in decision.detections:
            self.metrics.detections.labels(detection.target).inc()
        self.metrics.discarded.inc(decision.discarded)
        for cut in decision.cuts:
            self.metrics.cuts.labels(cut.target).inc()
        if decision.stream and decision.constrained:
            self.metrics.held_characters.observe(decision.held_characters)
        self.metrics.answer_seconds.labels(decision.endpoint).observe(decision.elapsed_ms() / 1000)
        self.log.write(decision.record())
