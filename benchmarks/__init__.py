"""What was measured and how, as programs: `python -m benchmarks.NAME --help`."""
