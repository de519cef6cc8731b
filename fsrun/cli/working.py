"""The command `worker`.

Not here: what a worker does (fsrun.worker).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from fsrun.cli.queueing import Device, Gpus, OnEnd
from fsrun.errors import UsageError

ENGINES = ("local", "ray", "slurm")

Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Jobs at a time. Default: 1 on this machine, as many as fit on a cluster."),
]
GpusPerJob = Annotated[
    float | None,
    typer.Option(min=0, help="GPUs for each job on a cluster, also 0.5. Default: 1 if the cluster has any."),
]


def worker(
    drain: Annotated[bool, typer.Option("--drain", help="Exit when no job is left.")] = False,
    device: Device = "auto",
    gpus: Gpus = 1,
    jobs: Jobs = None,
    engine: Annotated[
        str, typer.Option(help="Where jobs run: local, or on a ray or slurm cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="The address of the Ray cluster: HOST:PORT, or auto.")
    ] = None,
    gpus_per_job: GpusPerJob = None,
    cpus_per_job: Annotated[
        float | None, typer.Option(min=0, help="CPUs for each job on a cluster. Default: 1.")
    ] = None,
    slurm: Annotated[
        list[str] | None, typer.Option(help="An option of sbatch as NAME=VALUE; repeatable.")
    ] = None,
    on_end: OnEnd = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing. Its log in FSRUN_HOME/logs has every line.")
    ] = False,
) -> None:
    """Run queued jobs. Ctrl-C writes a checkpoint and puts running jobs back into the queue.

    Several jobs on one machine share its GPUs evenly, or its cores.
    """
    _check_engine(
        engine,
        {
            "--gpus": (None if gpus == 1 else gpus, ("local",)),
            "--address": (address, ("ray",)),
            "--gpus-per-job": (gpus_per_job, ("ray", "slurm")),
            "--cpus-per-job": (cpus_per_job, ("ray", "slurm")),
            "--slurm": (slurm, ("slurm",)),
        },
    )
    if (jobs or 1) > 1 and gpus > 1:
        raise UsageError(f"--jobs {jobs} has a GPU for each job, --gpus {gpus} several for one: use only one")
    from fsrun.cli.clusters import Asked, serve_here, serve_on_ray, serve_on_slurm
    from fsrun.cli.foreground import serve
    from fsrun.paths import find_home
    from fsrun.worker.devices import check_gpus
    from fsrun.worker.notices import ADDRESSES, check_addresses
    from fsrun.worker.outage import open_patiently

    check_addresses(os.environ.get(ADDRESSES, ""))
    if engine == "local":
        check_gpus(gpus, device)
    database = open_patiently(find_home().database, typer.echo, lambda: False, create=True)
    asked = Asked(device, drain, cpus_per_job or 1.0, gpus_per_job, jobs, quiet, on_end or "")
    if engine == "local" and (jobs or 1) > 1:
        serve_here(database, asked)
    elif engine == "local":
        serve(database, device, gpus, drain=drain, quiet=quiet, on_end=on_end or "")
    elif engine == "ray":
        serve_on_ray(database, asked, address or "auto")
    else:
        serve_on_slurm(database, asked, slurm or [])


def _check_engine(engine: str, options: Mapping[str, tuple[object, Sequence[str]]]) -> None:
    """Refuse an unknown engine, and options that are for another one."""
    if engine not in ENGINES:
        raise UsageError(f"--engine {engine!r} is unknown: use {', '.join(ENGINES)}")
    for name, (value, engines) in options.items():
        if value is not None and engine not in engines:
            raise UsageError(
                f"{name} is for --engine {' or '.join(engines)}: leave it out, or {_instead(name)}"
            )


def _instead(name: str) -> str:
    """Say what one who wants this option with another engine may do."""
    return "start fsrun worker --gpus on the machines themselves" if name == "--gpus" else "add the engine"
