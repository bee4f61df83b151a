"""Whole swarms on simulated hosts: each with a store in memory, listening, fetching one made-up manifest."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import trio

from p2psync.blocks.block import block_id
from p2psync.blocks.need import PageHolding, Run
from p2psync.errors import IntegrityError
from p2psync.ids import BlockId, PeerAddress
from p2psync.manifest.head import Standing
from p2psync.store.memory import MemoryStore
from p2psync.store.threaded import ThreadedStore
from p2psync.swarm.heads import JudgedHead
from p2psync.swarm.statistics import SwarmEvent
from p2psync.swarm.swarm import Swarm, SwarmContext

from tests.sim.net import Host, Net
