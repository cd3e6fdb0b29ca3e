"""Folders of ordinary video files as memory-mapped frames for learning."""
