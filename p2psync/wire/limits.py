"""Every limit and time-out of the protocol, each with its reason.

A peer that goes beyond one of the limits breaks the protocol; the time-outs are what we grant others.
"""

from p2psync.blocks.block import MAX_BLOCK_BYTES

PROTOCOL_VERSION = 1

# --- frames -----------------------------------------------------------------------------------------------------------

FRAME_PAYLOAD_BYTES = 1 << 20
"""Payload of one BLOCKS or PART frame: big enough that work per frame vanishes against moving its bytes, small enough
that a control message behind it waits 80 ms at 100 Mbit/s."""
BLOCKS_PER_FRAME = 1024
"""Blocks of 1 KiB fill a frame; smaller ones are so few bytes that the table is what counts."""
RECORD_BYTES = FRAME_PAYLOAD_BYTES
"""What one record protects at most: a frame's payload. Encrypting gains nothing beyond 64 KiB, but each record costs an
await or two; and a record is of use only when it is whole, so it should not be longer than what is sent at a time."""
MAX_HELLO_BYTES = 4 << 10
"""A version, a name, a port and a few dozen feature names."""
MAX_HEAD_BYTES = 64 << 10
"""Version vector of 4,000 devices (the manifest's own limit)."""
MAX_HAVE_BYTES = 512 << 10
"""16,000 page ids or the bits of 4 million blocks in one frame; more is said in several."""
MAX_STRANGE_HAVE_BYTES = 1 << 10
"""A HAVE with keys that are not known here: of half a MiB, bencode can be made that takes most of a second to read."""
MAX_IDS_BYTES = 4096 * 32
"""WANT, WANT_ANY, WISH, CANCEL and MISSING: 4,096 ids a frame; more is said in several."""
MAX_BYE_BYTES = 1 << 10
"""One short code."""
PEERS_PER_MESSAGE = 50
"""More addresses than this at a time find nobody sooner; the field's clients send as many."""
MAX_PEERS_BYTES = 1 << 10
"""That many addresses of 18 bytes, and their keys."""
MAX_UNKNOWN_BYTES = FRAME_PAYLOAD_BYTES
"""A type of the future may carry payload; it is read and dropped."""
MAX_UNKNOWN_FRAMES = 1000
"""A peer of the future learns by the features in HELLO what we ignore; more than this only wastes our time."""
STAGING_BYTES = 64 << 10
"""Between frames up to this much is read at once, so that dozens of control messages cost one read."""

# --- what one peer may make us keep -----------------------------------------------------------------------------------

MAX_OUTSTANDING_IDS = 16_384
"""Ids wanted and not yet answered on one link, 1 MB of our memory: at 2 KiB a block, 32 MiB in flight."""
MAX_ANNOUNCED_PAGES = 131_072
"""Pages that one peer may announce: 33 million files, 20 MB of our memory."""
MAX_COMPLETE_ROOTS = 64
"""Manifests that one peer may say it holds in full: one folder's versions, of which the newest alone is looked for."""
MAX_ANNOUNCED_BITS_BYTES = 16 << 20
"""Bit sets that one peer may announce: 134 million blocks that are in pages it holds in part."""
MAX_UNASKED_BYTES = 64 << 20
"""Payload that nobody (any more) waits for, beyond as much as was waited for: a cancelled window, twice over."""
MAX_ABANDONED_BYTES = 256 << 20
"""Blocks that were begun in parts and not ended, beyond as much as was ended: a sender whose large file changes finds
that out block by block, and begins others of it for a second or two."""
ABANDONED_BLOCK_BYTES = 64 << 10
"""What a shorter one counts for: work, if not bytes."""

CONTROL_BURST = 16
"""Control messages that one read may bring before the peer is slowed down: after HELLO come a handful."""
CONTROL_MESSAGE_S = 0.002
"""Time for which nothing more is read from a peer per control message of a larger burst. An honest peer sends some 50 a
second; a head costs us 0.3 ms of work and the peer nothing, so without a limit two peers starve all others."""
HAVE_ROWS_A_MESSAGE = 256
"""Ids and bit sets of a HAVE that count as another message: 1 ms of work at worst. An honest peer says so much of a
million blocks at once, but then not again."""
UPSETTING_HAVE_MESSAGES = 2
"""What a HAVE with complete roots or something gone counts for besides: all that is asked of the peer is judged anew,
4 ms of work where that is much."""
MAX_CONTROL_PAUSE_S = 1.0
"""Short beside all time-outs: a peer that is not read is not to blame for silence."""

MAX_LINKS = 200
"""Links of one swarm: an accepted link costs us some 12 MB of payload at worst (a block in parts, a frame, a record
twice; three frames to be sent, two in records); the field's clients take 50 to 200."""

# --- what we ask of one peer ------------------------------------------------------------------------------------------

WANTED_IDS = 8_192
"""Ids we keep in flight on a link: half of what a peer must bear, so that a cancelled want that is still counted there
never breaks its limit."""

# --- time-outs, in seconds --------------------------------------------------------------------------------------------

HELLO_TIMEOUT_S = 10.0
"""From the end of the TLS handshake to the peer's HELLO: several round trips of the worst mobile network."""
IDLE_PING_S = 8.0
"""Silence after which we ask whether the peer is there; also keeps address translation alive."""
DEAD_LINK_S = 25.0
"""No sign of life for so long (three pings unanswered): the link is dead."""
LIFE_SIGN_BYTES = 4 << 10
"""A whole frame, or this much of a long one, is a sign of life; a byte a second is not."""
PROBE_S = 4.0
"""A link that stands in the way of a new one from the same device must prove within this that it lives."""
SNUB_S = 8.0
"""A peer that owes us and sends less than a sign of life for so long is snubbed: others are asked for what it owes."""
STALL_S = 30.0
"""A snubbed peer that still sends nothing it owes is dropped, even if it is the only one: a new link may do better."""
SEND_STALL_S = 120.0
"""What is sent at a time does not leave for so long: frames of 128 KiB at first and 64 KiB on a slow line, so
nobody is served below some 1 KiB/s."""
FAREWELL_S = 0.5
"""How long a farewell may take before the stream is closed: the user waits for it."""

MAX_PART_TOTAL_BYTES = MAX_BLOCK_BYTES
"""A block that comes in parts is a block."""
