"""One share and many followers, each on a line of its own rate; the unit is the time that one follower alone takes.

Needs root and iproute2. Cases other than `eight` are chosen with `--case`; `chart` draws `swarm.svg` into the scratch
folder: time against the number of getters.
"""

import math
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import swarm_chart, swarm_rivals
from benchmarks.lab import LabHost, room
from benchmarks.lab_swarm import Follower, LabShare, put, wait_all
from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns
from benchmarks.watched import Watched

SIZE_BYTES = 128 << 20
MBIT_PER_S = 100.0
GETTERS = 8
PIECE_BYTES = 1 << 20
COUNTS = (1, 2, 4, 8)
TRACKER = (sys.executable, "-m", "tracker", "serve")
TRACKER_PORT = 6969


def run(settings: Settings) -> Report:
    case = CASES[settings.case or "eight"]
    programs: dict[str, Callable[[], Figures]] = {OURS: partial(case, settings)}
    if case is _eight:
        rivals = swarm_rivals.available()
        programs |= {name: partial(_rival, rival, settings) for name, rival in rivals.items()}
    if settings.case == "chart":
        rivals = swarm_rivals.available()
        programs |= {name: partial(_rival_by_count, rival, settings) for name, rival in rivals.items()}
    runs = take_turns(programs, settings.runs)
    if settings.case == "chart":
        swarm_chart.draw(runs, COUNTS, _size(settings) * 8 / (_rate(settings) * 1e6), settings.data / "swarm.svg")
    shutil.rmtree(_place(settings), ignore_errors=True)
    facts = {"mbit_per_s": _rate(settings)}
    name = f"swarm-{settings.case}" if settings.case else "swarm"
    return Report(name, f"case {settings.case or 'eight'}", runs, GOALS.get(settings.case or "eight", ()), facts)


def _rival(rival: swarm_rivals.Rival, settings: Settings) -> Figures:
    """Let a rival do the same: one getter alone, then all together."""
    found = {"alone_s": _rival_s(rival, settings, 1), "last_s": _rival_s(rival, settings, GETTERS)}
    return {**found, "last_by_f": found["last_s"] / found["alone_s"]}


def _rival_s(rival: swarm_rivals.Rival, settings: Settings, getters: int) -> float:
    with suppress(FileNotFoundError):
        shutil.rmtree(_place(settings))
    with room([_rate(settings)] * (getters + 1)) as hosts:
        return rival(_data(settings), hosts, _place(settings) / "peers")


# --- cases ------------------------------------------------------------------------------------------------------------


def _eight(settings: Settings) -> Figures:
    return _together(settings, [_rate(settings)] * GETTERS)


def _fifteen(settings: Settings) -> Figures:
    return _together(settings, [_rate(settings) / 2] * 15, share=0.5)


def _four(settings: Settings) -> Figures:
    return _together(settings, [_rate(settings)] * 4)


def _sixteen(settings: Settings) -> Figures:
    return _together(settings, [_rate(settings)] * 16)


def _by_count(settings: Settings) -> Figures:
    """How long it takes with more and more getters, for the chart."""
    found = {}
    for count in COUNTS:
        with room([_rate(settings)] * (count + 1)) as hosts, _shared(settings, hosts, hosts[1:]) as share:
            began, root = share.publish(put(_data(settings)))
            found[f"{count}_s"] = max(wait_all(share.followers, root)) - began
    return found


def _rival_by_count(rival: swarm_rivals.Rival, settings: Settings) -> Figures:
    return {f"{count}_s": _rival_s(rival, settings, count) for count in COUNTS}


def _slow_host(settings: Settings) -> Figures:
    rate = _rate(settings)
    alone_s = _alone_s(settings, rate)
    with room([rate] * GETTERS + [rate / 10]) as hosts, _shared(settings, hosts, hosts[1:]) as share:
        began, root = share.publish(put(_data(settings)))
        ends = wait_all(share.followers, root)
    return {
        "alone_s": alone_s,
        "last_of_fast_by_f": (max(ends[:-1]) - began) / alone_s,
        "slow_by_own": (ends[-1] - began) / (10 * alone_s),
    }


def _update(settings: Settings) -> Figures:
    """All hold an older version; one part in twenty changes."""
    rate = _rate(settings)
    alone_s = _alone_s(settings, rate)
    with room([rate] * (GETTERS + 1)) as hosts, _shared(settings, hosts, hosts[1:]) as share:
        wait_all(share.followers, share.publish(put(_data(settings)))[1])
        began, root = share.publish(_change_a_twentieth)
        ends = wait_all(share.followers, root)
    limit_s = 1.25 * alone_s / 20 + 1
    return {"alone_s": alone_s, "last_s": max(ends) - began, "last_by_limit": (max(ends) - began) / limit_s}


def _staggered(settings: Settings) -> Figures:
    """A host joins every second, the first when the share publishes."""
    rate = _rate(settings)
    alone_s = _alone_s(settings, rate)
    with room([rate] * (GETTERS + 1)) as hosts, _shared(settings, hosts, []) as share:
        _, root = share.publish(put(_data(settings)))
        for host in hosts[1:]:
            share.follow([host], _place(settings))
            time.sleep(1)
        ends = wait_all(share.followers, root)
        took = [end - follower.joined_at for end, follower in zip(ends, share.followers, strict=True)]
    return {"alone_s": alone_s, "slowest_by_f": max(took) / alone_s, **_since_linked(share.followers, ends, alone_s)}


def _crowd(settings: Settings) -> Figures:
    """Four hosts, and eight more when half is done; the lines are equal, so the bound of each is F."""
    rate = _rate(settings)
    alone_s = _alone_s(settings, rate)
    with room([rate] * (GETTERS + 5)) as hosts, _shared(settings, hosts, hosts[1:5]) as share:
        _, root = share.publish(put(_data(settings)))
        time.sleep(alone_s / 2)
        crowd = share.follow(hosts[5:], _place(settings))
        ends = wait_all(crowd, root)
        took = [end - one.joined_at for end, one in zip(ends, crowd, strict=True)]
        wait_all(share.followers, root)
    return {"alone_s": alone_s, "slowest_by_f": max(took) / alone_s, **_since_linked(crowd, ends, alone_s)}


def _origin_leaves(settings: Settings) -> Figures:
    rate = _rate(settings)
    alone_s = _alone_s(settings, rate)
    with room([rate] * (GETTERS + 1)) as hosts, _shared(settings, hosts, hosts[1:]) as share:
        before = share.uploaded_bytes()
        began, root = share.publish(put(_data(settings)))
        while share.watched.last_event("progress")["uploaded_bytes"] - before < 1.05 * _size(settings):
            if all(one.watched.last_event("matched").get("root") == root for one in share.followers):
                break
            time.sleep(0.05)
        share.watched.process.send_signal(signal.SIGKILL)
        left_at = time.perf_counter()
        ends = wait_all(share.followers, root)
    return {
        "alone_s": alone_s,
        "last_by_f": (max(ends) - began) / alone_s,
        "without_origin_s": max(ends) - left_at,
    }


def _tracker_dies(settings: Settings) -> Figures:
    """All find each other by a tracker alone, killed half-way; one more comes later, by the sharer's address."""
    rate = _rate(settings)
    alone_s = _alone_s(settings, rate)
    with room([rate] * (GETTERS + 3)) as hosts:
        *known, late, tracker_host = hosts
        url = f"http://{tracker_host.address}:{TRACKER_PORT}/announce"
        with (
            Watched(*tracker_host.prefix, *TRACKER, "--listen", f"{tracker_host.address}:{TRACKER_PORT}") as tracker,
            _shared(settings, known, known[1:], "--no-lan", tracker=url) as share,
        ):
            began, root = share.publish(put(_data(settings)))
            time.sleep(alone_s / 2)
            tracker.process.send_signal(signal.SIGKILL)
            newcomers = share.follow([late], _place(settings), "--no-lan")
            ends = wait_all(share.followers, root)
            links = newcomers[0].watched.most("progress", "peers")
    return {
        "alone_s": alone_s,
        "last_by_f": (max(ends[:-1]) - began) / alone_s,
        "newcomers_links": links,
        "newcomer_since_linked_by_f": (ends[-1] - newcomers[0].linked_at) / alone_s,
    }


def _two_origins(settings: Settings) -> Figures:
    """A second host has the whole folder; the getters' lines are twice as fast as those two."""
    rate = _rate(settings)
    took = []
    for origins in (1, 2):
        lines = [rate] * origins + [2 * rate] * GETTERS
        with room(lines) as hosts, _shared(settings, hosts, hosts[1:origins]) as share:
            _, root = share.publish(put(_data(settings)))
            wait_all(share.followers, root)
            getters = share.follow(hosts[origins:], _place(settings))
            ends = wait_all(getters, root)
            took.append(max(ends) - min(one.linked_at for one in getters))
    return {"with_one_s": took[0], "with_two_s": took[1], "times_faster": took[0] / took[1]}


def _third_vanishes(settings: Settings) -> Figures:
    """Three of nine are killed half-way, and three others come."""
    rate = _rate(settings)
    alone_s = _alone_s(settings, rate)
    with room([rate] * 13) as hosts, _shared(settings, hosts, hosts[1:10]) as share:
        began, root = share.publish(put(_data(settings)))
        time.sleep(alone_s / 2)
        for gone in share.followers[6:]:
            gone.watched.process.send_signal(signal.SIGKILL)
        come = share.follow(hosts[10:], _place(settings))
        ends = wait_all(share.followers[:6], root)
        took = [end - one.joined_at for end, one in zip(wait_all(come, root), come, strict=True)]
    return {
        "alone_s": alone_s,
        "last_by_f": (max(ends) - began) / alone_s,
        "newcomers_by_f": max(took) / alone_s,
    }


CASES: Mapping[str, Callable[[Settings], Figures]] = {
    "eight": _eight,
    "four": _four,
    "fifteen": _fifteen,
    "sixteen": _sixteen,
    "slow-host": _slow_host,
    "update": _update,
    "staggered": _staggered,
    "crowd": _crowd,
    "origin-leaves": _origin_leaves,
    "third-vanishes": _third_vanishes,
    "tracker-dies": _tracker_dies,
    "two-origins": _two_origins,
    "chart": _by_count,
}
_TOGETHER = (
    Goal("last_by_f", 1.25),
    Goal("last_by_f", 1.1, is_wish=True),
    Goal("origin_copies", 1.2),
    Goal("origin_copies", 1.1, is_wish=True),
    Goal("received_twice", 0.01, is_wish=True),
)
GOALS: Mapping[str, tuple[Goal, ...]] = {
    "eight": _TOGETHER,
    "four": _TOGETHER,
    "fifteen": _TOGETHER,
    "sixteen": _TOGETHER,
    "slow-host": (Goal("last_of_fast_by_f", 1.2), Goal("slow_by_own", 1.2)),
    "update": (Goal("last_by_limit", 1.0),),
    "staggered": (Goal("slowest_since_linked_by_f", 1.2), Goal("slowest_by_f", 1.2, is_wish=True)),
    "crowd": (Goal("slowest_since_linked_by_f", 1.2), Goal("slowest_by_f", 1.2, is_wish=True)),
    "origin-leaves": (Goal("last_by_f", 1.25),),
    "third-vanishes": (Goal("last_by_f", 1.25),),
    "tracker-dies": (Goal("last_by_f", 1.25), Goal("newcomer_since_linked_by_f", 1.2)),
    "two-origins": (Goal("times_faster", 1.7, is_floor=True),),
}

# --- parts of cases ---------------------------------------------------------------------------------------------------


def _together(settings: Settings, rates: list[float], share: float = 1.0) -> Figures:
    """All wait connected and get the same at once."""
    settings = replace(settings, scale=settings.scale * share)
    alone_s = _alone_s(settings, rates[0])
    with room([rates[0], *rates]) as hosts, _shared(settings, hosts, hosts[1:]) as shared:
        before = shared.uploaded_bytes()
        began, root = shared.publish(put(_data(settings)))
        ends = wait_all(shared.followers, root)
        sent = shared.uploaded_bytes() - before
        cpu_s = sum(one.watched.figures("f")["f_cpu_s"] for one in shared.followers)
        wasted = max(one.wasted_bytes for one in shared.followers)
    return {
        "alone_s": alone_s,
        "last_s": max(ends) - began,
        "last_by_f": (max(ends) - began) / alone_s,
        "first_by_f": (min(ends) - began) / alone_s,
        "origin_copies": sent / _size(settings),
        "received_twice": wasted / _size(settings),
        "followers_cpu_s": cpu_s,
    }


def _alone_s(settings: Settings, rate: float) -> float:
    """Return what one follower alone takes."""
    with room([rate] * 2) as hosts, _shared(settings, hosts, hosts[1:]) as share:
        began, root = share.publish(put(_data(settings)))
        return wait_all(share.followers, root)[0] - began


def _since_linked(joined: Sequence[Follower], ends: Sequence[float], alone_s: float) -> Figures:
    """Return what those that joined took without their start, which eight at once share two processors for."""
    slowest_s = max(end - one.linked_at for end, one in zip(ends, joined, strict=True))
    return {
        "slowest_since_linked_by_f": slowest_s / alone_s,
        "start_s": max(one.linked_at - one.joined_at for one in joined),
    }


def _shared(
    settings: Settings, hosts: list[LabHost], followers: list[LabHost], *options: str, tracker: str = ""
) -> LabShare:
    place = _place(settings)
    with suppress(FileNotFoundError):
        shutil.rmtree(place)
    share = LabShare(hosts[0], place / "source", *options, *(("--tracker", tracker) if tracker else ()))
    share.follow(followers, place, *options)
    share.wait_settled()
    return share


def _data(settings: Settings) -> Path:
    """Make the file that is shared; it is moved into the share, so there is a new one each time."""
    path = _place(settings) / "prepared.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    with path.open("wb") as file:
        for _ in range(math.ceil(_size(settings) / PIECE_BYTES)):
            file.write(rng.randbytes(PIECE_BYTES))
    return path


def _change_a_twentieth(folder: Path) -> None:
    path, changed = folder / "data.bin", folder.parent / "changed.bin"
    shutil.copyfile(path, changed)
    rng = random.Random(2)
    with changed.open("r+b") as file:
        file.seek(changed.stat().st_size // 2)
        file.write(rng.randbytes(changed.stat().st_size // 20))
    changed.replace(path)


def _place(settings: Settings) -> Path:
    return settings.data / "swarm"


def _size(settings: Settings) -> int:
    return int(SIZE_BYTES * settings.scale)


def _rate(settings: Settings) -> float:
    return settings.mbit_per_s or MBIT_PER_S
