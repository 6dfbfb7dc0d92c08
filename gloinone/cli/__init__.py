"""Floor 4: the commands. Options become a small config, a stage does the work; no method lives here."""
