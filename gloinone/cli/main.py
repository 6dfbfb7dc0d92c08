"""The program ``gloinone``: a table of commands, each imported when it is called."""

import click

from gloinone.cli.errors import ErrorGroup
from gloinone.cli.lazy import Lazy, LazyGroup
from gloinone.cli.version import print_version

COMMANDS = {
    "run": Lazy("gloinone.cli.run", "Find, name, outline and count every glomerulus in slides."),
    "demo": Lazy("gloinone.cli.demo", "Draw a slide, run the whole job on it and check the result."),
    "inspect": Lazy("gloinone.cli.inspect", "Say what a slide is and what a run would read of it."),
    "doctor": Lazy("gloinone.cli.doctor", "Check that everything the job needs is here."),
    "list": Lazy("gloinone.cli.list", "Write down the slides that shards divide among them."),
    "export": Lazy("gloinone.cli.export", "Write a finished OUT again: other threshold, shape or format."),
    "compare": Lazy(
        "gloinone.cli.compare", "Machine against reader, from files that a pathologist corrected."
    ),
    "watch": Lazy("gloinone.cli.watch", "Show how far the runs are that write into one OUT."),
    "merge": Lazy("gloinone.cli.merge", "Write the tables and the report of a finished OUT again."),
}
TRAIN = {
    "check": Lazy("gloinone.cli.train_check", "Check that slides and truth fit together."),
    "ssl": Lazy("gloinone.cli.train_ssl", "Train a backbone on crops without labels, to start from."),
    "detector": Lazy("gloinone.cli.train_detector", "Train the network that finds glomeruli."),
    "classifier": Lazy("gloinone.cli.train_classifier", "Train the network that names them."),
    "segmenter": Lazy("gloinone.cli.train_segmenter", "Train the network that outlines them."),
}
EVALUATE = {
    "run": Lazy("gloinone.cli.evaluate_run", "The whole job: counts, percent sclerosed, and all below."),
    "detection": Lazy("gloinone.cli.evaluate_detection", "A run's circles: AP, FROC, recall, precision."),
    "classification": Lazy("gloinone.cli.evaluate_classification", "Classes: accuracy, AUC, calibration."),
    "segmentation": Lazy("gloinone.cli.evaluate_segmentation", "Outlines: Dice, IoU, borders, area."),
}
MODELS = {
    "list": Lazy("gloinone.cli.models_list", "List the models that a run could use."),
    "show": Lazy("gloinone.cli.models_show", "Show all that is known of a model."),
    "verify": Lazy("gloinone.cli.models_verify", "Compare the weights with the hashes on their cards."),
    "import": Lazy(
        "gloinone.cli.models_import", "Make a model of published Glo-In-One or CircleNet weights."
    ),
}


class Program(ErrorGroup, LazyGroup):
    """The outermost group."""


@click.group(cls=Program, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print version, commit and weights, and exit.",
)
def program() -> None:
    """Glomeruli in kidney whole-slide images: found, named, outlined, counted.

    Research use only; not a medical device.

    Example: gloinone run slides/ out/
    """


@program.group(cls=LazyGroup, lazy=TRAIN)
def train() -> None:
    """Train a network on your own slides.

    Example: gloinone train detector --slides slides/ --truth slides/ --out models/mine
    """


@program.group(cls=LazyGroup, lazy=EVALUATE)
def evaluate() -> None:
    """Score results against what a person drew.

    Example: gloinone evaluate run out/ truth/
    """


@program.group(cls=LazyGroup, lazy=MODELS)
def models() -> None:
    """The networks' weights: which there are, what is known of them, and published ones made usable.

    Example: gloinone models list
    """


def main() -> None:
    """Entry point of the installed program."""
    program(prog_name="gloinone")


if __name__ == "__main__":
    main()
