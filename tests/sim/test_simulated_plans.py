"""Random plans with churn, limits and choking: every one ends complete, and its accounts are right all the time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from p2psync.swarm.limiter import Rates
from p2psync.swarm.uploads import START_FRAME_BYTES
from scripts.simulation.network import UNDER_WAY_BYTES
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
        seed=draw(st.integers(0, 1 << 32)),
    )


@settings(max_examples=40, deadline=None)
@given(plan=plans())
def test_every_plan_ends_complete_with_little_sent_twice(plan):
    print(plan)
    simulation = Simulation(plan)
    simulation.run(lambda: check_accounts(simulation))
    received, twice = (
        sum(getattr(host, what) for host in simulation.getters) for what in ("received_bytes", "twice_bytes")
    )
    # What a seed is sending already when another peer announces it comes all the same: much of a small folder.
    on_their_way = (UNDER_WAY_BYTES + START_FRAME_BYTES) * plan.origins * len(plan.getters)
    assert twice <= 0.02 * received + on_their_way
