import random
from contextlib import suppress

import pytest

from p2psync.errors import ConfigError, StoreError
from tracker.memory_swarms import MemorySwarms, StoreLimits
from tracker.snapshot import load_snapshot, save_snapshot
from tracker.swarms import Change, PeerUpdate, Role

HASH = b"h" * 20


def store():
    return MemorySwarms(random.Random(0))


def update(number, width=6, role=Role.DOWNLOADER, change=Change.STAY, lifetime_s=1000):
    entry = b"\x0a" + bytes(width - 6) + number.to_bytes(3, "big") + b"\0\1"
    return PeerUpdate(HASH, entry, b"%024d" % number, role, change, 200, lifetime_s)


async def saved(path, updates, *, now=5000.0, wall=1e9):
    filled = store()
    await filled.announce(updates, now)
    save_snapshot(path, filled, now=now, wall=wall)
    return filled


async def test_swarms_come_back_as_they_were(tmp_path):
    updates = [update(n, width, Role(n % 3)) for n in range(700) for width in (6, 18)]
    updates.append(update(9999, change=Change.COMPLETE, role=Role.SEED))
    before = await saved(tmp_path / "peers", updates)
    after = store()
    await load_snapshot(tmp_path / "peers", after, now=70.0, wall=1e9 + 5)
    assert after.totals() == before.totals()
    assert await after.scrape([HASH], 70.0) == await before.scrape([HASH], 5000.0)
    (view,) = await after.announce([update(9999, change=Change.LEAVE)], 70.0)  # ids and keys came back too
    assert view.counts.complete == (await before.scrape([HASH], 0.0))[0].complete - 1


async def test_peers_do_not_live_longer_for_it(tmp_path):
    await saved(tmp_path / "peers", [update(1, lifetime_s=100), update(2, lifetime_s=200)])
    after = store()
    await load_snapshot(tmp_path / "peers", after, now=7.0, wall=1e9 + 150)
    assert after.totals().peers == 1
    for now in (56, 58, 70):
        await after.tend(now)
    assert after.totals().peers == 0


async def test_a_wall_clock_set_back_makes_nobody_older(tmp_path):
    await saved(tmp_path / "peers", [update(1, lifetime_s=100)])
    after = store()
    await load_snapshot(tmp_path / "peers", after, now=7.0, wall=1e9 - 5000)
    await after.tend(100)
    assert after.totals().peers == 1


async def test_no_file_is_no_peers(tmp_path):
    after = store()
    await load_snapshot(tmp_path / "peers", after, now=0.0, wall=0.0)
    assert after.totals().peers == 0


async def test_only_we_may_read_it_and_nothing_else_is_left(tmp_path):
    await saved(tmp_path / "peers", [update(1)])
    await saved(tmp_path / "peers", [update(2)])
    assert [path.name for path in tmp_path.iterdir()] == ["peers"]
    assert (tmp_path / "peers").stat().st_mode & 0o777 == 0o600


async def test_a_file_cut_or_changed_anywhere_is_told_or_loads_something_sane(tmp_path):
    path = tmp_path / "peers"
    await saved(path, [update(n, lifetime_s=1000) for n in range(3)])
    whole, rng = path.read_bytes(), random.Random(2)
    for _ in range(300):
        data = bytearray(whole)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        after = store()
        with suppress(StoreError, ConfigError):
            await load_snapshot(path, after, now=0.0, wall=1e9)
        assert after.totals().peers <= 3


async def test_a_file_of_another_version_is_told(tmp_path):
    (tmp_path / "peers").write_text("p2psync-tracker peers 2\n")
    with pytest.raises(StoreError, match="another version"):
        await load_snapshot(tmp_path / "peers", store(), now=0.0, wall=0.0)


async def test_a_file_of_something_else_is_not_to_be_overwritten(tmp_path):
    (tmp_path / "peers").write_text("a diary")
    with pytest.raises(ConfigError, match="is no snapshot of a tracker"):
        await load_snapshot(tmp_path / "peers", store(), now=0.0, wall=0.0)


@pytest.mark.parametrize("text", ["", "p2psync-tr"])
async def test_a_file_that_nothing_was_written_to_yet_holds_no_peers(tmp_path, text):
    (tmp_path / "peers").write_text(text)
    await load_snapshot(tmp_path / "peers", after := store(), now=0.0, wall=0.0)
    assert after.totals().peers == 0


@pytest.mark.parametrize("path", [".", "missing/peers"])
async def test_where_nothing_can_be_written_is_told_before_anybody_is_served(tmp_path, path):
    with pytest.raises(ConfigError, match="no snapshot can be written"):
        await load_snapshot(tmp_path / path, store(), now=0.0, wall=0.0)


async def test_a_disk_that_refuses_is_told(tmp_path):
    with pytest.raises(StoreError, match="could not be written"):
        save_snapshot(tmp_path / "missing" / "peers", store(), now=0.0, wall=0.0)


async def test_what_is_loaded_obeys_the_limits(tmp_path):
    await saved(tmp_path / "peers", [update(n) for n in range(3)])
    after = MemorySwarms(random.Random(0), StoreLimits(peers=2))
    await load_snapshot(tmp_path / "peers", after, now=0.0, wall=1e9)
    assert after.totals().peers == 2
