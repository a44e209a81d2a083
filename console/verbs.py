"""How verbs are found, and the options that several share."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from console.checkout import DEFAULT_PORT
from console.find.run_filter import RunFilter, moment_of, tags_asked
from console.find.target import Target

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class Invocation:
    """What every verb of one call shares.

    Attributes:
        arguments: The command line without the program's name.
        debug: Whether an error shows its traceback.
    """

    arguments: tuple[str, ...] = ()
    debug: bool = False

    def again(self, **options: str) -> str:
        """The same command line with other values of some options, for people to paste: `run_id="…"`."""
        kept, skip = [], False
        names = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        for word in self.arguments:
            if not skip and word.partition("=")[0] not in names:
                kept.append(word)
            skip = not skip and word in names
        return shlex.join(["millrace", *kept, *(word for option in names.items() for word in option)])


class Verbs(click.Group):
    """A group whose verbs have one file each, loaded on demand.

    Args:
        verbs: Where each verb is: "package.module:attribute", by name, in the order of the help.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs' names, in order."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The verb of that name; None where there is none."""
        if cmd_name not in self._verbs:
            return None
        module, attribute = self._verbs[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


def _remember_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    if value:
        ctx.ensure_object(Invocation).debug = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_remember_debug,
    help="Show an error's traceback.",
)


def with_options(function: Function, options: Sequence[Callable[[Any], Any]]) -> Function:
    """A verb with options; its help shows them in this order."""
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    made: Function = decorated
    return made


def target_options(function: Function) -> Function:
    """The options of every verb that works on a stack: the verb gets `target`. See console/find/target.py."""
    return _target_options(function, usually_local=False)


def local_target_options(function: Function) -> Function:
    """The same for a `local` verb: where nothing else is said, the embedded AWS of this checkout is meant."""
    return _target_options(function, usually_local=True)


def _target_options(function: Function, *, usually_local: bool) -> Function:
    @wraps(function)
    def with_target(*args: Any, **given: Any) -> Any:
        names = ("local", "state_dir", "profile", "region", "stack", "config_env")
        chosen = Target.choose(**{name: given.pop(name) for name in names}, usually_local=usually_local)
        return function(*args, target=chosen, **given)

    options = (
        click.option("--local", is_flag=True, help="The embedded AWS of this checkout."),
        click.option("--state-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", hidden=True),
        click.option("--profile", metavar="NAME", help="The profile of your AWS configuration."),
        click.option("--region", metavar="REGION", help="The stack's region."),
        click.option("--stack", metavar="NAME", help="The stack. [default: samconfig.toml's, else millrace]"),
        click.option("--config-env", metavar="NAME", help="The environment of samconfig.toml. [default: default]"),
    )
    return with_options(cast("Function", debug_option(with_target)), options)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON alone on standard output.")
"""`--json`, the verb's `as_json`."""


def filter_options(function: Function) -> Function:
    """The options that say which runs are meant: the verb gets `asked`, a `RunFilter`."""

    @wraps(function)
    def with_filter(
        *args: Any, since: str | None, workload: str | None, name: str | None, tags: Any, **given: Any
    ) -> Any:
        asked = RunFilter(
            since=None if since is None else moment_of(since, datetime.now(UTC)),
            workload=workload,
            name=name,
            tags=tags_asked(tags),
        )
        return function(*args, asked=asked, **given)

    options = (
        click.option("--since", metavar="AGE|DATE", help="Started in the last 30m, 12h, 2d or 1w, or since a date."),
        click.option("--workload", metavar="W", help="With this workload."),
        click.option("--name", metavar="TEXT", help="With this in their name."),
        click.option("--tag", "tags", multiple=True, metavar="K[=V]", help="With this tag. [several times]"),
    )
    return with_options(cast("Function", with_filter), options)


run_argument = click.argument("given", metavar="[RUN]", default="-")
"""RUN, the verb's `given`: a run id or the beginning of one, an ARN, a run folder's URI; "-" or nothing: the latest."""


def local_options(function: Function) -> Function:
    """The options of every `local` verb: which embedded AWS is meant."""
    state = click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Where the embedded AWS keeps its state. [default: build/local of the checkout]",
    )
    return debug_option(state(function))


UI_PORT = 4600
"""The page's port, where no other is asked for."""


def page_options(function: Function) -> Function:
    """The options of the verbs that serve the page: `port`, `open_page` and `read_only`."""
    options = (
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=UI_PORT,
            show_default=True,
            help="The page's port; 0 picks a free one.",
        ),
        click.option("--open", "open_page", is_flag=True, help="Show the page in the browser."),
        click.option("--read-only", is_flag=True, help="Show runs, and change nothing."),
    )
    return with_options(function, options)


def port_option(function: Function) -> Function:
    """`--port`, for the verbs that may start the embedded AWS."""
    option = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        help=f"Its port on 127.0.0.1, when it is started. [default: {DEFAULT_PORT}, or a free one if that is taken]",
    )
    decorated: Function = option(function)
    return decorated
