"""Who we are in a folder: the keys it is shared under and our device key, kept in its state directory."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2psync.errors import ConfigError, P2PSyncError
from p2psync.ids import DeviceId
from p2psync.keys import FolderKeys, Role, keys_from_seed, make_seed
from p2psync.sharelink import ShareLink, parse_link
from p2psync.store.files import store_error, write_whole
from p2psync.store.folder_state import DEVICE_FILE, STATE_NAME
from p2psync.swarm.tls import device_id, load_device_key, make_device_key

_LINK_FILE = "link"


@dataclass(frozen=True, slots=True)
class Identity:
    """Our part in one folder.

    Attributes:
        keys: The folder's keys, as far as we hold them.
        device_key: Our own; another copy of the folder has another.
        device: Its id.
    """

    keys: FolderKeys
    device_key: Ed25519PrivateKey
    device: DeviceId


def own_folder(state: Path) -> Identity:
    """Return the identity under which a folder is shared from here, making its keys the first time.

    Raises:
        ConfigError: The folder follows somebody else's, or what is kept of its keys is damaged.
        StoreError: They cannot be read or written.
    """
    kept = _load_keys(state)
    if kept is None:
        kept = keys_from_seed(make_seed())
        _save_keys(state, kept)
    if kept.role is not Role.WRITE:
        raise ConfigError("this folder follows somebody else's: to serve it to others, use 'p2psync sync LINK DIR'")
    return _with_device(state, kept)


def followed_folder(state: Path, link: ShareLink) -> Identity:
    """Return the identity under which a folder follows a link.

    Raises:
        ConfigError: The folder belongs to another link, is shared from here, or the link cannot read.
        StoreError: What is kept of the keys cannot be read or written.
    """
    if link.keys.role is Role.STORE:
        raise ConfigError("this is a store link: it can hold blocks but not read files; ask for a read link")
    kept = _load_keys(state)
    if kept is not None and kept.folder != link.keys.folder:
        raise ConfigError("this folder already belongs to another link: choose another directory")
    if kept is not None and kept.role is Role.WRITE:
        raise ConfigError("this folder is shared from here: it cannot also follow; choose another directory")
    keys = link.keys.limited_to(Role.READ)
    if kept is None:
        _save_keys(state, keys)
    return _with_device(state, keys)


def refuse_place_inside_itself(directory: Path, link: ShareLink) -> None:
    """See to it that no copy of a folder is made inside another one, which would then hold itself, again and again.

    Raises:
        ConfigError: Some directory above is shared under the link, or follows it.
    """
    with contextlib.suppress(OSError):  # whoever opens the folder says what is wrong with it
        for above in Path(os.path.realpath(directory)).parents:
            if _follows(above / STATE_NAME, link):
                raise ConfigError(
                    f"{str(directory)!r} is inside {str(above)!r}, which is the same folder and would hold itself: "
                    "choose a directory elsewhere"
                )


def _follows(state: Path, link: ShareLink) -> bool:
    with contextlib.suppress(P2PSyncError):
        keys = _load_keys(state)
        return keys is not None and keys.folder == link.keys.folder
    return False


def _load_keys(state: Path) -> FolderKeys | None:
    path = state / _LINK_FILE
    try:
        return parse_link(_read(path).decode()).keys
    except FileNotFoundError:
        return None
    except (ConfigError, ValueError):
        raise ConfigError(
            f"{path} is damaged: put it back from a backup, or delete it and share under a new link"
        ) from None


def _save_keys(state: Path, keys: FolderKeys) -> None:
    _keep(state / _LINK_FILE, str(ShareLink(keys)).encode())


def _with_device(state: Path, keys: FolderKeys) -> Identity:
    path = state / DEVICE_FILE
    device_key = None
    with contextlib.suppress(FileNotFoundError, ValueError):  # a damaged one is replaced: we are then a new device
        device_key = load_device_key(_read(path))
    if device_key is None:
        device_key = make_device_key()
        _keep(path, device_key.private_bytes_raw())
    return Identity(keys, device_key, device_id(device_key.public_key()))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise store_error(error, f"cannot read {str(path)!r}") from None


def _keep(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise store_error(error, f"cannot write {str(path)!r}") from None
