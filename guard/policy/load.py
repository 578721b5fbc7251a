"""Policy files to a checked ``Policy``: every problem found is reported, not only the first."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from guard.bundle import Respond, StandIn
from guard.errors import PolicyError
from guard.policy.checks import Problem, check_corpus, check_target, check_tenants, check_unique_ids
from guard.policy.corpus import corpus_files, corpus_folders
from guard.policy.data import read_answers, read_prompts
from guard.policy.extraction import Extracted, extracted_from
from guard.policy.lint import (
    SUFFIXES,
    cut_by_comments,
    path_in_a_list,
    skipped_files,
)
from guard.policy.messages import translate
from guard.policy.model import Place, Policy, PolicyTarget, PolicyWarning
from guard.policy.named import stand_ins_for
from guard.policy.problems import InvalidPolicyError
from guard.policy.schema import Defaults, PolicyFile, Target, TenantEntry
from guard.policy.source import MAX_BYTES, Source, read_yaml
from guard.policy.statements import statements_of
from guard.policy.trained import TRAINED, Trained, read_trained, trained_path
from guard.policy.verbatim import corpus_filter
from guard.verbatim import RunFilter

Model = TypeVar("Model", bound=BaseModel)


def load_policy(path: Path, *, today: datetime.date | None = None, trained: bool = True) -> Policy:
    """Read one policy file, or all ``.yaml`` and ``.yml`` files of a folder by name.

    Args:
        today: the day that expiry is judged by; UTC's present day if not given.
        trained: whether to read what was learnt of it, too.

    Raises:
        InvalidPolicyError: a ``PolicyError`` whose ``errors`` are all problems found.
    """
    day = today or datetime.datetime.now(datetime.UTC).date()
    loader = _Loader(day)
    for file in _policy_files(path):
        loader.read(file)
    if trained:
        loader.read_trained(trained_path(path))
        loader.warnings += _trained_in_parts(path)
    return loader.finish(path)


def _policy_files(path: Path) -> list[Path]:
    try:
        if path.is_file():
            return [path]
        if not path.is_dir():
            raise InvalidPolicyError(
                [PolicyError("no such file or folder", fix="check the path", file=str(path))]
            )
        files = sorted(
            p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        )
    except OSError as error:
        raise InvalidPolicyError(
            [PolicyError(f"cannot be read ({error.strerror})", fix="check its permissions",
                         file=str(path))]
        ) from error  # fmt: skip
    if not files:
        raise InvalidPolicyError(
            [
                PolicyError(
                    "folder holds no policy",
                    fix="add a file whose name ends in .yaml",
                    file=str(path),
                )
            ]
        )
    return files


@dataclass(slots=True)
class _Loader:
    today: datetime.date
    errors: list[PolicyError] = field(default_factory=list)
    warnings: list[PolicyWarning] = field(default_factory=list)
    specs: list[tuple[Target, Place]] = field(default_factory=list)
    tenants: list[tuple[TenantEntry, Place]] = field(default_factory=list)
    defaults: tuple[Defaults, Place] | None = None
    files: list[Path] = field(default_factory=list)
    trained: Trained | None = None

    def read_trained(self, file: Path) -> None:
        self.files.append(file)
        try:
            self.trained = read_trained(file)
        except PolicyError as error:
            self.errors.append(error)

    def read(self, file: Path) -> None:
        self.files.append(file)
        try:
            source = read_yaml(_text(file), str(file))
        except PolicyError as error:
            self.errors.append(error)
            return
        root = Place(source, ())
        self.warnings += cut_by_comments(source)
        if source.data is None:
            self.errors.append(root.error("file is empty", "add `version: 1` and `targets`"))
            return
        try:
            whole = PolicyFile.model_validate(source.data)
        except ValidationError as error:
            self.errors += translate(error, root)
            # Each part is read by itself then, so that one bad target does not hide what is wrong
            # with the others.
            if isinstance(source.data, dict):
                self._read_parts(source, source.data)
            return
        self._take(
            source, list(enumerate(whole.targets)), list(enumerate(whole.tenants)), whole.defaults
        )

    def _read_parts(self, source: Source, data: dict[str, Any]) -> None:
        defaults: Defaults | None = None
        if isinstance(data.get("defaults"), dict):
            with suppress(ValidationError):  # reported with its file
                defaults = Defaults.model_validate(data["defaults"])
        self._take(
            source,
            _valid(Target, data.get("targets")),
            _valid(TenantEntry, data.get("tenants")),
            defaults,
        )

    def _take(
        self,
        source: Source,
        targets: Iterable[tuple[int, Target]],
        tenants: Iterable[tuple[int, TenantEntry]],
        defaults: Defaults | None,
    ) -> None:
        """Keep the parts of a file, each with its place in its list."""
        self.specs += [(each, Place(source, ("targets", index))) for index, each in targets]
        self.tenants += [(each, Place(source, ("tenants", index))) for index, each in tenants]
        if defaults is None:
            return
        place = Place(source, ("defaults",))
        if self.defaults is None:
            self.defaults = (defaults, place)
            return
        other = self.defaults[1]
        self.errors.append(
            place.error(
                f"`defaults` also stand in {other.source.file}:{other.line}",
                "keep them in one file of the folder",
            )
        )

    def finish(self, path: Path) -> Policy:
        defaults = self.defaults[0] if self.defaults else Defaults()
        broken = bool(self.errors)
        self._sort(check_unique_ids([(spec.id, place) for spec, place in self.specs]))
        targets = [self._target(spec, place, defaults) for spec, place in self.specs]
        if not broken:  # else a target may be missing only because it could not be read
            ids = frozenset(spec.id for spec, _ in self.specs)
            self._sort(check_tenants(self.tenants, ids))
        if self.errors:
            by_place = sorted(self.errors, key=lambda error: (error.file, error.line))
            raise InvalidPolicyError(by_place)
        if not targets:
            self.warnings.append(
                PolicyWarning(
                    "holds no target: nothing is guarded", "add one", str(path), 1, "targets"
                )
            )
        if path.is_dir():
            with suppress(OSError):  # it could be listed when its policies were read
                self.warnings += skipped_files(path, self.files)
        self._sort(_not_trained_since(targets, self.trained))
        return Policy(
            targets=tuple(targets),
            tenants=tuple(tenant for tenant, _ in self.tenants),
            on_error=defaults.on_error,
            answers=defaults.answers,
            warnings=tuple(self.warnings),
            files=tuple(dict.fromkeys(self.files)),
            trained=self.trained,
        )

    def _sort(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if isinstance(problem, PolicyWarning):
                self.warnings.append(problem)
            else:
                self.errors.append(problem)

    def _target(self, spec: Target, place: Place, defaults: Defaults) -> PolicyTarget:
        before = len(self.errors)
        detect = place.at("detect")
        respond = _respond(spec, defaults)
        examples = self._prompts(spec.detect.examples, detect.at("examples"))
        answers = self._answers(spec, place.at("forbid", "extract", "from"))
        extracted = _facts(spec, examples, answers)
        stand_ins: tuple[StandIn, ...] = ()
        if respond == "substitute":
            written = (item if isinstance(item, str) else item.text for item in spec.forbid.phrases)
            stand_ins = stand_ins_for(
                spec.detect.aliases, examples, (*written, *extracted.facts, *extracted.rest)
            )
        target = PolicyTarget(
            spec=spec,
            place=place,
            mode=spec.mode or defaults.mode,
            respond=respond,
            examples=examples,
            counterexamples=self._prompts(
                spec.detect.counterexamples, detect.at("counterexamples")
            ),
            answers=answers,
            extracted=extracted,
            statements=statements_of(answers, spec.detect.aliases, examples),
            verbatim=self._verbatim(spec, place.at("forbid", "verbatim"), stand_ins),
            stand_ins=stand_ins,
        )
        learnt = self.trained.of(target) if self.trained is not None else None
        if learnt is not None and learnt.threshold is not None:
            target = replace(target, learnt=learnt)
        complete = len(self.errors) == before
        self._sort(check_target(target, self.today, complete=complete))
        return target

    def _prompts(self, given: str | list[str] | None, place: Place) -> tuple[str, ...]:
        if given is None:
            return ()
        if isinstance(given, str):
            try:
                return tuple(read_prompts(self._data_file(given, place), place))
            except PolicyError as error:
                self.errors.append(error)
                return ()
        if not given:
            self.errors.append(place.error("is empty", "add a prompt, or remove the field"))
        for index, prompt in enumerate(given):
            own = place.at(index)
            if not prompt.strip():
                self.errors.append(own.error("is blank", "write a prompt"))
            elif wrong := path_in_a_list(prompt, own):
                self.errors.append(wrong)
        return tuple(given)

    def _answers(self, spec: Target, place: Place) -> tuple[tuple[str, str], ...]:
        extract = spec.forbid.extract
        if extract is None:
            return ()
        try:
            return tuple(read_answers(self._data_file(extract.source, place), place))
        except PolicyError as error:
            self.errors.append(error)
            return ()

    def _verbatim(
        self, spec: Target, place: Place, stand_ins: tuple[StandIn, ...]
    ) -> RunFilter | None:
        asked = spec.forbid.verbatim
        if asked is None:
            return None
        patterns = [asked.corpus] if isinstance(asked.corpus, str) else asked.corpus
        corpus = place.at("corpus")
        try:
            folders = corpus_folders(Path(place.source.file).parent, patterns, corpus)
            files = corpus_files(Path(place.source.file).parent, patterns, corpus)
            self.files += files + folders
            made = corpus_filter(files, asked.words, corpus, stand_ins)
            self._sort(check_corpus(files, made.too_short, asked.words, corpus))
            return made.runs
        except PolicyError as error:
            self.errors.append(error)
            return None

    def _data_file(self, given: str, place: Place) -> Path:
        path = Path(place.source.file).parent / given
        self.files.append(path)
        return path


def _trained_in_parts(folder: Path) -> Iterator[PolicyWarning]:
    for file in sorted(folder.glob(f"*.{TRAINED}")) if folder.is_dir() else ():
        yield PolicyWarning(
            "was learnt of one file of the folder, and is not used for the folder",
            f"run `unlearn-guard train {folder}`, and remove the file",
            str(file), 1, "targets",
        )  # fmt: skip


def _not_trained_since(
    targets: Sequence[PolicyTarget], trained: Trained | None
) -> Iterator[PolicyWarning]:
    for target in targets:
        known = trained is not None and target.spec.id in trained.targets
        if trained is not None and known and trained.of(target) is None:
            yield target.place.at("detect").warning(
                "has changed since `unlearn-guard train`: what was learnt of it is not used",
                "run `unlearn-guard train` again",
            )


def _facts(spec: Target, examples: Sequence[str], answers: Sequence[tuple[str, str]]) -> Extracted:
    extract = spec.forbid.extract
    if extract is None or not answers:
        return Extracted()
    return extracted_from(
        answers,
        extract.kind,
        extract.words,
        aliases=spec.detect.aliases,
        phrases=[p if isinstance(p, str) else p.text for p in spec.forbid.phrases],
        prompts=examples,
    )


def _respond(spec: Target, defaults: Defaults) -> Respond:
    """What a target asks for.

    An answer that is made up around what is held back may harm a real person as much as the truth,
    so ``privacy`` is answered with an invention only where the target itself asks for that.
    """
    if spec.respond is not None:
        return spec.respond
    if spec.reason == "privacy" and defaults.respond != "observe":
        return "refuse"
    return defaults.respond


def _valid(model: type[Model], items: Any) -> Iterator[tuple[int, Model]]:
    for index, item in enumerate(items if isinstance(items, list) else ()):
        with suppress(ValidationError):  # reported with its file
            yield index, model.model_validate(item)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A cut within a code point is a file that is too large, which `read_yaml` says better.
        if len(data) > MAX_BYTES:
            return data.decode("utf-8", "replace")
        raise PolicyError("is not UTF-8 text", fix="save it as UTF-8", file=str(file)) from error
    except OSError as error:
        if isinstance(error, IsADirectoryError):
            fix = "give the folder a name that does not end in .yaml or .yml"
        elif file.is_symlink() and not isinstance(error, PermissionError):
            fix = "it is a link that leads to no file: correct or remove it"
        else:
            fix = "check its permissions"
        raise PolicyError(f"cannot be read ({error.strerror})", fix=fix, file=str(file)) from error
