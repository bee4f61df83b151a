"""One libtorrent peer as a process.

`make SOURCE TORRENT`, `seed SOURCE TORRENT`, `leech TARGET TORRENT PORT`, `lab FOLDER TORRENT START LISTEN PEER...`.
"""

import json
import os
import sys
import time
from pathlib import Path

import libtorrent

SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": 0,
    # The defaults are for the internet; these are the fastest found on loopback with two cores.
    "aio_threads": 4,
    "hashing_threads": 2,
    "max_queued_disk_bytes": 16 << 20,
    "max_out_request_queue": 1500,
    "send_buffer_watermark": 8 << 20,
    "unchoke_slots_limit": -1,
    "connection_speed": 200,
}


def main() -> None:
    command, folder, torrent = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if command == "make":
        _make(folder, torrent)
    elif command == "seed":
        _seed(folder, torrent)
    elif command == "lab":
        _lab(folder, torrent, Path(sys.argv[4]), sys.argv[5:])
    else:
        _leech(folder, torrent, int(sys.argv[4]))


def _make(source: Path, torrent: Path) -> None:
    creator = libtorrent.create_torrent(libtorrent.list_files(os.fspath(source)), 0, libtorrent.create_torrent.v1_only)
    libtorrent.set_piece_hashes(creator, os.fspath(source.parent))
    torrent.write_bytes(libtorrent.bencode(creator.generate()))


def _seed(source: Path, torrent: Path) -> None:
    session = _session()
    _add(session, torrent, source.parent, libtorrent.torrent_flags.seed_mode)
    _tell(event="ready", port=session.listen_port())
    while True:
        time.sleep(3600)


def _leech(target: Path, torrent: Path, port: int) -> None:
    start = time.perf_counter()
    session = _session()
    handle = _add(session, torrent, target, 0)
    handle.connect_peer(("127.0.0.1", port))
    while not handle.status().is_seeding:
        time.sleep(0.01)
    _tell(event="matched", seconds=time.perf_counter() - start)
    sys.stdout.flush()
    # What follows is libtorrent's own tidying up, which is not what is measured.
    os._exit(0)


def _lab(folder: Path, torrent: Path, start: Path, addresses: list[str]) -> None:
    """Be a seed or a leech, whatever the folder holds; connect when the file `start` is there."""
    session = _session(addresses[0])
    handle = _add(session, torrent, folder, 0)
    while handle.status().state in (handle.status().checking_files, handle.status().checking_resume_data):
        time.sleep(0.01)
    _tell(event="ready")
    while not start.exists():
        time.sleep(0.005)
    for address in addresses[1:]:
        host, _, port = address.rpartition(":")
        handle.connect_peer((host, int(port)))
    while not handle.status().is_seeding:
        time.sleep(0.01)
    _tell(event="matched")
    while True:
        time.sleep(3600)


def _session(listen: str = "127.0.0.1:0") -> libtorrent.session:
    return libtorrent.session({**SETTINGS, "listen_interfaces": listen})


def _add(session: libtorrent.session, torrent: Path, folder: Path, flags: int) -> libtorrent.torrent_handle:
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(libtorrent.bdecode(torrent.read_bytes()))
    parameters.save_path = os.fspath(folder)
    parameters.flags |= flags
    parameters.flags &= ~(libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
    return session.add_torrent(parameters)


def _tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
