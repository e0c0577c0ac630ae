//! Communities: nodes by generation. Members are `(GmEntity)-[:IN_COMMUNITY {level, generation}]->(GmCommunity)`, of a generation that is being written too; `:Community` stands on
//! the one that readers see alone. `size` counts live members: an entity that goes takes itself out (see [`forget_members`]).

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use graphmill_core::{CollectionId, CommunityId, EntityId};

use super::layers::{self, admit, wrong_layer};
use super::lock::of_one_moment;
use super::{Neo4jConnection, Params, Row, Transaction, ids};
use crate::records::{CommunityRow, Layer, LayerRun};
use crate::{Error, Result};

/// Communities of one transaction.
const BATCH_ROWS: usize = 500;
/// Memberships of one transaction.
const BATCH_MEMBERS: usize = 2_000;
/// Relationships that one transaction sweeps.
const SWEEP_LINKS: u64 = 5_000;
/// Members of a page; a larger community has a page of its own.
const PAGE_MEMBERS: u64 = 4_096;
/// Communities of a page.
const PAGE_ROWS: u32 = 500;

/// Key of a community's node.
pub(super) fn key(collection: &CollectionId, generation: u64, id: CommunityId) -> String {
    format!("{}{id}", key_prefix(collection, generation))
}

/// What the keys of a generation begin with.
pub(super) fn key_prefix(collection: &CollectionId, generation: u64) -> String {
    format!("{collection}/{generation}/")
}

/// See [`crate::GraphStore::put_communities`]. Nobody sees the generation yet, so that a large call may take several transactions.
pub(super) async fn put(neo4j: &Neo4jConnection, run: &LayerRun, rows: Vec<CommunityRow>) -> Result<()> {
    wrong_layer(run, Layer::Communities)?;
    let mut slices = slices(&rows);
    if slices.is_empty() {
        slices.push(Slice::default());
    }
    for Slice { nodes, members } in slices {
        let run = run.clone();
        let write = move |tx: &mut Transaction<'_, '_>| {
            admit(tx, &run, false)?;
            write_slice(tx, &run, &nodes, &members)?;
            graphmill_core::fault_point!("put_communities.before_commit");
            Ok(())
        };
        neo4j.write(write).await?;
        graphmill_core::fault_point!("put_communities.after_commit");
    }
    Ok(())
}

/// What one transaction writes.
#[derive(Default)]
struct Slice {
    /// Communities, without their members.
    nodes: Vec<CommunityRow>,
    /// Members of these and of one that was begun before.
    members: Vec<(CommunityId, u32, EntityId)>,
}

fn slices(rows: &[CommunityRow]) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    for row in rows {
        match slices.last_mut() {
            Some(slice) if slice.nodes.len() < BATCH_ROWS && slice.members.len() < BATCH_MEMBERS => {
                slice.nodes.push(CommunityRow { members: Vec::new(), ..row.clone() });
            }
            _ => {
                let nodes = vec![CommunityRow { members: Vec::new(), ..row.clone() }];
                slices.push(Slice { nodes, members: Vec::new() });
            }
        }
        for member in &row.members {
            if slices.last().is_none_or(|slice| slice.members.len() >= BATCH_MEMBERS) {
                slices.push(Slice::default());
            }
            if let Some(slice) = slices.last_mut() {
                slice.members.push((row.id, row.level, *member));
            }
        }
    }
    slices
}

fn write_slice(
    tx: &mut Transaction<'_, '_>,
    run: &LayerRun,
    nodes: &[CommunityRow],
    members: &[(CommunityId, u32, EntityId)],
) -> Result<()> {
    let key = |id: CommunityId| key(&run.collection, run.number, id);
    let node = |row: &CommunityRow| {
        let properties = Params::new()
            .set("collection", run.collection.as_str())
            .set("generation", run.number)
            .set("id", row.id.to_string())
            .set("gm_order", ids::order(row.id.as_bytes()))
            .set("level", row.level)
            .set("parent", row.parent.map(|id| id.to_string()))
            .set("title", &row.title)
            .set("summary", &row.summary)
            .set("modularity_share", row.modularity_share_millionths as f64 / 1_000_000.0)
            .set("modularity_share_millionths", row.modularity_share_millionths);
        Params::new().set("key", key(row.id)).set("properties", properties)
    };
    let query = "UNWIND $rows AS row MERGE (c:GmCommunity {key: row.key}) ON CREATE SET c.size = 0, c.gm_by_size = 0 \
                 SET c += row.properties";
    tx.run(query, Params::new().set("rows", nodes.iter().map(node).collect::<Vec<_>>()))?;
    // The entity has few relationships of the kind, the community may have very many: it is looked for from the entity.
    let query = "UNWIND $rows AS row MATCH (e:GmEntity {id: row.entity}) WHERE e.collection = $collection \
                 MATCH (c:GmCommunity {key: row.key}) \
                 WHERE NOT EXISTS { MATCH (e)-[:IN_COMMUNITY {generation: $generation}]->(:GmCommunity {key: row.key}) } \
                 CREATE (e)-[:IN_COMMUNITY {level: row.level, generation: $generation}]->(c) \
                 WITH c, count(*) AS come SET c.size = c.size + come, c.gm_by_size = c.gm_by_size - come";
    let mut unique: Vec<_> = members.to_vec();
    unique.sort_unstable();
    unique.dedup();
    let member = |(id, level, entity): &(CommunityId, u32, EntityId)| {
        Params::new().set("key", key(*id)).set("level", *level).set("entity", entity.to_string())
    };
    let params = Params::new().set("collection", run.collection.as_str()).set("generation", run.number);
    super::placements::in_slices(tx, query, &params, unique.iter().map(member).collect())
}

/// Entities go: their communities have so many live members less, in every generation. The last one takes the community with it: title and summary were
/// made of its documents.
pub(super) fn forget_members(tx: &mut Transaction<'_, '_>, entities: &[EntityId]) -> Result<()> {
    let query = "UNWIND $rows AS row MATCH (:GmEntity {id: row.id})-[m:IN_COMMUNITY]->(c:GmCommunity) \
                 WITH c, count(m) AS gone, collect(m) AS links SET c.size = c.size - gone, c.gm_by_size = c.gm_by_size + gone \
                 FOREACH (m IN links | DELETE m) \
                 WITH c WHERE c.size <= 0 DETACH DELETE c";
    let rows = entities.iter().map(|id| Params::new().set("id", id.to_string())).collect();
    super::placements::in_slices(tx, query, &Params::new(), rows)
}

/// See [`crate::GraphStore::present_communities`]. Each page is of one moment and all are of one generation; one that is replaced meanwhile ends the stream with an
/// error that says to come again.
pub(super) async fn present(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
) -> Result<BoxStream<'static, Result<Vec<CommunityRow>>>> {
    let (name, reader) = (collection.clone(), neo4j.clone());
    let node = neo4j.read_many(move |tx| layers::find(tx, &name, Layer::Communities)).await?;
    let generation = node.map_or(0, |node| node.generation);
    if generation == 0 {
        return Ok(stream::empty().boxed());
    }
    let walk = Walk { neo4j: reader, collection: collection.clone(), generation, after: Some((-1, String::new())) };
    Ok(stream::unfold(walk, |mut walk| async move {
        match walk.next().await {
            Ok(page) if page.is_empty() => None,
            Ok(page) => Some((Ok(page), walk)),
            Err(error) => {
                walk.after = None;
                Some((Err(error), walk))
            }
        }
    })
    .boxed())
}

/// A walk through a generation, finest level first, then by id.
struct Walk {
    neo4j: Neo4jConnection,
    collection: CollectionId,
    generation: u64,
    /// Level and order of the last one; `None`: it has ended.
    after: Option<(i64, String)>,
}

impl Walk {
    async fn next(&mut self) -> Result<Vec<CommunityRow>> {
        let Some(after) = self.after.clone() else { return Ok(Vec::new()) };
        let page = of_one_moment(&self.neo4j, &self.collection, || {
            let (collection, generation, after) = (self.collection.clone(), self.generation, after.clone());
            self.neo4j.read_many(move |tx| page(tx, &collection, generation, &after))
        });
        let page = page.await?;
        self.after = page.last().map(|row| (i64::from(row.level), ids::order(row.id.as_bytes())));
        Ok(page)
    }
}

const COLUMNS: &str = "c.key AS key, c.id AS id, c.level AS level, c.parent AS parent, c.title AS title, c.summary AS summary, \
                       c.modularity_share_millionths AS share, c.size AS size";

fn page(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    generation: u64,
    (level, order): &(i64, String),
) -> Result<Vec<CommunityRow>> {
    let node = layers::find(tx, collection, Layer::Communities)?;
    if node.is_none_or(|node| node.generation != generation) {
        return Err(Error::Unavailable {
            message: format!("the communities of {collection} were replaced while they were read"),
            retry_after: None,
        });
    }
    let of = "MATCH (c:GmCommunity) USING INDEX SEEK c:GmCommunity(collection, generation, level, gm_order) \
              WHERE c.collection = $collection AND c.generation = $generation";
    let same = format!(
        "{of} AND c.level = $level AND c.gm_order > $order WITH c WHERE c.size > 0 RETURN {COLUMNS} \
         ORDER BY c.collection, c.generation, c.level, c.gm_order LIMIT $limit"
    );
    let coarser = format!(
        "{of} AND c.level > $level AND c.gm_order IS NOT NULL WITH c WHERE c.size > 0 RETURN {COLUMNS} \
         ORDER BY c.collection, c.generation, c.level, c.gm_order LIMIT $limit"
    );
    let params = Params::new()
        .set("collection", collection.as_str())
        .set("generation", generation)
        .set("level", *level)
        .set("order", order.as_str())
        .set("limit", PAGE_ROWS);
    let mut rows = tx.rows(&same, params.clone())?;
    if rows.is_empty() {
        rows = tx.rows(&coarser, params)?;
    }
    let (mut keys, mut found, mut held) = (Vec::new(), Vec::new(), 0);
    for mut row in rows {
        held += row.take::<u64>("size")?;
        keys.push(row.take::<String>("key")?);
        found.push(without_members(row)?);
        if held >= PAGE_MEMBERS {
            break;
        }
    }
    let query = "UNWIND range(0, size($keys) - 1) AS n MATCH (c:GmCommunity {key: $keys[n]})<-[:IN_COMMUNITY]-(e:GmEntity) \
                 RETURN n, e.id AS id";
    tx.each_row(query, Params::new().set("keys", keys), |mut row| {
        let n: usize = row.take("n")?;
        if let Some(community) = found.get_mut(n) {
            community.members.push(ids::take(&mut row, "id")?);
        }
        Ok(())
    })?;
    found.iter_mut().for_each(|community| community.members.sort_unstable());
    Ok(found)
}

fn without_members(mut row: Row) -> Result<CommunityRow> {
    let parent: Option<String> = row.take("parent")?;
    let parent = parent.map(|id| id.parse()).transpose();
    Ok(CommunityRow {
        id: ids::take(&mut row, "id")?,
        level: row.take("level")?,
        parent: parent.map_err(|e| Error::Unusable(format!("the graph is damaged: parent of a community ({e})")))?,
        title: row.take("title")?,
        summary: row.take("summary")?,
        modularity_share_millionths: row.take("share")?,
        members: Vec::new(),
    })
}

/// Removes some communities of a generation, or some members of one that is large.
pub(super) fn sweep_step(tx: &mut Transaction<'_, '_>, collection: &CollectionId, generation: u64) -> Result<()> {
    let query = "MATCH (n:GmCommunity {collection: $collection, generation: $generation}) \
                 WHERE n.level IS NOT NULL AND n.gm_order IS NOT NULL WITH n LIMIT $limit \
                 RETURN elementId(n) AS id, COUNT { (n)--() } AS degree";
    let params = Params::new().set("collection", collection.as_str()).set("generation", generation);
    delete_nodes(tx, query, params.set("limit", BATCH_ROWS), SWEEP_LINKS).map(drop)
}

/// Deletes the first of the nodes that a query names (`id`, `degree`), as many as have no more relationships together than `links`; of one that has more,
/// some relationships. Answers how many nodes went, and whether there was any.
pub(super) fn delete_nodes(
    tx: &mut Transaction<'_, '_>,
    query: &str,
    params: Params,
    links: u64,
) -> Result<(u64, bool)> {
    let (mut ids, mut held, mut large) = (Vec::new(), 0, None);
    for mut row in tx.rows(query, params)? {
        let (id, degree): (String, u64) = (row.take("id")?, row.take("degree")?);
        held += degree;
        if held > links {
            large = ids.is_empty().then_some(id);
            break;
        }
        ids.push(id);
    }
    let query = "MATCH (n) WHERE elementId(n) IN $ids DETACH DELETE n";
    let (count, any) = (ids.len() as u64, large.is_some() || !ids.is_empty());
    match large {
        Some(id) => {
            let query = "MATCH (n) WHERE elementId(n) = $id MATCH (n)-[r]-() WITH r LIMIT $limit DELETE r";
            tx.run(query, Params::new().set("id", id).set("limit", links))?;
        }
        None if ids.is_empty() => {}
        None => tx.run(query, Params::new().set("ids", ids))?,
    }
    Ok((count, any))
}
