"""How much of this machine jobs may use at once."""

from __future__ import annotations

import os
import threading


class Capacity:
    """A number of units (vCPUs, jobs) that work takes and gives back."""

    def __init__(self, units: float) -> None:
        self._total = units
        self._free = units
        self._condition = threading.Condition()

    @classmethod
    def of_machine(cls) -> Capacity:
        """The vCPUs this process may use."""
        return cls(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def cost(self, units: float) -> float:
        """What work of this size takes: never more than the machine has, so that nothing waits for ever."""
        return min(units, self._total)

    def try_take(self, units: float) -> bool:
        """Takes the units if they are free."""
        with self._condition:
            if self._free < units:
                return False
            self._free -= units
            return True

    def take(self, units: float, cancelled: threading.Event) -> bool:
        """Waits for the units; False when the work is cancelled first."""
        with self._condition:
            while self._free < units:
                if cancelled.is_set():
                    return False
                self._condition.wait(0.2)
            self._free -= units
            return True

    def give_back(self, units: float) -> None:
        """Returns what was taken."""
        with self._condition:
            self._free += units
            self._condition.notify_all()
