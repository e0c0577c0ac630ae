//! Documents of a copy.

use std::collections::{HashMap, HashSet};

use graphmill_core::{ChunkId, CollectionId, DocumentId};
use serde_json::Map;

use super::{Copied, CopyOptions};
use crate::listing::{DocumentQuery, DocumentSort, Order, PageStart};
use crate::records::{
    DocumentRecord, Layer, PlacedChunk, Placement, Publication, PublishOutcome, PublishedTimes, SpaceId, SpaceState,
};
use crate::{Error, GraphStore, Result};

/// Documents that are listed at once.
const PAGE: u32 = 200;
/// Chunks that are read and staged at once.
const PART: u32 = 256;
/// Walks over all documents; those after the first copy what has changed meanwhile.
const PASSES: usize = 4;
/// Tries at a document whose staged chunks somebody sweeps.
const TRIES: usize = 5;

/// Where vectors of the source's spaces go; empty when none are copied.
pub(super) type Spaces = HashMap<SpaceId, SpaceId>;

/// Makes the spaces of the source in the target, the active one first, so that it is active there too.
pub(super) async fn spaces(
    from: &dyn GraphStore,
    to: &dyn GraphStore,
    collection: &CollectionId,
    options: CopyOptions,
) -> Result<Spaces> {
    let mut spaces = Spaces::new();
    if !options.vectors {
        return Ok(spaces);
    }
    let mut known = from.spaces(collection).await?;
    known.retain(|space| space.state != SpaceState::Retired);
    known.sort_by_key(|space| (space.state != SpaceState::Active, space.id));
    for space in known {
        let made = to.ensure_space(collection, &space.model, space.dimension).await?;
        spaces.insert(space.id, made.id);
    }
    Ok(spaces)
}

/// How a document's copy ended.
enum End {
    Copied {
        chunks: u64,
    },
    /// It was there under the same ticket.
    There,
    /// It changed while it was read; the next pass finds it.
    Changed,
}

/// Copies all documents and takes out those that the source does not have.
pub(super) async fn copy(
    from: &dyn GraphStore,
    to: &dyn GraphStore,
    collection: &CollectionId,
    spaces: &Spaces,
    copied: &mut Copied,
    told: &mut (dyn FnMut(&Copied) + Send),
) -> Result<()> {
    for pass in 0..PASSES {
        let before = from.publish_number(collection).await?;
        let mut seen = HashSet::new();
        let mut changed = false;
        let mut start = PageStart::default();
        loop {
            let page = from.documents(&in_order_of_birth(collection), &start, PAGE).await?;
            for record in page.items {
                seen.insert(record.id);
                match copy_document(from, to, record, spaces).await? {
                    End::Copied { chunks } => {
                        copied.documents += 1;
                        copied.chunks += chunks;
                    }
                    End::There => copied.passed_over += u64::from(pass == 0),
                    End::Changed => changed = true,
                }
                told(copied);
            }
            let Some(cursor) = page.next_cursor else { break };
            start = PageStart::Cursor(cursor);
        }
        copied.removed += take_out(to, collection, &seen).await?;
        if !changed && from.publish_number(collection).await? == before {
            break;
        }
    }
    Ok(())
}

/// An order in which a document that is replaced while pages are read keeps its place.
fn in_order_of_birth(collection: &CollectionId) -> DocumentQuery {
    DocumentQuery {
        collection: Some(collection.clone()),
        sort: DocumentSort::CreatedAt,
        order: Order::Asc,
        ..DocumentQuery::default()
    }
}

async fn copy_document(
    from: &dyn GraphStore,
    to: &dyn GraphStore,
    record: DocumentRecord,
    spaces: &Spaces,
) -> Result<End> {
    let stands = to.published_seq(record.id).await?;
    if stands.is_some_and(|stands| stands.seq == record.seq && !stands.deleted) {
        return Ok(End::There);
    }
    for _ in 0..TRIES {
        let Some(staged) = stage(from, to, &record, spaces).await? else { return Ok(End::Changed) };
        let Staged { placements, set_aside } = staged;
        let chunks = placements.len() as u64;
        let publication = publication(&record, placements);
        match to.publish(&publication).await? {
            PublishOutcome::Published(_) | PublishOutcome::AlreadyDone(_) => {
                keep_set_aside(to, &record.collection, set_aside).await?;
                if stands.is_some() {
                    to.sweep_document(record.id).await?;
                }
                return Ok(End::Copied { chunks });
            }
            PublishOutcome::Incomplete(_) => {}
            PublishOutcome::Overtaken { by, .. } => {
                return Err(Error::Invalid(format!(
                    "the target has {} under the ticket {}, the source under {}; it is no copy of this source: use an empty graph",
                    record.id, by.0, record.seq.0
                )));
            }
        }
    }
    Err(Error::Backend(format!("chunks of {} were swept again and again while it was copied", record.id)))
}

fn publication(record: &DocumentRecord, placements: Vec<Placement>) -> Publication {
    Publication {
        collection: record.collection.clone(),
        document: record.id,
        seq: record.seq,
        placements,
        properties: record.properties.clone(),
        spaces: Vec::new(),
        times: Some(PublishedTimes { created_at: record.created_at, updated_at: record.updated_at }),
    }
}

struct Staged {
    placements: Vec<Placement>,
    /// Chunks that are set aside although they have vectors (of another model).
    set_aside: Vec<ChunkId>,
}

/// Stages a document's chunks; `None` when it changed meanwhile.
async fn stage(
    from: &dyn GraphStore,
    to: &dyn GraphStore,
    record: &DocumentRecord,
    spaces: &Spaces,
) -> Result<Option<Staged>> {
    let mut staged = Staged { placements: Vec::new(), set_aside: Vec::new() };
    loop {
        let next = u32::try_from(staged.placements.len())
            .map_err(|_| Error::Invalid(format!("{} has too many chunks to be copied", record.id)))?;
        let Some(part) = from.document_part(record.id, record.seq, next, PART).await? else { return Ok(None) };
        if part.is_empty() {
            return Ok(Some(staged));
        }
        let mut chunks = Vec::with_capacity(part.len());
        for PlacedChunk { placement, mut chunk } in part {
            chunk.vectors.retain_mut(|(space, _)| spaces.get(space).map(|target| *space = *target).is_some());
            if chunk.embedding_quarantined && !chunk.vectors.is_empty() {
                staged.set_aside.push(chunk.id);
            }
            staged.placements.push(placement);
            chunks.push(chunk);
        }
        to.stage(&record.collection, record.id, chunks).await?;
    }
}

/// Staging with a vector says that none is missing; these miss one of a newer model.
async fn keep_set_aside(to: &dyn GraphStore, collection: &CollectionId, chunks: Vec<ChunkId>) -> Result<()> {
    if chunks.is_empty() {
        return Ok(());
    }
    let run = to.begin_run(collection, Layer::Embeddings, false).await?;
    to.set_aside_embeddings(&run, chunks).await?;
    to.finish_run(&run, to.publish_number(collection).await?, Map::new()).await
}

/// Removes what the source does not have; answers how much.
async fn take_out(to: &dyn GraphStore, collection: &CollectionId, seen: &HashSet<DocumentId>) -> Result<u64> {
    let mut gone = Vec::new();
    let mut start = PageStart::default();
    loop {
        let page = to.documents(&in_order_of_birth(collection), &start, PAGE).await?;
        gone.extend(page.items.into_iter().filter(|record| !seen.contains(&record.id)).map(|r| (r.id, r.seq)));
        let Some(cursor) = page.next_cursor else { break };
        start = PageStart::Cursor(cursor);
    }
    for (document, seq) in &gone {
        to.remove(collection, *document, *seq).await?;
        to.sweep_document(*document).await?;
        to.forget_tombstones(&[*document]).await?;
    }
    Ok(gone.len() as u64)
}
