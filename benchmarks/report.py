"""What tables and report of thousands of slides cost, from made-up results.

    python -m benchmarks.report [--slides 5000]

Results as runs leave them (state, table of the glomeruli, report, overlay, crops, masks) are made up in a temporary
folder: two in a hundred slides failed, one in a hundred was read in part, and a slide has 20 glomeruli in the median.
Then `gloinone merge` makes the tables and the report. Printed are the slides, the glomeruli, and of the merge its
seconds, its peak memory and the size of the report. Exit status 1 if it took over 2 minutes, 1 GB or 20 MB.
"""

import argparse
import io
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import gloinone
from gloinone.annotations.columns import CORES, GLOMERULI, PIECES, SUMMARY
from gloinone.annotations.csv_text import Row, csv_bytes, make_row
from gloinone.geometry import wilson_interval
from gloinone.pipeline.drawing import jpeg_bytes
from gloinone.pipeline.layout import REPORT, STATE, slide_place
from gloinone.pipeline.state import Basis, InputPrint, State, state_bytes
from gloinone.records import Pixels

MAX_S, MAX_RAM_GB, MAX_REPORT_MB = 120.0, 1.0, 20.0
MAX_GLOMERULI = 400
# The merge says its own peak at its end: what the system says of an ended process counts what its parent held.
MERGE = """
import re, runpy, sys
sys.argv = ["gloinone", "merge", sys.argv[1]]
try:
    runpy.run_module("gloinone.cli.main", run_name="__main__")
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""
LETTERS = ("normal", "obsolescent", "solidified", "disappearing")
MODELS = {name: f"{name}@0123456789ab" for name in ("detector", "classifier", "segmenter")}


def make_up(out: Path, n_slides: int, rng: np.random.Generator) -> int:
    """Fill OUT with results; answers with the number of glomeruli."""
    shared = out / "pictures"
    (shared / "crops").mkdir(parents=True)
    (shared / "masks").mkdir()
    for i in range(20):
        (shared / f"{i}.jpg").write_bytes(jpeg_bytes(_clouds(rng, 1200, 1600)))
    crop, mask = _png(_clouds(rng, 256, 256)), _png(_disc())
    for i in range(1, MAX_GLOMERULI + 1):
        (shared / "crops" / f"G{i:03d}.png").write_bytes(crop)
        (shared / "masks" / f"G{i:03d}.png").write_bytes(mask)
    total = 0
    for i in range(n_slides):
        name = f"Patient {i // 4:04d}/biopsy {i % 4} level <{i}>.svs"
        status = "failed" if i % 50 == 7 else "partial" if i % 100 == 33 else "done"
        n = 0 if status == "failed" else int(min(MAX_GLOMERULI, rng.lognormal(3, 1) * (rng.random() > 0.04)))
        total += n
        _make_slide(out, name, status, n, rng)
    return total


def _make_slide(out: Path, name: str, status: str, n: int, rng: np.random.Generator) -> None:
    place = slide_place(out, name)
    place.folder.mkdir(parents=True)
    rows = [_glomerulus(name, i + 1, rng) for i in range(n)]
    row = _summary(name, status, rows, rng)
    if status != "failed":
        (place.folder / "glomeruli.csv").write_bytes(csv_bytes(GLOMERULI, rows))
        piece = {
            **{c.name: float(rng.random()) for c in PIECES if c.kind == "float"},
            "slide": name,
            "piece": 1,
        }
        (place.folder / "pieces.csv").write_bytes(csv_bytes(PIECES, [make_row(PIECES, piece)]))
        (place.folder / "cores.csv").write_bytes(csv_bytes(CORES, []))
        os.link(out / "pictures" / f"{int(rng.integers(20))}.jpg", place.folder / "overlay.jpg")
        for pictures in ("crops", "masks"):
            (place.folder / pictures).symlink_to(out / "pictures" / pictures)
    (place.folder / REPORT).write_text("made up")
    outputs = tuple(f"{kind}/G{i + 1:03d}.png" for kind in ("crops", "masks") for i in range(n))
    state = State(
        slide=name,
        status=status,  # type: ignore[arg-type]
        reason=row["reason"],
        input=InputPrint(10**9, 1, "0" * 64),
        basis=Basis(gloinone.__version__, MODELS, {"min_score": 0.26}),
        row=row,
        notes=("a place could not be read (level-0 px: x 1 to 2, y 1 to 2)",) if status == "partial" else (),
        outputs=outputs,
        times={"detect": 1.0, "finished": "2026-01-01T00:00:00+00:00"},
    )
    (place.folder / STATE).write_bytes(state_bytes(state))


def _glomerulus(name: str, number: int, rng: np.random.Generator) -> Row:
    doubt = float(rng.gamma(2, 0.3))
    return make_row(
        GLOMERULI,
        {
            **{c.name: float(rng.random()) for c in GLOMERULI if c.kind == "float"},
            "slide": name,
            "id": f"G{number:03d}",
            "class": str(rng.choice(LETTERS, p=(0.8, 0.1, 0.06, 0.04))),
            "subtype_validated": False,
            "at_edge": False,
            "outline": "mask",
            "outline_flagged": False,
            "crop": f"slides/{name}/crops/G{number:03d}.png",
            "mask": f"slides/{name}/masks/G{number:03d}.png",
            "doubt": doubt,
            "flags": "near the cut" if doubt >= 1 else "",
        },
    )


def _summary(name: str, status: str, rows: list[Row], rng: np.random.Generator) -> Row:
    if status == "failed":
        why = "no slide that OpenSlide knows, nor a PNG, JPEG or TIFF; copy it again or remove it"
        return make_row(SUMMARY, {"slide": name, "status": status, "reason": why})
    n, classes = len(rows), [row["class"] for row in rows]
    n_sclerosed = n - classes.count("normal")
    low, high = wilson_interval(n_sclerosed, n)
    doubt = float(rng.gamma(2, 0.3))
    return make_row(
        SUMMARY,
        {
            **{c.name: float(rng.random()) for c in SUMMARY if c.kind == "float"},
            **{f"n_{kind}": classes.count(kind) for kind in LETTERS},
            "slide": name,
            "status": status,
            "reason": "2.0 % of the tissue could not be read" if status == "partial" else "",
            "width_px": 80_000,
            "height_px": 60_000,
            "mpp_source": "file",
            "vendor": "aperio",
            "n_circles": 2 * n,
            "n_glomeruli": n,
            "n_sclerosed": n_sclerosed,
            "percent_sclerosed": 100 * n_sclerosed / n if n else None,
            "percent_sclerosed_low": 100 * low,
            "percent_sclerosed_high": 100 * high,
            "diameter_um_median": rng.normal(160, 15) if n else None,
            "n_flagged": sum(row["flags"] != "" for row in rows),
            "doubt": doubt,
            "flags": "blur" if doubt >= 1 else "",
            **MODELS,
            "version": gloinone.__version__,
        },
    )


def _clouds(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """A picture that JPEG does not make small."""
    coarse = rng.integers(120, 255, (height // 8, width // 8, 3), np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.int16)
    return np.asarray(np.clip(picture + rng.integers(-20, 20, picture.shape), 0, 255), np.uint8)


def _disc() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    y, x = np.mgrid[:256, :256]
    return np.where(np.hypot(x - 128, y - 128) < 100, 255, 0).astype(np.uint8)


def _png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slides", type=int, default=5000)
    parser.add_argument("--keep", type=Path, help="make the results up there, and leave them")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        out = options.keep or Path(temporary)
        glomeruli = make_up(out, options.slides, np.random.default_rng(0))
        start = time.monotonic()
        merged = subprocess.run(
            [sys.executable, "-c", MERGE, str(out)], stderr=subprocess.PIPE, text=True, check=False
        )
        seconds = time.monotonic() - start
        *said, ram_kb = merged.stderr.splitlines()
        print(*said, sep="\n", file=sys.stderr)
        ram_gb = int(ram_kb) * 1024 / 1e9
        report_mb = (out / REPORT).stat().st_size / 1e6
    print(f"slides                {options.slides}")
    print(f"glomeruli             {glomeruli}")
    print(f"seconds               {seconds:.1f}")
    print(f"peak memory           {ram_gb:.2f} GB")
    print(f"report.html           {report_mb:.1f} MB")
    good = merged.returncode == 1 and seconds <= MAX_S and ram_gb <= MAX_RAM_GB and report_mb <= MAX_REPORT_MB
    return 0 if good else 1  # merge says 1: some slides failed


if __name__ == "__main__":
    sys.exit(main())
