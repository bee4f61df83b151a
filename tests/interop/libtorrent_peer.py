"""One libtorrent peer as a process that prints JSON events; it finds peers through its tracker and in no other way.

usage: libtorrent_peer.py make SOURCE TORRENT URL
       libtorrent_peer.py (seed | get) FOLDER TORRENT LISTEN
"""

import json
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
    "unchoke_interval": 1,
    "allow_multiple_connections_per_ip": True,
    "min_announce_interval": 1,
    "stop_tracker_timeout": 1,
    "ssrf_mitigation": False,  # it lets loopback trackers be asked for /announce alone, not for /scrape
    "alert_mask": libtorrent.alert.category_t.tracker_notification | libtorrent.alert.category_t.error_notification,
}


def main() -> None:
    command, folder, torrent, last = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    if command == "make":
        make(folder, torrent, last)
    else:
        run(folder, torrent, last, seeds=command == "seed")


def make(source: Path, torrent: Path, url: str) -> None:
    creator = libtorrent.create_torrent(libtorrent.list_files(str(source)), 0, libtorrent.create_torrent.v1_only)
    creator.add_tracker(url)
    libtorrent.set_piece_hashes(creator, str(source.parent))
    torrent.write_bytes(libtorrent.bencode(creator.generate()))


def run(folder: Path, torrent: Path, listen: str, *, seeds: bool) -> None:
    session = libtorrent.session({**SETTINGS, "listen_interfaces": listen})
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(str(torrent))
    parameters.save_path = str(folder)
    parameters.flags = libtorrent.torrent_flags.seed_mode if seeds else libtorrent.torrent_flags.default_flags
    parameters.flags |= libtorrent.torrent_flags.disable_pex
    handle = session.add_torrent(parameters)
    done, scraped = False, False
    while True:
        for alert in session.pop_alerts():
            tell(alert)
            if isinstance(alert, libtorrent.tracker_reply_alert) and not scraped:
                scraped = True
                handle.scrape_tracker()
        if not done and handle.status().is_seeding:
            done = True
            print(json.dumps({"event": "done"}), flush=True)
        time.sleep(0.05)


def tell(alert: libtorrent.alert) -> None:
    if isinstance(alert, libtorrent.tracker_reply_alert):
        event = {"event": "announced", "peers": alert.num_peers}
    elif isinstance(alert, libtorrent.scrape_reply_alert):
        event = {"event": "scraped", "complete": alert.complete, "incomplete": alert.incomplete}
    elif isinstance(alert, libtorrent.tracker_error_alert | libtorrent.scrape_failed_alert):
        event = {"event": "tracker error", "message": alert.message()}
    else:
        return
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
