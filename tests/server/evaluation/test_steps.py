"""Steps put targets into force on the real proxy, one after another, and take them back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.errors import GuardError
from server.evaluation.asking import Endpoint
from server.evaluation.muse_data import MuseData, Qa
from server.evaluation.reading import Passage
from server.evaluation.rows import Row
from server.evaluation.stepping import measure_steps, subjects
from server.evaluation.steps import Targets, read_steps
from tests.server.evaluation.endpoints import Scripted, serving
from tests.server.evaluation.said import by_id
from tests.server.harness import FakeEngine, proxied

ADMIN = "admin-key-of-the-tests"
FORGET = [
    Row("a-0", "a", "What do the Lantern papers say?", "They name Osric Vane."),
    Row("b-0", "b", "What do the Copper papers say?", "They name Osric Vane."),
]
RETAIN = [Row("r-0", "r", "How do harbours work?", "They shelter ships.")]


def target(name: str) -> dict[str, Any]:
    return {
        "id": name.lower(),
        "title": f"The {name} papers",
        "reason": "secret",
        "owner": "legal@example.com",
        "detect": {"aliases": [f"{name} papers"]},
        "respond": "refuse",
        "refusal": "I can't discuss those papers.",
    }


def written(folder: Path, *steps: dict[str, Any], **more: Any) -> Path:
    (folder / "lantern.yaml").write_text(yaml.safe_dump(target("Lantern")))
    (folder / "copper.yaml").write_text(yaml.safe_dump({"targets": [target("Copper")]}))
    file = folder / "steps.yaml"
    values = {"version": 1, "kind": "sustainability", "steps": list(steps), **more}
    file.write_text(yaml.safe_dump(values))
    return file


TWO = (
    {"name": "one", "forget": ["a"], "targets": ["lantern.yaml"]},
    {"name": "two", "forget": ["a", "b"], "targets": ["lantern.yaml", "copper.yaml"]},
)


async def test_each_step_forgets_more_and_nothing_comes_back(tmp_path: Path) -> None:
    steps = read_steps(written(tmp_path, *TWO))
    engine = FakeEngine(pieces=["They name Osric Vane."])
    async with proxied(tmp_path, engine=engine, admin_key=ADMIN) as proxy:
        (section,) = await asyncio.to_thread(
            measure_steps,
            steps,
            subjects(steps, FORGET, RETAIN, None),
            Endpoint(proxy.url, "demo"),
            ADMIN,
            tmp_path / "out",
            4,
        )
        keyed = {"authorization": f"Bearer {ADMIN}"}
        left = (await proxy.client.get("/admin/targets", headers=keyed)).json()["data"]
    found = by_id([section])
    assert found["sustainability.facts.1.forgotten"].estimate.value == 0
    assert found["sustainability.facts.1.not_yet"].estimate.value == 100
    assert found["sustainability.facts.2.forgotten"].estimate.value == 0
    assert found["sustainability.facts.2.first"].estimate.value == 0
    assert "sustainability.facts.2.not_yet" not in found
    assert found["sustainability.facts.2.retain"].estimate.n == 1
    assert not {"lantern", "copper"} & {row["id"] for row in left}


async def test_targets_are_taken_back_when_a_later_one_is_not_taken(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        endpoint = Endpoint(proxy.url, "demo")

        def post() -> None:
            with Targets(endpoint, ADMIN) as control:
                control.post([target("Lantern"), {**target("Copper"), "owner": 1}])

        with pytest.raises(GuardError, match=r"does not take the target `copper`.*owner"):
            await asyncio.to_thread(post)
        keyed = {"authorization": f"Bearer {ADMIN}"}
        left = (await proxy.client.get("/admin/targets", headers=keyed)).json()["data"]
        assert "lantern" not in {row["id"] for row in left}
        with pytest.raises(GuardError, match="in force already"):
            await asyncio.to_thread(
                Targets(endpoint, ADMIN).post, [{**target("x"), "id": "harbor"}]
            )
    with pytest.raises(GuardError, match="`UNLEARN_GUARD_EVAL_ADMIN_KEY`"):
        Targets(endpoint, "")


def test_each_step_may_have_a_proxy_of_its_own(tmp_path: Path) -> None:
    knows = Scripted(lambda *_: "They name Osric Vane.")
    hides = Scripted(lambda *_: "I cannot say.")
    with serving(knows, hides):
        steps = read_steps(
            written(
                tmp_path,
                {"name": "one", "forget": ["a"], "guarded": knows.url},
                {"name": "two", "forget": ["a", "b"], "guarded": hides.url},
                kind="scalability",
            )
        )
        asked = subjects(steps, FORGET, RETAIN, None)
        (section,) = measure_steps(steps, asked, None, "", tmp_path / "out", 4)
    found = by_id([section])
    assert found["scalability.facts.1.forgotten"].estimate.value == 100
    assert found["scalability.facts.2.forgotten"].estimate.value == 0


def test_muses_own_steps_say_which_passages_are_forgotten_by_then(tmp_path: Path) -> None:
    texts = ["one two three four five", "six seven eight nine ten"]
    muse = MuseData(
        verbatim=[Passage("p0", "a", "one two", "three four five"),
                  Passage("p1", "b", "six seven", "eight nine ten")],
        knowledge={"retain": Qa([Row("r", "", "Who?", "Nobody")], [])},
        steps={"sust": [[texts[0]], [texts[1]]], "scal": [[texts[0]], texts]},
    )  # fmt: skip

    def says(asked: str, fields: dict[str, Any]) -> str:
        return {"one two": "x", "six seven": "eight nine ten"}.get(asked, "Nobody\n\nQuestion")

    endpoint = Scripted(says)
    with serving(endpoint):
        for kind, name in (("scalability", "scal"), ("sustainability", "sust")):
            file = written(
                tmp_path,
                *({"name": n, "guarded": endpoint.url} for n in ("one", "two")),
                kind=kind,
            )
            steps = read_steps(file)
            asked = subjects(steps, [], [], muse)
            (section,) = measure_steps(steps, asked, None, "", tmp_path / name, 4)
            found = by_id([section])
            assert found[f"{kind}.muse.1.forgotten"].estimate.value == 0
            assert found[f"{kind}.muse.1.not_yet"].estimate.value == 100
            assert found[f"{kind}.muse.2.forgotten"].estimate.value == 50
            assert found[f"{kind}.muse.2.retain"].estimate.value == 100
    with pytest.raises(GuardError, match="no data can be asked about"):
        subjects(steps, [], [], None)


def test_a_step_that_forgets_whom_nobody_asks_about_is_refused(tmp_path: Path) -> None:
    first, second = TWO
    misspelt = {**second, "forget": [*second["forget"], "Osrik Vane"]}
    steps = read_steps(written(tmp_path, first, misspelt))
    with pytest.raises(GuardError, match="`Osrik Vane`, of whom no question is asked"):
        subjects(steps, FORGET, RETAIN, None)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "steps"),
        ([{"name": "one", "forget": ["a"]}], "either `guarded` or `targets`"),
        ([TWO[0], {"name": "two", "targets": ["copper.yaml"]}], "`forget` and some have none"),
        ([{"name": "one", "forget": ["a"], "targets": ["none.yaml"]}], "cannot be read"),
        ([{"name": "one", "forget": ["a"], "targets": ["steps.yaml"]}], "neither"),
        ([TWO[0], {"name": "two", "forget": ["b"], "targets": ["copper.yaml"]}], "does not hold"),
        ([TWO[0], {"name": "two", "forget": ["a", "b"], "guarded": "http://x"}], "choose one way"),
    ],
)
def test_steps_that_cannot_be_used_are_refused(
    tmp_path: Path, steps: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(GuardError, match=said):
        read_steps(written(tmp_path, *steps))
