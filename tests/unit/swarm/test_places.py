"""Who makes room for a newcomer."""

import pytest
import trio
import trio.testing

from p2psync.swarm.places import Places, choose_dropped


@pytest.mark.parametrize(("strangers", "dropped"), [("a1", 1), ("a1 b2 c3", 1), ("a1 b2 b3 c4", 2), ("b1 a2 b3 a4", 1)])
def test_room_is_made_by_the_oldest_of_the_busiest_party(strangers, dropped):
    assert choose_dropped([(int(word[1]), word[0]) for word in strangers.split()]) == dropped


async def test_who_comes_from_one_ipv6_network_under_ever_new_addresses_displaces_itself(nursery):
    places, kept = Places(3), []

    async def stay(host: str) -> None:
        with places.take(host):
            kept.append(host)
            await trio.sleep_forever()
        kept.remove(host)

    for host in ["93.184.216.34", "2a00:1:2:3::1", "2a00:1:2:3::2", "2a00:1:2:3::3", "2a00:1:2:3::4"]:
        nursery.start_soon(stay, host)
        await trio.testing.wait_all_tasks_blocked()
    assert kept == ["93.184.216.34", "2a00:1:2:3::3", "2a00:1:2:3::4"]
    nursery.cancel_scope.cancel()
