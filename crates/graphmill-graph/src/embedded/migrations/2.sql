-- From schema 1 to schema 2 of graph.db.

-- Collections that are being removed.
ALTER TABLE collection ADD COLUMN removing INTEGER;
ALTER TABLE collection ADD COLUMN removing_total INTEGER;
ALTER TABLE collection ADD COLUMN removing_left INTEGER;
CREATE INDEX document_of_collection ON document (collection);

-- Lists of documents, entities and communities. What is counted from facts and folds is counted by functions of ours (upgrade_functions.rs).
ALTER TABLE document ADD COLUMN folded TEXT;
UPDATE document SET folded = gm_lower(filename) || char(10) || gm_lower(source) WHERE filename IS NOT NULL;
CREATE INDEX document_by_birth ON document (collection, created_at DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_by_name ON document (collection, folded DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_by_size ON document (collection, file_size DESC, id) WHERE updated_at IS NOT NULL;
CREATE INDEX document_by_chunks ON document (collection, chunk_count DESC, id) WHERE updated_at IS NOT NULL;

ALTER TABLE entity ADD COLUMN type TEXT NOT NULL DEFAULT '';
ALTER TABLE entity ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entity ADD COLUMN weight_band INTEGER NOT NULL DEFAULT 1;
ALTER TABLE entity ADD COLUMN mention_band INTEGER NOT NULL DEFAULT 1;
UPDATE entity SET type = gm_entity_type(fold), weight = mentions * documents, weight_band = gm_band(mentions * documents),
    mention_band = gm_band(mentions);
CREATE INDEX entity_named ON entity (collection, normalised);
CREATE INDEX entity_weighed ON entity (collection, weight_band DESC, id) WHERE weight_band > 1;
CREATE INDEX entity_mentioned ON entity (collection, mention_band DESC, id) WHERE mention_band > 1;
CREATE INDEX entity_of_type ON entity (collection, type);
CREATE VIRTUAL TABLE entity_words USING fts5 (words, content = '', contentless_delete = 1, tokenize = 'trigram', detail = 'none');
INSERT INTO entity_words (rowid, words) SELECT key, gm_name_words(normalised) FROM entity;
ALTER TABLE meta ADD COLUMN words_to INTEGER NOT NULL DEFAULT 0;
UPDATE meta SET words_to = (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entity');

ALTER TABLE contains ADD COLUMN mentions INTEGER NOT NULL DEFAULT 1;
UPDATE contains SET mentions = gm_mentions(
    (SELECT facts FROM chunk WHERE chunk.key = contains.chunk), (SELECT id FROM entity WHERE entity.key = contains.entity));
CREATE INDEX contains_entity ON contains (entity, document, chunk);

CREATE TABLE alias (
    short INTEGER NOT NULL,
    long  INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    PRIMARY KEY (short, long, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_long ON alias (long, short, chunk);
INSERT OR IGNORE INTO alias (short, long, chunk)
    SELECT s.key, l.key, c.key FROM placement p CROSS JOIN chunk c ON c.key = p.chunk CROSS JOIN json_each(gm_aliases(c.facts)) a
    CROSS JOIN entity s ON s.collection = c.collection AND s.id = unhex(a.value ->> 0)
    CROSS JOIN entity l ON l.collection = c.collection AND l.id = unhex(a.value ->> 1);

-- No version with schema 1 had a job that makes communities; what a test may have left has no members to look up.
DELETE FROM community;
DELETE FROM layer WHERE layer = 2;
ALTER TABLE community ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
CREATE INDEX community_listed ON community (collection, generation, level, size DESC, id);
CREATE INDEX community_child ON community (collection, generation, parent, size DESC, id) WHERE parent IS NOT NULL;
CREATE TABLE community_member (
    collection INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    entity     INTEGER NOT NULL,
    level      INTEGER NOT NULL,
    community  BLOB    NOT NULL,
    PRIMARY KEY (collection, generation, entity, level)
) STRICT, WITHOUT ROWID;

-- What was published after a number, for what is derived from it.
CREATE INDEX placement_published ON placement (published_at);

-- What stands before the text where a chunk is embedded; of older chunks it is not known.
ALTER TABLE chunk ADD COLUMN context TEXT;
