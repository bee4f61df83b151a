"""Random plans with churn, limits and choking: every one ends complete, and its accounts are right all the time."""

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from p2psync.swarm.limiter import Rates
from scripts.simulation.swarm import Getter, Plan, Simulation
from tests.sim.test_simulation import check_accounts

BLOCK_BYTES = 64 << 10
LINE = 1e6
RATES = st.none() | st.builds(
    Rates, *[st.none() | st.floats(LINE / 20, LINE) for _ in ("up", "down", "peer_up", "peer_down")]
)


@st.composite
def getters(draw):
    comes = draw(st.just(0.0) | st.floats(0.01, 6.0))
    stays_s = draw(st.none() | st.floats(0.01, 6.0))
    lines = [draw(st.just(0.0) | st.floats(LINE / 20, LINE)) for _ in range(2)]
    return Getter(*lines, draw(RATES), comes, *([] if stays_s is None else [comes + stays_s]))


@st.composite
def plans(draw):
    return Plan(
        (Getter(limits=draw(RATES)), *draw(st.lists(getters(), max_size=6))),
        blocks=draw(st.integers(1, 64)),
        block_bytes=BLOCK_BYTES,
        rate_bytes_per_s=LINE,
        origins=draw(st.integers(1, 2)),
        delay_s=draw(st.sampled_from([0.0005, 0.025])),
        meet=draw(st.booleans()),
        reciprocal=draw(st.booleans()),
        in_order=draw(st.booleans()),
        seed=draw(st.integers(0, 1 << 32)),
    )


@settings(max_examples=40, deadline=None)
@given(plan=plans())
def test_every_plan_ends_complete_and_no_account_is_ever_wrong(plan):
    """What comes twice has no bound here: STATE.md tells why a share of so little is none that holds."""
    print(plan)
    simulation = Simulation(plan)
    simulation.run(lambda: check_accounts(simulation))
    stays = [host for host, getter in zip(simulation.getters, _in_order(plan), strict=False) if getter.leaves_at == inf]
    assert all(host.offer.complete for host in stays)


def _in_order(plan):
    """Return the getters in the order in which they join."""
    return sorted(plan.getters, key=lambda getter: getter.joins_at)
