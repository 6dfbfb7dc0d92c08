"""Batches of one fixed shape, so that a result never depends on what else is in its batch or how many are left."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

T = TypeVar("T")


def fixed_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items in order; the last may be shorter.

    >>> [len(batch) for batch in fixed_batches(range(5), 2)]
    [2, 2, 1]
    """
    if size < 1:
        raise ValueError(f"a batch holds at least one item, not {size}")
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def stack_padded(images: list[NDArray[np.uint8]], size: int) -> NDArray[np.uint8]:
    """(H, W, 3) images -> (size, 3, H, W); missing places are zero and their answers are to be dropped.

    A convolution library chooses its algorithm by the batch's shape: a shorter last batch would change the
    last bits of its results.
    """
    if not 0 < len(images) <= size:
        raise ValueError(f"{len(images)} images do not fit a batch of {size}")
    height, width = images[0].shape[:2]
    batch = np.zeros((size, height, width, 3), np.uint8)
    for i, image in enumerate(images):
        batch[i] = image
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


def answers_of(
    predict: Callable[[list[T], int], NDArray[Any]], items: Sequence[T], size: int
) -> NDArray[Any]:
    """What ``predict`` says of items padded to a batch of ``size``, a row each; in halves where memory runs out.

    Raises torch.OutOfMemoryError where a single one does not fit.
    """
    try:
        return predict(list(items), size)
    except torch.OutOfMemoryError:
        if size == 1:
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = (size + 1) // 2
    parts = (items[:half], items[half:])
    return np.concatenate([answers_of(predict, part, half) for part in parts if part])
