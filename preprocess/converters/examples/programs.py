"""Functions whose docstrings say what they do and show what calls return."""


def clamp(value: int, low: int, high: int) -> int:
    """Return the value, but at least low and at most high.

    >>> clamp(5, 1, 3)
    3
    >>> clamp(2, low=1, high=3)
    2
    """
    if value < low:
        return low
    if value > high:
        return high
    return value


def group(words: list[str]) -> dict[str, list[str]]:
    """Return the words by their first letters, in their order.

    >>> group(["bee", "ant", "bat"])
    {'b': ['bee', 'bat'], 'a': ['ant']}
    >>> group([])
    {}
    """
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(word[0], []).append(word)
    return groups


def halve(value: int) -> int:
    """Return half of the value. Only the call below shows how, so that nothing says what it is to give."""
    return value // 2


def shout(text: str) -> str:
    """Return the text in capitals. Nothing calls it."""
    return text.upper()


if __name__ == "__main__":
    print(halve(6))
