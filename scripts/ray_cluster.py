"""What the programs for Ray share: the connection to a cluster, and errors in one line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import click

from kerasrnn.cli.common import no_stderr
from kerasrnn.errors import InputError, reason_of

LOCAL = "local"
ADDRESS = click.option(
    "--address",
    envvar="RAY_ADDRESS",
    default=LOCAL,
    show_default=True,
    help="Of a Ray cluster; local: a Ray of its own on this machine.",
)
_STORE = 300_000_000  # bytes of the object store of a Ray of our own


class Command(click.Command):
    """Turns an ``InputError`` into one line and exit code 2; after Ctrl-C the code is 130."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except InputError as error:
            refusal = click.ClickException(str(error))
            refusal.exit_code = 2
            raise refusal from error
        except KeyboardInterrupt:
            ctx.exit(130)


@contextmanager
def connected(address: str, cpus: float, gpus: float = 0) -> Iterator[None]:
    """A connection to the cluster at an address.

    cpus, gpus: that the work needs, all of which a local Ray has. A cluster may have fewer, and
    may yet get more: that is said.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("Ray is missing", fix="pip install 'kerasrnn[ray]'") from error
    own = {"num_cpus": cpus, "object_store_memory": _STORE, "include_dashboard": False}
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with no_stderr():  # it says how it logs
            ray.init(address=address, **quiet, **(own if address == LOCAL else {}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError("no Ray cluster", where=address, found=reason) from error
    try:
        there = ray.cluster_resources()
        for kind, wanted in (("CPU", cpus), ("GPU", gpus)):
            if there.get(kind, 0) < wanted:
                found = f"the cluster has {there.get(kind, 0):g} {kind}s"
                click.echo(f"{found}; expected {wanted:g}: some workers have to wait", err=True)
        yield
    except ray.exceptions.RayError as error:
        raise InputError(f"Ray: {type(error).__name__}: {reason_of(error)}") from error
    finally:
        ray.shutdown()
