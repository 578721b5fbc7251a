"""Where a run keeps its files."""

from __future__ import annotations

from pathlib import Path

from server.launch.places import default_places


def test_in_a_checkout_files_stay_in_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    places = default_places({}, package=tmp_path / "guard")
    assert (places.cache, places.run) == (tmp_path / ".cache", tmp_path / ".run")


def test_installed_files_go_where_the_users_programs_keep_theirs(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "guard"
    places = default_places({"HOME": "/home/u", "XDG_CACHE_HOME": "/fast"}, package=package)
    assert places.cache == Path("/fast/unlearn-guard")
    assert places.run == Path("/home/u/.local/state/unlearn-guard")
    assert places.bundles == Path("/fast/unlearn-guard/bundles")
