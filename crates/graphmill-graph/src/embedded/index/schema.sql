-- graph.search.db: derived from graph.db, for searches alone. Nothing in it is told to anybody without a look into graph.db; it may be removed at any
-- time and is made again. A file of another format is made anew too.
CREATE TABLE meta (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    job_store BLOB,                                    -- whose graph it was made from
    text_to   INTEGER NOT NULL DEFAULT 0               -- chunks up to this key are in segments
) STRICT;
INSERT INTO meta (one) VALUES (1);

-- A run of chunks, in the order of their keys, with their words.
CREATE TABLE text_segment (
    segment    INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    chunks     INTEGER NOT NULL,
    words      INTEGER NOT NULL,                       -- in all of them together
    members    BLOB    NOT NULL                        -- keys and lengths (see postings.rs)
) STRICT;
CREATE INDEX text_segment_collection ON text_segment (collection, segment);

CREATE TABLE posting (
    segment INTEGER NOT NULL,
    term    TEXT    NOT NULL,
    chunks  INTEGER NOT NULL,                          -- that have the word
    list    BLOB    NOT NULL,
    PRIMARY KEY (segment, term)
) STRICT, WITHOUT ROWID;

CREATE TABLE vector_space (
    space     INTEGER PRIMARY KEY,
    stands_at INTEGER NOT NULL,                        -- publish number up to which vectors are in blocks
    vectors   INTEGER NOT NULL                         -- in the blocks, those of chunks that are gone too
) STRICT;

CREATE TABLE vector_block (
    block    INTEGER PRIMARY KEY AUTOINCREMENT,
    space    INTEGER NOT NULL,
    vectors  INTEGER NOT NULL,
    checksum BLOB    NOT NULL,
    codes    BLOB    NOT NULL                          -- see codes.rs
) STRICT;
CREATE INDEX vector_block_space ON vector_block (space, block);
