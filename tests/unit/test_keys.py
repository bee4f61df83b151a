import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2psync.errors import IntegrityError
from p2psync.ids import FolderId
from p2psync.keys import FolderKeys, Role, keys_from_read_key, keys_from_seed, make_seed

SEED = bytes(range(32))
KEYS = keys_from_seed(SEED)

# Computed once by another implementation of HKDF (hmac and hashlib). Changing any of these cuts every link that exists
# off from its folder.
WRITE_KEY = "4ae85e760938d76fe030fdd878f035860ad29c9ee56bd3f0722fbf45ada67d8d"
GOLDEN = {
    "folder": "68d57e0bdd3c5ce28f200d22886eaa3206a9aa8c7649357cc8795c32848a0ea4",
    "read_key": "8c3b03d624623e0935118531a51519d15a098570c9c6bc6a7e2781f483f297f9",
    "swarm_key": "ac93d900c7e18da4de0788ea433c312804aab0a97576ce0c9109fdf96323635d",
    "info_hash": "4c10c4adbffccab9f10e099e7999e60a6e152bfa",
    "ca_seed": "a21a4eea5ed716a23f7a894a26496673244efb183b10811462f0bc502e49eff0",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_seed_gives_the_keys_it_has_always_given(name):
    assert getattr(KEYS, name).hex() == GOLDEN[name]


def test_a_seed_gives_the_name_in_tls_and_the_gear_seed_it_has_always_given():
    assert KEYS.sni == "3391b4ebb1cecc8ed77075ba306337f8"
    assert KEYS.gear_seed == 2235091153700466043


def test_the_write_key_signs_as_it_has_always_signed():
    write_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(WRITE_KEY))
    assert KEYS.sign(b"message") == write_key.sign(b"message")


def test_no_two_derived_keys_are_alike():
    secrets = [bytes.fromhex(WRITE_KEY), KEYS.read_key, KEYS.swarm_key, KEYS.ca_seed, KEYS.folder, SEED]
    secrets += [KEYS.info_hash, bytes.fromhex(KEYS.sni)]
    openings = {secret[:8] for secret in secrets} | {KEYS.gear_seed.to_bytes(8, "big")}
    assert len(openings) == len(secrets) + 1


def test_one_bit_of_the_seed_changes_every_key():
    other = keys_from_seed(bytes([1]) + SEED[1:])
    for name in [*GOLDEN, "sni", "gear_seed"]:
        assert getattr(other, name) != getattr(KEYS, name)


def test_a_reader_derives_what_the_writer_has_but_the_seed():
    reader = keys_from_read_key(KEYS.folder, KEYS.read_key)
    assert reader == KEYS.limited_to(Role.READ)
    for name in [*GOLDEN, "sni", "gear_seed"]:
        assert getattr(reader, name) == getattr(KEYS, name)


@pytest.mark.parametrize(
    ("role", "holds_read_key", "holds_seed"),
    [(Role.WRITE, True, True), (Role.READ, True, False), (Role.STORE, False, False)],
)
def test_each_role_is_given_what_it_needs_and_no_more(role, holds_read_key, holds_seed):
    keys = KEYS.limited_to(role)
    assert keys.role is role
    assert (keys.read_key is not None) is holds_read_key
    assert (keys.seed is not None) is holds_seed
    assert (keys.folder, keys.info_hash, keys.sni) == (KEYS.folder, KEYS.info_hash, KEYS.sni)


@pytest.mark.parametrize("role", Role)
def test_limits_only_ever_weaken(role):
    assert KEYS.limited_to(Role.STORE).limited_to(role).role is Role.STORE


def test_a_store_member_cannot_cut_files():
    with pytest.raises(IntegrityError, match="read key"):
        _ = KEYS.limited_to(Role.STORE).gear_seed


@pytest.mark.parametrize("role", [Role.READ, Role.STORE])
def test_only_a_writer_signs(role):
    with pytest.raises(IntegrityError, match="only a write link"):
        KEYS.limited_to(role).sign(b"message")


@pytest.mark.parametrize("role", Role)
def test_every_member_verifies(role):
    KEYS.limited_to(role).verify(b"message", KEYS.sign(b"message"))


def test_a_signature_of_another_message_key_or_length_is_refused():
    signature = KEYS.sign(b"message")
    flipped = signature[:-1] + bytes([signature[-1] ^ 1])
    other = keys_from_seed(bytes(32)).sign(b"message")
    for message, bad in [
        (b"massage", signature),
        (b"message", flipped),
        (b"message", other),
        (b"message", signature[:-1]),
        (b"message", signature + b"\0"),
        (b"message", b""),
        (b"message", bytes(64)),
    ]:
        with pytest.raises(IntegrityError):
            KEYS.verify(message, bad)


def test_a_signature_with_its_scalar_moved_by_the_group_order_is_refused():
    order = 2**252 + 27742317777372353535851937790883648493
    signature = KEYS.sign(b"message")
    moved = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(IntegrityError):
        KEYS.verify(b"message", signature[:32] + moved)


@pytest.mark.parametrize("folder", [b"\xff" * 32, b"\x02" + bytes(31), b"short", b""])
def test_a_folder_id_that_is_no_key_verifies_nothing(folder):
    with pytest.raises(IntegrityError):
        FolderKeys(FolderId(folder), KEYS.swarm_key).verify(b"message", KEYS.sign(b"message"))


def test_a_new_seed_is_32_bytes_that_were_never_seen():
    seeds = {make_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert {len(seed) for seed in seeds} == {32}
