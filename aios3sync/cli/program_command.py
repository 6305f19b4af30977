"""The class of every command: settings of files, profiles, habits of other tools, help in sections.

The value of an option comes from the first of these that has one: the command line, the environment, the
profile, the rest of the configuration file, the default.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from aios3sync.cli.config_file import (
    PROFILE_MARK,
    ConfigFile,
    SettingsLayer,
    find_config_file,
    read_config_file,
)
from aios3sync.cli.connection_help import CONNECTION, connection_help, section_of
from aios3sync.cli.habits import NOTHING_TO_DO, TAKEN_OPTIONS, answer_for_option
from aios3sync.cli.values import PLACE
from aios3sync.errors import UsageError
from aios3sync.options import VARIABLES

if TYPE_CHECKING:
    from aios3sync.cli.settings import Setting

__all__ = ("ORDER", "SETTINGS", "ProgramCommand", "ProgramGroup", "sync_of")

ORDER: Final = "aios3sync.order"
"""Key of ``ctx.meta``: the names of the options that may be repeated, in the order of their values."""
SETTINGS: Final = "aios3sync.settings"
"""Key of ``ctx.meta``: the used settings of the file, by the names of their parameters."""
_PAIR: Final = ["source", "target"]
_PLACES: Final = frozenset({"source", "target", "url", "urls", "profile"})


def sync_of(context: click.Context) -> click.Command:
    """Return the command ``sync`` of the program; without a program, the command itself."""
    root = context.find_root()
    if isinstance(root.command, click.Group):
        found = root.command.get_command(root, "sync")
        assert found is not None  # noqa: S101 - the program has it
        return found
    return root.command


class ProgramCommand(click.Command):
    """A command whose options may come from the environment and from a configuration file.

    Args:
        args: as for :class:`click.Command`, as are the settings.
        profile: the arguments that a profile replaces, if the first argument is its name: source and target
            (``pair``), the one of the two that is a bucket, or none. Unset means ``pair`` for commands whose
            arguments begin with these two.
        answers: what to write instead of options of other tools, where the advice differs for this command.
        settings: of click.

    Attributes:
        explicit: parameters that only the command line may set.
    """

    explicit: frozenset[str] = frozenset()

    def __init__(
        self,
        *args: Any,
        profile: Literal["pair", "bucket", "nothing"] | None = None,
        answers: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        settings.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **settings)
        names = [param.name for param in self.params if isinstance(param, click.Argument)]
        self._profile_stands_for = profile or ("pair" if names[:2] == _PAIR else "nothing")
        self._answers = answers or {}
        for param in self.params:
            if isinstance(param, click.Argument) and param.name in _PLACES:
                param.type = PLACE

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse once to find the given options, which decide about settings, and once for the values."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        args, given, settings, settings_order = self._read(ctx, args)
        ctx.meta[SETTINGS] = settings
        single = {name: one.value for name, one in settings.items() if not self._option(name).multiple}
        ctx.default_map = {**(ctx.default_map or {}), **single}
        rest = super().parse_args(ctx, args)
        repeated = {name: one.value for name, one in settings.items() if self._option(name).multiple}
        for name, texts in repeated.items():
            values = self._option(name).type_cast_value(ctx, texts)
            ctx.params[name] = (*values, *(ctx.params.get(name) or ()))
        order = [param.name for param in given if getattr(param, "multiple", False)]
        ctx.meta[ORDER] = (*settings_order, *order)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command, with observers if its options enable them."""
        if not (ctx.params.get("log_json") or ctx.params.get("otel")):
            return super().invoke(ctx)
        from aios3sync.cli.invocation import invoke_observed

        return invoke_observed(lambda: super(ProgramCommand, self).invoke(ctx), ctx.params)

    def _option(self, name: str) -> click.Option:
        return next(param for param in self.params if param.name == name and isinstance(param, click.Option))

    def _read(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[list[str], Sequence[click.Parameter], Mapping[str, Setting], Sequence[str]]:
        """Return the arguments without a profile, the given options, and the settings of the file."""
        try:
            found, _, given = self.make_parser(ctx).parse_args(args=list(args)) if args else ({}, [], [])
        except click.NoSuchOption as error:
            answer = answer_for_option(error.option_name, self._answers)
            if answer is None:
                raise
            raise click.UsageError(answer, ctx=ctx) from None
        if any(param.is_eager and found.get(param.name or "") is True for param in given):
            return args, given, {}, []  # help, whatever the file says
        profile = self._profile(found)
        file = self._file(found)
        if profile is not None and file is None:
            raise UsageError(
                f"'{PROFILE_MARK}{profile}' names a profile, and there is no configuration file "
                "(aios3sync.toml, or [tool.aios3sync] in pyproject.toml); a directory of that name is "
                f"./{PROFILE_MARK}{profile}"
            )
        layers = file.layers(profile) if file is not None else []
        settings, order = self._settings(ctx, layers, {param.name for param in given})
        if profile is not None:
            args = self._expanded(ctx, args, profile, layers[-1])
        return args, given, settings, order

    def _profile(self, found: Mapping[str, Any]) -> str | None:
        """Return the name of the profile in the first argument."""
        if self._profile_stands_for == "nothing":
            return None
        first = found.get(self._first_name)
        return first[1:] if isinstance(first, str) and first.startswith(PROFILE_MARK) else None

    def _file(self, found: Mapping[str, Any]) -> ConfigFile | None:
        if found.get("no_config") or not any(section_of(param) == CONNECTION for param in self.params):
            return None
        path = found.get("config_file") or find_config_file(os.environ)
        return read_config_file(path) if path else None

    def _expanded(self, ctx: click.Context, args: list[str], profile: str, layer: SettingsLayer) -> list[str]:
        """Return the arguments with the name of a profile replaced by its source and target."""
        from aios3sync.cli.settings import PLACES, located

        places = {key: located(layer, key) for key in PLACES}
        missing = [key for key, place in places.items() if place is None]
        buckets = [place for place in reversed(places.values()) if place and place.startswith("s3://")]
        if self._profile_stands_for == "bucket":
            if not buckets:
                raise UsageError(f'{layer.origin} names no bucket; write target = "s3://BUCKET/PREFIX"')
            values = buckets[:1]
        elif missing:
            raise UsageError(f'{layer.origin} has no {" and no ".join(missing)}; write {missing[0]} = "…"')
        else:
            values = [place for place in places.values() if place is not None]
        at = self._first_argument(ctx, args, f"{PROFILE_MARK}{profile}")
        return [*args[:at], *values, *args[at + 1 :]]

    @property
    def _first_name(self) -> str:
        """The name of the first argument's parameter."""
        return next(param.name or "" for param in self.params if isinstance(param, click.Argument))

    def _first_argument(self, ctx: click.Context, args: list[str], word: str) -> int:
        """Return the index of the first argument, ``word``, which may also be the value of an option."""
        tried = f"{word}\0"  # no argument of a process has it

        def is_first(at: int) -> bool:
            found, _, _ = self.make_parser(ctx).parse_args(args=[*args[:at], tried, *args[at + 1 :]])
            return bool(found.get(self._first_name) == tried)

        return next(at for at, each in enumerate(args) if each == word and is_first(at))

    def _settings(
        self, ctx: click.Context, layers: Sequence[SettingsLayer], given: set[str | None]
    ) -> tuple[Mapping[str, Setting], Sequence[str]]:
        """Return the settings for this command that nothing of higher precedence replaces."""
        variables = any(name.startswith(VARIABLES) for name in os.environ)
        if not (layers or variables):
            return {}, []
        from aios3sync.cli.settings import known_options, merged, replaced_by, variable_of

        known = known_options(sync_of(ctx))
        own = {
            param.name: param
            for param in self.params
            if isinstance(param, click.Option) and param.name not in self.explicit
        }
        for name in known.keys() & own.keys():
            option = own[name]
            if not option.multiple and option.envvar is None:
                option.envvar = variable_of(option)
        set_by_variable = {
            name
            for name, option in own.items()
            if isinstance(option.envvar, str) and os.environ.get(option.envvar)
        }
        higher = given | set_by_variable
        replaced = replaced_by(name for name in higher if name)
        settings, order = merged(layers, known)
        kept = {
            name: one
            for name, one in settings.items()
            if name in own and (name not in replaced or name in higher)
        }
        return kept, [name for name in order if name in kept]

    # Habits.

    def make_parser(self, ctx: click.Context) -> Any:
        """Add the options of other tools that mean the same as ours; they are not in the help."""
        parser = super().make_parser(ctx)
        known = {name: param for param in self.params for name in param.opts}
        for theirs, ours in TAKEN_OPTIONS.items():
            if ours in known and theirs not in known:
                alias = copy.copy(known[ours])
                alias.opts = [theirs]
                alias.secondary_opts = []
                alias.add_to_parser(parser, ctx)
        if "--check" in known:
            for theirs in NOTHING_TO_DO:
                click.Option([theirs], is_flag=True, expose_value=False).add_to_parser(parser, ctx)
        return parser

    # Help.

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section, except those of the connection, which ``--help-connection`` shows."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Argument):
                continue  # the usage line shows them
            record = param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(section_of(param), []).append(record)
        connection = sections.pop(CONNECTION, None)
        last = sections.pop("Options", [])
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        if last:
            with formatter.section("More" if sections else "Options"):
                formatter.write_dl(last)
        if connection:
            formatter.write_paragraph()
            formatter.write_text("Endpoint, credentials, limits and configuration: --help-connection.")

    def connection_help(self, ctx: click.Context) -> str:
        """Return the help of the options of the connection, with their variables."""
        return connection_help(self, ctx)


class ProgramGroup(click.Group):
    """A group of commands of this class."""

    command_class = ProgramCommand
