"""What `unlearn-guard train` has learnt from a policy, in a file beside it.

The file lies in the policy's folder (``trained.safetensors``), or beside the policy file
(``<its name>.trained.safetensors``). It holds for each target the digest of what it was trained on:
of a target that has changed since, nothing learnt is used until it is trained again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from guard.errors import GuardError, PolicyError
from guard.keywords import KeywordTable
from guard.policy.model import PolicyTarget

FORMAT: Final = "2"
TRAINED: Final = "trained.safetensors"


@dataclass(frozen=True, slots=True)
class TrainedTarget:
    """What was learnt of one target.

    Attributes:
        row: its row in the table.
        digest: of what it was trained on; see ``digest_of``.
        threshold: the least score that counts; None where there were too few near misses to tell.
        calibration: what the threshold rests on, in JSON types.
    """

    row: int
    digest: str
    threshold: float | None
    calibration: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What was learnt of a policy: key words, and by target's id the thresholds.

    Attributes:
        encoder: digest of the sentence encoder that answers were compared by; empty if by none.
    """

    table: KeywordTable
    targets: Mapping[str, TrainedTarget]
    encoder: str = ""

    def of(self, target: PolicyTarget) -> TrainedTarget | None:
        """What was learnt of a target and still holds."""
        found = self.targets.get(target.spec.id)
        return found if found is not None and found.digest == digest_of(target) else None


def digest_of(target: PolicyTarget) -> str:
    """The sha256 of all that training takes from a target."""
    detect = target.spec.detect
    said = [
        target.spec.id, target.examples, target.answers, target.counterexamples, detect.aliases,
        detect.max_false_positive_rate,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()


def trained_path(policy: Path) -> Path:
    """Where what was learnt of a policy, a file or a folder, is kept."""
    return policy / TRAINED if policy.is_dir() else policy.with_suffix(f".{TRAINED}")


def write_trained(trained: Trained, path: Path) -> None:
    """Write the file, all of it or nothing.

    Raises:
        GuardError: it cannot be written.
    """
    about = {
        target_id: {
            "row": own.row,
            "digest": own.digest,
            "threshold": own.threshold,
            "calibration": dict(own.calibration),
        }
        for target_id, own in trained.targets.items()
    }
    aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        save_file(
            trained.table.arrays(),
            aside,
            metadata={
                "format": FORMAT,
                "encoder": trained.encoder,
                "targets": json.dumps(about, sort_keys=True),
            },
        )
        # It holds words of protected texts, as the policy's data files do.
        aside.chmod(0o640)
        aside.replace(path)
    except (OSError, SafetensorError) as error:
        aside.unlink(missing_ok=True)
        raise GuardError(
            f"cannot write `{path}` ({error})", fix="train where the policy's folder can be written"
        ) from error


def read_trained(path: Path) -> Trained | None:
    """What the file holds; None if there is none.

    Raises:
        PolicyError: it is damaged, or of another version of this program.
    """
    try:
        if not path.exists():
            return None
        with path.open("rb"):  # safetensors tells any failure as a file that is not there
            pass
        with safe_open(path, framework="np") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise ValueError(f"format {about.get('format')}, not {FORMAT}")
            table = KeywordTable.from_arrays({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        targets = {
            target_id: TrainedTarget(
                int(own["row"]),
                str(own["digest"]),
                None if own["threshold"] is None else float(own["threshold"]),
                own["calibration"],
            )
            for target_id, own in json.loads(about["targets"]).items()
        }
        encoder = about["encoder"]
        if any(not 0 <= own.row < table.n_targets for own in targets.values()):
            raise ValueError("a target has no row in the table")
    except OSError as error:
        raise PolicyError(
            f"what was trained cannot be read ({error.strerror})",
            fix="let this process read the file and its folder, or remove the file",
            file=str(path),
        ) from error
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PolicyError(
            f"what was trained cannot be read ({error})",
            fix="run `unlearn-guard train` again, or remove the file",
            file=str(path),
        ) from error
    return Trained(table, targets, encoder)
