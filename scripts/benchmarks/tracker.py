"""The tracker beside opentracker: announces a second by UDP and HTTP, how late answers come, what a peer weighs."""

from pathlib import Path

from benchmarks.report import OURS, Figures, Goal, Report, Settings, take_turns
from benchmarks.trackers import Tracker, load_http, load_udp, missing, opentracker, our_tracker, redis_server

SECONDS = 4.0
PEERS = 1_000_000
SOCKETS = 16  # where processes share a port the kernel deals clients to them by their ports
RIVAL = "opentracker"
GOALS = (
    Goal("udp_per_s", 0.35, RIVAL, is_floor=True),
    Goal("udp_per_s", 0.5, RIVAL, is_floor=True, is_wish=True),
    Goal("http_per_s", 0.5, RIVAL, is_floor=True),
    Goal("http_per_s", 1.0, RIVAL, is_floor=True, is_wish=True),
    Goal("http_close_per_s", 0.5, RIVAL, is_floor=True),
    Goal("peer_octets", 300.0),
    Goal("peer_octets", 120.0, is_wish=True),
)


def run(settings: Settings) -> Report:
    if absent := missing("opentracker", "redis-server", "wrk", "cc"):
        raise SystemExit(f"this benchmark needs {', '.join(absent)}")
    scratch = settings.data / "tracker"
    scratch.mkdir(parents=True, exist_ok=True)
    # opentracker gives up root, and must still read its list.
    scratch.chmod(0o755)
    seconds = SECONDS * settings.scale

    def ours() -> Figures:
        with our_tracker() as tracker:
            figures = _rates(scratch, tracker, seconds)
        with our_tracker() as tracker:
            figures |= _full(scratch, tracker, settings.scale)
        for processes in (1, 2, 4):
            figures |= _shared(scratch, processes, seconds)
        return figures

    def theirs() -> Figures:
        with opentracker(scratch) as tracker:
            figures = _rates(scratch, tracker, seconds)
        with opentracker(scratch) as tracker:
            return figures | _full(scratch, tracker, settings.scale)

    runs = take_turns({OURS: ours, RIVAL: theirs}, settings.runs)
    return Report("tracker", "announces to one process; redisN: N processes on one port and one Redis", runs, GOALS)


def _rates(scratch: Path, tracker: Tracker, seconds: float) -> dict[str, float]:
    """Announces a second at full load, what each costs, and the latency of 99 of 100 under half of that load."""
    figures: dict[str, float] = {}
    for name, load in (
        ("udp", lambda: load_udp(scratch, tracker.port, seconds)),
        ("http", lambda: load_http(scratch, tracker.port, seconds)),
        ("http_close", lambda: load_http(scratch, tracker.port, seconds, closes=True)),
    ):
        busy_s = tracker.cpu_s()
        found = load()
        figures[f"{name}_per_s"] = found["answers_per_s"]
        # Where others use the processors too, this is the figure to compare.
        figures[f"{name}_cpu_us"] = round((tracker.cpu_s() - busy_s) * 1e6 / found["answered"], 1)
    paced = load_udp(scratch, tracker.port, seconds, sockets=4, rate=int(figures["udp_per_s"] / 2))
    paced_http = load_http(scratch, tracker.port, seconds, rate=figures["http_per_s"] / 2)
    return figures | {"udp_p99_at_half_s": paced["p99_s"], "http_p99_at_half_s": paced_http["p99_s"]}


def _full(scratch: Path, tracker: Tracker, scale: float) -> dict[str, float]:
    """A million peers in a thousand swarms: what each weighs, and how announces fare then."""
    empty = tracker.memory_bytes()
    peers = int(PEERS * scale)
    load_udp(scratch, tracker.port, 600.0, peers=peers)
    weight = (tracker.memory_bytes() - empty) / peers
    found = load_udp(scratch, tracker.port, SECONDS * scale)
    paced = load_udp(scratch, tracker.port, SECONDS * scale, sockets=4, rate=int(found["answers_per_s"] / 2))
    return {
        "peer_octets": round(weight, 1),
        "full_udp_per_s": found["answers_per_s"],
        "full_udp_p99_at_half_s": paced["p99_s"],
    }


def _shared(scratch: Path, processes: int, seconds: float) -> dict[str, float]:
    """Several processes on one port, their swarms in one Redis."""
    with redis_server(scratch) as url, our_tracker("--state", url, processes=processes) as tracker:
        found = load_udp(scratch, tracker.port, seconds, sockets=SOCKETS)
        paced = load_udp(scratch, tracker.port, seconds, sockets=SOCKETS, rate=int(found["answers_per_s"] / 2))
    name = f"redis{processes}_udp"
    return {f"{name}_per_s": found["answers_per_s"], f"{name}_p99_at_half_s": paced["p99_s"]}
