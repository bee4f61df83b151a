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


def test_a_buffer_serves_every_size_up_to_the_next_power_of_two():
    pool = BufferPool()
    pool.take(4 * MIN_BYTES - 1)[:5] = b"first"
    again = pool.take(2 * MIN_BYTES + 1)
    assert (len(again), bytes(again[:5])) == (2 * MIN_BYTES + 1, b"first")


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
