"""How well crops are named: at each level of the hierarchy that the truth knows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gloinone.errors import UsageError
from gloinone.evaluation.levels import LEVELS, STATE, Level
from gloinone.evaluation.named import Named
from gloinone.evaluation.plots import Line, draw_grid, draw_lines, draw_reliability
from gloinone.evaluation.tables import Cell, Evaluation, Table, score_table, scored
from gloinone.metrics import Floats, auc, calibration_error, reliability

Numbers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Calls:
    """N crops at one level, K classes."""

    level: Level
    probabilities: Floats
    """(N, K)."""
    given: Numbers
    """(N,) number of the class."""
    truth: Numbers
    """(N,)."""
    groups: tuple[str, ...]
    sources: tuple[str, ...]

    def take(self, numbers: Numbers) -> "Calls":
        """Those of the given numbers; one may come several times."""
        return Calls(
            self.level,
            self.probabilities[numbers],
            self.given[numbers],
            self.truth[numbers],
            tuple(self.groups[i] for i in numbers),
            tuple(self.sources[i] for i in numbers),
        )

    def confusion(self) -> NDArray[np.intp]:
        """(K, K) rows are the truth, columns what was given."""
        k = len(self.level.classes)
        return np.bincount(self.truth * k + self.given, minlength=k * k).reshape(k, k)

    def recalls(self) -> Floats:
        """(K,) share of each class that is called it; nan for a class that does not occur."""
        confusion = self.confusion()
        return _share(np.diag(confusion), confusion.sum(axis=1))

    def precisions(self) -> Floats:
        """(K,) share of what is called so and is; nan for a class that is never given."""
        confusion = self.confusion()
        return _share(np.diag(confusion), confusion.sum(axis=0))

    def f1(self) -> Floats:
        """(K,) 2 hits / (truth + given); nan for a class that neither occurs nor is given."""
        confusion = self.confusion()
        return _share(2 * np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1))

    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that occur; nan where fewer than two do."""
        recalls = self.recalls()
        known = recalls[np.isfinite(recalls)]
        return float(known.mean()) if len(known) > 1 else float("nan")

    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur or are given; nan where fewer than two occur."""
        f1 = self.f1()
        return float(np.nanmean(f1)) if len(set(self.truth.tolist())) > 1 else float("nan")

    def aucs(self) -> Floats:
        """(K,) of each class against the rest; nan where it or the rest does not occur."""
        return np.array(
            [auc(self.probabilities[:, k], self.truth == k) for k in range(len(self.level.classes))]
        )

    def mean_auc(self) -> float:
        """Of two classes their AUC; of more, the mean of each against the rest, where that is known."""
        known = [value for value in self.aucs() if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")

    @property
    def confidence(self) -> Floats:
        """(N,) probability of the likeliest class."""
        return np.asarray(self.probabilities.max(axis=1), np.float64)

    @property
    def likeliest_is_right(self) -> NDArray[np.bool_]:
        """(N,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.truth)

    def ece(self) -> float:
        """Calibration error of the likeliest class, 15 bins."""
        return calibration_error(self.confidence, self.likeliest_is_right)


def _share(part: NDArray[np.intp], whole: NDArray[np.intp]) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


MEASURES: dict[str, Callable[[Calls], float]] = {
    "balanced accuracy": Calls.balanced_accuracy,
    "macro F1": Calls.macro_f1,
    "AUC": Calls.mean_auc,
    "ECE": Calls.ece,
}


def calls_at(named: Named, level: Level) -> Calls | None:
    """The crops whose truth knows the level; None where a class that it requires does not occur.

    What was given another name (non-glomerular, where normal and sclerosed are told apart) gets the likelier class
    of the level.
    """
    truth = np.array([level.index(label) for label in named.truth], np.intp)
    probabilities = level.probabilities(named.probabilities)
    given = np.array([level.index(label) for label in named.given], np.intp)
    given = np.where(given < 0, probabilities.argmax(axis=1), given)
    calls = Calls(level, probabilities, given, truth, named.groups, named.sources)
    calls = calls.take(np.flatnonzero(truth >= 0))
    occurring = {level.classes[i] for i in calls.truth}
    return calls if set(level.required) <= occurring else None


def evaluate_classification(named: Named) -> Evaluation:
    """Every level that the truth knows; UsageError where it knows none."""
    levels = (STATE,) if named.state_only else LEVELS
    known = [calls for level in levels if (calls := calls_at(named, level)) is not None]
    if not known:
        raise UsageError(
            "nothing to tell apart: the truth holds only "
            f"{', '.join(sorted(set(named.truth)))}; normal and sclerosed, or glomeruli and others, are needed"
        )
    tables = [_measured(known)]
    tables.append(_per_class(known))
    tables += [_confusion(calls) for calls in known]
    if len(set(named.sources)) > 1:
        tables.append(_per_group(known, "source", lambda calls: calls.sources))
    tables.append(_per_group(known, "patient", lambda calls: calls.groups))
    plots: dict[str, Callable[[], bytes]] = {}
    for calls in known:
        name = calls.level.name
        plots[f"confusion_{name}"] = lambda c=calls: draw_grid(c.confusion(), c.level.classes)  # type: ignore[misc]
        plots[f"reliability_{name}"] = lambda c=calls: draw_reliability(  # type: ignore[misc]
            reliability(c.confidence, c.likeliest_is_right)
        )
        if len(calls.level.classes) == 2:
            plots[f"roc_{name}"] = lambda c=calls: _draw_roc(c)  # type: ignore[misc]
    return Evaluation("Classification", tuple(tables), named.notes, plots)


def _measured(known: Sequence[Calls]) -> Table:
    rows = [
        scored(f"{calls.level.title}: {name}", lambda i, c=calls, m=measure: m(c.take(i)), calls.groups)  # type: ignore[misc]
        for calls in known
        for name, measure in MEASURES.items()
    ]
    return score_table(
        "classification", "Classification (95 % intervals over patients)", "measure", {"": rows}
    )


def _per_class(known: Sequence[Calls]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for calls in known:
        columns = zip(
            calls.level.classes,
            calls.confusion().sum(axis=1).tolist(),
            calls.recalls().tolist(),
            calls.precisions().tolist(),
            calls.f1().tolist(),
            calls.aucs().tolist(),
            strict=True,
        )
        rows += [(calls.level.title, *row) for row in columns]
    return Table(
        "classification_classes",
        "Each class",
        ("level", "class", "truth", "recall", "precision", "F1", "AUC against the rest"),
        tuple(rows),
    )


def _confusion(calls: Calls) -> Table:
    rows = [(name, *row) for name, row in zip(calls.level.classes, calls.confusion().tolist(), strict=True)]
    return Table(
        f"confusion_{calls.level.name}",
        f"Confusion: {calls.level.title} (rows: truth, columns: given)",
        ("truth", *calls.level.classes),
        tuple(rows),
    )


def _per_group(known: Sequence[Calls], what: str, of: Callable[[Calls], Sequence[str]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for calls in known:
        names = np.array(of(calls))
        for name in sorted(set(names)):
            own = calls.take(np.flatnonzero(names == name))
            rows.append(
                (
                    calls.level.title,
                    str(name),
                    len(own.truth),
                    *(measure(own) for measure in MEASURES.values()),
                )
            )
    columns = ("level", what, "crops", *MEASURES)
    return Table(f"classification_{what}s", f"Each {what}", columns, tuple(rows))


def _draw_roc(calls: Calls) -> bytes:
    """Of the second of two classes."""
    score, positive = calls.probabilities[:, 1], calls.truth == 1
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # ties are one step
    hits, false = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    line = Line(
        calls.level.classes[1],
        np.append(0, false) / max(int((~positive).sum()), 1),
        np.append(0, hits) / max(int(positive.sum()), 1),
    )
    recalls = calls.recalls()
    at = (1 - float(recalls[0]), float(recalls[1]))
    return draw_lines(
        [line], "false positive rate", "true positive rate", at, (0, 1.02), "as the classifier's rule has it"
    )
