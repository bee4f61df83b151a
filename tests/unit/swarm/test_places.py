"""Who makes room for a newcomer."""

import pytest

from p2psync.swarm.places import choose_dropped


@pytest.mark.parametrize(("strangers", "dropped"), [("a1", 1), ("a1 b2 c3", 1), ("a1 b2 b3 c4", 2), ("b1 a2 b3 a4", 1)])
def test_room_is_made_by_the_oldest_of_the_busiest_host(strangers, dropped):
    assert choose_dropped([(int(word[1]), word[0]) for word in strangers.split()]) == dropped
