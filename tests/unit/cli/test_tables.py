from dataclasses import replace

from p2psync.cli.tables import peer_lines, status_lines
from p2psync.node.peer_table import PeerRow

ROW = PeerRow(
    address="10.0.0.2:4001",
    device="ab" * 8,
    direction="out",
    agent="p2psync/1",
    held=0.5,
    received_bytes=2000,
    sent_bytes=0,
    down_bytes_per_s=1000,
    up_bytes_per_s=0,
    down_limit=3e6,
    up_limit=None,
    down_exempt=False,
    up_exempt=True,
    owes_bytes=4000,
    wished_blocks=1200,
    chokes_us=False,
    wants_blocks=0,
    state="sends to us",
)


def test_a_peer_is_a_line_that_says_which_limit_holds_and_which_does_not():
    (line,) = peer_lines([ROW])
    assert line.split("  ") == [
        "to 10.0.0.2:4001",
        "has 50 %",
        "gives 1.0 kB/s (2.0 kB) limit 3.0 MB/s",
        "takes 0 B/s (0 B) local, no limit",
        "sends to us, owes 4.0 kB, 1,200 blocks left to it",
        "p2psync/1",
    ]


def test_of_one_address_and_one_block_there_is_one():
    assert "1 linked, 1 address known" in "\n".join(status_lines({"peers": 1, "addresses": 1}))
    assert "1 block left to it" in peer_lines([replace(ROW, wished_blocks=1)])[0]
