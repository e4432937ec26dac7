"""How responses are drawn: the number of samples and the temperature."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.errors import InputError


def check_sampling(samples: int, temperature: float, ks: Iterable[int] = ()) -> None:
    """Refuse settings from which no figure can be computed.

    Args:
        samples: Responses per problem.
        temperature: 0: greedy.
        ks: The `k` of each pass@k that is wanted.

    Raises:
        InputError: A k that is larger than the number of samples, or several greedy samples.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}, expected at least 1")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"temperature is {temperature:g}, expected 0 (greedy) or more")
    if temperature == 0 and samples > 1:
        raise InputError(f"{samples} samples at temperature 0 are all the same; expected 1 sample or a higher temperature")
    for k in ks:
        if k < 1:
            raise InputError(f"pass@{k}: expected a k of at least 1")
        if k > samples:
            raise InputError(f"pass@{k} needs at least {k} samples per problem; found {samples}")
