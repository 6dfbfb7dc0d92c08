"""Floor 3: results against what is known: tables of scores, by the protocols of the papers."""
