"""What is simulated, by name."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from p2psync.swarm.limiter import Rates
from scripts.simulation.swarm import Getter, Plan

LAN = 12.5e6
"""100 Mbit/s."""
ORIGIN_AND_EIGHT = 8


def _same(count: int) -> tuple[Getter, ...]:
    return (Getter(),) * count


def _several(count: int) -> Plan:
    return Plan(_same(count))


def _fifteen(count: int) -> Plan:
    return Plan(_same(15), blocks=512, rate_bytes_per_s=LAN / 2)


def _slow_host(count: int) -> Plan:
    return Plan((*_same(count - 1), Getter(LAN / 10, LAN / 10)))


def _mixed(count: int) -> Plan:
    return Plan((*_same(count - count // 2), *(Getter(LAN / 4, LAN / 4),) * (count // 2)))


def _slow_uplink(count: int) -> Plan:
    return Plan((*_same(count - 1), Getter(LAN / 10, LAN)))


def _two_origins(count: int) -> Plan:
    return Plan((Getter(2 * LAN, 2 * LAN),) * count, origins=2, origin_bytes_per_s=LAN)


def _staggered(count: int) -> Plan:
    return Plan(tuple(Getter(joins_at=float(second)) for second in range(count)))


def _crowd(count: int) -> Plan:
    return Plan((*_same(4), *(Getter(joins_at=5.4),) * count))


def _origin_leaves(count: int) -> Plan:
    return Plan(_same(count), origin_leaves_at=1.05)


def _third_vanishes(count: int) -> Plan:
    third = count // 3
    return Plan((*_same(count - third), *(Getter(leaves_at=5.4),) * third, *(Getter(joins_at=6.0),) * third))


def _wide(count: int) -> Plan:
    return Plan(_same(count), delay_s=0.025)


def _limited(count: int) -> Plan:
    up, down = Getter(limits=Rates(up=LAN / 4)), Getter(limits=Rates(down=LAN / 4))
    return Plan((*_same(count - count // 2), *(up,) * (count // 4), *(down,) * (count // 2 - count // 4)))


def _strangers(count: int) -> Plan:
    return Plan(_same(count), rate_bytes_per_s=LAN / 4, reciprocal=True)


def _takers(count: int) -> Plan:
    return replace(_strangers(count), getters=(*_same(count - count // 4), *(Getter(LAN / 400),) * (count // 4)))


def _in_order(count: int) -> Plan:
    return Plan(_same(count), in_order=True)


def _many(count: int) -> Plan:
    degree = 8 if count > 64 else 0
    return Plan(_same(count), degree=degree, blocks=512, block_bytes=256 << 10, quantum_bytes=128 << 10)


def _many_wide(count: int) -> Plan:
    return replace(_many(count), delay_s=0.025)


def _met(count: int) -> Plan:
    return replace(_many(count), degree=0, meet=True)


def _met_wide(count: int) -> Plan:
    return replace(_met(count), delay_s=0.025)


CASES: Mapping[str, tuple[str, Callable[[int], Plan], int]] = {
    "swarm": ("one origin, 128 MiB, 100 Mbit/s a host", _several, ORIGIN_AND_EIGHT),
    "fifteen": ("one origin, 64 MiB, 50 Mbit/s, 15 hosts", _fifteen, 15),
    "slow-host": ("one host at a tenth of the others' line", _slow_host, ORIGIN_AND_EIGHT),
    "mixed": ("half of the hosts at a quarter of the others' line", _mixed, ORIGIN_AND_EIGHT),
    "slow-uplink": ("one host whose uplink alone is a tenth", _slow_uplink, ORIGIN_AND_EIGHT),
    "two-origins": ("two origins, getters with lines twice as fast", _two_origins, ORIGIN_AND_EIGHT),
    "staggered": ("a host joins every second", _staggered, ORIGIN_AND_EIGHT),
    "crowd": ("four hosts, and a crowd when half is done", _crowd, ORIGIN_AND_EIGHT),
    "origin-leaves": ("the origin leaves when it has sent 1.05 copies", _origin_leaves, ORIGIN_AND_EIGHT),
    "third-vanishes": ("a third of the hosts vanish half-way, others come", _third_vanishes, 9),
    "wide": ("round trips of 50 ms", _wide, ORIGIN_AND_EIGHT),
    "limited": ("a quarter of the hosts limited to a quarter upward, another downward", _limited, ORIGIN_AND_EIGHT),
    "strangers": ("who gives is given to, 25 Mbit/s", _strangers, 12),
    "takers": ("the same, and a quarter of the hosts give next to nothing", _takers, 12),
    "in-order": ("all watch the same: each fetches in order", _in_order, ORIGIN_AND_EIGHT),
    "many": ("a random graph, eight links a host, 128 MiB in blocks of 256 KiB", _many, 2000),
    "met": ("as many, but they find each other by a tracker, and limit their links themselves", _met, 2000),
    "met-wide": ("the same with round trips of 50 ms", _met_wide, 2000),
    "many-wide": ("the same with round trips of 50 ms", _many_wide, 2000),
}
