"""The errors a user can mend. Everything else that goes wrong is a bug and keeps its traceback.

GloInOneError                what, where, what to do
├── SlideError               this slide cannot be analysed; the batch goes on
│   ├── SlideUnreadableError     not a slide, truncated, refused by OpenSlide
│   ├── ResolutionError          no usable microns per pixel
│   └── SlideSkippedError        nothing wrong, but not for us (a plain picture without mpp in a folder)
├── WeightsError             a model is missing, damaged or of an unknown kind
├── AnnotationError          an annotation or table file that cannot be understood
│   └── NoTruthError             a slide has no truth file
├── OutputError              a place that cannot be written
└── UsageError               options that contradict each other or name what does not exist
"""


class GloInOneError(Exception):
    """What is wrong, where, and what to do about it, in one line."""


class SlideError(GloInOneError):
    """This slide cannot be analysed; others can."""


class SlideUnreadableError(SlideError):
    """The file is no slide, is damaged, or is refused by the library that reads it.

    ``quoted``: what stands in brackets in the message and is not ours; a library may repeat a path or a header.
    """

    def __init__(self, message: str, quoted: str = "") -> None:
        super().__init__(message)
        self.own_words = message.replace(f" ({quoted})", "") if quoted else message


class ResolutionError(SlideError):
    """The microns per pixel are missing, absurd or contradictory."""


class SlideSkippedError(SlideError):
    """Nothing is wrong with the file, but it is not part of the job."""


class WeightsError(GloInOneError):
    """A model is missing, damaged, or of a kind that is not known."""


class AnnotationError(GloInOneError):
    """An annotation, mask or table that cannot be understood."""


class NoTruthError(AnnotationError):
    """A slide that has no truth file of its own."""


class OutputError(GloInOneError):
    """A file or folder that cannot be written."""


class UsageError(GloInOneError):
    """Options that contradict each other or name what does not exist."""
