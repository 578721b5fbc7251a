"""The proxy with an encoder behind HTTP, which may fail while it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from classifiers import load_encoder
from classifiers.encoder import SentenceEncoder
from guard.errors import GuardError
from server.app import create_app
from server.settings import load_settings
from tests.classifiers.embeddings import serving, vectors
from tests.server.harness import KEY, POLICY, proxied

WITH_EXAMPLES = POLICY.replace(
    "aliases: [Project Vault]",
    "aliases: [Project Vault], examples: [Which bank does the secret project rob?]",
)


@pytest.mark.parametrize("on_error", ["closed", "open"])
async def test_it_detects_and_when_it_fails_the_policy_says_what_happens(
    tmp_path: Path, encoder: SentenceEncoder, on_error: str
) -> None:
    def answer(body: dict[str, Any]) -> Response:
        return vectors(encoder.encode(body["input"]).tolist())

    policy = WITH_EXAMPLES.replace("version: 1", f"version: 1\ndefaults: {{on_error: {on_error}}}")
    with serving(answer) as server:
        async with proxied(tmp_path, policy=policy, encoder=load_encoder(server.name)) as proxy:
            asked = await proxy.chat("Which bank will the secret project rob?")
            refusal = asked.json()["choices"][0]["message"]["content"]
            assert refusal == "I can't discuss that project."
            assert (await proxy.chat("How do I poach an egg?")).status_code == 200
            server.answer = lambda _: JSONResponse({"error": "out of order"}, 500)
            before = len(proxy.engine.requests)
            failed = await proxy.chat("What makes bread rise?")
            assert failed.status_code == (503 if on_error == "closed" else 200)
            assert len(proxy.engine.requests) - before == (0 if on_error == "closed" else 1)
            server.answer = answer
            assert (await proxy.chat("What makes bread rise?")).status_code == 200


def test_the_proxy_starts_with_the_one_that_its_settings_name(
    tmp_path: Path, encoder: SentenceEncoder
) -> None:
    (tmp_path / "policy.yaml").write_text(WITH_EXAMPLES)
    with serving(lambda body: vectors(encoder.encode(body["input"]).tolist())) as server:
        settings = load_settings(
            policies=tmp_path / "policy.yaml", bundles=tmp_path / "bundles", key=KEY,
            encoder=server.name, encoder_api_key="sk-1", decision_log=str(tmp_path / "log"),
        )  # fmt: skip
        create_app(settings)
        assert len(server.asked) > 1
        assert set(server.keys) == {"Bearer sk-1"}
    with pytest.raises(GuardError, match="did not answer"):
        create_app(settings)
