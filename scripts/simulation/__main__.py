"""`./scripts/simulate [CASE...]`: simulate, and print a table."""

import argparse
import random
import sys
import time
from dataclasses import replace

from scripts.simulation.cases import CASES
from scripts.simulation.swarm import Simulation

DUPLICATE_SHARE = 0.01
COLUMNS = "case            hosts  last  p99   p50   origin  twice   messages  simulated  took"


def main() -> int:
    small = [name for name in CASES if not name.startswith(("many", "met"))]
    told = ", ".join(f"{name} ({what})" for name, (what, _, _) in CASES.items())
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=f"{__doc__} Cases: {told}.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all but the large ones if none is named")
    parser.add_argument("--hosts", type=int, help="getters, in place of the case's own number")
    parser.add_argument("--blocks", type=int, help="blocks, in place of the case's own number")
    parser.add_argument("--degree", type=int, help="links a host; 0: everybody with everybody")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="repeats a run")
    chosen = parser.parse_args()
    unknown = set(chosen.cases) - set(CASES)
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    print(f"seed {chosen.seed}; times by the bound, bytes by the size", COLUMNS, sep="\n", flush=True)
    good = [_simulate(name, chosen) for name in chosen.cases or small]
    return 0 if all(good) else 1


def _simulate(name: str, chosen: argparse.Namespace) -> bool:
    _, make, hosts = CASES[name]
    plan = replace(make(chosen.hosts or hosts), seed=chosen.seed)
    if chosen.blocks:
        plan = replace(plan, blocks=chosen.blocks)
    if chosen.degree is not None:
        plan = replace(plan, degree=chosen.degree)
    began = time.perf_counter()
    simulation = Simulation(plan)
    outcome = simulation.run()
    print(
        f"{name:15} {len(plan.getters):5}  {outcome.ratios[-1]:.3f} {outcome.quantile(0.99):.3f} "
        f"{outcome.quantile(0.5):.3f} {outcome.origin_copies:6.3f}  {outcome.twice:6.4f}  {outcome.messages:8.0f}  "
        f"{simulation.clock.now:7.1f} s  {time.perf_counter() - began:5.1f} s",
        flush=True,
    )
    if plan.meet:
        dials, refusals = (sum(getattr(each, what) for each in simulation.meetings) for what in ("dialled", "refused"))
        links = sorted(len(host.peerings) for host in simulation.getters)
        print(
            f"    links a host {links[0]}-{links[-1]}, in the middle {links[len(links) // 2]}; of the origin "
            f"{len(simulation.origins[0].peerings)}; {dials / len(links):.1f} dials a host, "
            f"{refusals / len(links):.1f} refused; {simulation.tracker.announces / len(links):.1f} announces a host",
            flush=True,
        )
    return outcome.twice <= DUPLICATE_SHARE


if __name__ == "__main__":
    sys.exit(main())
