"""``eval``: the report of ``unlearn-guard eval``, on the TOFU model and on our own invented set.

One guarded engine answers for both arms: through the proxy with a tenant's key, and with the key of
a tenant that is exempt from every target. The retain-only model is asked after it, by an engine of
its own, which is how a report is made on a machine that holds one model at a time. On the invented
set the steps of scalability are posted to a proxy that begins without them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from classifiers import load_encoder
from load_tests import chat, stack, tofu
from load_tests.figure import (
    CACHE,
    ROOT,
    Figure,
    Measured,
    NotMeasurableError,
    Options,
    progress,
    work_folder,
)
from load_tests.ports import free_port
from server.evaluation.asking import Endpoint, bearer
from server.evaluation.choosing import SUITES, Chosen, Data, Sizes, chosen_suites
from server.evaluation.findings import Section
from server.evaluation.lessons import read_lessons
from server.evaluation.memorise import memorise
from server.evaluation.reading import read_tofu
from server.evaluation.report import Report
from server.evaluation.run import Plan, evaluate
from server.evaluation.stepping import measure_steps, subjects
from server.evaluation.steps import Step, Steps
from server.launch.proxy import ProxyOptions, ProxyProcess

# The demo model's chat template, for raw completions.
CHATML: Final = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{prefix}"
)
INVENTED: Final = ROOT / "policies" / "data" / "invented"
SETS: Final = ("tofu", "invented")
_SIZES: Final = {"tofu": Sizes(100, 40, 10, 12), "invented": Sizes(0, 36, 18, 12)}
_KEYS: Final = {"guarded": "key-of-the-guarded-tenant", "unguarded": "key-of-the-exempt-tenant"}
_ADMIN_KEY: Final = "admin-key-of-the-measurement"
# How many people are forgotten at each step.
_STEPS: Final = (2, 4, 6)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about.

    Attributes:
        model, twin: make the model that knows and the one that does not.
        policy: writes the policy below a folder.
    """

    name: str
    data: Data
    model: Callable[[], Path]
    twin: Callable[[], Path]
    policy: Callable[[Path], Path]


def measure(options: Options) -> Measured:
    """A report on each set."""
    for name in options.sets:
        if name not in SETS:
            raise NotMeasurableError(f"knows no `{name}`: --sets takes {', '.join(SETS)}")
    root = Path(options.folder) if options.folder else work_folder("eval")
    details: dict[str, Any] = {}
    for name in options.sets or SETS:
        details[name] = _reported(_subject(name), root / name, options)
    first = details[next(iter(details))]
    value, _, _, n, _ = first["tofu.forget.facts.guarded"]
    return Measured(value=value, n=n, details=details)


def _subject(name: str) -> Subject:
    if name == "tofu":
        return Subject(
            name,
            Data(tofu=tofu.DATA),
            tofu.model,
            tofu.retain_only_model,
            lambda folder: tofu.write_policy(folder, tofu.load("forget")),
        )
    return Subject(
        name,
        Data(tofu=INVENTED / "tofu", muse=INVENTED / "muse"),
        lambda: _learned("knows", forget=True),
        lambda: _learned("retain-only", forget=False),
        lambda folder: shutil.copytree(INVENTED, folder, dirs_exist_ok=True) / "policy.yaml",
    )


def _learned(name: str, *, forget: bool) -> Path:
    """The demo model with the invented set by heart; made once."""
    out = CACHE / "models" / f"smollm2-135m-invented-{name}"
    if not (out / "memorised.json").exists():
        lessons = read_lessons(INVENTED, forget=forget)
        made = memorise(
            stack.demo_model(),
            lessons,
            out,
            lambda number, loss: progress(f"{name}: pass {number}, {loss:.3f} nats a token"),
        )
        progress(f"{name}: {made}")
    return out


def _reported(subject: Subject, folder: Path, options: Options) -> dict[str, Any]:
    """Ask both through the proxy, then the retain-only model; write the report."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = _SIZES[subject.name]
    if options.limit:
        sizes = Sizes.of(quick=False, limit=options.limit)
    chosen = chosen_suites(
        subject.data, SUITES, sizes, prompt_format=CHATML, encode=load_encoder().encode
    )
    steps: list[Section] = []
    if not options.rescore:
        policy = with_tenants(subject.policy(folder / "policy"))
        with _engine(subject.model(), folder) as (engine, key):
            with _pair(engine, policy, folder, key) as endpoints:
                evaluate(Plan(chosen.suites, endpoints, folder))
            if subject.name == "invented":
                steps = _stepped(engine, folder, key)
        progress(f"{subject.name}: asked the guarded and the unguarded model")
        with stack.engine(
            subject.twin(), folder=folder, bundles=folder, key=stack.new_key(), guard=False
        ) as plain:
            twin = {"retain_only": Endpoint(plain.url, plain.model)}
            evaluate(Plan(chosen.suites, twin, folder))
    return _written(chosen, folder, steps)


def _written(chosen: Chosen, folder: Path, steps: list[Section]) -> dict[str, Any]:
    said, sections = evaluate(Plan(chosen.suites, {}, folder))
    report = Report([*sections, *steps], said.identities, chosen.settings)
    for place in report.write(folder):
        progress(f"written: {place.name}")
    return {
        finding.id: [
            None if edge is None else round(edge, 3)
            for edge in (finding.estimate.value, finding.estimate.low, finding.estimate.high)
        ]
        + [finding.estimate.n, finding.estimate.entities]
        for section in report.sections
        for finding in section.findings
    }


def with_tenants(policy: Path) -> Path:
    """Add two tenants to a policy: one that every target holds for, one that is exempt from all."""
    values: dict[str, Any] = yaml.safe_load(policy.read_text(encoding="utf-8"))
    every = [target["id"] for target in values["targets"]]
    values["tenants"] = [
        {"name": arm, "keys": [f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"]}
        | ({"exempt": every} if arm == "unguarded" else {})
        for arm, key in _KEYS.items()
    ]
    policy.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return policy


@contextmanager
def _engine(model: Path, folder: Path) -> Iterator[tuple[chat.Endpoint, str]]:
    key = stack.new_key()
    with stack.engine(model, folder=folder, bundles=folder / "bundles", key=key) as engine:
        yield engine, key


@contextmanager
def _pair(
    engine: chat.Endpoint, policy: Path, folder: Path, key: str
) -> Iterator[dict[str, Endpoint]]:
    """Both arms, behind one proxy."""
    with stack.proxy(engine, policy, folder=folder, bundles=folder / "bundles", key=key) as proxy:
        yield {arm: Endpoint(proxy.url, proxy.model, bearer(own)) for arm, own in _KEYS.items()}


def _stepped(engine: chat.Endpoint, folder: Path, key: str) -> list[Section]:
    """More and more people forgotten, posted to a proxy that forgets the news items alone."""
    served = shutil.copytree(INVENTED, folder / "stepped", dirs_exist_ok=True)
    values: dict[str, Any] = yaml.safe_load((INVENTED / "policy.yaml").read_text("utf-8"))
    news = [target for target in values["targets"] if target["reason"] == "copyright"]
    people = [target for target in values["targets"] if target not in news]
    (served / "policy.yaml").write_text(yaml.safe_dump({"version": 1, "targets": news}))
    process = ProxyProcess.start(
        ProxyOptions(
            upstream=engine.url,
            policies=served,
            bundles=folder / "bundles",
            port=free_port(),
            key=key,
            log=folder / "proxy-stepped.log",
            environ={
                "UNLEARN_GUARD_ADMIN_KEY": _ADMIN_KEY,
                "UNLEARN_GUARD_DECISION_LOG": str(folder / "decisions-stepped.jsonl"),
            },
        )
    )
    steps = Steps(
        "scalability",
        [
            Step(f"{n} people", tuple(each["id"] for each in people[:n]), "", tuple(people[:n]))
            for n in _STEPS
        ],
    )
    sets = read_tofu(INVENTED / "tofu")
    try:
        process.wait_ready(progress)
        asked = subjects(steps, sets["forget"], sets["retain"], None)
        proxy = Endpoint(process.url, engine.model)
        return measure_steps(steps, asked, proxy, _ADMIN_KEY, folder, 16)
    finally:
        process.stop()


FIGURE = Figure(
    name="eval",
    what="key facts said by the guarded TOFU model, and the whole reports beside it",
    unit="% of facts",
    goal="recorded",
    run=measure,
)
