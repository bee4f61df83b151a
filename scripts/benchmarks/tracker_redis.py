"""Several tracker processes on one port, their swarms in one Redis."""

from pathlib import Path

from benchmarks.report import OURS, Figures, Report, Settings, take_turns
from benchmarks.trackers import load_udp, missing, our_tracker, redis_server

SECONDS = 4.0
SOCKETS = 16  # the kernel deals clients to processes by their ports


def run(settings: Settings) -> Report:
    if absent := missing("redis-server", "cc"):
        raise SystemExit(f"this benchmark needs {', '.join(absent)}")
    scratch = settings.data / "tracker-redis"
    scratch.mkdir(parents=True, exist_ok=True)
    programs = {OURS if count == 1 else f"{count} processes": _measure(scratch, count, settings) for count in (1, 2, 4)}
    return Report("tracker_redis", "processes on one port and one Redis", take_turns(programs, settings.runs))


def _measure(scratch: Path, processes: int, settings: Settings):  # type: ignore[no-untyped-def] # noqa: ANN202
    def measure() -> Figures:
        seconds = SECONDS * settings.scale
        with redis_server(scratch) as url, our_tracker("--state", url, processes=processes) as tracker:
            udp = load_udp(scratch, tracker.port, seconds, sockets=SOCKETS)
            paced = load_udp(scratch, tracker.port, seconds, sockets=SOCKETS, rate=int(udp["answers_per_s"] / 2))
            return {"udp_us": 1e6 / udp["answers_per_s"], "udp_p99_at_half_us": paced["p99_s"] * 1e6}

    return measure
