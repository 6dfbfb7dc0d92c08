"""Outlines the glomerulus in the middle of each crop."""
