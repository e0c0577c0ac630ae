//! The graph of entities and relations for who computes on it, read by key: it outlasts a restart of the server, and publications may go on beside it.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use graphmill_core::{CollectionId, EntityId};

use super::{Neo4jConnection, Params, Row, ids};
use crate::Result;
use crate::records::ProjectionRow;

/// Entities of a page.
const ENTITIES: usize = 4_096;
/// Entities whose relations are a page.
const SOURCES: usize = 1_024;

/// See [`crate::GraphStore::projection`].
pub(super) async fn projection(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
) -> Result<BoxStream<'static, Result<Vec<ProjectionRow>>>> {
    let step = if super::collections::names(neo4j).await?.contains(collection) { Step::Entities } else { Step::End };
    let walk = Walk { neo4j: neo4j.clone(), collection: collection.clone(), step, after: String::new() };
    let pages = stream::try_unfold(walk, |mut walk| async move {
        while walk.step != Step::End {
            let page = walk.next().await?;
            if !page.is_empty() {
                return Ok(Some((page, walk)));
            }
        }
        Ok(None)
    });
    Ok(pages.boxed())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Entities,
    Relations,
    End,
}

struct Walk {
    neo4j: Neo4jConnection,
    collection: CollectionId,
    step: Step,
    /// Order of the last entity that was taken.
    after: String,
}

impl Walk {
    fn params(&self, limit: usize) -> Params {
        Params::new().set("collection", self.collection.as_str()).set("after", &self.after).set("limit", limit)
    }

    async fn next(&mut self) -> Result<Vec<ProjectionRow>> {
        match self.step {
            Step::Entities => self.entities().await,
            Step::Relations => self.relations().await,
            Step::End => Ok(Vec::new()),
        }
    }

    /// Goes on to the next step when no entity is left.
    fn advance(&mut self, is_last: bool, then: Step) {
        if is_last {
            (self.step, self.after) = (then, String::new());
        }
    }

    async fn entities(&mut self) -> Result<Vec<ProjectionRow>> {
        let query = "MATCH (e:GmEntity) USING INDEX SEEK e:GmEntity(collection, gm_order) \
                     WHERE e.collection = $collection AND e.gm_order > $after RETURN e.id AS id ORDER BY e.collection, e.gm_order LIMIT $limit";
        let rows = self.neo4j.read(query, self.params(ENTITIES)).await?;
        let take = |mut row: Row| ids::take(&mut row, "id");
        let entities: Vec<EntityId> = rows.into_iter().map(take).collect::<Result<_>>()?;
        if let Some(last) = entities.last() {
            self.after = ids::order(last.as_bytes());
        }
        self.advance(entities.len() < ENTITIES, Step::Relations);
        Ok(entities.into_iter().map(ProjectionRow::Entity).collect())
    }

    async fn relations(&mut self) -> Result<Vec<ProjectionRow>> {
        let query = "MATCH (e:GmEntity) USING INDEX SEEK e:GmEntity(collection, gm_order) \
                     WHERE e.collection = $collection AND e.gm_order > $after WITH e ORDER BY e.collection, e.gm_order LIMIT $limit \
                     WITH collect(e) AS sources UNWIND sources AS s OPTIONAL MATCH (s)-[r:RELATED_TO]->(t:GmEntity) \
                     WITH size(sources) AS count, sources[-1].gm_order AS last, s, r, t ORDER BY s.gm_order, t.gm_order \
                     RETURN count, last, s.id AS source, t.id AS target, r.strength_millionths AS strength";
        let (mut page, mut sources) = (Vec::new(), 0);
        for mut row in self.neo4j.read(query, self.params(SOURCES)).await? {
            sources = row.take("count")?;
            self.after = row.take("last")?;
            let Some(target) = row.take::<Option<String>>("target")? else { continue };
            page.push(ProjectionRow::Relation {
                source: ids::take(&mut row, "source")?,
                target: ids::parse(&target, "target")?,
                weight_millionths: row.take("strength")?,
            });
        }
        self.advance(sources < SOURCES, Step::End);
        Ok(page)
    }
}
