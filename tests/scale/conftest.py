"""A real cluster of three nodes on this machine, for tests in which some of it is lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Give a cluster of three nodes on this machine: the driver's, which has no place for an actor, and two others."""
    import ray
    from ray.cluster_utils import Cluster

    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # Nodes are started with this process's environment; their actors are to find these tests.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent / "src")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 0, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args=head)
        stack.callback(started.shutdown)
        for _ in range(2):
            started.add_node(num_cpus=1)
        ray.init(address=started.address, log_to_driver=False)
        stack.callback(ray.shutdown)
        yield started


@pytest.fixture
def nodes(cluster: Any) -> Any:
    """Give the cluster with two nodes for actors, whatever a test before has done to it."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(num_cpus=1)
    return cluster
