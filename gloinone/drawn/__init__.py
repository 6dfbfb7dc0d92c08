"""Seeded, drawn kidney slides whose truth is known: the tests and the demo use them, and training may."""
