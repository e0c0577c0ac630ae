#!/usr/bin/env python3
"""Whether `text` ranks as a BM25 library does: bm25s (PyPI), method "lucene", k1 = 1.2, b = 0.75, its words being runs of letters and digits in lower case.

usage: ranking.py PROGRAM TEXT WORK [PAGES] [QUERIES] — cuts TEXT into PAGES (2000) pages of about 2,500 characters, asks QUERIES (500) queries of one to six
words of a page, and compares the ten best of both.

Measures, each the mean over all queries:
- nDCG@10: the library's score is the gain of a page, its own ranking the ideal one. 1 means that our ten are as good as its ten.
- overlap@10: the share of its ten that are among ours; pages whose score by the library equals that of its tenth count as among its ten.
"""

import json
import math
import pathlib
import random
import re
import subprocess
import sys

import bm25s

WORD = re.compile(r"[^\W_]+")
TARGET = 0.98


def pages_of(text, count):
    words = text.split()
    pages, page, length = [], [], 0
    for word in words:
        page.append(word)
        length += len(word) + 1
        if length >= 2_500:
            pages.append(" ".join(page))
            page, length = [], 0
            if len(pages) == count:
                break
    if len(pages) < count:
        sys.exit(f"the text has {len(pages)} pages of the {count} that were asked for")
    return pages


def queries_of(pages, count):
    chance = random.Random(7)
    queries = []
    while len(queries) < count:
        words = WORD.findall(chance.choice(pages))
        start, length = chance.randrange(max(1, len(words) - 6)), chance.randint(1, 6)
        query = " ".join(words[start:start + length])
        if query:
            queries.append(query)
    return queries


def main():
    program, text, work = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 2000
    asked = int(sys.argv[5]) if len(sys.argv) > 5 else 500
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    pages = pages_of(pathlib.Path(text).read_text(encoding="utf-8"), count)
    queries = queries_of(pages, asked)
    (work / "pages.txt").write_text("\n".join(pages) + "\n", encoding="utf-8")
    (work / "queries.txt").write_text("\n".join(queries) + "\n", encoding="utf-8")
    ours = subprocess.run(
        [program, "rank", work / "graph", work / "pages.txt", work / "queries.txt"], check=True, capture_output=True, text=True
    ).stdout.splitlines()

    words = [[word.lower() for word in WORD.findall(page)] for page in pages]
    library = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    library.index(words, show_progress=False)
    gains, overlaps = [], []
    for query, line in zip(queries, ours, strict=True):
        tokens = sorted({word.lower() for word in WORD.findall(query)})
        scores = library.get_scores(tokens)
        best = sorted((float(score) for score in scores), reverse=True)[:10]
        best = [score for score in best if score > 0]
        found = [float(scores[int(number)]) for number in line.split()]
        ideal = sum(score / math.log2(place + 2) for place, score in enumerate(best))
        if ideal == 0:
            continue
        gains.append(sum(score / math.log2(place + 2) for place, score in enumerate(found)) / ideal)
        overlaps.append(sum(score >= best[-1] * (1 - 1e-6) for score in found) / len(best))
    for name, values in (("nDCG@10", gains), ("overlap@10", overlaps)):
        mean = sum(values) / len(values)
        print(json.dumps({"figure": f"text beside bm25s, {name}", "value": round(mean, 4), "target": f">= {TARGET}", "ok": mean >= TARGET}))
    if min(sum(values) / len(values) for values in (gains, overlaps)) < TARGET:
        sys.exit(1)


if __name__ == "__main__":
    main()
