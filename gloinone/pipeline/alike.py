"""Whether the slides of one table were counted alike: those of another threshold or other weights do not add up."""

from collections.abc import Mapping, Sequence

from gloinone.pipeline.report_slide import ReportSlide
from gloinone.pipeline.state import Basis, Json

EXPORT = {"min_score": "--min-score X", "keep_nonglomerular": "--keep-nonglomerular or --drop-nonglomerular"}
"""Settings in which ``export`` makes slides alike, and by which option."""
COUNTING = (*EXPORT, "tta", "min_votes", "model_cards")
"""Settings that change what is counted; shape, crops and masks do not, and mpp is each slide's own."""
NAMED = 3
"""Groups of so few slides are named."""


def differences(slides: Sequence[ReportSlide]) -> list[str]:
    """A sentence for each thing in which slides with results differ; none where their numbers may be added up."""
    settled = [
        (slide.name, _facets(slide.basis))
        for slide in slides
        if slide.basis is not None and slide.status in ("done", "partial")
    ]
    sentences = []
    for name in dict.fromkeys(name for _, facets in settled for name in facets):
        by_value: dict[str, list[str]] = {}
        for slide, facets in settled:
            by_value.setdefault(facets.get(name, "none"), []).append(slide)
        if len(by_value) > 1:
            sentences.append(_sentence(name, by_value))
    return sentences


def _facets(basis: Basis) -> Mapping[str, str]:
    settings = {name: _word(basis.settings.get(name)) for name in COUNTING}
    return {**settings, **basis.models, "version": basis.version}


def _word(value: Json) -> str:
    if value is None or isinstance(value, bool):
        return "given" if value else "not given"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sentence(name: str, by_value: Mapping[str, Sequence[str]]) -> str:
    groups = sorted(by_value.items(), key=lambda group: (-len(group[1]), group[0]))
    said = ", ".join(f"{value} ({_who(slides)})" for value, slides in groups)
    mend = f"gloinone export OUT {EXPORT[name]}, or run them again" if name in EXPORT else "run them again"
    return (
        f"slides differ in {name}: {said}; do not add up or compare their numbers; to make them alike: {mend}"
    )


def _who(slides: Sequence[str]) -> str:
    return f"{len(slides)} slides" if len(slides) > NAMED else f"{len(slides)}: {', '.join(slides)}"
