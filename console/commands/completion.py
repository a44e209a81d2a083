"""`millrace completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from console.verbs import debug_option

SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print the completion script of your shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@debug_option
def completion(shell: str) -> None:
    """Print the script that completes verbs and options in your shell.

    \b
    bash  millrace completion bash > ~/.local/share/bash-completion/completions/millrace
    zsh   millrace completion zsh > "${fpath[1]}/_millrace"
    fish  millrace completion fish > ~/.config/fish/completions/millrace.fish
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has these three
    root = click.get_current_context().find_root().command
    click.echo(made(root, {}, "millrace", "_MILLRACE_COMPLETE").source())
