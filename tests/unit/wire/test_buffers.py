from p2psync.wire.buffers import MIN_BYTES, BufferPool

KEPT_BYTES = 32 << 20


def test_a_buffer_that_nobody_looks_into_is_given_out_again():
    pool = BufferPool()
    pool.take(MIN_BYTES)[:5] = b"first"
    assert pool.take(MIN_BYTES)[:5] == b"first"


def test_a_buffer_of_which_a_part_is_still_held_is_not_given_out_again():
    pool = BufferPool()
    held = pool.take(3 * MIN_BYTES)[10:15]
    held[:] = b"first"
    pool.take(3 * MIN_BYTES)[:] = bytes(3 * MIN_BYTES)
    assert held == b"first"


def test_a_buffer_serves_every_smaller_size_and_the_shortest_that_serves_is_taken():
    pool = BufferPool()
    held = [pool.take(count * MIN_BYTES) for count in (9, 4, 6)]
    for buffer, name in zip(held, (b"9", b"4", b"6"), strict=True):
        buffer[:1] = name
    held.clear()
    del buffer
    again = [pool.take(size) for size in (4 * MIN_BYTES + 1, 2 * MIN_BYTES, MIN_BYTES)]
    assert [bytes(view[:1]) for view in again] == [b"6", b"4", b"9"]
    assert [len(view) for view in again] == [4 * MIN_BYTES + 1, 2 * MIN_BYTES, MIN_BYTES]


def test_short_buffers_that_are_free_make_room_for_longer_ones():
    pool = BufferPool(8 * MIN_BYTES)
    held = [pool.take(MIN_BYTES) for _ in range(8)]
    held.clear()
    pool.take(8 * MIN_BYTES)[:5] = b"first"
    assert pool.take(8 * MIN_BYTES)[:5] == b"first"


def test_a_small_buffer_is_always_a_fresh_one():
    pool = BufferPool()
    pool.take(MIN_BYTES - 1)[:5] = b"first"
    assert pool.take(MIN_BYTES - 1)[:5] == bytes(5)


def test_a_pool_holds_on_to_a_limited_amount():
    pool = BufferPool(KEPT_BYTES)
    held = [pool.take(KEPT_BYTES // 4) for _ in range(5)]
    held[-1][:5] = b"extra"
    held.clear()
    assert all(pool.take(KEPT_BYTES // 4)[:5] == bytes(5) for _ in range(5))
