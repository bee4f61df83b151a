"""Publishes a folder, brings one to another's head, or watches one; told to run by tests that take its privileges away.

python -m tests.unit.sync.work_plainly share FOLDER
python -m tests.unit.sync.work_plainly get FOLDER SHARER [exact]
python -m tests.unit.sync.work_plainly watch FOLDER DIRECTORY...
"""

import json
import os
import sys
from contextlib import aclosing
from pathlib import Path

import trio

from p2psync.errors import P2PSyncError
from p2psync.sync.inotify import inotify_notices
from tests.unit.sync.folders import following, sharing


async def share(folder: str) -> dict[str, object]:
    with sharing(Path(folder)) as a:
        published = a.publish()
        return {"problems": [str(problem) for problem in a.report.problems], "is_new": published is not None}


async def get(folder: str, sharer: str, *exact: str) -> dict[str, object]:
    with sharing(Path(sharer)) as a, following(Path(folder), a.swarm) as b:
        a.offer()
        b.must_hold = False
        matched = await b.get(exact=bool(exact))
        return {
            "problems": [str(problem) for problem in matched.problems],
            "additions": [os.fsdecode(path) for path in matched.additions],
            "displaced": matched.displaced,
        }


async def watch(folder: str, *directories: str) -> dict[str, object]:
    async with aclosing(inotify_notices(Path(folder), list(map(os.fsencode, directories)))) as notices:
        return {"heard": str(await anext(notices))}


def main(work: str, *arguments: str) -> None:
    try:
        json.dump(trio.run({"share": share, "get": get, "watch": watch}[work], *arguments), sys.stdout)
    except P2PSyncError as error:
        json.dump({"error": type(error).__name__, "message": str(error)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
