"""What goes wrong, drawn from a seed.

Every incident has a name that says what happens where, and the seed alone says by that name whether it does.
So one incident can be left out and the others stay, which is how a story is made smaller.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

RATES: dict[str, float] = {
    # calls to AWS
    "throttled": 0.010,
    "failed though done": 0.012,
    "done twice by the SDK's retry": 0.010,
    "crash before": 0.012,
    "crash after": 0.012,
    "slow": 0.006,
    "transaction conflict": 0.015,
    # messages and events
    "lost": 0.10,
    "upload event lost": 0.06,
    "late": 0.08,
    "twice": 0.08,
    # what AWS runs
    "job killed": 0.06,
    "job fails": 0.05,
    "job hangs": 0.03,
    "job forgotten": 0.02,
    "training forgotten": 0.03,
    "training unseen": 0.05,
    "data blocked": 0.08,
    "log late": 0.10,
    "log lost": 0.04,
    "score is nan": 0.04,
    "deployment fails": 0.12,
    "rollback fails": 0.25,
    "alarm rings": 0.04,
    "index lags": 0.05,
    "listing lags": 0.10,
    "description lags": 0.10,
    # machines
    "clock jumps": 0.03,
    "schedule skips": 0.05,
    # people
    "person": 1.0,
}
"""How likely each kind of incident is where it may happen (a seed scales each kind by 0 to 3)."""

_SCALES = (0.0, 0.0, 0.5, 1.0, 1.0, 3.0)


@dataclass(frozen=True)
class Incident:
    """Something that went wrong, or that somebody did."""

    at: float
    name: str


@dataclass
class Chance:
    """The draws of one schedule. ``without`` are names of incidents that do not happen."""

    seed: int
    without: Collection[str] = ()
    calm: bool = False
    """Whether nothing goes wrong any more."""
    incidents: list[Incident] = field(default_factory=list)
    _seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        # Testing in swarms: schedules that leave some faults out reach states that the mixture of all seldom
        # does (Groce et al., "Swarm Testing", ISSTA 2012).
        self._scale = {kind: self.pick(f"scale of {kind}", _SCALES) for kind in RATES}

    def uniform(self, name: str) -> float:
        """A number from 0 to 1 that follows from the seed and the name."""
        digest = blake2b(f"{self.seed}/{name}".encode(), digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**56

    def between(self, name: str, low: float, high: float) -> float:
        """A number between two others."""
        return low + (high - low) * self.uniform(name)

    def pick(self, name: str, choices: Sequence[T]) -> T:
        """One of several."""
        return choices[int(self.uniform(name) * len(choices))]

    def numbered(self, name: str) -> str:
        """The name with a number, another one each time it is asked for."""
        self._seen[name] += 1
        return f"{name} #{self._seen[name]}"

    def happens(self, kind: str, where: str, at: float) -> bool:
        """Whether an incident of this kind happens there; noted if it does."""
        if self.calm:
            return False
        rate = RATES[kind] * self._scale[kind]
        if rate == 0.0:
            return False
        name = f"{kind}: {where}"
        if self.uniform(name) >= rate or name in self.without:
            return False
        self.incidents.append(Incident(at, name))
        return True

    def done(self, name: str, at: float) -> bool:
        """Whether somebody does what the schedule has them do; noted if so."""
        if name in self.without:
            return False
        self.incidents.append(Incident(at, name))
        return True
