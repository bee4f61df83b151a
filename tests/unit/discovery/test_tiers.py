import random

from p2psync.discovery.tiers import Tiers


def test_tiers_keep_their_order_and_are_shuffled_inside():
    seen = {tuple(Tiers([["a", "b"], ["c"]], random.Random(seed))) for seed in range(20)}
    assert seen == {("a", "b", "c"), ("b", "a", "c")}


def test_the_order_inside_a_tier_stays():
    tiers = Tiers([list("abcdef")], random.Random(1))
    assert list(tiers) == list(tiers)


def test_whoever_answered_comes_first_in_its_tier_and_no_further():
    tiers = Tiers([["a", "b", "c"], ["d", "e"]], random.Random(1))
    tiers.promote("e")
    tiers.promote("c")
    order = list(tiers)
    assert (order[0], order[3]) == ("c", "e")
    assert set(order[:3]) == {"a", "b", "c"}


def test_nobody_is_asked_twice():
    tiers = Tiers([["a", "a"], [], ["b", "a"]], random.Random(1))
    assert sorted(tiers) == ["a", "b"]
    tiers.promote("a")
    assert list(tiers) == ["a", "b"]
