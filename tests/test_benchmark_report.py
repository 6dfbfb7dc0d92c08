"""Made-up results are such as `gloinone merge` takes, with every table that it wants."""

from pathlib import Path

import pytest

from benchmarks.report import main


def test_made_up_results_are_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--slides", "60", "--keep", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "slides                60" in said
    for table in ("summary.csv", "glomeruli.csv", "pieces.csv", "cores.csv", "patients.csv", "report.html"):
        assert (tmp_path / "out" / table).is_file()
    assert len((tmp_path / "out/summary.csv").read_text("utf-8").splitlines()) == 61
