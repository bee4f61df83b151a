"""What a link looks like to people."""

from p2psync.ids import BlockId
from p2psync.swarm.link import Link
from p2psync.swarm.statistics import LinkStatistics


def describe_link(link: Link, root: BlockId, in_flight_bytes: int) -> LinkStatistics:
    """Return what there is to know of a link now; `root` is our manifest, `in_flight_bytes` what the peer owes us."""
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
        in_flight_bytes=in_flight_bytes,
        wanted_blocks=len(link.wants),
        is_paused=link.is_paused,
        is_choked=link.is_choked,
        snubbed=link.flow.snubbed,
    )
