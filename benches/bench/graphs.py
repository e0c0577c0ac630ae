"""Graphs for `benches/leiden`, the same at each run: a file of edges (source, target, weight; 32 bits each) and, where communities were
planted, the community of each node."""

import array
import itertools
import pathlib
import random
import re
import sys


class GraphFile:
    """A graph on disk."""

    def __init__(self, folder, name):
        self.name = name
        self.edges = pathlib.Path(folder) / f"{name}.edges"
        self.planted = pathlib.Path(folder) / f"{name}.planted"
        self._nodes = pathlib.Path(folder) / f"{name}.nodes"

    @property
    def nodes(self):
        return int(self._nodes.read_text())

    def is_whole(self):
        """The number of nodes is written last."""
        return self._nodes.exists()

    def write(self, nodes, edges, planted=None):
        """`edges` are triples."""
        _write(self.edges, itertools.chain.from_iterable(sorted(edges)))
        if planted is not None:
            _write(self.planted, planted)
        self._nodes.write_text(str(nodes))


def _write(path, numbers):
    words = array.array("I", numbers)
    if sys.byteorder == "big":
        words.byteswap()
    path.write_bytes(words.tobytes())


def _power_law(chance, exponent, low, high):
    """A whole number from `low` to `high` whose density falls with this exponent."""
    if exponent == 1:
        return int(low * ((high + 1) / low) ** chance.random())
    power = 1 - exponent
    a, b = low**power, (high + 1) ** power
    return int((a + (b - a) * chance.random()) ** (1 / power))


def planted(nodes, mixing, seed=1):
    """A benchmark graph of Lancichinetti, Fortunato and Radicchi (2008, doi 10.1103/PhysRevE.78.046110): degrees fall with exponent 2 up to
    50 and are 20 in the mean, communities with exponent 1 from 20 to 100; each node has the share `mixing` of its edges outside of its
    community. Stubs are joined at random; what would be a loop or a second edge is shuffled again a few times, then dropped.
    """
    chance = random.Random(f"{nodes} {mixing} {seed}")
    # With the least degree 11 the mean of the law is 20.
    degrees = [_power_law(chance, 2, 11, 50) for _ in range(nodes)]
    community_of, sizes = [], []
    while len(community_of) < nodes:
        size = min(_power_law(chance, 1, 20, 100), nodes - len(community_of))
        if size < 20 and sizes:
            community_of += [len(sizes) - 1] * size
        else:
            community_of += [len(sizes)] * size
            sizes.append(size)
    chance.shuffle(community_of)
    members = [[] for _ in sizes]
    for node, community in enumerate(community_of):
        members[community].append(node)
    inside, outside = [[] for _ in sizes], []
    for node, degree in enumerate(degrees):
        # Rounded at random, so that the mean is right.
        within = min(int(degree * (1 - mixing) + chance.random()), len(members[community_of[node]]) - 1)
        inside[community_of[node]] += [node] * within
        outside += [node] * (degree - within)
    edges = set()
    for stubs in inside:
        _join(chance, stubs, edges, lambda a, b: True)
    _join(chance, outside, edges, lambda a, b: community_of[a] != community_of[b])
    return nodes, [(a, b, 1) for a, b in edges], community_of


def _join(chance, stubs, edges, may):
    for _ in range(20):
        chance.shuffle(stubs)
        left = []
        for a, b in zip(stubs[::2], stubs[1::2]):
            edge = (min(a, b), max(a, b))
            if a != b and edge not in edges and may(a, b):
                edges.add(edge)
            else:
                left += [a, b]
        stubs = left
        if len(stubs) < 2:
            return


def power_law(nodes, new_edges, seed=1):
    """Barabási and Albert (1999, doi 10.1126/science.286.5439.509): each new node has edges to `new_edges` others, rather to those that have
    many; no communities. Weights from 1 to 10."""
    chance = random.Random(f"{nodes} {new_edges} {seed}")
    ends, edges = list(range(new_edges)), []
    for node in range(new_edges, nodes):
        others = set()
        while len(others) < new_edges:
            others.add(chance.choice(ends))
        for other in sorted(others):
            edges.append((other, node, chance.randint(1, 10)))
            ends += [other, node]
    return nodes, edges, None


WORD = re.compile(r"[^\W\d_]{4,}")


def words(text, most_words=4_000):
    """Words of a text that stand together: the weight of an edge says in how many lines. Words by frequency, without the hundred most
    frequent, which stand with all."""
    lines = [WORD.findall(line.lower()) for line in text.splitlines()]
    counts = {}
    for word in itertools.chain.from_iterable(lines):
        counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[100 : 100 + most_words]
    number = {word: i for i, word in enumerate(ranked)}
    weights = {}
    for line in lines:
        present = sorted({number[word] for word in line if word in number})
        for pair in itertools.combinations(present, 2):
            weights[pair] = weights.get(pair, 0) + 1
    return len(ranked), [(a, b, weight) for (a, b), weight in weights.items()], None
