"""Invokes a command with the JSON log and OpenTelemetry, if its options enable them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import click

from aios3sync.cli.errors import print_error, print_usage_error

__all__ = ("invoke_observed",)


def invoke_observed(invoke: Callable[[], Any], values: Mapping[str, Any]) -> Any:
    """Invoke a command, and return its exit code.

    An error is reported here, while log and telemetry are still active.

    Args:
        invoke: the command.
        values: of its options.
    """
    with ExitStack() as entered:
        verbose = values.get("verbose", 0)
        if values.get("log_json"):
            import logging

            from aios3sync.cli.output.json_log import json_log

            level = logging.DEBUG if verbose > 1 else logging.INFO
            entered.enter_context(json_log(logging.WARNING if values.get("quiet") else level))
        try:
            if values.get("otel"):
                from aios3sync.cli.telemetry import telemetry

                entered.enter_context(telemetry())
            return invoke()
        except click.exceptions.Exit:
            raise
        except click.ClickException as error:
            return print_usage_error(error)
        except Exception as error:  # noqa: BLE001 - as the program does it
            return print_error(error, verbose=verbose > 1)
