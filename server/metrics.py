"""Prometheus metrics of one proxy, in a registry of its own. Labels hold ids, never text."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_GUARD_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ANSWER_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_CHARACTER_BUCKETS = (0, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Metrics:
    """All metrics of the proxy; see each one's help text."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "unlearn_guard_requests",
            "Requests by endpoint, outcome of the guard's decision and HTTP status.",
            ("endpoint", "outcome", "status"),
            registry=self.registry,
        )
        self.detections = Counter(
            "unlearn_guard_detections",
            "Requests that touched a forget target.",
            ("target",),
            registry=self.registry,
        )
        self.cuts = Counter(
            "unlearn_guard_cut_answers",
            "Answers that were ended because a forbidden phrase was about to leave.",
            ("target",),
            registry=self.registry,
        )
        self.guard_seconds = Histogram(
            "unlearn_guard_guard_seconds",
            "Time that the guard itself took, by step; `watch` goes by while the answer is made.",
            ("step",),
            buckets=_GUARD_BUCKETS,
            registry=self.registry,
        )
        self.answer_seconds = Histogram(
            "unlearn_guard_answer_seconds",
            "Time from the request's last byte to the answer's last.",
            ("endpoint",),
            buckets=_ANSWER_BUCKETS,
            registry=self.registry,
        )
        self.held_characters = Histogram(
            "unlearn_guard_held_back_characters",
            "Most characters of one streamed answer that were held back at a time.",
            buckets=_CHARACTER_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "unlearn_guard_in_flight_requests", "Requests being served.", registry=self.registry
        )
        self.engine_healthy = Gauge(
            "unlearn_guard_engine_healthy",
            "1 while the canary sees the engine enforce plans.",
            registry=self.registry,
        )
        self.canaries = Counter(
            "unlearn_guard_canaries",
            "Probes of the engine by result.",
            ("result",),
            registry=self.registry,
        )
        self.reloads = Counter(
            "unlearn_guard_policy_reloads",
            "Policy edits by result.",
            ("result",),
            registry=self.registry,
        )
        self.policy_stale = Gauge(
            "unlearn_guard_policy_stale",
            "1 while the newest policy edit could not be put into force.",
            registry=self.registry,
        )
        self.unguarded = Counter(
            "unlearn_guard_failed_open",
            "Requests let through by `on_error: open` while a part of the guard had failed.",
            registry=self.registry,
        )
        self.discarded = Counter(
            "unlearn_guard_discarded_answers",
            "Answers thrown away for what they told of a target that the question did not show.",
            registry=self.registry,
        )
        self.lost_decisions = Counter(
            "unlearn_guard_lost_decisions",
            "Decision log lines that could not be written.",
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return generate_latest(self.registry)
