"""Blocks, pages, roots and heads that are not what they should be: never kept, and the liar is never asked again."""

from contextlib import ExitStack

import bencodepy
import pytest

from p2psync.keys import keys_from_seed, make_seed
from p2psync.manifest.head import Head
from tests.e2e.compare import differences
from tests.e2e.program import eventually, get
from tests.e2e.relay import Relay
from tests.hostile import forgery
from tests.hostile.forgery import forge_head, id_of, offer, serve
from tests.hostile.harm import FALSE, Surroundings, assert_gave_up
from tests.hostile.raw_link import HEAD, RawListener, blocks_frame, listeners, part_frame

FOREIGN = keys_from_seed(make_seed())
MIB = 1 << 20


def false(data):
    """Return as many other bytes."""
    return (FALSE * (len(data) // len(FALSE) + 1))[: len(data)]


# --- what the liar says, of a version that is right -------------------------------------------------------------------


def with_false(choose, change=false):
    """Serve all rightly but the blocks that `choose` names."""

    def lie(origin, version):
        twisted = version
        for id_ in choose(version):
            twisted = twisted.with_block(id_, change(version.blocks[id_]))
        return forgery.honest(twisted)

    return lie


def in_parts(origin, version):
    def script(link):
        offer(link, version)
        for id_ in forgery.wants(link):
            data = version.blocks[id_]
            if id_ in version.file_blocks:
                half = len(data) // 2
                link.send_raw(part_frame(id_, len(data), 0, data[:half]))
                link.send_raw(part_frame(id_, len(data), half, false(data[half:])))
            else:
                link.send_raw(blocks_frame([(id_, data)]))

    return script


def head_of(make):
    """Serve all rightly under another head."""

    def lie(origin, version):
        def script(link):
            link.greet(accepted=True)
            link.send(HEAD, make(origin, version))
            link.have(complete=version.root)
            serve(link, version)

        return script

    return lie


def spoilt_signature(origin, version):
    return version.head[:-2] + bytes([version.head[-2] ^ 1]) + version.head[-1:]


def another_root(origin, version):
    """Keep the signature, change what is signed."""
    fields = bencodepy.decode(version.head)
    return bencodepy.encode(fields | {b"head": fields[b"head"].replace(version.root, id_of(b"another"))})


def signed_by_another(origin, version):
    return forge_head(origin.keys, version.root, seq=99, signer=FOREIGN)


def names_another_folder(origin, version):
    """Signed with the right key, but it says that it is another folder's."""
    head = Head.parse_untrusted(version.head, origin.keys)
    other = Head(FOREIGN.folder, head.device, 99, head.root, head.version, head.previous, head.time_ns)
    return other.signed(origin.keys)


def of_another_folder(origin, version):
    return forge_head(FOREIGN, version.root, seq=99)


LIES = {
    "blocks": with_false(lambda version: version.file_blocks),
    "blocks of another length": with_false(lambda version: version.file_blocks, lambda data: false(data) + b"!"),
    "blocks in parts": in_parts,
    "pages": with_false(lambda version: version.pages),
    "a root": with_false(lambda version: [version.root]),
    "a head with a spoilt signature": head_of(spoilt_signature),
    "a head that names another root": head_of(another_root),
    "a head signed by another": head_of(signed_by_another),
    "a head that names another folder": head_of(names_another_folder),
    "a head of another folder": head_of(of_another_folder),
    "a head that is garbage": head_of(lambda origin, version: FALSE),
    "a head with an empty body": head_of(lambda origin, version: bencodepy.encode({b"head": b"", b"sig": bytes(64)})),
}


@pytest.fixture(scope="module")
def lied_to(origin, tmp_path_factory):
    """For each lie a `get` that knows nobody but the liar; all run at the same time."""
    with ExitStack() as stack:
        running = {}
        for name, lie in LIES.items():
            place = Surroundings(tmp_path_factory.mktemp("alone"))
            liar = stack.enter_context(RawListener(origin.keys, lie(origin, origin.version)))
            getter = stack.enter_context(get(origin.code, place.target, "--peer", liar.address, "--timeout", "60"))
            running[name] = (getter, liar, place)
        yield running


@pytest.mark.parametrize("lie", LIES)
def test_a_lone_liar_is_found_out_long_before_the_time_out(lied_to, lie):
    getter, liar, place = lied_to[lie]
    sentence = assert_gave_up(getter, 4, within_s=40)
    assert "no honest source" in sentence
    assert liar.greeted == 1
    place.check()


@pytest.mark.parametrize("lie", LIES)
def test_beside_an_honest_peer_a_liar_changes_nothing(origin, tmp_path, lie):
    place = Surroundings(tmp_path)
    with (
        Relay(origin.address) as honest,
        RawListener(origin.keys, LIES[lie](origin, origin.version)) as liar,
    ):
        honest.freeze()
        with get(origin.code, place.target, "--peer", liar.address, "--peer", honest.address) as getter:
            eventually(lambda: liar.ended, "the liar is found out")
            honest.thaw()
            getter.complete()
        assert liar.greeted == 1
    assert differences(origin.folder, place.check().target) == []


def test_many_liars_at_once_do_not_keep_an_honest_peer_from_being_heard(origin, tmp_path):
    place = Surroundings(tmp_path)
    scripts = [lie(origin, origin.version) for lie in LIES.values()]
    with listeners(origin.keys, scripts) as liars:
        peers = [word for liar in liars for word in ("--peer", liar.address)]
        with get(origin.code, place.target, *peers, "--peer", origin.address) as getter:
            getter.complete()
        assert all(liar.dialled <= 1 for liar in liars)
    assert differences(origin.folder, place.check().target) == []
