//! Publishing, touching and removing, one writer at a time.

use std::time::Duration;

use graphmill_core::{ChunkFacts, CollectionId, EntityName, Seq};

use super::Backend;
use super::fixtures::{Draft, assert_whole, entity, export_default, export_text, mention, statement, sweep_all};
use crate::Error;
use crate::records::{PublishOutcome, RemoveOutcome, Touch, TouchOutcome};

/// Everything of a document is there at once, nothing before.
pub async fn a_published_document_is_seen_whole(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["Pump>Valve Basin", "Pump>Valve", "Basin"]);
    draft.stage(store).await;
    assert!(store.document(draft.id()).await.expect("a document is read").is_none());
    assert!(store.chunks(draft.id(), 0, 10).await.expect("chunks are read").is_empty());
    assert_eq!(store.stats(None).await.expect("stats are read").unplaced_chunks, 3);
    let PublishOutcome::Published(counts) = draft.publish(store, 5).await else { panic!("it was staged whole") };
    assert_eq!((counts.chunks, counts.entities, counts.relations), (3, 3, 1));
    let record = store.document(draft.id()).await.expect("a document is read").expect("it was published");
    assert_eq!((record.seq, record.chunk_count, &record.collection), (Seq(5), 3, &draft.collection));
    assert_eq!(record.properties, draft.properties());
    let chunks = store.chunks(draft.id(), 0, 10).await.expect("chunks are read");
    let placements: Vec<_> = chunks.iter().map(|c| c.placement.clone()).collect();
    assert_eq!(placements, draft.publication(5).placements);
    let around = store.expand(&draft.collection, &[entity("pump")], 1, 10).await.expect("entities are read");
    assert_eq!(around.relations[0].support, 2);
    assert!((around.relations[0].strength - 2.0).abs() < 1e-9);
    let pump = around.entities.iter().find(|e| e.id == entity("pump")).expect("the pump is there");
    assert_eq!((pump.name.as_str(), pump.mention_count, pump.document_count), ("Pump", 2, 1));
    assert!(pump.importance > 0.0 && pump.importance < 1.0);
    assert_whole(store).await;
}

/// A ticket that was published is done.
pub async fn a_ticket_is_used_once(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B"]);
    let counts = draft.put(store, 5).await;
    let before = export_default(store).await;
    assert_eq!(draft.publish(store, 5).await, PublishOutcome::AlreadyDone(counts));
    let other = Draft::new("a.md", &["C>D"]);
    other.stage(store).await;
    assert_eq!(other.publish(store, 5).await, PublishOutcome::AlreadyDone(counts));
    assert_eq!(export_default(store).await, before);
}

/// A lower ticket changes nothing and says who stands.
pub async fn a_lower_ticket_is_overtaken(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    Draft::new("a.md", &["A>B"]).put(store, 5).await;
    let before = export_default(store).await;
    let late = Draft::new("a.md", &["C>D"]).upload(store, 4).await;
    assert_eq!(late, PublishOutcome::Overtaken { by: Seq(5), deleted: false });
    assert_eq!(export_default(store).await, before);
    sweep_all(store).await;
    assert_eq!(export_default(store).await, before);
}

/// Chunks that are not there are named; once staged again the same publication goes through.
pub async fn missing_chunks_are_named_and_staged_again(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B", "C", "D"]);
    let staged = draft.staged();
    assert_eq!(draft.publish(store, 1).await, PublishOutcome::Incomplete(staged.iter().map(|c| c.id).collect()));
    store.stage(&draft.collection, draft.id(), vec![staged[1].clone()]).await.expect("a chunk is staged");
    assert_eq!(draft.publish(store, 1).await, PublishOutcome::Incomplete(vec![staged[0].id, staged[2].id]));
    assert!(store.document(draft.id()).await.expect("a document is read").is_none());
    draft.stage(store).await;
    draft.stage(store).await;
    assert!(matches!(draft.publish(store, 1).await, PublishOutcome::Published(_)));
    assert_whole(store).await;
}

/// A new version keeps what it shares with the old one.
pub async fn a_replacement_changes_only_the_difference(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let first = Draft::new("a.md", &["Pump>Valve", "Basin>Pump", "Valve>Basin Gauge"]);
    let one = first.put(store, 1).await;
    let second = Draft::new("a.md", &["Gate>Pump", "Pump>Valve", "Basin>Pump"]);
    let two = second.put(store, 2).await;
    assert!(two.publish_number > one.publish_number);
    assert_eq!((two.chunks, two.entities, two.relations), (3, 4, 3));
    assert_whole(store).await;
    let fresh = backend.empty().await;
    second.put(fresh.store.as_ref(), 1).await;
    assert_eq!(export_default(store).await, export_default(fresh.store.as_ref()).await);
    assert_eq!(
        store.stats(None).await.expect("stats are read").unplaced_chunks,
        1,
        "the third chunk waits for its sweep"
    );
    sweep_all(store).await;
    assert_whole(store).await;
    let kept = second.publication(3);
    assert!(matches!(store.publish(&kept).await, Ok(PublishOutcome::Published(_))), "no chunk of it was swept");
}

/// A publication that names a chunk twice is refused.
pub async fn a_chunk_stands_once_in_a_document(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A", "A"]);
    draft.stage(store).await;
    let mut publication = draft.publication(1);
    assert_ne!(publication.placements[0].chunk, publication.placements[1].chunk, "equal chunks differ by occurrence");
    publication.placements[1] = publication.placements[0].clone();
    assert!(matches!(store.publish(&publication).await, Err(Error::Invalid(_))));
    assert!(matches!(draft.publish(store, 1).await, PublishOutcome::Published(_)));
    assert_whole(store).await;
}

/// A chunk that another document staged is not there for this one.
pub async fn chunks_of_another_document_are_refused(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (a, b) = (Draft::new("a.md", &["A"]), Draft::new("b.md", &["A"]));
    a.put(store, 1).await;
    let mut publication = b.publication(2);
    publication.placements = a.publication(2).placements;
    let named = publication.placements[0].chunk;
    assert_eq!(store.publish(&publication).await.expect("it is answered"), PublishOutcome::Incomplete(vec![named]));
    assert!(matches!(store.stage(&b.collection, b.id(), a.staged()).await, Err(Error::Invalid(_))));
}

fn touch(draft: &Draft, seq: u64) -> Touch {
    let properties = draft.properties();
    Touch {
        collection: draft.collection.clone(),
        document: draft.id(),
        seq: Seq(seq),
        content_hash: properties.content_hash,
        settings_hash: properties.settings_hash,
        filename: "renamed.md".into(),
        mime_type: "text/plain".into(),
    }
}

/// An unchanged upload moves the ticket and the document's own properties.
pub async fn a_touch_moves_the_ticket_alone(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B"]);
    let counts = draft.put(store, 5).await;
    let before = store.chunks(draft.id(), 0, 10).await.expect("chunks are read");
    graph.clock.advance(Duration::from_secs(60));
    for _ in 0..2 {
        assert_eq!(store.touch(&touch(&draft, 6)).await.expect("it is answered"), TouchOutcome::Touched(counts));
    }
    let record = store.document(draft.id()).await.expect("a document is read").expect("it is there");
    assert_eq!((record.seq, record.properties.filename.as_str()), (Seq(6), "renamed.md"));
    assert_eq!(record.properties.mime_type, "text/plain");
    assert_eq!(store.chunks(draft.id(), 0, 10).await.expect("chunks are read"), before);
    // A change of name or type is one; a touch that changes neither is none.
    assert!(record.updated_at > record.created_at, "{record:?}");
    graph.clock.advance(Duration::from_secs(60));
    assert_eq!(store.touch(&touch(&draft, 7)).await.expect("it is answered"), TouchOutcome::Touched(counts));
    let again = store.document(draft.id()).await.expect("a document is read").expect("it is there");
    assert_eq!((again.seq, again.updated_at), (Seq(7), record.updated_at), "nothing changed");
    let late = store.touch(&touch(&draft, 5)).await.expect("it is answered");
    assert_eq!(late, TouchOutcome::Overtaken { by: Seq(7), deleted: false });
    assert_eq!(draft.publish(store, 5).await, PublishOutcome::Overtaken { by: Seq(7), deleted: false });
}

/// Other content, other settings, quarantined chunks, nothing published, a tombstone: all stages must run.
pub async fn a_touch_of_something_else_differs(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B"]);
    assert_eq!(store.touch(&touch(&draft, 1)).await.expect("it is answered"), TouchOutcome::Differs);
    draft.put(store, 2).await;
    let other = Draft::new("a.md", &["A>C"]);
    assert_eq!(store.touch(&touch(&other, 3)).await.expect("it is answered"), TouchOutcome::Differs);
    let mut settings = touch(&draft, 3);
    settings.settings_hash = settings.content_hash;
    assert_eq!(store.touch(&settings).await.expect("it is answered"), TouchOutcome::Differs);
    let mut quarantined = draft.publication(4);
    quarantined.properties.quarantined_chunks = 1;
    store.publish(&quarantined).await.expect("it is published");
    assert_eq!(store.touch(&touch(&draft, 5)).await.expect("it is answered"), TouchOutcome::Differs);
    store.remove(&draft.collection, draft.id(), Seq(6)).await.expect("it is removed");
    let stale = store.touch(&touch(&draft, 5)).await.expect("it is answered");
    assert_eq!(stale, TouchOutcome::Overtaken { by: Seq(6), deleted: true });
    assert_eq!(store.touch(&touch(&draft, 7)).await.expect("it is answered"), TouchOutcome::Differs);
}

/// A removal takes everything, keeps the ticket, and says the same when it is repeated.
pub async fn a_removal_leaves_a_tombstone(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B", "B>C"]);
    draft.put(store, 5).await;
    let overtaken = store.remove(&draft.collection, draft.id(), Seq(4)).await.expect("it is answered");
    assert_eq!(overtaken, RemoveOutcome::Overtaken { by: Seq(5) });
    for _ in 0..2 {
        let removed = store.remove(&draft.collection, draft.id(), Seq(6)).await.expect("it is answered");
        assert_eq!(removed, RemoveOutcome::Removed { existed: true });
    }
    assert!(store.document(draft.id()).await.expect("a document is read").is_none());
    let stands = store.published_seq(draft.id()).await.expect("a ticket is read").expect("the tombstone stands");
    assert_eq!((stands.seq, stands.deleted), (Seq(6), true));
    let stats = store.stats(None).await.expect("stats are read");
    assert_eq!((stats.documents, stats.chunks, stats.entities, stats.relations), (0, 0, 0, 0));
    let empty = backend.empty().await;
    empty.store.ensure_collection(&draft.collection).await.expect("a collection is made");
    assert_eq!(export_default(store).await, export_default(empty.store.as_ref()).await);
    let never = Draft::new("never.md", &["A"]);
    let removed = store.remove(&never.collection, never.id(), Seq(7)).await.expect("it is answered");
    assert_eq!(removed, RemoveOutcome::Removed { existed: false });
    draft.put(store, 8).await;
    assert_whole(store).await;
}

/// An upload that was accepted before a removal does not come back after it.
pub async fn a_late_publish_is_overtaken_by_a_removal(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B"]);
    draft.stage(store).await;
    store.remove(&draft.collection, draft.id(), Seq(6)).await.expect("it is removed");
    assert_eq!(draft.upload(store, 5).await, PublishOutcome::Overtaken { by: Seq(6), deleted: true });
    assert_eq!(draft.upload(store, 6).await, PublishOutcome::Overtaken { by: Seq(6), deleted: true });
    assert_eq!(store.stats(None).await.expect("stats are read").documents, 0);
    assert!(matches!(draft.upload(store, 7).await, PublishOutcome::Published(_)));
}

/// Case c23: two files of one name in two folders.
pub async fn same_name_in_two_folders_is_two_documents(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let pumps = Draft::new("pumps/readme.md", &["Pump>Basin", "Shared"]);
    let valves = Draft::new("valves/readme.md", &["Valve>Basin", "Shared"]);
    assert_ne!(pumps.id(), valves.id());
    pumps.put(store, 1).await;
    valves.put(store, 2).await;
    let edited = Draft::new("pumps/readme.md", &["Pump>Tank", "Shared"]);
    assert_eq!(edited.id(), pumps.id());
    edited.put(store, 3).await;
    store.remove(&valves.collection, valves.id(), Seq(4)).await.expect("it is removed");
    let fresh = backend.empty().await;
    edited.put(fresh.store.as_ref(), 1).await;
    assert_eq!(export_default(store).await, export_default(fresh.store.as_ref()).await);
    assert_whole(store).await;
}

/// Case c24: an entity keeps what the documents that are left say, and nothing else.
pub async fn a_shared_entity_outlives_one_document(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let sentence = |source: &str, text: &str, facts: ChunkFacts| {
        let mut draft = Draft::new(source, &[]);
        draft.chunks.push((text.to_owned(), facts));
        draft
    };
    let (from_a, _) = ChunkFacts::canonical(
        vec![
            mention("Northgate Pump", "product", "made by Halden Works", &[0, 41]),
            mention("Halden Works", "organization", "makes pumps", &[27]),
        ],
        vec![statement("Halden Works", "Northgate Pump", "makes")],
        vec![],
    );
    let (from_b, _) = ChunkFacts::canonical(
        vec![
            mention("Northgate Pumps", "product", "stands in Basin Four", &[0]),
            mention("Basin Four", "location", "dry", &[25]),
        ],
        vec![statement("Northgate Pumps", "Basin Four", "stands in")],
        vec![],
    );
    let a = sentence("a.txt", "Northgate Pump is made by Halden Works.", from_a);
    let b = sentence("b.txt", "Northgate Pumps stand in Basin Four.", from_b);
    a.put(store, 1).await;
    b.put(store, 2).await;
    let pump = |n: crate::records::Neighbourhood| n.entities.into_iter().find(|e| e.id == entity("northgate pump"));
    let both = store.expand(&a.collection, &[entity("Northgate Pump")], 0, 5).await.expect("entities are read");
    let both = pump(both).expect("the pump is there");
    assert_eq!((both.name.as_str(), both.mention_count, both.document_count), ("Northgate Pump", 3, 2));
    assert_eq!(both.description, "made by Halden Works\nstands in Basin Four");
    store.remove(&a.collection, a.id(), Seq(3)).await.expect("it is removed");
    let left = store.expand(&a.collection, &[entity("northgate pump")], 2, 50).await.expect("entities are read");
    assert_eq!(left.relations.len(), 1, "the relation to Halden Works went with its document");
    assert!(left.entities.iter().all(|e| e.id != entity("Halden Works")));
    let left = pump(left).expect("the pump is there");
    assert_eq!((left.name.as_str(), left.mention_count, left.document_count), ("Northgate Pumps", 1, 1));
    assert_eq!(left.description, "stands in Basin Four");
    let fresh = backend.empty().await;
    b.put(fresh.store.as_ref(), 1).await;
    assert_eq!(export_default(store).await, export_default(fresh.store.as_ref()).await);
    assert_whole(store).await;
}

/// Case c21: quotes, backticks, backslashes, line breaks, 2,000 bytes and other scripts are data like any other.
pub async fn names_are_just_data(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let long = "x".repeat(EntityName::MAX_BYTES);
    let names = [
        "`tick` gauge",
        "\"quoted\" valve",
        "O'Brien's pump",
        "C:\\plant\\unit7",
        "two-line\nsign",
        "'); DROP TABLE entity; --",
        "{a: 1} $x }) RETURN n",
        "\u{202e}evil",
        "🦀 crab",
        "naïve café",
        long.as_str(),
        "泵站",
    ];
    let mentions =
        names.iter().map(|name| mention(name, "a `type`\"'", "text with \u{2028} and \\ and `", &[])).collect();
    let statements = names[1..].iter().map(|name| statement(names[0], name, "\"'`\\\n")).collect();
    let (facts, dropped) = ChunkFacts::canonical(mentions, statements, vec![]);
    assert_eq!((dropped.mentions, dropped.statements), (0, 0));
    let mut draft = Draft::new("odd `names`\"'\n.md", &[]);
    draft.chunks.push(("text of \"odd\" `names`\u{0} \u{2028}".to_owned(), facts));
    draft.put(store, 1).await;
    let around = store.expand(&draft.collection, &[entity(names[0])], 1, 50).await.expect("entities are read");
    let mut seen: Vec<&str> = around.entities.iter().map(|e| e.name.as_str()).collect();
    let mut wanted = names.to_vec();
    seen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(seen, wanted, "names are stored exactly so");
    assert_eq!(around.relations.len(), names.len() - 1);
    let chunks = store.chunks(draft.id(), 0, 1).await.expect("chunks are read");
    assert_eq!(chunks[0].text, draft.chunks[0].0);
    let export = export_default(store).await;
    assert!(export.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    store.remove(&draft.collection, draft.id(), Seq(2)).await.expect("it is removed");
    sweep_all(store).await;
    assert_whole(store).await;
    assert_eq!(store.stats(None).await.expect("stats are read").entities, 0);
}

/// What one collection holds, another neither sees nor changes.
pub async fn collections_do_not_meet(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let other: CollectionId = "other".parse().expect("a collection name");
    let ours = Draft::new("a.md", &["Pump>Valve"]);
    let theirs = Draft { collection: other.clone(), ..Draft::new("a.md", &["Pump>Valve", "Pump>Basin"]) };
    assert_ne!(ours.id(), theirs.id());
    ours.put(store, 1).await;
    let alone = export_default(store).await;
    theirs.put(store, 2).await;
    assert_eq!(export_default(store).await, alone);
    let hits = store.fulltext(&ours.collection, "basin", 10, &Default::default()).await.expect("it is searched");
    assert!(hits.is_empty());
    assert!(matches!(store.stage(&other, ours.id(), ours.staged()).await, Err(Error::Invalid(_))));
    store.remove(&other, theirs.id(), Seq(3)).await.expect("it is removed");
    sweep_all(store).await;
    assert_eq!(export_default(store).await, alone);
    let stats = |c: Option<CollectionId>| async move { store.stats(c.as_ref()).await.expect("stats are read") };
    assert_eq!((stats(Some(other.clone())).await.chunks, stats(None).await.chunks), (0, 1));
    assert!(!export_text(store, &other).await.contains("Pump"));
}
