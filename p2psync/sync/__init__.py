"""Folder and manifest: scan, plan, apply, watch. Knows files, not peers."""
