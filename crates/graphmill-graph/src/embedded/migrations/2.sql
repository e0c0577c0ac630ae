-- From schema 1 to schema 2 of graph.db.

-- Collections that are being removed.
ALTER TABLE collection ADD COLUMN removing INTEGER;
ALTER TABLE collection ADD COLUMN removing_total INTEGER;
ALTER TABLE collection ADD COLUMN removing_left INTEGER;
CREATE INDEX document_of_collection ON document (collection);
