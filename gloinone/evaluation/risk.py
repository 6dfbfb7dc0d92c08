"""Whether what a run doubts is wrong more often: risk against coverage (El-Yaniv and Wiener 2010), and by flag."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.annotations.csv_text import numbers
from gloinone.doubts import WORDS
from gloinone.errors import UsageError
from gloinone.evaluation.detection import found_truth
from gloinone.evaluation.plots import Line, draw_lines
from gloinone.evaluation.run_output import Row, ScoredRun, ScoredSlide
from gloinone.evaluation.tables import NAN, Cell, Evaluation, Score, Table, score_table, scored
from gloinone.labels import GLOMERULUS, NORMAL
from gloinone.metrics import Floats

RANKED_BY = ("doubt", "near_cut", "blur_um", "pen_share", "fold_share", "votes_missing")
"""Columns of glomeruli.csv; by the first of them a reader sorts."""


@dataclass(frozen=True, eq=False)
class Doubted:
    """N rows of glomeruli.csv that are right or wrong by the truth."""

    rows: Sequence[Row]
    wrong: NDArray[np.bool_]
    """(N,) no glomerulus of the truth, or one of another state: normal or sclerosed."""
    groups: tuple[str, ...]
    """Patient."""
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def flagged(self, word: str = "") -> NDArray[np.bool_]:
        """(N,) whether by that flag, or by any."""
        return np.array([bool(row["flags"]) and word in str(row["flags"]) for row in self.rows], np.bool_)

    def rank(self, name: str) -> Floats:
        """(N,) one of RANKED_BY; what is not known is not doubted: 0."""
        return np.nan_to_num(numbers(self.rows, name), nan=0.0)


def doubted_of_run(run: ScoredRun) -> Doubted:
    """The kept glomeruli of all slides but those in ignored places. Raises UsageError where there are none."""
    rows: list[Row] = []
    wrong: list[bool] = []
    owners: list[ScoredSlide] = []
    stateless = 0
    for slide in run.slides:
        if slide.is_partial:  # only what is right can be told there
            continue
        by_id = {str(row["id"]): row for row in slide.glomeruli}
        order, truth, counts = found_truth(slide)
        for place, found in zip(order[counts], truth[counts], strict=True):
            row = by_id[str(slide.kept[place]["glomerulus"])]
            label = slide.truth.glomeruli[found].label if found >= 0 else ""
            stateless += label == GLOMERULUS
            rows.append(row)
            wrong.append(not label or _other_state(str(row["class"]), label))
            owners.append(slide)
    if not owners:
        raise UsageError("no glomerulus that is right or wrong")
    unknown = f"{stateless} of {len(rows)} glomeruli have no state in the truth: found is right, whatever their class"
    return Doubted(
        rows,
        np.array(wrong, np.bool_),
        tuple(slide.group for slide in owners),
        tuple(slide.source for slide in owners),
        (f"risk: {unknown}",) if stateless else (),
    )


def _other_state(given: str, truth: str) -> bool:
    return truth != GLOMERULUS and (given == NORMAL) != (truth == NORMAL)


def risk_curve(wrong: NDArray[np.bool_], rank: Floats) -> Floats:
    """(N,) share wrong among the first 1, 2, ... N items, the lowest rank first; equal ranks in random order.

    >>> risk_curve(np.array([True, False, False, True]), np.array([2.0, 1.0, 1.0, 2.0])).tolist()
    [0.0, 0.0, 0.3333333333333333, 0.5]
    """
    order = np.argsort(rank, kind="stable")
    last = np.append(np.flatnonzero(np.diff(rank[order])), len(rank) - 1)  # of each set of equals
    items = np.arange(1, len(rank) + 1)
    errors = np.interp(items, [0, *(last + 1)], [0, *np.cumsum(wrong[order])[last]])
    return np.asarray(errors / items, np.float64)


def area_under_risk(wrong: NDArray[np.bool_], rank: Floats) -> float:
    """Mean of the curve; of a random order the share that is wrong."""
    return float(risk_curve(wrong, rank).mean())


def share(wrong: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Of ``among``; nan of none."""
    return float(wrong[among].mean()) if among.any() else NAN


def risk_scores(doubted: Doubted) -> list[Score]:
    """Each with its interval over patients."""
    wrong, flagged = doubted.wrong, doubted.flagged()
    measures: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "wrong, of all": lambda i: float(wrong[i].mean()),
        "flagged, of all": lambda i: float(flagged[i].mean()),
        "wrong, of the flagged": lambda i: share(wrong[i], flagged[i]),
        "wrong, of the others": lambda i: share(wrong[i], ~flagged[i]),
        "wrong, flagged less others": lambda i: share(wrong[i], flagged[i]) - share(wrong[i], ~flagged[i]),
        "area under risk and coverage, random order": lambda i: float(wrong[i].mean()),
        "area under risk and coverage, best there is": lambda i: area_under_risk(
            wrong[i], wrong[i].astype(np.float64)
        ),
    }
    for name in RANKED_BY:
        rank = doubted.rank(name)
        measures[f"area under risk and coverage, by {name}"] = (
            lambda i, r=rank: area_under_risk(wrong[i], r[i])  # type: ignore[misc]
        )
    return [scored(name, measure, doubted.groups) for name, measure in measures.items()]


def _row(doubted: Doubted, own: NDArray[np.bool_]) -> tuple[Cell, ...]:
    wrong, flagged, rank = doubted.wrong[own], doubted.flagged()[own], doubted.rank(RANKED_BY[0])[own]
    return (
        len(wrong),
        float(wrong.mean()),
        int(flagged.sum()),
        share(wrong, flagged),
        share(wrong, ~flagged),
        area_under_risk(wrong, rank),
    )


def evaluate_risk(run: ScoredRun) -> Evaluation:
    """Are the flagged ones wrong more often, and how few are wrong among those that are least in doubt."""
    doubted = doubted_of_run(run)
    sources = np.array(doubted.sources)
    by_source = [(str(name), *_row(doubted, sources == name)) for name in sorted(set(sources))]
    flagged = {word: doubted.flagged(word) for word in WORDS.values()}
    by_flag = [
        (word, int(own.sum()), share(doubted.wrong, own)) for word, own in flagged.items() if own.any()
    ]
    curves = {f"by {name}": risk_curve(doubted.wrong, doubted.rank(name)) for name in RANKED_BY[:2]}
    curves["random order"] = np.full(len(sources), doubted.wrong.mean())
    kept = np.arange(1, len(sources) + 1) / len(sources)
    return Evaluation(
        "Doubt",
        (
            score_table(
                "risk",
                "Doubt: shares wrong (95 % intervals over patients)",
                "measure",
                {"": risk_scores(doubted)},
            ),
            Table(
                "risk_sources",
                "Doubt by source",
                (
                    *(
                        "source",
                        "glomeruli",
                        "wrong",
                        "flagged",
                        "wrong of the flagged",
                        "wrong of the others",
                    ),
                    "area by doubt",
                ),
                tuple(by_source),
            ),
            Table("risk_flags", "Doubt by flag", ("flag", "glomeruli", "wrong"), tuple(by_flag)),
            Table(
                "risk_coverage",
                "Share wrong of the least doubted",
                ("share kept", *curves),
                tuple(tuple(float(v) for v in row) for row in np.column_stack([kept, *curves.values()])),
                long=True,
            ),
        ),
        doubted.notes,
        {"risk_coverage": lambda: _draw(kept, curves)},
    )


def _draw(kept: Floats, curves: dict[str, Floats]) -> bytes:
    lines = [Line(name, kept, risk) for name, risk in curves.items()]
    return draw_lines(lines, "share of the glomeruli kept, least doubted first", "share wrong")
