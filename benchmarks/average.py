"""The mean of the weights of models that were trained on from the same weights.

    python -m benchmarks.average OUT MODEL MODEL ...

MODEL is a folder with weights.safetensors and card.json; one named twice counts twice. Such a mean often holds better
on what none of them saw than each does (Wortsman et al., Model soups, ICML 2022). OUT gets the first one's card, with
what was measured taken off: threshold, floor and kept_log_odds are to be chosen anew (`python -m
benchmarks.choose_rule`).
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from gloinone.errors import WeightsError
from gloinone.weights.card import read_card
from gloinone.weights.starting import shapes
from gloinone.weights.store import ModelPaths, load_state, save_model

State = Mapping[str, Tensor]


def mean_of(states: Sequence[State]) -> dict[str, Tensor]:
    """Of every tensor of numbers, norms and their running statistics too; counters are the first one's."""
    first = states[0]
    return {
        name: sum((state[name] for state in states[1:]), t) / len(states) if t.is_floating_point() else t
        for name, t in first.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Average and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    given = parser.parse_args(arguments)
    paths = [ModelPaths(folder) for folder in given.models]
    cards = [read_card(p.card) for p in paths]
    states = [load_state(p, card) for p, card in zip(paths, cards, strict=True)]
    for path, state in zip(paths, states, strict=True):
        if shapes(state) != shapes(states[0]):
            raise WeightsError(
                f"{path.weights}: another network than {paths[0].weights}, so they have no mean"
            )
    names = ", ".join(f"{card.name}@{card.sha256[:12]}" for card in cards)
    card = save_model(
        given.out, mean_of(states), replace(cards[0], created_by=f"the mean of {names}", measured=())
    )
    print(f"{given.out}: {card.name}@{card.sha256[:12]}, {card.created_by}")


if __name__ == "__main__":
    main()
