"""p2psync: share a folder, peer to peer, in content-addressed blocks.

Layers, each importing only those below it (checked by import-linter, pyproject.toml):

    cli                     the command: prints, exit codes
    node                    composition: builds the objects, opens the nurseries
    sync | swarm            files and manifests | peers and links; neither knows the other
    discovery | store       where peers are | where blocks are
    wire | manifest         byte formats between peers | what a folder contains (pure)
    sharelink, blocks, chunking, keys, bencoding, metrics, ids, budget, words, errors (pure)
    streams | interrupts    standard output and its failures | Ctrl-C before a command has begun

Start reading at DESIGN.md, then node/share.py for how the parts meet.
"""

__version__ = "0.1.0"
