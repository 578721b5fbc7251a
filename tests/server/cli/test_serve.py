"""``unlearn-guard serve`` from its arguments to what the supervisor is told."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from server.cli import serve
from server.launch.supervise import ServeOptions


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    seen: list[ServeOptions] = []

    def run(options: ServeOptions, out: object) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(serve, "serve", run)
    monkeypatch.delenv("UNLEARN_GUARD_BUNDLES", raising=False)
    return seen


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    serve.register(parser.add_subparsers())
    args = parser.parse_args(["serve", *arguments])
    status: int = args.run(args)
    return status


def test_defaults_serve_the_demo_model(told: list[ServeOptions]) -> None:
    assert run() == 0
    (options,) = told
    assert (options.model, options.upstream, options.port) == ("", "", 8000)
    assert options.policies == Path("policies")
    assert options.host == "127.0.0.1"
    assert options.bundles is None


def test_the_obvious_things_can_be_changed(told: list[ServeOptions]) -> None:
    run("--model", "m", "--policies", "p.yaml", "--port", "8123", "--cache", "c", "--run-dir", "r",
        "--bundles", "b")  # fmt: skip
    (options,) = told
    assert (options.model, options.policies, options.port) == ("m", Path("p.yaml"), 8123)
    assert (options.places.cache, options.places.run) == (Path("c"), Path("r"))
    assert options.bundles == Path("b")


def test_bundles_are_taken_from_the_environment_as_the_engine_takes_them(
    told: list[ServeOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLEARN_GUARD_BUNDLES", "/shared/bundles")
    run()
    assert told[0].bundles == Path("/shared/bundles")


def test_what_follows_two_dashes_goes_to_vllm(told: list[ServeOptions]) -> None:
    run("--port", "8123", "--", "--max-model-len", "1024")
    assert told[0].engine_arguments == ("--max-model-len", "1024")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(f"--port={port}")
    assert ended.value.code == 2
    assert f"`{port}` is not a port" in capsys.readouterr().err
