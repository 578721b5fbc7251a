"""``eval``: the report of ``unlearn-guard eval`` on the TOFU model.

One guarded engine answers for both: through the proxy with a tenant's key, and with the key of a
tenant that is exempt from every target. The retain-only model is asked after it, by an engine of
its own, which is how a report is made on a machine that holds one model at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from load_tests import stack, tofu
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from server.evaluation.asking import Endpoint, bearer
from server.evaluation.choosing import SUITES, Data, Sizes, chosen_suites
from server.evaluation.report import Report
from server.evaluation.run import Plan, evaluate

# The demo model's chat template, for raw completions.
CHATML: Final = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{prefix}"
)
_KEYS: Final = {"guarded": "key-of-the-guarded-tenant", "unguarded": "key-of-the-exempt-tenant"}


def measure(options: Options) -> Measured:
    """Ask both through the proxy, then the retain-only model; write the report."""
    folder = Path(options.folder) if options.folder else work_folder("eval")
    policy = with_tenants(tofu.write_policy(folder / "policy", tofu.load("forget")))
    chosen = chosen_suites(
        Data(tofu=tofu.DATA),
        SUITES,
        Sizes.of(quick=False, limit=options.limit),
        prompt_format=CHATML,
    )
    if not options.rescore:
        with guarded_pair(tofu.model(), policy, folder) as endpoints:
            evaluate(Plan(chosen.suites, endpoints, folder))
        progress("asked the guarded and the unguarded model")
        with stack.engine(
            tofu.retain_only_model(),
            folder=folder,
            bundles=folder,
            key=stack.new_key(),
            guard=False,
        ) as plain:
            evaluate(Plan(chosen.suites, {"retain_only": Endpoint(plain.url, plain.model)}, folder))
    said, sections = evaluate(Plan(chosen.suites, {}, folder))
    report = Report(sections, said.identities, chosen.settings)
    for place in report.write(folder):
        progress(f"written: {place}")
    figures = {f.id: f for section in sections for f in section.findings}
    leak = figures["tofu.forget.facts.guarded"].estimate
    details: dict[str, Any] = {
        name: [each.estimate.value, each.estimate.low, each.estimate.high, each.estimate.n]
        for name, each in figures.items()
    }
    return Measured(value=round(leak.value, 2), n=leak.n, details=details)


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
def guarded_pair(model: Path, policy: Path, folder: Path) -> Iterator[dict[str, Endpoint]]:
    """Both arms, behind one proxy and one engine."""
    bundles, key = folder / "bundles", stack.new_key()
    with (
        stack.engine(model, folder=folder, bundles=bundles, key=key) as engine,
        stack.proxy(engine, policy, folder=folder, bundles=bundles, key=key) as proxy,
    ):
        yield {arm: Endpoint(proxy.url, proxy.model, bearer(own)) for arm, own in _KEYS.items()}


FIGURE = Figure(
    name="eval",
    what="key facts said by the guarded model, and the whole report beside it",
    unit="% of facts",
    goal="recorded",
    run=measure,
)
