"""What a folder contains, as blocks: entries in pages, pages in a root, the root in a signed head. Pure. FORMAT.md."""
