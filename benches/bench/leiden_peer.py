"""igraph and leidenalg beside us: answers requests about one graph, a JSON line each. Runs in the peers' environment (bench/peers.py).

usage: leiden_peer.py EDGES NODES [PLANTED] — requests on standard input: `igraph SEED`, `leidenalg SEED`, `judge MEMBERSHIP_FILE`.
"""

import json
import sys
import time

import igraph
import leidenalg
import numpy

# Until nothing is gained any more, as we do.
ITERATIONS = -1


def timed(work):
    wall, cpu = time.perf_counter(), time.process_time()
    membership = work()
    return membership, {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


class Judge:
    """One measure for all: igraph's own."""

    def __init__(self, graph, weights, planted):
        self._graph, self._weights, self._planted = graph, weights, planted

    def __call__(self, membership):
        clustering = igraph.VertexClustering(self._graph, membership)
        in_pieces = sum(not self._graph.induced_subgraph(nodes).is_connected() for nodes in clustering if len(nodes) > 1)
        answer = {
            "modularity": self._graph.modularity(membership, weights=self._weights),
            "communities": len(clustering),
            "in_pieces": in_pieces,
        }
        if self._planted:
            answer["nmi"] = igraph.compare_communities(membership, self._planted, method="nmi")
        return answer


def main():
    edges = numpy.fromfile(sys.argv[1], "<u4").reshape(-1, 3)
    graph = igraph.Graph(n=int(sys.argv[2]), edges=edges[:, :2])
    # Without weights the peers are quicker where all are 1.
    weights = None if (edges[:, 2] == 1).all() else [float(weight) for weight in edges[:, 2]]
    planted = numpy.fromfile(sys.argv[3], "<u4").tolist() if len(sys.argv) > 3 else None
    judge = Judge(graph, weights, planted)
    # igraph's own generator in C; Python's, its default here, makes it slower.
    igraph.set_random_number_generator(None)

    def by_igraph():
        return graph.community_leiden(objective_function="modularity", weights=weights, n_iterations=ITERATIONS).membership

    def by_leidenalg(seed):
        kind = leidenalg.ModularityVertexPartition
        return leidenalg.find_partition(graph, kind, weights=weights, n_iterations=ITERATIONS, seed=seed).membership

    for line in sys.stdin:
        what, argument = line.split(maxsplit=1)
        argument = argument.strip()
        times = {}
        if what == "igraph":
            membership, times = timed(by_igraph)
        elif what == "leidenalg":
            membership, times = timed(lambda: by_leidenalg(int(argument)))
        elif what == "judge":
            membership = numpy.fromfile(argument, "<u4").tolist()
        else:
            sys.exit(f"{what!r} is no request; igraph, leidenalg and judge are")
        print(json.dumps(times | judge(membership)), flush=True)


if __name__ == "__main__":
    main()
