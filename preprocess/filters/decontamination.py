"""Decontamination: leaves out training rows that overlap an evaluation set, by n-grams of words or by a function's body.

A row overlaps an evaluation set if one of these is true:

- N-grams of `ngram` words that are also in a text of the set, without case and punctuation, cover at least `share` of that
  text. Repeats in the row cover nothing more. GPT-3 used 13 words (Brown et al. 2020, appendix C), Qwen2.5-Coder 10 (Hui et
  al. 2024); half of the text is Tulu 3's rule (Lambert et al. 2024). Without a share, any phrase that problems of one website
  have in common is an overlap: of LeetCodeDataset's 1,890 training problems 128 shared 13 words with one of its test
  problems, and 7 shared half of one.
- One of its lines or texts equals a text of the set that is shorter than an n-gram; or it contains the whole of a longer
  text in which no n-gram is evidence.
- One of its functions has the body of a function of the set (`function_bodies`).

The texts of a row are its prompt, answers and solution. An n-gram is evidence only if at least half as many different words
are informative: not numbers, single letters or Python keywords, and not boilerplate of the set. Boilerplate is every phrase
of four words (all numbers count as the same word) in more than a tenth of the set's rows: what all of its prompts share,
and what a converter adds to them.
"""

from __future__ import annotations

import keyword
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from preprocess.engine.job import Kind
from preprocess.errors import SourceError
from preprocess.filters.contents import Contents, row_contents
from preprocess.filters.function_bodies import digest_bodies
from preprocess.rows import Row

_FEWEST_WORDS = 5
"""A text with fewer different informative words is not evidence, even the whole of it."""
_MOST_TEXTS = 20
"""Texts remembered for an n-gram: a set may have one problem in many forms."""
_PHRASE = 4
_BOILERPLATE_SHARE = 0.1

_KEYWORDS = frozenset(word.lower().encode() for word in keyword.kwlist)
# Words consist of letters, digits and all characters beyond ASCII, in lower case; line breaks are kept.
_LETTERS = bytes(byte if byte > 127 or chr(byte).isalnum() or chr(byte) in "_\n" else 32 for byte in bytes(range(256)).lower())


@dataclass(frozen=True)
class _Text:
    """A text of an evaluation set."""

    row: str
    """The row's name and its set."""
    enough: int
    """Number of its words that make an overlap."""
    ngrams: tuple[tuple[int, bytes], ...]
    """Place and digest of the n-grams that are evidence."""

    def is_covered(self, found: Counter[bytes], length: int) -> bool:
        """Return whether n-grams cover enough words; an n-gram covers as many of its places as it was found times."""
        left, places = found.copy(), set[int]()
        for place, ngram in self.ngrams:
            if left[ngram] > 0:
                left[ngram] -= 1
                places.update(range(place, place + length))
        return len(places) >= self.enough


class DecontaminationFilter:
    """Leaves out rows that overlap its evaluation sets (a `preprocess.engine.job.Filter`)."""

    by_name: ClassVar[bool] = False

    def __init__(self, ngram: int, share: float) -> None:
        self.ngram, self.share = ngram, share
        self.sets: dict[str, int] = {}
        """Evaluation set -> its number of rows."""
        # Every n-gram contains a run of this many words that begins at a multiple of this number. So looking up only the few
        # runs of a row that begin there finds all n-grams.
        self._run = (ngram + 1) // 2
        self._runs = set[int]()
        self._texts: list[_Text] = []
        self._ngrams: dict[bytes, tuple[int, ...]] = {}
        self._short: dict[bytes, str] = {}
        self._bodies: dict[bytes, str] = {}

    def add(self, name: str, rows: Iterable[tuple[str, Contents]]) -> None:
        """Add an evaluation set: the name and contents of each row.

        Raises:
            SourceError: The set has no rows.
        """
        found = [(row, [_normalise(text).split() for text in contents.texts], contents.code) for row, contents in rows]
        if not found:
            raise SourceError(f"decontaminate: {name} has no rows")
        boilerplate = _find_boilerplate([texts for _, texts, _ in found])
        for row, texts, code in found:
            for words in texts:
                self._add_text(f"{row} of {name}", words, boilerplate)
            for each in code:
                for digest in digest_bodies(each):
                    self._bodies.setdefault(digest, f"{row} of {name}")
        self.sets[name] = len(found)

    def judge(self, row: Row, name: str) -> tuple[Kind, str] | None:
        """See `preprocess.engine.job.Filter`."""
        contents = row_contents(row)
        for text in contents.texts:
            if (overlap := self._compare(_normalise(text))) is not None:
                return "contaminated", overlap
        for code in contents.code if self._bodies else ():
            for digest in digest_bodies(code):
                if digest in self._bodies:
                    return "contaminated", f"a function's body is that of {self._bodies[digest]}"
        return None

    def _add_text(self, row: str, words: list[bytes], boilerplate: set[tuple[bytes, ...]]) -> None:
        length, run, number = self.ngram, self._run, len(self._texts)
        own = _find_own(words, boilerplate)
        informative = len({word for word in words if _is_informative(word)}) if any(own) else 0
        if len(words) < length:
            if informative >= _FEWEST_WORDS:
                self._short.setdefault(b" ".join(words), row)
            return
        places = range(len(words) - length + 1)
        starts = [start for start in places if self._is_evidence(words, own, start)]
        enough = math.ceil(self.share * sum(own))
        if not starts and informative >= _FEWEST_WORDS:
            starts = [start for start in places if any(own[start : start + length])]
            enough = len({place for start in starts for place in range(start, start + length)})
        ngrams = []
        for start in starts:
            window = words[start : start + length]
            digest = _digest(window)
            ngrams.append((start, digest))
            texts = self._ngrams.setdefault(digest, (number,))
            if number not in texts and len(texts) < _MOST_TEXTS:
                self._ngrams[digest] = (*texts, number)
            self._runs.update(_hash(window[place : place + run]) for place in range(length - run + 1))
        self._texts.append(_Text(row, enough, tuple(ngrams)))

    def _is_evidence(self, words: list[bytes], own: list[bool], start: int) -> bool:
        places = range(start, start + self.ngram)
        return len({words[place] for place in places if own[place] and _is_informative(words[place])}) >= self.ngram // 2

    def _compare(self, text: bytes) -> str | None:
        words = text.split()
        run, runs = self._run, self._runs
        for start in range(0, len(words) - run + 1, run):
            if _hash(words[start : start + run]) in runs:
                if (row := self._find_covered(words)) is not None:
                    return f"words in a row are those of {row}"
                break
        if self._short:
            for line in (*text.split(b"\n"), text):
                if (row := self._short.get(b" ".join(line.split()))) is not None:
                    return f"a line is that of {row}"
        return None

    def _find_covered(self, words: list[bytes]) -> str | None:
        """Return the evaluation row of a text that these words cover enough of."""
        digests = (_digest(words[start : start + self.ngram]) for start in range(len(words) - self.ngram + 1))
        found = Counter(digest for digest in digests if digest in self._ngrams)
        numbers = dict.fromkeys(number for digest in found for number in self._ngrams[digest])
        texts = (self._texts[number] for number in numbers)
        return next((text.row for text in texts if text.is_covered(found, self.ngram)), None)


def _normalise(text: str) -> bytes:
    return text.encode("utf-8", "replace").translate(_LETTERS)


def _find_boilerplate(rows: Sequence[Sequence[Sequence[bytes]]]) -> set[tuple[bytes, ...]]:
    """Return the phrases that are in many rows."""
    counts = Counter[tuple[bytes, ...]]()
    for texts in rows:
        counts.update({phrase for words in texts for phrase in _find_phrases(words)})
    most = max(1.0, _BOILERPLATE_SHARE * len(rows))
    return {phrase for phrase, count in counts.items() if count > most}


def _find_phrases(words: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    same = [b"0" if word.isdigit() else word for word in words]
    return [tuple(same[place : place + _PHRASE]) for place in range(len(same) - _PHRASE + 1)]


def _find_own(words: Sequence[bytes], boilerplate: set[tuple[bytes, ...]]) -> list[bool]:
    """Return which words are the text's own, not boilerplate of the set."""
    own = [True] * len(words)
    for place, phrase in enumerate(_find_phrases(words)):
        if phrase in boilerplate:
            own[place : place + _PHRASE] = [False] * _PHRASE
    return own


def _is_informative(word: bytes) -> bool:
    return len(word) > 1 and not word.isdigit() and word not in _KEYWORDS


def _hash(words: list[bytes]) -> int:
    return zlib.crc32(b" ".join(words))


def _digest(words: list[bytes]) -> bytes:
    return blake2b(b" ".join(words), digest_size=8).digest()
