"""The tracker beside opentracker: what an announce costs by UDP and HTTP, how late answers come, what a peer weighs."""

import sys
import tempfile
from pathlib import Path

from benchmarks.report import OURS, Figures, Goal, Report, Settings, show_report, take_turns
from benchmarks.trackers import Tracker, load_http, load_udp, missing, opentracker, our_tracker

SECONDS = 4.0
PEERS = 1_000_000
RIVAL = "opentracker"


def run(settings: Settings) -> Report:
    if absent := missing("opentracker", "wrk", "cc"):
        raise SystemExit(f"this benchmark needs {', '.join(absent)}")
    scratch = settings.data / "tracker"
    scratch.mkdir(parents=True, exist_ok=True)
    # opentracker gives up root, and must still read its list.
    scratch.chmod(0o755)

    def ours() -> Figures:
        with our_tracker() as tracker:
            figures = _rates(scratch, tracker, SECONDS * settings.scale)
        with our_tracker() as tracker:
            return {**figures, **_full(scratch, tracker, settings.scale)}

    def theirs() -> Figures:
        with opentracker(scratch) as tracker:
            figures = _rates(scratch, tracker, SECONDS * settings.scale)
        with opentracker(scratch) as tracker:
            return {**figures, **_full(scratch, tracker, settings.scale)}

    goals = (
        Goal("udp_us", 1 / 0.35, RIVAL),
        Goal("http_close_us", 1 / 0.5, RIVAL),
        Goal("http_us", 1.0, RIVAL),
        Goal("peer_octets", 300.0),
    )
    return Report("tracker", "announces to one process", take_turns({OURS: ours, RIVAL: theirs}, settings.runs), goals)


def _rates(scratch: Path, tracker: Tracker, seconds: float) -> Figures:
    """Microseconds an announce at full load, and how late 99 of 100 answers are at most under half of it."""
    figures: dict[str, float] = {}
    for name, load in (
        ("udp", lambda: load_udp(scratch, tracker.port, seconds)),
        ("http", lambda: load_http(scratch, tracker.port, seconds)),
        ("http_close", lambda: load_http(scratch, tracker.port, seconds, closes=True)),
    ):
        busy_s = tracker.cpu_s()
        found = load()
        figures[f"{name}_us"] = 1e6 / found["answers_per_s"]
        # Where others use the processors too, this is the figure to compare.
        figures[f"{name}_cpu_us"] = (tracker.cpu_s() - busy_s) * 1e6 / found["answered"]
    paced = load_udp(scratch, tracker.port, seconds, sockets=4, rate=int(5e5 / figures["udp_us"]))
    paced_http = load_http(scratch, tracker.port, seconds, rate=5e5 / figures["http_us"])
    return {
        **figures,
        "udp_p99_at_half_us": paced["p99_s"] * 1e6,
        "http_p99_at_half_us": paced_http["p99_s"] * 1e6,
    }


def _full(scratch: Path, tracker: Tracker, scale: float) -> Figures:
    """A million peers in a thousand swarms: what each weighs, and what an announce costs then."""
    empty = tracker.memory_bytes()
    peers = int(PEERS * scale)
    load_udp(scratch, tracker.port, 600.0, peers=peers)
    weight = (tracker.memory_bytes() - empty) / peers
    udp = load_udp(scratch, tracker.port, SECONDS * scale)
    paced = load_udp(scratch, tracker.port, SECONDS * scale, sockets=4, rate=int(udp["answers_per_s"] / 2))
    return {
        "peer_octets": weight,
        "full_udp_us": 1e6 / udp["answers_per_s"],
        "full_udp_p99_at_half_us": paced["p99_s"] * 1e6,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
        show_report(run(Settings(Path(scratch), runs, 1.0)))


if __name__ == "__main__":
    main()
