"""A training from the cache needs no slide and no command line: neither OpenSlide nor click is imported."""

import subprocess
import sys
from pathlib import Path

FROM_THE_CACHE = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("openslide", "click"):
            raise AssertionError(f"{name} is imported")
sys.meta_path.insert(0, Forbid())
from dataclasses import replace
from pathlib import Path
import numpy as np
from gloinone.classification.make import MakeConfig as OfClassifier, make_classifier
from gloinone.classification.train import LearnConfig
from gloinone.detection.cases import Case, load_case, save_case, split_cases
from gloinone.detection.make import MakeConfig as OfDetector, make_detector
from gloinone.detection.samples import SampleConfig
from gloinone.detection.train import detector_recipe
from gloinone.learning.patch_training import PatchSet, patch_recipe
from gloinone.learning.patches import PATCH_PX, Patches, load_patches, save_patches
from gloinone.segmentation.make import MakeConfig as OfSegmenter, make_segmenter

out = Path(sys.argv[1])
rng = np.random.default_rng(0)
nothing = np.zeros((0, 3))
circles, tissue = np.array([[60.0, 60, 30]]), np.full((4, 2), 60.0)
picture = rng.integers(0, 255, (160, 160, 3), np.uint8)
save_case(out, "key", Case("a", "s", "p", 1.25, picture, circles, nothing, tissue, 1.0))
learn, judge = split_cases([load_case(out, "key")], None)
recipe = detector_recipe(steps=1, batch=1)
shared = {"recipe": recipe, "device": "cpu"}
small = SampleConfig(edge_px=64)
make_detector(learn, judge, OfDetector(out=out / "d", arch="resnet18", sample=small, **shared), print)

pixels = rng.integers(0, 255, (2, PATCH_PX, PATCH_PX, 3), np.uint8)
masks = np.ones(pixels.shape[:3], np.uint8)
words = ("normal", "sclerosed"), ("p", "q"), ("p", "q"), ("s", "s")
save_patches(out / "patches.npz", Patches(pixels, masks, np.full(2, 80.0), *words))
patches = load_patches(out / "patches.npz")
parts = PatchSet(patches, patches.take(np.arange(0)), patches.take(np.arange(0)))
shared["recipe"] = patch_recipe(1, batch=2)
learn = LearnConfig(edge_px=32)
make_classifier(parts, OfClassifier(out=out / "c", backbone="resnet18", learn=learn, **shared), print)
make_segmenter(parts, OfSegmenter(out=out / "s", encoder="resnet18", edge_px=64, **shared), print)
print("trained")
"""


def test_training_from_the_cache_imports_neither_openslide_nor_click(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FROM_THE_CACHE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.endswith("trained\n")
    for task in "dcs":
        assert (tmp_path / task / "weights.safetensors").is_file()
