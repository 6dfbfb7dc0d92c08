"""Model cards, weights on disk, and where they are looked for."""
