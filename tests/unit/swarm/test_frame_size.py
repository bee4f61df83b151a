"""How much payload a frame carries."""

import pytest

from p2psync.swarm.frame_size import FRAME_S, FRAMES_A_LINK, MIN_FRAME_BYTES, FrameRoom, FrameSize
from p2psync.wire import limits

ROOM_BYTES = 9 << 20


def test_frames_shrink_on_a_slow_line_and_grow_again():
    size = FrameSize()
    for _ in range(10):
        size.sent(size.limit_bytes, FRAME_S * 2)
    assert size.limit_bytes == MIN_FRAME_BYTES
    for _ in range(10):
        size.sent(size.limit_bytes, FRAME_S / 10)
    assert size.limit_bytes == limits.FRAME_PAYLOAD_BYTES


@pytest.mark.parametrize("links", [4, 20, 48])
def test_the_frames_of_all_links_fit_the_room_that_they_have(links):
    room = FrameRoom(ROOM_BYTES)
    for _ in range(links):
        room.link_up()
    assert 0.9 * ROOM_BYTES < FRAMES_A_LINK * links * room.frame_bytes <= ROOM_BYTES


def test_the_fewer_links_there_are_the_longer_a_block_may_be_of_which_each_holds_the_whole():
    room = FrameRoom(ROOM_BYTES)
    assert room.share_bytes == ROOM_BYTES // FRAMES_A_LINK
    for _ in range(4):
        room.link_up()
    assert room.share_bytes == ROOM_BYTES // FRAMES_A_LINK // 4
    for _ in range(200):
        room.link_up()
    assert room.share_bytes == MIN_FRAME_BYTES


def test_no_frame_is_too_short_or_too_long_however_many_links_there_are():
    room = FrameRoom(ROOM_BYTES)
    assert room.frame_bytes == limits.FRAME_PAYLOAD_BYTES
    for _ in range(200):
        room.link_up()
    assert room.frame_bytes == MIN_FRAME_BYTES
    for _ in range(198):
        room.link_down()
    assert room.frame_bytes == limits.FRAME_PAYLOAD_BYTES
