"""What a swarm is given from outside."""

from collections.abc import Callable
from dataclasses import dataclass, field

from p2psync.budget import DEFAULT_MEMORY, MemoryBudget
from p2psync.ids import DeviceId
from p2psync.swarm.dialler import Dial
from p2psync.swarm.heads import JudgedHead
from p2psync.swarm.statistics import SwarmEvent
from p2psync.swarm.throttle import Limits


@dataclass(frozen=True, slots=True)
class SwarmContext:
    """One swarm's surroundings.

    Attributes:
        device: Who we are.
        judge: Checks a head's signature and says how it compares with the newest that this folder has seen; raises
            IntegrityError or RemoteProtocolError for what no honest peer sends.
        dial: Connects to an address and authenticates.
        on_event: Hears what happens; must not block.
        listen_port: Where we accept links, 0 if nowhere.
        agent: Name and version of this program.
        memory: What received payload may take.
        limits: How fast its links may be.
        reciprocal: The members are strangers: who gives is served first.
    """

    device: DeviceId
    judge: Callable[[bytes], JudgedHead]
    dial: Dial
    on_event: Callable[[SwarmEvent], None] = lambda event: None
    listen_port: int = 0
    agent: str = "p2psync"
    limits: Limits = field(default_factory=Limits)
    memory: MemoryBudget = DEFAULT_MEMORY
    reciprocal: bool = False
