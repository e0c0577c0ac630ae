//! Neo4j 5.15 and later as a graph store. This is its ground, the connection: address and credentials ([`Neo4jSettings`]), one pool of
//! connections ([`Neo4jConnection`]), transactions ([`Transaction`]), parameters ([`Params`]) and rows ([`Row`]).
//!
//! ```no_run
//! # use graphmill_graph::neo4j::{Neo4jConnection, Neo4jSettings, Params};
//! # async fn example() -> graphmill_graph::Result<()> {
//! let settings = Neo4jSettings::parse("neo4j://graph.example.org?database=manuals", Some("graphmill"), Some("secret"))?;
//! let neo4j = Neo4jConnection::connect(settings).await?; // refuses an old server, a wrong password, a wrong database
//!
//! let rows = neo4j.read("MATCH (d:GmDocument {id: $id}) RETURN d.title AS title, d.seq AS seq", Params::new().set("id", "doc-1")).await?;
//! let titles = rows.into_iter().map(|mut row| row.take::<String>("title")).collect::<Result<Vec<_>, _>>()?;
//!
//! let chunks = vec![Params::new().set("id", "chk-1").set("embedding", vec![0.25_f32, 0.5])];
//! let written: u64 = neo4j
//!     .write(move |tx| {
//!         tx.run("MATCH (c:GmCollection {name: $name}) SET c.lock = coalesce(c.lock, 0) + 1", Params::new().set("name", "default"))?;
//!         let query = "UNWIND $rows AS row MERGE (c:GmChunk {id: row.id}) SET c.embedding_1 = row.embedding RETURN count(*) AS n";
//!         tx.one(query, Params::new().set("rows", chunks.clone()))?.take("n")
//!     })
//!     .await?;
//!
//! let mut pages = neo4j.pages("MATCH (c:GmChunk) RETURN c.id AS id", Params::new(), 1_000);
//! while let Some(rows) = pages.next().await? {
//!     // The server sends the next thousand when these are done with.
//! }
//! # drop((titles, written));
//! # Ok(()) }
//! ```
//!
//! The driver blocks, so work is a closure on a thread of its own, as a transaction of the embedded store is; it is
//! called again when the server said that the same transaction may succeed later. See "Neo4j" in `docs/ARCHITECTURE.md` for why this driver.

mod aliases;
mod best_texts;
mod check;
mod collection_removal;
mod collections;
mod communities;
mod communities_for_people;
mod community_list;
mod connection;
mod difference;
mod document_entities;
mod document_list;
mod document_node;
mod documents;
mod entity_detail;
mod entity_list;
mod entity_order;
mod entity_rows;
mod export;
mod failure;
mod filter;
mod folding;
mod found;
mod fulltext;
mod ids;
mod layers;
mod lock;
mod nearest;
mod neighbourhood;
mod nodelay;
mod open;
mod pages;
mod params;
mod placements;
mod progress;
mod projection;
mod publishing;
mod removal;
mod row;
mod schema;
mod settings;
mod similarities;
mod similarities_for_people;
mod spaces;
mod staging;
mod staleness;
mod stats;
mod store;
mod tls;
mod transaction;
mod vectors;
mod version;

pub use connection::{Neo4jConnection, Timeouts};
pub use open::Neo4jGraph;
pub use pages::Pages;
pub use params::{Params, ToValue};
pub use row::{FromValue, Row};
pub use settings::{Encryption, Neo4jSettings};
pub use transaction::Transaction;
pub use version::{MINIMUM_VERSION, ServerVersion};
