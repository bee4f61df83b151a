"""What a link looks like to people."""

from p2psync.ids import BlockId
from p2psync.swarm.link import Link
from p2psync.swarm.requests import Owed
from p2psync.swarm.statistics import LinkStatistics


def describe_link(link: Link, root: BlockId, owed: Owed) -> LinkStatistics:
    """Return what there is to know of a link now; `root` is our manifest, `owed` what the peer is to send us."""
    return LinkStatistics(
        device=link.device,
        address=link.address,
        dialled=link.dialled is not None,
        agent=link.hello.agent.decode("utf-8", "replace"),
        standing=link.standing,
        complete=root in link.holdings.complete,
        pages=link.holdings.page_sum(),
        received_bytes=link.received_bytes,
        sent_bytes=link.sent_bytes,
        uploaded_bytes=link.uploaded_bytes,
        down_bytes_per_s=link.down.rate_bytes_per_s,
        up_bytes_per_s=link.up.rate_bytes_per_s,
        up_limit=link.up_limit.lowest,
        down_limit=link.down_limit.lowest,
        up_exempt=link.up_limit.is_exempt,
        down_exempt=link.down_limit.is_exempt,
        in_flight_bytes=owed.in_flight_bytes,
        wished_blocks=owed.wished_blocks,
        wished_bytes=owed.wished_bytes,
        chokes_us=owed.chokes_us,
        wanted_blocks=len(link.wants),
        is_paused=link.is_paused,
        is_choked=link.is_choked,
        snubbed=link.flow.snubbed,
    )
