"""faiss's exact index beside us, and the judge of both. Runs in the peers' environment (bench/peers.py).

usage: faiss_peer.py find VECTORS DIMENSION NEIGHBOURS THREADS RESULT — the nearest rows of each row by inner product; VECTORS are rows of
    length 1 (32-bit floats). Prints a JSON line of what it took without the reading of files, and writes row numbers (32 bits), NEIGHBOURS a
    row, best first, the row itself left out.
faiss_peer.py judge VECTORS DIMENSION NEIGHBOURS RESULT — the recall of a RESULT, over up to 2,000 rows, by products in 64 bits.
"""

import json
import sys
import time

import faiss
import numpy

JUDGED = 2_000
# A score of ours is a whole millionth: rows that are this near to each other are equally good.
SAME = 1e-6


def find(matrix, neighbours, threads, result):
    faiss.omp_set_num_threads(threads)
    wall, cpu = time.perf_counter(), time.process_time()
    index = faiss.IndexFlatIP(matrix.shape[1])
    index.add(matrix)
    # One more, since each row finds itself.
    _, found = index.search(matrix, neighbours + 1)
    times = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    # The row itself goes out; where equal rows pushed it out, the last.
    is_other = found != numpy.arange(len(matrix))[:, None]
    is_other[is_other.all(axis=1), -1] = False
    found[is_other].astype("<u4").tofile(result)
    return times


def judge(matrix, neighbours, result):
    """The share of the true neighbours' places that hold a row as near as they are."""
    found = numpy.fromfile(result, "<u4").reshape(len(matrix), neighbours)
    exact = matrix.astype("f8")
    exact /= numpy.linalg.norm(exact, axis=1)[:, None]
    right = 0
    judged = numpy.linspace(0, len(matrix) - 1, min(JUDGED, len(matrix))).astype(int)
    for row in judged:
        scores = exact @ exact[row]
        scores[row] = -numpy.inf
        least = numpy.partition(scores, -neighbours)[-neighbours]
        others = numpy.unique(found[row])
        right += int((scores[others[others < len(matrix)]] >= least - SAME).sum())
    return {"recall": right / (len(judged) * neighbours)}


def main():
    what, vectors, dimension, neighbours, *rest = sys.argv[1:]
    matrix = numpy.fromfile(vectors, "<f4").reshape(-1, int(dimension))
    if what == "find":
        threads, result = rest
        print(json.dumps(find(matrix, int(neighbours), int(threads), result)))
    elif what == "judge":
        print(json.dumps(judge(matrix, int(neighbours), *rest)))
    else:
        sys.exit(f"{what!r} is no request; find and judge are")


if __name__ == "__main__":
    main()
