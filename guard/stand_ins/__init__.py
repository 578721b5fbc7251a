"""Stand-ins: what the model is told in place of the names that a target is asked about with."""

from guard.bundle import NameKind, StandIn
from guard.stand_ins.choice import Name, choose, pairs
from guard.stand_ins.swap import Swap, SwapStream

__all__ = ["Name", "NameKind", "StandIn", "Swap", "SwapStream", "choose", "pairs"]
