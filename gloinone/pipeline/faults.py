"""What is written down of an error. With pseudonyms: nothing that might repeat a path or a slide's header.

Our own sentences call a slide by the one name it has in the run. What the system, a library or Python says may quote
whatever it was given, so it is left out there rather than searched for names.
"""

import logging

from gloinone.errors import GloInOneError, SlideUnreadableError
from gloinone.pipeline.atomic import reason
from gloinone.pipeline.tasks import RunConfig

logger = logging.getLogger(__name__)


def words_of(error: Exception, config: RunConfig) -> str:
    """Why a slide failed, in one sentence."""
    if isinstance(error, SlideUnreadableError) and config.hides_names:
        return error.own_words
    if isinstance(error, GloInOneError):
        # of paths our sentences hold those of OUT alone
        return str(error).replace(str(config.out), "OUT") if config.hides_names else str(error)
    if isinstance(error, OSError):
        where = "" if config.hides_names else f" ({error.filename or type(error).__name__})"
        return f"{reason(error)}{where}"
    said = "" if config.hides_names else f": {error}"
    return f"a fault of the program, {type(error).__name__}{said}; its traceback is in log.txt"


def log_fault(name: str, why: str, error: Exception, config: RunConfig) -> None:
    """With its traceback; with pseudonyms only the places in the program, without what was said there."""
    if config.hides_names:
        error = Exception("its words are left out").with_traceback(error.__traceback__)
    logger.error("%s: %s", name, why, exc_info=error)
