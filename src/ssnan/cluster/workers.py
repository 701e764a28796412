"""Workers: local processes, or Ray Data actors on a cluster."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ssnan.cluster.catalog import Catalog, CatalogError, Shard, Written
from ssnan.cluster.isolation import Isolation, ParseOptions


class ShardParser:
    """Parse and write shards with a child process; runs in a Ray actor or a thread.

    Args:
        options: how to parse.
        catalog: where to write results.
        patience: see :class:`Isolation`.
    """

    def __init__(self, options: ParseOptions, catalog: Catalog, patience: float) -> None:
        self.isolation = Isolation(options, patience)
        self.catalog = catalog

    def parse(self, shard: Shard) -> Written:
        return self.catalog.write(shard, self.isolation.parse(shard.items))

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """:meth:`parse` for Ray Data, with pickled arguments and results."""
        return {"written": pickle.dumps(self.parse(pickle.loads(row["shard"])))}


def in_processes(
    shards: Sequence[Shard], options: ParseOptions, catalog: Catalog, workers: int, patience: float
) -> Generator[Written, None, None]:
    """Parse with ``workers`` local processes; yields finished shards."""
    own, begun = threading.local(), []

    def parse(shard: Shard) -> Written:
        if not hasattr(own, "parser"):
            own.parser = ShardParser(options, catalog, patience)
            begun.append(own.parser)
        parser: ShardParser = own.parser
        return parser.parse(shard)

    waiting: Iterator[Shard] = iter(shards)
    with ThreadPoolExecutor(workers) as threads:
        try:
            running: set[Future[Written]] = {
                threads.submit(parse, shard) for _, shard in zip(range(workers), waiting, strict=False)
            }
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {threads.submit(parse, shard) for _, shard in zip(finished, waiting, strict=False)}
                for future in finished:
                    yield future.result()
        finally:
            for parser in begun:  # closing the children ends the threads that wait for them
                parser.isolation.close()


def on_ray(
    shards: Sequence[Shard], options: ParseOptions, catalog: Catalog, workers: int | None, patience: float, address: str
) -> Generator[Written, None, None]:
    """Parse with Ray Data; yields finished shards. Each worker is an actor with ``options.threads`` cores. Ray repeats
    the shards of a lost worker or node.

    Args:
        workers: number of workers; as many as the cluster has room for if None.
        address: address of the cluster; empty for a local cluster, which is started if necessary.

    Raises:
        CatalogError: there is no such cluster, or it fails.
    """
    if not shards:
        return
    import ray
    import ray.data
    import ray.exceptions

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    begun = not ray.is_initialized()
    try:
        if begun:
            ray.init(address=address or None, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        raise CatalogError(f"no Ray cluster at {address or 'this machine'}: {error}") from None
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        cores = options.threads or 1
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
        rows = [{"shard": pickle.dumps(shard)} for shard in shards]
        data = ray.data.from_items(rows, override_num_blocks=len(rows))
        actors = ray.data.ActorPoolStrategy(size=min(most, len(rows)))
        arguments = (options, catalog, patience)
        parsed = data.map(ShardParser, fn_constructor_args=arguments, compute=actors, num_cpus=cores)
        for row in parsed.iter_rows():
            yield pickle.loads(row["written"])
    except ray.exceptions.RayError as error:
        raise CatalogError(f"Ray failed: {str(error).strip().splitlines()[-1]}") from None
    finally:
        if begun:
            ray.shutdown()
