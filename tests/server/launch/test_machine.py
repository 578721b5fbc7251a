"""The checks before anything slow: port, memory, system."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.launch.machine import (
    GIB,
    available_memory,
    check_memory,
    check_port,
    check_system,
    cpu_flags,
    free_port,
    memory_needed,
    weights_size,
)


def test_a_port_in_use_is_one_sentence_with_the_fix() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GuardError) as error:
            check_port("127.0.0.1", port)
    text = str(error.value)
    assert f"port {port} on 127.0.0.1 cannot be used (address already in use)" in text
    assert "--port" in text
    assert "\n" not in text


def test_a_free_port_passes_and_stays_free() -> None:
    port = free_port()
    check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_a_foreign_address_is_one_sentence() -> None:
    with pytest.raises(GuardError, match="cannot be used"):
        check_port("192.0.2.77", 8000)


def proc(root: Path, available_kib: int) -> Path:
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text(
        f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable: {available_kib} kB\n"
    )
    return root


def test_available_memory_is_the_machines(tmp_path: Path) -> None:
    assert available_memory(proc(tmp_path, 1000)) == 1_024_000


@pytest.mark.parametrize(
    ("limit", "expected"), [("max", 1_024_000), ("600000", 100_000), ("99999999", 1_024_000)]
)
def test_a_containers_limit_counts(tmp_path: Path, limit: str, expected: int) -> None:
    group = proc(tmp_path, 1000) / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text("500000\n")
    assert available_memory(tmp_path) == expected


def test_this_machine_has_memory() -> None:
    assert available_memory() > 0


def test_weights_in_two_formats_count_once(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 70)
    (tmp_path / "b.safetensors").write_bytes(b"x" * 40)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 100)
    assert weights_size(tmp_path) == 110


def test_widened_weights_take_twice_the_room(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 1000)
    stored = memory_needed(tmp_path, GIB)
    assert memory_needed(tmp_path, GIB, widened=True) - stored == 1200


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (
            "processor\t: 0\nflags\t\t: fpu avx2\nvmx flags\t: ept\n\nprocessor\t: 1\n",
            {"fpu", "avx2"},
        ),
        ("processor\t: 0\nFeatures\t: fp asimd\n", set()),
        ("", set()),
    ],
)
def test_what_a_processor_can_do(tmp_path: Path, cpuinfo: str, expected: set[str]) -> None:
    proc(tmp_path, 1)
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    assert cpu_flags(tmp_path) == expected


def test_too_little_memory_is_one_sentence_that_says_how_much(tmp_path: Path) -> None:
    model = tmp_path / "some-model"
    model.mkdir()
    with pytest.raises(GuardError) as error:
        check_memory(model, 2 * GIB, read=lambda: GIB // 2)
    text = str(error.value)
    assert "too little memory: the engine needs about 5.5 GiB for `some-model`" in text
    assert "0.5 GiB are available" in text
    assert "\n" not in text


def test_enough_memory_passes(tmp_path: Path) -> None:
    check_memory(tmp_path, GIB, read=lambda: 64 * GIB)


def test_other_systems_are_refused() -> None:
    check_system("Linux")
    with pytest.raises(GuardError, match="runs on Linux, this is Darwin"):
        check_system("Darwin")
