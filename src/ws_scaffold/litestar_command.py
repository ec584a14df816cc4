"""``litestar ws``: the same command under Litestar's own, which finds it by its entry point for plugins."""

import click  # Litestar brings it: without Litestar, nobody imports this

from ws_scaffold.cli import main


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def ws(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Generate WebSocket handlers, and keep them up to date."""
    loaded = getattr(context.find_root().obj, "app_path", None)  # where Litestar has found an application
    context.exit(main(arguments, prog="litestar ws", loaded=loaded))
