"""The QuPath script, run by Groovy against stand-ins for QuPath's classes (QuPath itself is not run here)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gloinone.annotations.geojson_write import geojson_bytes
from gloinone.annotations.qupath_import import QUPATH_IMPORT

STUBS = {
    "javafx/application/Platform": "class Platform { static void runLater(Runnable r) { r.run() } }",
    "javafx/stage/DirectoryChooser": "class DirectoryChooser { String title; def showDialog(o) { null } }",
    "qupath/lib/io/PathIO": """class PathIO { static List readObjects(File file) {
        new groovy.json.JsonSlurper().parse(file).features.collect { new PathObject(it.id) } } }
    class PathObject { String id; PathObject(String id) { this.id = id }; UUID getID() { UUID.fromString(id) } }""",
    "qupath/lib/scripting/QP": """class QP {
        static entries = System.getProperty('images').split(';').findAll { it }.collect { new Entry(it) }
        static getProject() { entries ? [getImageList: { entries }] as Images : null }
        static getProjectEntry() { null }
        static getCurrentImageData() { null } }
    interface Images { List getImageList() }
    class Entry { String path; List objects = []
        Entry(String path) { this.path = path
            def kept = new File(path + '.saved'); if (kept.exists()) objects += kept.readLines().collect {
                new qupath.lib.io.PathObject(it) } }
        List getURIs() { [new File(path).toURI()] }
        String getImageName() { new File(path).name }
        def readImageData() { this }
        def getHierarchy() { this }
        def getServer() { this }
        void close() {}
        List getAnnotationObjects() { objects }
        void addObjects(Collection found) { objects.addAll(found) }
        void saveImageData(data) { new File(path + '.saved').text = objects.collect { it.id }.join('\\n') } }""",
}


@pytest.fixture
def groovy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Command that runs a script with the stand-ins; skips where there is no Groovy."""
    java = shutil.which("java")
    if not shutil.which("groovy") or not java:
        pytest.skip("no groovy")
    stubs = tmp_path / "stubs"
    for name, body in STUBS.items():
        file = stubs / f"{name}.groovy"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"package {'.'.join(name.split('/')[:-1])}\n{body}\n")
    monkeypatch.setenv("JAVA_HOME", str(Path(java).resolve().parents[1]))
    return ["groovy", "-cp", str(stubs)]


def test_every_geojson_goes_into_its_image_once(groovy, tmp_path, make_result):
    out, images = tmp_path / "out", tmp_path / "IMAGES" / "study"
    names = [
        "a.svs",
        "b/a.svs",
        "b/größe <1>.svs",
        "c+/d.svs",
        "x/e.svs",
        "y/e.svs",
        "absent.svs",
        "moved/f.new.svs",
    ]
    for name in names:
        folder = out / "slides" / name
        folder.mkdir(parents=True)
        stem = Path(name).stem
        (folder / f"{stem}.geojson").write_bytes(geojson_bytes(make_result(name=name)))
        (folder / f"{stem}.new.geojson").write_text("not to be read")
    script = out / "qupath_import.groovy"
    script.write_text(QUPATH_IMPORT, "utf-8")
    there = ["a.svs", "b/a.svs", "b/größe <1>.svs", "c+/d.svs", "z/e.svs", "elsewhere/f.new.svs"]
    paths = [images / name for name in there]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    command = [*groovy, f"-Dimages={';'.join(map(str, paths))}"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "JAVA_OPTS": "-Dfile.encoding=UTF-8"}
    first, second = (
        subprocess.run(
            [*command, str(script), str(out)], capture_output=True, text=True, env=environment, check=False
        )
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert "gloinone: 20 glomeruli added from 8 files" in first.stdout
    left = [line for line in first.stdout.splitlines() if "left out" in line]
    assert [line.split(": ", 2)[2] for line in left] == [
        "absent.svs: no image of that name",
        "x/e.svs: no image of that name",
        "y/e.svs: no image of that name",
    ]
    assert "gloinone: 0 glomeruli added" in second.stdout
    for name, image in (
        ("b/a.svs", "b/a.svs"),
        ("c+/d.svs", "c+/d.svs"),
        ("moved/f.new.svs", "elsewhere/f.new.svs"),
    ):
        saved = (images / f"{image}.saved").read_text().split()
        geojson = out / "slides" / name / f"{Path(name).stem}.geojson"
        assert saved == [feature["id"] for feature in json.loads(geojson.read_bytes())["features"]]
    assert not (images / "z/e.svs.saved").exists()


def test_without_a_project_or_a_run_it_says_what_to_do(groovy, tmp_path):
    script = tmp_path / "qupath_import.groovy"
    script.write_text(QUPATH_IMPORT, "utf-8")
    for images, words in (("", "open a project"), (str(tmp_path / "a.svs"), 'no folder "slides"')):
        done = subprocess.run(
            [*groovy, f"-Dimages={images}", str(script), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert words in done.stdout, done.stderr
