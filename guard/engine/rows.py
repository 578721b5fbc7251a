"""What the sampler holds for each request slot, where rows of logits are not requests.

Model Runner V2 keeps requests in slots, reorders rows every step, and gives a request a row for
each draft token. ``GuardedRows`` keeps the slots' states and active targets on the device;
``TorchRows`` is the readable form, for CPUs and as the measure of the kernels
(``guard.engine.gpu.rows``), which never make the host wait. Protected texts have no kernel: while
requests hold a bundle with one, their words are read with torch, on a GPU too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch

from guard.engine.matcher import Tokens
from guard.engine.runs import RUNS_WIDTH
from guard.engine.windows import STATE_WIDTH

if TYPE_CHECKING:
    from guard.engine.bundles import LoadedBundle

UNGUARDED: Final = -1
SILENCED: Final = -2

# So many tokens are read one by one; more are read from the text's end.
_FEW: Final = 16


@dataclass(frozen=True, slots=True)
class StepRows:
    """One step's rows, on the device; R rows of logits, those of a request side by side.

    Attributes:
        slot: [R] int64 request slot of each row.
        local: [R] int32 place of each row among those of its request.
        token: [R] int32 the token fed at each row: a request's last committed one, then drafts.
        position: [R] int64 place of that token in its text.
        committed: [slots, L] int32 the tokens of each slot.
    """

    slot: torch.Tensor
    local: torch.Tensor
    token: torch.Tensor
    position: torch.Tensor
    committed: torch.Tensor


def to_device(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """A copy of a host array on a device, in the order of its work, without waiting for it."""
    tensor = torch.from_numpy(np.array(array))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Held:
    """A bundle that requests hold, and which of its targets.

    Attributes:
        number: what ``owner`` has for it.
        active: [slots, n_targets] bool on the device; rows of other bundles' slots mean nothing.
    """

    def __init__(
        self, bundle: LoadedBundle, number: int, slots: int, targets: int, device: torch.device
    ) -> None:
        self.bundle = bundle
        self.number = number
        self.active = torch.zeros((slots, targets), dtype=torch.bool, device=device)


class Reader(Protocol):
    """Reads tokens into states: of phrases, or of runs of words."""

    empty_token: int

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """[B, width] states after one more token each."""

    def read_texts(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """[B, width] states after whole texts."""


class SlotTexts:
    """What a reader remembers of the text of each slot; with torch alone.

    Args:
        state: [slots, width] int64.
        read: [slots] int64, how many tokens ``state`` includes; 0 for a text not read at all.
    """

    def __init__(self, reader: Reader, state: torch.Tensor, read: torch.Tensor) -> None:
        self._reader = reader
        self._state, self._read = state, read

    def after(self, step: StepRows, guarded: torch.Tensor) -> torch.Tensor:
        """[R, width] after the committed text, then after each row's own draft tokens.

        Args:
            guarded: [R] bool, the rows whose states are asked for.
        """
        slots = step.slot.long()
        self._catch_up(step, slots, guarded)
        state = self._state[slots]
        for draft in range(1, int(step.local.max()) + 1):
            at_draft = step.local == draft
            token = torch.where(at_draft, step.token, self._reader.empty_token).long()
            after = self._reader.advance(state.roll(1, dims=0), token)
            state = torch.where(at_draft[:, None], after, state)
        return state

    def _catch_up(self, step: StepRows, slots: torch.Tensor, guarded: torch.Tensor) -> None:
        """Read the tokens committed since the last step."""
        (first,) = torch.nonzero(guarded & (step.local == 0), as_tuple=True)
        slot, last = slots[first], step.position[first]
        behind = last + 1 - self._read[slot]
        far = (self._read[slot] == 0) | (behind > _FEW) | (behind < 0)
        far |= self._unknown_ahead(step, slot, last)
        for row, at, end in zip(first[far], slot[far].tolist(), last[far].tolist(), strict=True):
            text = [*step.committed[at, :end].tolist(), int(step.token[row])]
            self._state[at] = self._reader.read_texts([text])[0]
        near = ~far
        near_slot, near_last = slot[near], last[near]
        read, state = self._read[near_slot], self._state[near_slot]
        while bool((unread := read <= near_last).any()):
            known = step.committed[near_slot, read.clamp(max=step.committed.shape[1] - 1)]
            token = torch.where(read == near_last, step.token[first[near]], known).long()
            token = torch.where(unread, token, self._reader.empty_token)
            state = self._reader.advance(state, token)
            read = read + unread
        self._state[near_slot] = state
        self._read[slot] = last + 1

    def _unknown_ahead(
        self, step: StepRows, slot: torch.Tensor, last: torch.Tensor
    ) -> torch.Tensor:
        """[n] whether a token beyond the vocabulary is unread, as of an image in a prompt."""
        place = self._read[slot][:, None] + torch.arange(_FEW, device=slot.device)
        most = step.committed.shape[1] - 1
        token = step.committed[slot[:, None], place.clamp(max=most)]
        unread = place <= last[:, None]
        return (unread & (token >= self._reader.empty_token)).any(dim=1)


class GuardedRows(ABC):
    """The guarded slots. Requests join and leave on the host; ``flush`` tells the device.

    Args:
        tokens: of the served tokenizer, on the device of the logits.
        slots: how many there are.

    Attributes:
        owner: [slots] int32 on the device: the number of the bundle that a slot's request holds,
            ``UNGUARDED``, or ``SILENCED`` where the request may say nothing.
    """

    def __init__(self, tokens: Tokens, slots: int) -> None:
        self.device = tokens.windows.device
        self._slots = slots
        self._owner = np.full(slots, UNGUARDED, np.int32)
        self.owner = torch.full((slots,), UNGUARDED, dtype=torch.int32, device=self.device)
        # [slots, STATE_WIDTH], and how many tokens it includes; 0 for a text not read at all
        self.state = torch.zeros((slots, STATE_WIDTH), dtype=torch.int64, device=self.device)
        self.read = torch.zeros(slots, dtype=torch.int64, device=self.device)
        # [slots, RUNS_WIDTH] the same for runs of words, where a bundle protects texts
        self._runs = torch.zeros((slots, RUNS_WIDTH), dtype=torch.int64, device=self.device)
        self._runs_read = torch.zeros(slots, dtype=torch.int64, device=self.device)
        self._vocabulary = tokens
        self._held: dict[int, Held] = {}
        self._fresh: dict[int, torch.Tensor | None] = {}  # joined or left since the last flush

    def join(self, slot: int, bundle: LoadedBundle, active: torch.Tensor) -> None:
        """A request takes over a slot, with the [n_targets] bool on the host that hold for it."""
        held = next((held for held in self._held.values() if held.bundle is bundle), None)
        if held is None:
            number = next(n for n in range(len(self._held) + 1) if n not in self._held)
            held = self._hold(bundle, number, len(active))
            self._held[number] = held
        self._set(slot, held.number, active)

    def silence(self, slot: int) -> None:
        """A request takes over a slot that may say nothing."""
        self._set(slot, SILENCED, None)

    def leave(self, slot: int) -> None:
        """Whatever request had the slot, none that is guarded has it now."""
        if self._owner[slot] != UNGUARDED:
            self._set(slot, UNGUARDED, None)

    def _set(self, slot: int, owner: int, active: torch.Tensor | None) -> None:
        before = int(self._owner[slot])
        self._owner[slot] = owner
        self._fresh[slot] = active
        if before >= 0 and not (self._owner == before).any():
            del self._held[before]

    def flush(self) -> None:
        """Tell the device who joined and left. Nothing to do in most steps."""
        if not self._fresh:
            return
        self.owner.copy_(to_device(self._owner, self.device))
        fresh = to_device(np.fromiter(self._fresh, np.int64), self.device)
        self.read.index_fill_(0, fresh, 0)
        self._runs_read.index_fill_(0, fresh, 0)
        for slot, active in self._fresh.items():
            if active is not None:
                row = self._held[int(self._owner[slot])].active[slot]
                row.copy_(to_device(active.numpy(), self.device))
        self._fresh.clear()

    def among(self, slots: npt.NDArray[np.integer]) -> set[int]:
        """What the slots hold: numbers of bundles, ``SILENCED``; ``UNGUARDED`` left out."""
        return {int(owner) for owner in np.unique(self._owner[slots])} - {UNGUARDED}

    def penalise(
        self, logits: torch.Tensor, step: StepRows, slots: npt.NDArray[np.integer]
    ) -> None:
        """Penalise the rows of requests that hold a bundle.

        Args:
            logits: [R, V] float32, changed in place.
            step: this step's rows.
            slots: of this step's requests, on the host.
        """
        held = [self._held[number] for number in sorted(self.among(slots)) if number >= 0]
        if held:
            self._read(logits, step)
            self._penalise(logits, step, held)
            self._protect(logits, step, held)
            self._keep_words(logits, step)

    def _protect(self, logits: torch.Tensor, step: StepRows, held: list[Held]) -> None:
        """Keep the bounds of protected texts: with torch alone, for which the host must wait."""
        reader = self._vocabulary.runs
        if reader is None or all(each.bundle.verbatim is None for each in held):
            return
        slots = step.slot.long()
        owner = self.owner[slots]
        runs = SlotTexts(reader, self._runs, self._runs_read).after(step, owner >= 0)
        for each in held:
            if each.bundle.verbatim is not None:
                (rows,) = torch.nonzero(owner == each.number, as_tuple=True)
                each.bundle.verbatim.penalise(logits, rows, runs[rows], each.active[slots[rows]])

    def _hold(self, bundle: LoadedBundle, number: int, targets: int) -> Held:
        return Held(bundle, number, self._slots, targets, self.device)

    @abstractmethod
    def _read(self, logits: torch.Tensor, step: StepRows) -> None:
        """Read the tokens committed since the last step, and what the rows would say."""

    @abstractmethod
    def _penalise(self, logits: torch.Tensor, step: StepRows, held: list[Held]) -> None:
        """Penalise what the phrases of these bundles forbid."""

    @abstractmethod
    def _keep_words(self, logits: torch.Tensor, step: StepRows) -> None:
        """Keep words apart where what a row would have said was penalised."""


class TorchRows(GuardedRows):
    """With torch alone."""

    def __init__(self, tokens: Tokens, slots: int) -> None:
        super().__init__(tokens, slots)
        self._texts = SlotTexts(tokens.windows, self.state, self.read)
        self._boundaries = tokens.boundaries

    def _read(self, logits: torch.Tensor, step: StepRows) -> None:
        guarded = self.owner[step.slot.long()] >= 0
        self._row_state = self._texts.after(step, guarded)
        (self._guarded,) = torch.nonzero(guarded, as_tuple=True)
        self._best = self._boundaries.best(logits, self._guarded)

    def _penalise(self, logits: torch.Tensor, step: StepRows, held: list[Held]) -> None:
        slots, state = step.slot.long(), self._row_state
        owner = self.owner[slots]
        for each in held:
            (rows,) = torch.nonzero(owner == each.number, as_tuple=True)
            each.bundle.matcher.penalise(logits, rows, state[rows], each.active[slots[rows]])

    def _keep_words(self, logits: torch.Tensor, step: StepRows) -> None:
        rows = self._guarded
        self._boundaries.keep(logits, rows, self._row_state[rows], self._best)
