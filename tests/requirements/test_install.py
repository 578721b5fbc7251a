"""The installer: what it refuses, when it has nothing to do, and how it recovers.

pip is replaced by a script that records how it was called; the real install is what these tests
run in.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def install(tmp_path: Path) -> ModuleType:
    """The installer, of a project of its own."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "requirements", project / "requirements")
    shutil.copy(ROOT / "pyproject.toml", project)
    spec = importlib.util.spec_from_file_location("installer", project / "requirements/install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# A pip that notes its arguments, and fails when they hold what `fails` says.
PIP = """#!{python}
import json, sys
from pathlib import Path
here = Path(__file__).parent
if sys.argv[1:3] != ["-m", "pip"]:
    sys.exit(0)
arguments = sys.argv[3:]
if arguments[:1] == ["list"]:
    print((here / "listed").read_text())
    sys.exit(0)
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
fails = (here / "fails").read_text() if (here / "fails").exists() else ""
if fails and fails in " ".join(arguments):
    print("ERROR: No matching distribution found for " + fails)
    sys.exit(1)
print("Collecting something")
"""


class FakeVenv:
    """Stands in for `python -m venv`: an environment whose Python is the pip above."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = module.ROOT / ".venv"
        self.made = 0
        self.fails = ""
        self.listed: list[str] = ["pip", "torch"]
        monkeypatch.setattr(module.Environment, "create", lambda environment: self.create())

    def create(self) -> None:
        self.made += 1
        shutil.rmtree(self.place, ignore_errors=True)
        (self.place / "bin").mkdir(parents=True)
        python = self.place / "bin" / "python"
        python.write_text(PIP.format(python=sys.executable))
        python.chmod(0o755)
        (self.place / "bin" / "fails").write_text(self.fails)
        listed = json.dumps([{"name": name} for name in self.listed])
        (self.place / "bin" / "listed").write_text(listed)

    @property
    def calls(self) -> list[list[str]]:
        file = self.place / "bin" / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def venv(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> FakeVenv:
    return FakeVenv(install, monkeypatch)


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 14)])
def test_another_python_is_refused_in_one_sentence(
    install: ModuleType, version: tuple[int, int]
) -> None:
    with pytest.raises(install.SetupError) as error:
        install.check_machine(version, "Linux")
    assert str(error.value).startswith(
        f"python {version[0]}.{version[1]} is not supported; install"
    )
    assert "\n" not in str(error.value)


def test_another_system_is_refused(install: ModuleType) -> None:
    install.check_machine((3, 12), "Linux")
    with pytest.raises(install.SetupError, match="Windows is not supported"):
        install.check_machine((3, 12), "Windows")


def test_the_installer_itself_says_so_under_an_old_python() -> None:
    ast.parse((ROOT / "requirements/install.py").read_text(), feature_version=(3, 7))


def test_everything_is_installed_as_locked(
    install: ModuleType, venv: FakeVenv, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main() == 0
    torch, tools, lock, project = venv.calls
    assert torch[-1].endswith("torch.txt")
    assert tools[-1].endswith("build-tools.lock")
    for call in (tools, lock):
        assert {"--no-deps", "--require-hashes", "--no-build-isolation"} <= set(call)
    assert lock[-1].endswith("cpu.lock")
    assert project[-2:] == ["-e", str(install.ROOT)]
    assert "all packages are in place" in capsys.readouterr().err


def test_a_second_run_does_nothing(install: ModuleType, venv: FakeVenv) -> None:
    install.main()
    before = len(venv.calls)
    assert install.main() == 0
    assert len(venv.calls) == before
    assert venv.made == 1


def test_a_changed_lock_is_installed_into_what_is_there(
    install: ModuleType, venv: FakeVenv
) -> None:
    install.main()
    with install.LOCK.open("a") as lock:
        lock.write("extra==1 \\\n    --hash=sha256:00\n")
    assert install.main() == 0
    assert venv.made == 1
    assert len(venv.calls) == 8


def test_packages_that_are_not_locked_are_removed(install: ModuleType, venv: FakeVenv) -> None:
    venv.listed = ["pip", "torch", "torchvision", "NumPy", "typing_extensions", "unlearn-guard"]
    assert install.main() == 0
    assert ["uninstall", "-y", "torchvision"] in venv.calls


def test_an_interrupted_install_is_begun_afresh(install: ModuleType, venv: FakeVenv) -> None:
    venv.fails = "cpu.lock"
    assert install.main() == 2
    venv.fails = ""
    assert install.main() == 0
    assert venv.made == 2


def test_a_broken_environment_is_made_anew(install: ModuleType, venv: FakeVenv) -> None:
    install.main()
    (venv.place / "bin" / "python").write_text("not a program")
    (venv.place / ".unlearn-guard.installed").unlink()
    assert install.main() == 0
    assert venv.made == 2


def test_a_failure_is_one_sentence_with_pips_reason_and_log(
    install: ModuleType, venv: FakeVenv, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.fails = "cpu.lock"
    assert install.main() == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("setup: could not install the locked packages: No matching distribution")
    assert "install.log" in last


def test_torch_comes_from_pytorchs_index_only_where_no_other_has_it(
    install: ModuleType, venv: FakeVenv
) -> None:
    install.main()
    assert not [call for call in venv.calls if "--index-url" in call]
    shutil.rmtree(venv.place)
    venv.fails = "torch.txt"  # fails both times here; what matters is that it was asked
    assert install.main() == 2
    assert venv.calls[0][-1].endswith("torch.txt")
    assert venv.calls[1][-2:] == ["--index-url", install.TORCH_INDEX]


def test_lock_entries_are_split_by_name(install: ModuleType) -> None:
    text = (
        "# head\n\nA.b_c==1 \\\n    --hash=sha256:00\n    # via x\n"
        "numpy==2 ; python_version < '3.12' \\\n    --hash=sha256:01\n"
        "numpy==3 ; python_version >= '3.12' \\\n    --hash=sha256:02\n"
    )
    found = install.blocks(text)
    assert list(found) == ["a-b-c", "numpy"]
    assert found["numpy"].count("--hash") == 2
