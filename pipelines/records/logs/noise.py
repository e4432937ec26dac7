"""Leave out what only makes a trainer's log longer: progress bars, dumped configurations, repeated and meaningless messages."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

from pipelines.records.logs.messages import Message, parse
from pipelines.records.logs.tail import Tail

_LONGEST = 300
"""Characters of a line that are shown."""

_RECENT = 32
"""Lines in which the same line of another process counts as repeated."""

_KNOWN = re.compile(
    "|".join(
        (
            "engine is not available: ModuleNotFoundError",
            "Disabled critic as algorithm.adv_estimator",
            "Function 'verl.utils.import_utils.load_extern_type' is deprecated",
            "'set_vital' is deprecated",
            r"requires torchvision \(not installed\)",
            r"`torch_dtype` is deprecated",
            "Failed to set NUMA affinity",
            "NUMA binding: Using MEMBIND",
            "Platform override from VERL_PLATFORM",
            "Token authentication is enabled for this Ray cluster",
            "Using blocking ray.get inside async actor",
            "IPC is not supported on your devices",
            "target_num_threads .* should not exceed total physical CPU cores",
            "(libtcmalloc|libiomp) is not found in LD_PRELOAD",
            "LoRA dynamic loading & unloading is enabled",
            "VLLM_ENABLE_V1_MULTIPROCESSING is set to False",
            "does not officially support disabling chunked prefill",
            "Enforce eager set, disabling torch.compile",
            "Inductor compilation was disabled by user settings",
            "Model Runner V2 requires Triton",
            "Default vLLM sampling parameters have been overridden",
            "Passing raw prompts to InputProcessor is deprecated",
            "No backend of type 0 found for Process Group",
            "is_fx_tracing will return true",
            "pickling/unpickling of the DeviceMesh",
            "Version checking has been disabled",
            "Skipping monkey patch for",
            "Checkpoint tracker file does not exist",
        )
    )
)
"""Messages of the pinned versions in every run that call for nothing."""

_REPEATED = re.compile(r" *\[repeated (\d+)x across cluster\](?: \(Ray deduplicates logs.*\))?$")
_STEP = re.compile(r"step:(\d+) - (\S+:.*)")
_SHOWN = ("critic/score/mean", "actor/kl_loss", "actor/entropy", "response_length/mean", "train/loss", "val/loss")
_NUMBER = re.compile(r"(?:np\.\w+\()?(-?[\d.]+(?:e[-+]?\d+)?|nan|-?inf)\)?$")
_FRAGMENT = re.compile(r"(?:'[^']*'|\"[^\"]*\"|True|False|None|[-+.\de]+)? ?[,:]? ?(?:\[\]|\{\})?")
"""A part of a value: pprint writes it in parts, between which Ray may break the line."""
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class Cleaner:
    """Clean the lines of one attempt's log, in order.

    Args:
        warnings: Keep warnings, errors and tracebacks only.
        rank: Keep the lines of this rank only.
        ranks: Process of Ray -> rank, as far as it is known.
    """

    def __init__(self, *, warnings: bool = False, rank: int | None = None, ranks: dict[str, int] | None = None) -> None:
        self._warnings = warnings
        self._rank = rank
        self._ranks = ranks or {}
        self.left_out = 0
        """Lines that were left out as noise."""
        self._dumps: dict[str, tuple[int, int]] = {}
        """Process -> open brackets of the value that it is dumping, and how many other lines may come in between."""
        self._quoting: set[str] = set()
        """Processes whose next line is the code that a warning is about."""
        self._tracing: set[str] = set()
        """Processes that print a traceback."""
        self._seen: set[str] = set()
        """Warnings, without numbers."""
        self._recent: deque[tuple[str, str]] = deque(maxlen=_RECENT)

    def clean(self, line: str) -> str | None:
        """Return a line as it is to be shown; None: it is left out."""
        message = parse(line)
        if message.rank is not None and message.process:
            self._ranks[message.process] = message.rank
        rank = self._ranks.get(message.process) if message.rank is None else message.rank
        if self._rank is not None and rank != self._rank:
            return None
        if self._traces(message):
            return _shorten(message)
        continues = self._continues_dump(message.process, message.text)
        opens = not continues and self._begins_dump(message.process, message.text)
        if continues or self._is_noise(message):
            self.left_out += bool(message.text)
            return None
        return None if self._warnings and not message.is_warning else _shorten(message, opens=opens)

    def _is_noise(self, message: Message) -> bool:
        process, text = message.process, message.text
        if process in self._quoting:
            self._quoting.discard(process)
            if text.startswith("  "):
                return True
        if not text.strip():
            return True
        if message.is_warning and "Warning: " in text:
            self._quoting.add(process)
        if _KNOWN.search(text[:_LONGEST]) is not None:
            return True
        if message.is_warning:
            same = re.sub(r"\d+", "#", _REPEATED.sub("", text[:_LONGEST]))
            known = same in self._seen
            self._seen.add(same)
            return known
        # One process may print the same line again on purpose, but does not log it again.
        repeated = any(text == other and (process != by or message.time) for other, by in self._recent)
        repeated = repeated or (text, process) in [*self._recent][-1:]
        self._recent.append((text, process))
        return repeated

    def _continues_dump(self, process: str, text: str) -> bool:
        """Whether the line belongs to a value of several lines that its process is dumping."""
        if process not in self._dumps:
            return False
        depth, patience = self._dumps.pop(process)
        continues = text[:1] in (" ", ")", "]", "}") or _FRAGMENT.fullmatch(text) is not None
        continues = continues or (text[:1] in ("(", "[", "{") and _count_open(text) > 0)
        depth, patience = (depth + _count_open(text), _RECENT) if continues else (depth, patience - 1)
        # Its errors come in between.
        if depth > 0 and patience > 0:
            self._dumps[process] = (depth, patience)
        return continues

    def _begins_dump(self, process: str, text: str) -> bool:
        """Whether a value of several lines begins in this line."""
        if text[:1] in ("{", "[", "(") or (text[-1:] in ("{", "[") and not text.startswith(" ")):
            depth = _count_open(text)
            if depth > 0:
                self._dumps[process] = (depth, _RECENT)
                return True
        return False

    def _traces(self, message: Message) -> bool:
        """Whether the line belongs to a traceback, its first and last line included."""
        process, text = message.process, message.text
        if process in self._tracing and text:
            if not text.startswith(" "):
                self._tracing.discard(process)
            return True
        if text.startswith("Traceback ("):
            self._tracing.add(process)
            return True
        return False


def find_ranks(log: Path) -> dict[str, int]:
    """Return the ranks of Ray's processes that a log names: process -> rank; of a process without a number, "" -> rank."""
    found: dict[str, int] = {}
    for line in Tail(log).read():
        if "rank" in line.lower():
            message = parse(line)
            if message.rank is not None:
                found[message.process or f"rank {message.rank}"] = message.rank
    return found


def _shorten(message: Message, *, opens: bool = False) -> str:
    text = message.text
    if (found := _STEP.fullmatch(text)) is not None:
        text = _shorten_step(found[1], found[2])
    if opens:
        text = f"{text[:60].rstrip()} …"
    text = _REPEATED.sub(r" (\1 times)", text)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} … ({len(text) - _LONGEST:,} more characters)"
    return " ".join(filter(None, (message.time, message.level, text)))


def _shorten_step(step: str, metrics: str) -> str:
    """Return a step of verl's console logger with the metrics that matter; all are in `metrics.jsonl`."""
    pairs = [each.rpartition(":")[::2] for each in metrics.split(" - ")]
    shown = [(name, value) for name, value in pairs if name in _SHOWN or name.startswith("val-core/")]
    numbers = [(name, found[1]) for name, value in shown or pairs[:3] if (found := _NUMBER.match(value)) is not None]
    listed = ", ".join(f"{name} {float(number):.4g}" for name, number in numbers)
    return f"step {step}: {listed}{f' and {more} more metrics' if (more := len(pairs) - len(numbers)) else ''}"


def _count_open(text: str) -> int:
    """Return the brackets that a line opens, less those that it closes; those in quotes do not count."""
    bare = _QUOTED.sub("", text)
    return sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}"))
