"""``python -m simulation``: play many seeds on all cores, or tell one as a story."""

import argparse
import os
import sys
import time

from simulation.soak import play_all
from simulation.story import judge, tell
from simulation.world import simulated_aws


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: 10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="default: one for each core"
    )
    parser.add_argument("--story", type=int, metavar="SEED", help="make this seed small and tell it")
    options = parser.parse_args()
    if options.story is not None:
        return story(options.story)
    begun, bad = time.monotonic(), []
    seeds = range(options.first, options.first + options.seeds)
    for done, ended in enumerate(play_all(seeds, options.processes), 1):
        if ended.broken:
            bad.append(ended.seed)
            print(f"seed {ended.seed}: {ended.broken[0].splitlines()[-1][:300]}", flush=True)
        if done % 200 == 0 or done == options.seeds:
            rate = done / (time.monotonic() - begun)
            print(f"{done} of {options.seeds} seeds, {rate:.1f} a second, {len(bad)} broken", flush=True)
    return story(min(bad)) if bad else 0


def story(seed: int) -> int:
    """Print what a seed breaks, in as few incidents as do."""
    with simulated_aws():
        outcome = judge(seed)
        if not outcome.broken:
            print(f"seed {seed} keeps all promises")
            return 0
        print(tell(seed, outcome))
    return 1


if __name__ == "__main__":
    sys.exit(main())
