"""Many workers: processes on this machine, or actors of Ray Data on all that a cluster has."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ssnan.cluster.catalog import Catalog, CatalogError, Shard, Written
from ssnan.cluster.isolation import Isolation, Recipe


class ShardParser:
    """Parses and writes shards, in a child process; an actor of Ray's, or one of several threads.

    Args:
        recipe: how.
        catalog: where results go.
        patience: of :class:`Isolation`.
    """

    def __init__(self, recipe: Recipe, catalog: Catalog, patience: float) -> None:
        self.isolation = Isolation(recipe, patience)
        self.catalog = catalog

    def parse(self, shard: Shard) -> Written:
        return self.catalog.write(shard, self.isolation.parse(shard.items))

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """:meth:`parse` as Ray Data calls it; what goes between machines is pickled."""
        return {"written": pickle.dumps(self.parse(pickle.loads(row["shard"])))}


def in_processes(
    shards: Sequence[Shard], recipe: Recipe, catalog: Catalog, workers: int, patience: float
) -> Generator[Written, None, None]:
    """Parse with ``workers`` processes on this machine, and yield shards as they are finished."""
    own, begun = threading.local(), []

    def parse(shard: Shard) -> Written:
        if not hasattr(own, "parser"):
            own.parser = ShardParser(recipe, catalog, patience)
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
            for parser in begun:  # given up, children that are at work end the threads which wait for them
                parser.isolation.close()


def on_ray(
    shards: Sequence[Shard], recipe: Recipe, catalog: Catalog, workers: int | None, patience: float, address: str
) -> Generator[Written, None, None]:
    """Parse with Ray Data, one actor of ``recipe.threads`` cores a worker, and yield shards as they are finished. What
    dies with a worker or a node Ray parses again.

    Args:
        workers: how many; as many as the cluster has room for if None.
        address: of the cluster; empty for one that runs on this machine, or else begins here.

    Raises:
        CatalogError: there is no such cluster, or it cannot do this.
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
        cores = recipe.threads or 1
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
        rows = [{"shard": pickle.dumps(shard)} for shard in shards]
        data = ray.data.from_items(rows, override_num_blocks=len(rows))
        actors = ray.data.ActorPoolStrategy(size=min(most, len(rows)))
        arguments = (recipe, catalog, patience)
        parsed = data.map(ShardParser, fn_constructor_args=arguments, compute=actors, num_cpus=cores)
        for row in parsed.iter_rows():
            yield pickle.loads(row["written"])
    except ray.exceptions.RayError as error:
        raise CatalogError(f"Ray gave up: {str(error).strip().splitlines()[-1]}") from None
    finally:
        if begun:
            ray.shutdown()
