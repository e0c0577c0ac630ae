-- Schema 2 of graph.db. Rows have integer keys that are never used again (AUTOINCREMENT); hashes stand at the edge only.
-- Readers see what has a row in `placement` (HAS_CHUNK) and nothing else.

CREATE TABLE meta (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    job_store  BLOB,                                   -- the one job store that this graph belongs to
    words_to   INTEGER NOT NULL DEFAULT 0              -- entities up to this key have their names in `entity_words`
) STRICT;
INSERT INTO meta (one) VALUES (1);

CREATE TABLE collection (
    key                   INTEGER PRIMARY KEY AUTOINCREMENT,
    name                  TEXT    NOT NULL UNIQUE,
    normaliser            INTEGER NOT NULL,            -- version of the rule that made the entities' keys
    publish_number        INTEGER NOT NULL DEFAULT 0,
    -- Counters of live data, moved in the transaction that changes it; `check` counts them anew.
    documents             INTEGER NOT NULL DEFAULT 0,
    chunks                INTEGER NOT NULL DEFAULT 0,
    entities              INTEGER NOT NULL DEFAULT 0,
    relations             INTEGER NOT NULL DEFAULT 0,
    unplaced_chunks       INTEGER NOT NULL DEFAULT 0,
    quarantined_chunks    INTEGER NOT NULL DEFAULT 0,  -- placed; facts or embedding set aside
    quarantined_embedding INTEGER NOT NULL DEFAULT 0,  -- placed; embedding set aside
    removing              INTEGER,                     -- ticket of the removal: readers see nothing, writers are refused
    removing_total        INTEGER,                     -- documents, chunks and entities that it had
    removing_left         INTEGER
) STRICT;

CREATE TABLE space (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    collection   INTEGER NOT NULL REFERENCES collection,
    model        TEXT    NOT NULL,
    dimension    INTEGER NOT NULL,
    state        INTEGER NOT NULL CHECK (state IN (0, 1, 2)), -- building, active, retired
    live_vectors INTEGER NOT NULL DEFAULT 0,           -- placed chunks with a vector here
    UNIQUE (collection, model, dimension)
) STRICT;
CREATE UNIQUE INDEX space_active ON space (collection) WHERE state = 1;

CREATE TABLE document (
    key                INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 BLOB    NOT NULL UNIQUE,
    collection         INTEGER NOT NULL REFERENCES collection,
    -- Null: chunks were staged, nothing was ever published or deleted.
    seq                INTEGER,
    -- 0 published (or only staged), 1 tombstone of nothing, 2 tombstone of what was published
    deleted            INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1, 2)),
    deleted_at         INTEGER,
    source             TEXT,
    filename           TEXT,
    content_hash       BLOB,
    settings_hash      BLOB,
    settings           TEXT,
    file_size          INTEGER,
    page_count         INTEGER,
    mime_type          TEXT,
    title              TEXT,
    language           TEXT,
    original           TEXT,
    page_text          TEXT,
    quarantined_chunks INTEGER NOT NULL DEFAULT 0,
    chunk_count        INTEGER NOT NULL DEFAULT 0,
    entity_count       INTEGER NOT NULL DEFAULT 0,
    relation_count     INTEGER NOT NULL DEFAULT 0,
    publish_number     INTEGER NOT NULL DEFAULT 0,
    created_at         INTEGER,
    updated_at         INTEGER,
    folded             TEXT                            -- file name, line break, source, in lower case: what lists look through and sort by
) STRICT;
CREATE INDEX document_of_collection ON document (collection);
CREATE INDEX document_listed ON document (collection, updated_at DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_listed_all ON document (updated_at DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_by_birth ON document (collection, created_at DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_by_name ON document (collection, folded DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_by_size ON document (collection, file_size DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_by_chunks ON document (collection, chunk_count DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_seq ON document (seq) WHERE seq IS NOT NULL;
CREATE INDEX document_tombstone ON document (deleted_at) WHERE deleted > 0;
CREATE INDEX document_original ON document (original) WHERE original IS NOT NULL;
CREATE INDEX document_page_text ON document (page_text) WHERE page_text IS NOT NULL;

-- Immutable but for the flag of a quarantined embedding, which a vector that comes later clears.
CREATE TABLE chunk (
    key                   INTEGER PRIMARY KEY AUTOINCREMENT,
    collection            INTEGER NOT NULL,
    id                    BLOB    NOT NULL,
    document              INTEGER NOT NULL,
    flags                 INTEGER NOT NULL,            -- 1 facts set aside, 2 embedding set aside
    token_count           INTEGER NOT NULL,
    content_hash          BLOB    NOT NULL,
    facts                 BLOB    NOT NULL,            -- see facts_column.rs
    text                  TEXT    NOT NULL,
    context               TEXT                         -- what stands before the text where it is embedded
) STRICT;
CREATE UNIQUE INDEX chunk_id ON chunk (collection, id);

CREATE TABLE unplaced (
    document INTEGER NOT NULL,
    chunk    INTEGER NOT NULL,
    PRIMARY KEY (document, chunk)
) STRICT, WITHOUT ROWID;

-- HAS_CHUNK. NEXT_CHUNK is the next index.
CREATE TABLE placement (
    chunk        INTEGER PRIMARY KEY,
    document     INTEGER NOT NULL,
    chunk_index  INTEGER NOT NULL,
    start_char   INTEGER NOT NULL,
    end_char     INTEGER NOT NULL,
    page_start   INTEGER NOT NULL,
    page_end     INTEGER NOT NULL,
    heading_path BLOB    NOT NULL,
    published_at INTEGER NOT NULL                      -- publish number that placed it or last gave it a vector
) STRICT;
CREATE INDEX placement_order ON placement (document, chunk_index);
CREATE INDEX placement_published ON placement (published_at);

-- One integer holds space and chunk (see vectors.rs), so that a row is found by its rowid and wide rows need no index page.
CREATE TABLE vector (
    key    INTEGER PRIMARY KEY,
    vector BLOB NOT NULL                               -- f32, little-endian
) STRICT;

-- Folds.
CREATE TABLE entity (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    mentions   INTEGER NOT NULL,
    documents  INTEGER NOT NULL,
    fold       BLOB    NOT NULL,
    normalised TEXT    NOT NULL,
    -- What lists filter and sort by; all of it follows from the fold. Bands (see entity_order.rs) change seldom, so that their indexes do.
    type         TEXT    NOT NULL DEFAULT '',          -- the most voted one
    weight       INTEGER NOT NULL DEFAULT 0,           -- mentions times documents: rises as importance does
    weight_band  INTEGER NOT NULL DEFAULT 1,
    mention_band INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE UNIQUE INDEX entity_id ON entity (collection, id);
CREATE INDEX entity_named ON entity (collection, normalised);
CREATE INDEX entity_weighed ON entity (collection, weight_band DESC, id) WHERE weight_band > 1;
CREATE INDEX entity_mentioned ON entity (collection, mention_band DESC, id) WHERE mention_band > 1;
CREATE INDEX entity_of_type ON entity (collection, type);
-- Which names have three characters in a row (see names.rs): finds the few that a rare part can mean; `normalised` decides. New
-- names come in many at once; until then readers look through them.
CREATE VIRTUAL TABLE entity_words USING fts5 (words, content = '', contentless_delete = 1, tokenize = 'trigram', detail = 'none');

CREATE TABLE relation (
    source     INTEGER NOT NULL,
    target     INTEGER NOT NULL,
    support    INTEGER NOT NULL,
    strength   INTEGER NOT NULL,                       -- millionths
    fold       BLOB    NOT NULL,
    PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX relation_target ON relation (target, source);

-- CONTAINS_ENTITY of placed chunks, made from their facts. The document comes first, so that a publication writes to one place and not to as
-- many as it has entities.
CREATE TABLE contains (
    document INTEGER NOT NULL,
    entity   INTEGER NOT NULL,
    chunk    INTEGER NOT NULL,
    mentions INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (document, entity, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX contains_entity ON contains (entity, document, chunk);

-- Alias evidence of placed chunks: the chunk's text defines the one as the short form of the other.
CREATE TABLE alias (
    short INTEGER NOT NULL,
    long  INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    PRIMARY KEY (short, long, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_long ON alias (long, short, chunk);

-- How many statements of a relation a document's placed chunks have.
CREATE TABLE document_relation (
    document   INTEGER NOT NULL,
    source     INTEGER NOT NULL,
    target     INTEGER NOT NULL,
    statements INTEGER NOT NULL,
    PRIMARY KEY (document, source, target)
) STRICT, WITHOUT ROWID;

-- Descriptions of placed facts in the order in which a fold prefers them (rank is negated), so that the best few are read without the rest.
CREATE TABLE entity_text (
    entity INTEGER NOT NULL,
    rank   INTEGER NOT NULL,
    hash   INTEGER NOT NULL,
    chunk  INTEGER NOT NULL,
    PRIMARY KEY (entity, rank, hash, chunk)
) STRICT, WITHOUT ROWID;
CREATE TABLE relation_text (
    source INTEGER NOT NULL,
    target INTEGER NOT NULL,
    rank   INTEGER NOT NULL,
    hash   INTEGER NOT NULL,
    chunk  INTEGER NOT NULL,
    PRIMARY KEY (source, target, rank, hash, chunk)
) STRICT, WITHOUT ROWID;

-- Layers.
CREATE TABLE layer (
    collection INTEGER NOT NULL REFERENCES collection,
    layer      INTEGER NOT NULL,
    run        INTEGER NOT NULL DEFAULT 0,
    finished   INTEGER NOT NULL DEFAULT 0,             -- the last run that was finished
    generation INTEGER NOT NULL DEFAULT 0,             -- what readers see
    stands_at  INTEGER NOT NULL DEFAULT 0,
    parameters TEXT    NOT NULL DEFAULT '{}',
    PRIMARY KEY (collection, layer)
) STRICT, WITHOUT ROWID;

CREATE TABLE similarity (
    collection INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    chunk      INTEGER NOT NULL,
    cut_at     REAL,
    neighbours BLOB    NOT NULL,                       -- see layers.rs
    PRIMARY KEY (collection, generation, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE community (
    collection INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    level      INTEGER NOT NULL,
    parent     BLOB,
    title      TEXT    NOT NULL,
    summary    TEXT    NOT NULL,
    share      INTEGER NOT NULL,                       -- of the modularity, in millionths
    members    BLOB    NOT NULL,
    size       INTEGER NOT NULL DEFAULT 0,             -- live members
    PRIMARY KEY (collection, generation, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX community_listed ON community (collection, generation, level, size DESC, id);
CREATE INDEX community_child ON community (collection, generation, parent, size DESC, id) WHERE parent IS NOT NULL;

-- In which communities a live entity is, one a level. Written with the communities; goes with the entity.
CREATE TABLE community_member (
    collection INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    entity     INTEGER NOT NULL,
    level      INTEGER NOT NULL,
    community  BLOB    NOT NULL,
    PRIMARY KEY (collection, generation, entity, level)
) STRICT, WITHOUT ROWID;
