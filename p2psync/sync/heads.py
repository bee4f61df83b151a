"""The newest head a folder has ever seen: what every other one is measured against."""

import trio

from p2psync.errors import P2PSyncError
from p2psync.keys import FolderKeys
from p2psync.manifest.head import Head, Standing
from p2psync.store.database import Database

_NOTE = "head"


class NewestHead:
    """Kept in the folder's database, so that no peer can ever bring an older version back.

    Attributes:
        head: The newest head, or None before there was one.
        signed: Its bytes.
        heard: Set once a peer has offered it, or a newer one has been adopted.
    """

    def __init__(self, database: Database, keys: FolderKeys) -> None:
        self.heard = trio.Event()
        self.head: Head | None = None
        self.signed = b""
        self._database = database
        self._keys = keys
        signed = database.note(_NOTE)
        if signed is not None:
            try:
                self.head, self.signed = Head.parse_untrusted(signed, keys), signed
            except P2PSyncError:  # of another format: begin anew
                self.head = None

    def judge(self, signed: bytes) -> tuple[Standing, Head]:
        """Check a peer's head, and compare it.

        Raises:
            IntegrityError: It is not signed by the folder's write key.
            RemoteProtocolError: It is no head.
        """
        head = Head.parse_untrusted(signed, self._keys)
        standing = head.standing_against(self.head)
        if standing is Standing.SAME:  # of a newer one the same is said once it has been adopted
            self.heard.set()
        return standing, head

    def adopt(self, head: Head, signed: bytes) -> None:
        """Take a head for the newest from now on."""
        self._database.set_note(_NOTE, signed)
        self.head, self.signed = head, signed
