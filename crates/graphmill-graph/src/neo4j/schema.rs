//! Constraints and indexes, all on our own labels and on relationship properties of ours; made at start, whatever is there already, and waited for.

use std::time::Duration;

use super::{Neo4jConnection, Params};
use crate::{Error, Result};

/// Schema that this version writes.
pub(super) const SCHEMA_VERSION: i64 = 1;
/// A new index over a graph that is there already takes its time.
const INDEXES_ONLINE: Duration = Duration::from_secs(600);

/// One a node label and property: an id is there once.
const UNIQUE: &[(&str, &str, &str)] = &[
    ("gm_store_id", "GmStore", "id"),
    ("gm_collection_name", "GmCollection", "name"),
    ("gm_gate_collection", "GmGate", "collection"),
    ("gm_space_id", "GmSpace", "id"),
    ("gm_document_id", "GmDocument", "id"),
    ("gm_chunk_id", "GmChunk", "id"),
    ("gm_entity_id", "GmEntity", "id"),
    ("gm_layer_key", "GmLayer", "key"),
    ("gm_community_key", "GmCommunity", "key"),
];

/// Range indexes: name, label, properties in their order. An index is read one way for all its properties: what is listed with the greatest first and then by
/// id has its number with the other sign (`gm_by_…`). The server reads in the order of an index only when `ORDER BY` begins with the index's first property, even where
/// that is one value; otherwise it reads the whole collection for each page.
const RANGE: &[(&str, &str, &str)] = &[
    ("gm_space_collection", "GmSpace", "n.collection"),
    ("gm_document_of", "GmDocument", "n.collection"),
    ("gm_document_collection", "GmDocument", "n.collection, n.gm_order"),
    ("gm_document_updated", "GmDocument", "n.collection, n.gm_by_updated, n.gm_order"),
    ("gm_document_updated_anywhere", "GmDocument", "n.gm_by_updated, n.gm_order"),
    ("gm_document_seq", "GmDocument", "n.seq"),
    ("gm_document_tombstone", "GmDocument", "n.deleted_at"),
    ("gm_document_original", "GmDocument", "n.original"),
    ("gm_document_page_text", "GmDocument", "n.page_text"),
    ("gm_chunk_order", "GmChunk", "n.collection, n.gm_order"),
    ("gm_chunk_position", "GmChunk", "n.collection, n.position"),
    ("gm_chunk_unplaced", "GmChunk", "n.unplaced_of"),
    ("gm_chunk_unplaced_in", "GmChunk", "n.collection, n.unplaced_of"),
    ("gm_entity_order", "GmEntity", "n.collection, n.gm_order"),
    ("gm_entity_weight", "GmEntity", "n.collection, n.gm_by_weight, n.gm_order"),
    ("gm_entity_mentions", "GmEntity", "n.collection, n.gm_by_mentions, n.gm_order"),
    ("gm_entity_name", "GmEntity", "n.collection, n.normalised, n.gm_order"),
    ("gm_entity_type", "GmEntity", "n.collection, n.type"),
    ("gm_similarity_position", "GmSimilarity", "n.collection, n.generation, n.position"),
    ("gm_similarity_chunk", "GmSimilarity", "n.chunk"),
    ("gm_community_listed", "GmCommunity", "n.collection, n.generation, n.level, n.gm_by_size, n.gm_order"),
    ("gm_community_child", "GmCommunity", "n.collection, n.generation, n.parent, n.gm_by_size, n.gm_order"),
    ("gm_community_order", "GmCommunity", "n.collection, n.generation, n.level, n.gm_order"),
];

/// Range indexes of relationships, on properties that are ours.
const RELATIONSHIPS: &[(&str, &str, &str)] = &[
    ("gm_contains_position", "CONTAINS_ENTITY", "r.gm_entity, r.gm_position"),
    ("gm_place_index", "HAS_CHUNK", "r.gm_document, r.chunk_index"),
    ("gm_relation_key", "RELATED_TO", "r.gm_key"),
    ("gm_contains_rank", "CONTAINS_ENTITY", "r.gm_entity, r.gm_rank"),
    ("gm_alias_short", "GM_ALIAS", "r.short"),
    ("gm_alias_chunk", "GM_ALIAS", "r.chunk"),
];

/// The rest, as statements.
const OTHERS: [&str; 2] = [
    "CREATE TEXT INDEX gm_entity_name_parts IF NOT EXISTS FOR (n:GmEntity) ON (n.normalised)",
    // Words that are cut already, and ids, by which a search is narrowed.
    "CREATE FULLTEXT INDEX gm_chunk_text IF NOT EXISTS FOR (n:GmChunk) ON EACH [n.gm_words, n.collection, n.document_id, n.id] \
     OPTIONS {indexConfig: {`fulltext.analyzer`: 'whitespace', `fulltext.eventually_consistent`: false}}",
];

/// Makes what is missing and waits until it can be used; refuses a graph of a newer version.
pub(super) async fn bring_up(neo4j: &Neo4jConnection) -> Result<()> {
    for (name, label, property) in UNIQUE {
        let query = format!("CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.{property} IS UNIQUE");
        neo4j.statement(query, Params::new()).await?;
    }
    for (name, label, properties) in RANGE {
        let query = format!("CREATE INDEX {name} IF NOT EXISTS FOR (n:{label}) ON ({properties})");
        neo4j.statement(query, Params::new()).await?;
    }
    for (name, kind, properties) in RELATIONSHIPS {
        let query = format!("CREATE INDEX {name} IF NOT EXISTS FOR ()-[r:{kind}]-() ON ({properties})");
        neo4j.statement(query, Params::new()).await?;
    }
    for query in OTHERS {
        neo4j.statement(query, Params::new()).await?;
    }
    wait_for_indexes(neo4j).await?;
    let found: i64 = neo4j
        .write(|tx| {
            let query = "MERGE (s:GmStore {id: 'store'}) ON CREATE SET s.schema = $schema, s.next_space = 1 \
                         RETURN s.schema AS schema";
            tx.one(query, Params::new().set("schema", SCHEMA_VERSION))?.take("schema")
        })
        .await?;
    if found > SCHEMA_VERSION {
        return Err(Error::Unusable(format!(
            "the graph was written by a newer version of graphmill (schema {found}; this version knows {SCHEMA_VERSION}); \
             start that version, or use another database"
        )));
    }
    Ok(())
}

/// Waits until every index can be used.
pub(super) async fn wait_for_indexes(neo4j: &Neo4jConnection) -> Result<()> {
    let patient = neo4j.with_answer_timeout(INDEXES_ONLINE + Duration::from_secs(5));
    let params = Params::new().set("seconds", INDEXES_ONLINE.as_secs());
    patient.statement("CALL db.awaitIndexes($seconds)", params).await.map(drop)
}
