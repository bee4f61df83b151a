"""Every simulated swarm ends complete, near the bound, the origin sends little twice, and no account is ever wrong."""

import pytest

from p2psync.swarm.limiter import Rates
from p2psync.swarm.neighbours import KEPT_LINKS, SPARE_LINKS, WANTED_LINKS
from scripts.simulation.cases import CASES
from scripts.simulation.swarm import Getter, Plan, Simulation

SMALL = {"blocks": 256, "block_bytes": 128 << 10, "rate_bytes_per_s": 12.5e6 / 4}
"""A slow line, so that few blocks take as long as many on a fast one."""


def check_accounts(simulation: Simulation) -> None:
    """Hold every getter's accounts against each other."""
    for host in simulation.getters:
        picker, size = host.requests.picker, len(simulation.folder.lengths)
        held = sum(int.from_bytes(bits, "big").bit_count() for bits in host.offer._bits.values())
        assert host.job.pending == size - held
        assert 0 <= host.job.unassigned <= host.job.pending
        owed = [picker.in_flight(number) for number in host.peerings]
        assert all(0 <= count <= host.job.pending for _, count in owed)
        assert host.received_bytes - host.twice_bytes <= simulation.folder.size_bytes


@pytest.mark.parametrize(("getters", "seed"), [(1, 0), (2, 0), (4, 0), (8, 0), (8, 1), (8, 2)])
def test_all_complete_near_the_bound_and_the_origin_sends_about_one_copy(getters, seed):
    outcome = Simulation(Plan((Getter(),) * getters, seed=seed, **SMALL)).run()
    assert outcome.ratios[-1] < 1.1
    assert outcome.origin_copies < 1.1
    assert outcome.twice < 0.01


def test_accounts_are_right_after_every_event():
    simulation = Simulation(Plan((Getter(), Getter(leaves_at=3.0), Getter(joins_at=2.0)), **{**SMALL, "blocks": 24}))
    simulation.run(lambda: check_accounts(simulation))


def test_the_same_seed_gives_the_same_swarm():
    plans = [Plan((Getter(),) * 4, seed=seed, **SMALL) for seed in (7, 7, 8)]
    one, again, other = (Simulation(plan).run() for plan in plans)
    assert (one.ratios, one.events) == (again.ratios, again.events)
    assert one.events != other.events


@pytest.mark.parametrize(
    ("case", "time", "copies"),
    [
        ("slow-host", 1.2, 1.2),
        ("mixed", 1.1, 1.5),
        ("slow-uplink", 1.25, 1.25),
        ("two-origins", 1.17, 1.2),
        ("staggered", 1.2, 1.5),
        ("crowd", 1.25, 1.6),
        ("origin-leaves", 1.1, 1.06),
        ("third-vanishes", 1.25, 1.5),
        ("wide", 1.15, 1.15),
        ("in-order", 4.2, 4.2),
    ],
)
def test_each_case_keeps_to_its_bound(case, time, copies):
    _, make, hosts = CASES[case]
    outcome = Simulation(make(hosts)).run()
    assert outcome.ratios[-1] < time
    assert outcome.origin_copies < copies
    assert outcome.twice < 0.01


def test_a_random_graph_of_few_links_a_host_is_enough():
    plan = Plan((Getter(),) * 40, degree=8, blocks=256, block_bytes=64 << 10, rate_bytes_per_s=12.5e6 / 8)
    outcome = Simulation(plan).run()
    assert outcome.quantile(0.99) < 1.3
    assert all(len(host.peerings) <= 8 for host in outcome.hosts)


def test_hosts_that_find_each_other_by_a_tracker_make_a_graph_that_does():
    met = {"blocks": 256, "block_bytes": 64 << 10, "rate_bytes_per_s": 12.5e6 / 8, "meet": True}
    simulation = Simulation(Plan((*(Getter(),) * 40, Getter(leaves_at=4.0), Getter(joins_at=4.0)), seed=1, **met))
    outcome = simulation.run()
    assert outcome.quantile(0.99) < 1.3
    assert outcome.twice < 0.02  # one of them vanishes with what it was about to send
    links = [len(host.peerings) for host in simulation.getters if not host.is_gone]
    assert min(links) >= WANTED_LINKS // 2
    assert max(links) <= KEPT_LINKS + SPARE_LINKS
    assert sum(meeting.dialled for meeting in simulation.meetings) < 2 * WANTED_LINKS * len(links)
    done = sum(host.done_at is not None for host in simulation.getters)
    assert len(simulation.hosts) <= simulation.tracker.announces <= len(simulation.hosts) + done


def test_accounts_are_right_after_every_event_while_links_are_made_and_given_up():
    met = {**SMALL, "blocks": 8, "meet": True}
    simulation = Simulation(Plan((*(Getter(),) * 34, Getter(leaves_at=0.2), Getter(joins_at=0.2)), seed=2, **met))
    simulation.run(lambda: check_accounts(simulation))


def test_limits_are_kept_and_used():
    limits = Rates(up=1e6, down=1e6)
    simulation = Simulation(Plan((Getter(limits=limits), Getter(limits=limits), Getter()), seed=3, **SMALL))
    outcome = simulation.run()
    assert outcome.ratios[-1] < 1.2
    for host in simulation.getters[:2]:
        assert host.received_bytes / host.done_at < 1.05 * limits.down
        assert host.uploaded_bytes / simulation.clock.now < 1.05 * limits.up


def test_a_host_that_stays_asks_the_tracker_again_when_the_interval_is_over():
    simulation = Simulation(Plan((Getter(), Getter(joins_at=1900.0)), seed=1, **{**SMALL, "blocks": 8, "meet": True}))
    simulation.run()
    assert simulation.tracker.announces == 2 + 1 + 2 + 1  # two at first, one is done, both again, one that comes


def test_a_second_origin_halves_the_time_where_getters_are_fast():
    fast = (Getter(up_bytes_per_s=25e6, down_bytes_per_s=25e6),) * 8
    took = []
    for origins in (1, 2):
        simulation = Simulation(Plan(fast, origins=origins, origin_bytes_per_s=12.5e6, blocks=512))
        simulation.run()
        took.append(simulation.clock.now)
    assert took[0] / took[1] > 1.7
