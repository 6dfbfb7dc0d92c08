"""The benchmark of speed: it runs on a small slide, prints the lines that --help explains, and reckons rightly."""

import re
from pathlib import Path

import pytest

from benchmarks.published import EDGE_PX, published_tiles
from benchmarks.speed import growth, line_through, main
from benchmarks.steps import joined
from gloinone.drawn.config import SceneConfig
from gloinone.drawn.slide import draw_slide
from gloinone.slide.reader import open_slide
from gloinone.slide.resolution import Resolution

SCENE = SceneConfig(
    1800, 1300, "pas", normal=3, obsolescent=1, solidified=0, disappearing=0, decoys=1, seed=3, mpp=1.0
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slide(tmp_path_factory.mktemp("drawn") / "a.tif", SCENE).path


@pytest.mark.slow
def test_it_prints_what_it_explains(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(drawn), "--device", "cpu", "--repeat", "1", "--jobs", "4", "--published-tiles", "1"])
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines() if ": " in line)
    for name in (
        "decoded/tissue",
        "network/tissue",
        "ratio whole/plan",
        "ratio whole/limit",
        "speed-up over published schedule",
    ):
        assert re.fullmatch(r"\d+\.\d+", lines[name]), name
        assert float(lines[name]) > 0
    assert 1 <= float(lines["decoded/tissue"]) <= float(lines["network/tissue"])
    assert float(lines["ratio whole/limit"]) > float(
        lines["ratio whole/plan"]
    )  # the limit leaves the margins out
    assert lines["published schedule"].endswith("s for 6 tiles, 1 of them measured")
    assert lines["1 slides"].endswith(" 1.00 of 1 times one")
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert not [name for name in lines if not name.endswith("slides") and name not in said]


def test_the_published_tiles_cover_the_slide_each_place_four_times(drawn: Path) -> None:
    with open_slide(drawn, "a.tif", Resolution()) as slide:
        tiles = published_tiles(slide, 2.0)
        width, height = slide.info.width, slide.info.height
    assert {(t.width, t.width_px) for t in tiles} == {(2 * EDGE_PX, EDGE_PX)}
    assert max(t.x + t.width for t in tiles) >= width
    assert max(t.y + t.height for t in tiles) >= height
    holding = [t for t in tiles if t.x <= 600 < t.x + t.width and t.y <= 600 < t.y + t.height]
    assert len(holding) == 4


def test_beside_a_gpu_the_slower_decides_and_two_slides_are_held_against_one() -> None:
    assert joined(2.0, 3.0, on_gpu=False) == 5.0
    assert joined(2.0, 3.0, on_gpu=True) == 3.0
    lines = growth({1: 1.0, 2: 2.2}, 2.5)
    assert lines == [
        ("1 slides", "1.00 s, 2.5 mm2, 1.00 of 1 times one"),
        ("2 slides", "2.20 s, 5.0 mm2, 1.10 of 2 times one"),
    ]


def test_growth_is_a_line_and_how_far_the_slides_lie_from_it() -> None:
    assert line_through({1: 2.0, 2: 3.5, 4: 6.5, 8: 12.5}) == pytest.approx((0.5, 1.5, 0))
    # Quadratic, 1 4 9 16: the line through them is 5 n - 5, which says 0 of the first
    assert line_through({1: 1.0, 2: 4.0, 3: 9.0, 4: 16.0}) == pytest.approx((-5.0, 5.0, 1.0))
    lines = growth({1: 2.0, 2: 3.5, 4: 6.5}, 2.5)
    assert lines[-1] == ("growth", "0.5 s and 1.5 s a slide (60.0 s per cm2), at most 0.0 % off")
    assert [name for name, _ in lines] == ["1 slides", "2 slides", "4 slides", "growth"]
