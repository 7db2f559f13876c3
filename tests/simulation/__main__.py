"""``python -m simulation``: play many seeds on all cores, or one as a story."""

import argparse
import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from simulation.story import judge, tell
from simulation.world import simulated_aws


def _ends_well(seed: int) -> tuple[int, str | None]:
    """The seed, and what is broken (None: nothing)."""
    outcome = judge(seed)
    return seed, outcome.world.alias(outcome.broken[0]) if outcome.broken else None


_simulated = contextlib.ExitStack()


def _begin() -> None:
    _simulated.enter_context(simulated_aws())


def soak(seeds: range, processes: int) -> Iterator[tuple[int, str | None]]:
    """Play all seeds; yields how each ended, in any order."""
    with multiprocessing.get_context("spawn").Pool(processes, _begin) as pool:
        yield from pool.imap_unordered(_ends_well, seeds, chunksize=5)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: 10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--story", type=int, metavar="SEED", help="make this seed small and tell it")
    options = parser.parse_args()
    if options.story is not None:
        with simulated_aws():
            outcome = judge(options.story)
            print(
                tell(options.story, outcome) if outcome.broken else f"seed {options.story} keeps all promises"
            )
        return 1 if outcome.broken else 0
    begun, bad, done = time.monotonic(), [], 0
    for seed, why in soak(range(options.first, options.first + options.seeds), options.processes):
        done += 1
        if why is not None:
            bad.append(seed)
            print(f"seed {seed}: {why[:300]}", flush=True)
        if done % 200 == 0 or done == options.seeds:
            rate = done / (time.monotonic() - begun)
            print(f"{done} of {options.seeds} seeds, {rate:.1f} a second, {len(bad)} broken", flush=True)
    if bad:
        with simulated_aws():
            print(tell(min(bad), judge(min(bad))))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
