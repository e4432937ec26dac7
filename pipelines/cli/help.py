"""Help texts and usage errors: commands in groups, words instead of type notation, a mistake in one line.

Typer's own grouping needs rich, whose import takes longer than everything else that `pipeline --help` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

START, RUN, LOOK, MEASURE, RESULT = "Start", "Run", "Look at runs", "Measure", "Use the result"
PARTS = "Data, rewards and the trainers"
"""The groups of commands, in the order of the help: the `rich_help_panel` of a command."""

_Function = TypeVar("_Function", bound=Callable[..., Any])

_GROUPS = (START, RUN, LOOK, MEASURE, RESULT, PARTS)

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""A mistake in the arguments: click's class, or that of the copy of click in newer versions of Typer, which export neither."""


class Command(TyperCommand):
    """A command whose help describes its arguments and options in words."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return [_unbrace(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options."""
        _write_parameters(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands, listed below the headings of their groups."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return [_unbrace(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write_parameters(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, those without a group last."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [(name, command) for name, command in found if command is not None and not command.hidden]
        width = max((len(name) for name, _ in shown), default=0)
        panels = [getattr(command, "rich_help_panel", None) for _, command in shown]
        for group in (*_GROUPS, *dict.fromkeys(panel for panel in panels if panel not in _GROUPS)):
            rows = [
                (name.ljust(width), command.get_short_help_str(formatter.width - 6 - width))
                for (name, command), panel in zip(shown, panels, strict=True)
                if panel == group
            ]
            if rows:
                with formatter.section(group or "Commands"):
                    formatter.write_dl(rows)


class App(typer.Typer):
    """A group of commands with this help.

    Args:
        help: What the commands do.
        settings: Further arguments of `typer.Typer`.
    """

    def __init__(self, help: str, **settings: Any) -> None:  # noqa: A002 (typer's name)
        super().__init__(
            cls=Group,
            help=help,
            no_args_is_help=True,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            context_settings={"help_option_names": ["-h", "--help"]},
            **settings,
        )

    def narrow(self, name: str) -> App:
        """Return this group with one command only, if it has it: typer builds the parameters of all before it calls one."""
        commands = [each for each in self.registered_commands if _name_of(each) == name]
        groups = [each for each in self.registered_groups if each.name == name]
        if not commands and not groups:
            return self
        narrowed = copy(self)
        narrowed.registered_commands, narrowed.registered_groups = commands, groups
        return narrowed

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Function], _Function]:
        """Return the decorator of a command."""
        return super().command(name, **{"cls": Command, **settings})


def _name_of(command: Any) -> str:
    return str(command.name or command.callback.__name__.replace("_", "-"))


def describe_usage_error(error: Exception) -> str | None:
    """Return a mistake in the arguments as one line; None for a group without a command, whose help is printed."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return None
    context: Any = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
    message = re.sub(r" \(Possible options: ([^)]*)\)$", r"; did you mean \1?", message)
    message = re.sub(r"[.:]? Did you mean ", "; did you mean ", message)
    message = _say_range(message.replace(": Input should be ", ": expected "))
    message = message[:1].lower() + message[1:]
    if context is None or message.endswith("?"):
        return message
    return f"{message}; see `{context.command_path} {context.help_option_names[0]}`"


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            is_argument = param.param_type_name == "argument"
            sections["Arguments" if is_argument else "Options"].append(_in_words(*record, is_argument=is_argument))
    for title, rows in sections.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _in_words(name: str, text: str, *, is_argument: bool) -> tuple[str, str]:
    """Return a help record without type notation: `RECIPE <path>` -> `RECIPE`, `<a|b>` -> `a|b`, `x>=1` -> `at least 1`."""
    name = re.sub(r" <[^>]*>", "", name) if is_argument else re.sub(r"<([^>]*)>", r"\1", name)
    return name, _say_range(text).replace("\\[", "[")


def _say_range(text: str) -> str:
    text = re.sub(r"\b([\d.]+)<=x<=([\d.]+)", r"\1 to \2", text)
    text = re.sub(r"\bx>=([\d.]+)", r"at least \1", text)
    return re.sub(r"\bx<=([\d.]+)", r"at most \1", text)


def _unbrace(piece: str) -> str:
    """Return `{RECIPE}` as `RECIPE`."""
    return re.sub(r"\{([^}]*)\}", r"\1", piece)
