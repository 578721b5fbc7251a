"""What the sampler holds for each request slot, where rows of logits are not requests.

Model Runner V2 keeps requests in slots, reorders rows every step, and gives a request a row for
each draft token. ``GuardedRows`` keeps the slots' states and active targets on the device;
``TorchRows`` is the readable form, for CPUs and as the measure of the kernels
(``guard.engine.gpu.rows``), which never make the host wait.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from guard.engine.bundles import LoadedBundle
from guard.engine.matcher import Tokens
from guard.engine.windows import STATE_WIDTH

UNGUARDED: Final = -1
SILENCED: Final = -2

# So many tokens are read one by one; more are read from the text's end.
_FEW: Final = 16


@dataclass(frozen=True, slots=True)
class StepRows:
    """One step's rows, on the device; R rows of logits, those of a request side by side.

    Attributes:
        slot: [R] int32 request slot of each row.
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
        for slot, active in self._fresh.items():
            if active is not None:
                row = self._held[int(self._owner[slot])].active[slot]
                row.copy_(to_device(active.numpy(), self.device))
        self._fresh.clear()

    def among(self, slots: npt.NDArray[np.int32]) -> set[int]:
        """What the slots hold: numbers of bundles, ``SILENCED``; ``UNGUARDED`` left out."""
        return {int(owner) for owner in np.unique(self._owner[slots])} - {UNGUARDED}

    def penalise(self, logits: torch.Tensor, step: StepRows, slots: npt.NDArray[np.int32]) -> None:
        """Penalise the rows of requests that hold a bundle.

        Args:
            logits: [R, V] float32, changed in place.
            step: this step's rows.
            slots: of this step's requests, on the host.
        """
        held = [self._held[number] for number in sorted(self.among(slots)) if number >= 0]
        if held:
            self._penalise(logits, step, held)

    def _hold(self, bundle: LoadedBundle, number: int, targets: int) -> Held:
        return Held(bundle, number, self._slots, targets, self.device)

    @abstractmethod
    def _penalise(self, logits: torch.Tensor, step: StepRows, held: list[Held]) -> None:
        """The same, for these bundles."""


class TorchRows(GuardedRows):
    """With torch alone."""

    def __init__(self, tokens: Tokens, slots: int) -> None:
        super().__init__(tokens, slots)
        self._windows = tokens.windows

    def _penalise(self, logits: torch.Tensor, step: StepRows, held: list[Held]) -> None:
        slots = step.slot.long()
        owner = self.owner[slots]
        self._catch_up(step, slots, owner >= 0)
        state = self.row_states(step, slots)
        for each in held:
            (rows,) = torch.nonzero(owner == each.number, as_tuple=True)
            each.bundle.matcher.penalise(logits, rows, state[rows], each.active[slots[rows]])

    def _catch_up(self, step: StepRows, slots: torch.Tensor, guarded: torch.Tensor) -> None:
        """Read the tokens committed since the last step."""
        (first,) = torch.nonzero(guarded & (step.local == 0), as_tuple=True)
        slot, last = slots[first], step.position[first]
        behind = last + 1 - self.read[slot]
        far = (self.read[slot] == 0) | (behind > _FEW) | (behind < 0)
        for row, at, end in zip(first[far], slot[far].tolist(), last[far].tolist(), strict=True):
            text = [*step.committed[at, :end].tolist(), int(step.token[row])]
            self.state[at] = self._windows.read_texts([text])[0]
        near = ~far
        near_slot, near_last = slot[near], last[near]
        read, state = self.read[near_slot], self.state[near_slot]
        while bool((unread := read <= near_last).any()):
            known = step.committed[near_slot, read.clamp(max=step.committed.shape[1] - 1)]
            token = torch.where(read == near_last, step.token[first[near]], known).long()
            token = torch.where(unread, token, self._windows.empty_token)
            state = self._windows.advance(state, token)
            read = read + unread
        self.state[near_slot] = state
        self.read[slot] = last + 1

    def row_states(self, step: StepRows, slots: torch.Tensor) -> torch.Tensor:
        """[R, STATE_WIDTH] after the committed text, then after each row's own draft tokens."""
        state = self.state[slots]
        for draft in range(1, int(step.local.max()) + 1):
            at_draft = step.local == draft
            token = torch.where(at_draft, step.token, self._windows.empty_token).long()
            after = self._windows.advance(state.roll(1, dims=0), token)
            state = torch.where(at_draft[:, None], after, state)
        return state
