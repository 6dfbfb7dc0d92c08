"""Slides: found in a folder, opened with their resolution, read as images, their tissue cut into tiles."""
