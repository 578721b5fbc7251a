"""What is in force stays in the folder of bundles, and what nobody uses goes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

import server.bundle_upkeep
from guard.bundle_loading import load_bundle
from guard.bundle_writing import write_bundle
from server.bundle_upkeep import KEPT_S, BundleUpkeep, remove_old
from tests.server.harness import Proxy, proxied, until
from tests.server.test_reload import TIDES, bundle, changed, write


def made(root: Path, words: str, age_s: float = 0.0) -> str:
    digest = write_bundle(root, targets=(), phrases=(), words=[words]).digest
    aged(root / digest, age_s)
    return digest


def aged(folder: Path, age_s: float) -> None:
    then = time.time() - age_s
    os.utime(folder, (then, then))


def names(root: Path) -> set[str]:
    return {item.name for item in root.iterdir()}


def test_what_no_proxy_stamped_for_an_hour_goes_and_the_rest_stays(tmp_path: Path) -> None:
    old, recent, ours = (
        made(tmp_path, "old", KEPT_S + 60),
        made(tmp_path, "recent", KEPT_S - 60),
        made(tmp_path, "ours", 2 * KEPT_S),
    )
    assert remove_old(tmp_path, in_force=ours) == 1
    assert names(tmp_path) == {recent, ours}
    assert load_bundle(tmp_path, ours).digest == ours
    assert old not in names(tmp_path)


def test_leftovers_of_a_process_that_ended_go_and_other_folders_stay(tmp_path: Path) -> None:
    ours = made(tmp_path, "ours")
    leftover = f".{'a' * 16}-{'0' * 8}"
    for name in (leftover, ".compiled", "encodings", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
        aged(tmp_path / name, 9 * KEPT_S)
    assert remove_old(tmp_path, in_force=ours) == 1
    assert names(tmp_path) == {ours, ".compiled", "encodings", "mine"}


def test_nothing_is_removed_where_what_is_in_force_is_not_there(tmp_path: Path) -> None:
    old = made(tmp_path, "old", 2 * KEPT_S)
    with pytest.raises(FileNotFoundError):
        remove_old(tmp_path, in_force="0" * 64)
    assert names(tmp_path) == {old}


def test_an_old_bundle_that_is_compiled_again_counts_as_new(tmp_path: Path) -> None:
    again, ours = made(tmp_path, "again", 2 * KEPT_S), made(tmp_path, "ours")
    assert write_bundle(tmp_path, targets=(), phrases=(), words=["again"]).digest == again
    assert remove_old(tmp_path, in_force=ours) == 0


async def test_a_running_proxy_removes_old_bundles_and_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.bundle_upkeep, "STAMP_S", 0.02)
    async with proxied(tmp_path) as proxy:
        first = await bundle(proxy)
        root = bundles_of(proxy)
        write(tmp_path, TIDES)
        second = await changed(proxy, first)
        aged(root / first, 2 * KEPT_S)
        aged(root / second, 2 * KEPT_S)
        await until(lambda: not (root / first).exists())
        assert (root / second).stat().st_mtime > time.time() - KEPT_S


async def test_a_bundle_that_is_gone_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.bundle_upkeep, "STAMP_S", 0.02)
    async with proxied(tmp_path) as proxy:
        digest = await bundle(proxy)
        shutil.rmtree(bundles_of(proxy) / digest)
        await until(lambda: (bundles_of(proxy) / digest).is_dir())
        assert load_bundle(bundles_of(proxy), digest).digest == digest
        assert await bundle(proxy) == digest


async def test_what_cannot_be_looked_after_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing() -> None: ...

    upkeep = BundleUpkeep(tmp_path, lambda: "0" * 64, nothing)
    for _ in range(3):
        await upkeep.look_after()
    assert len([line for line in caplog.messages if "cannot be looked after" in line]) == 1


def bundles_of(proxy: Proxy) -> Path:
    return proxy.settings.bundles
