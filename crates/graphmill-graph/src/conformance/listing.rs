//! Lists and details: documents, entities with their evidence, communities, how far behind the layers are.

use std::collections::BTreeSet;
use std::time::Duration;

use graphmill_core::{AliasEvidence, ChunkFacts, CollectionId, CommunityId, EntityId, EntityName, Mention, Seq};
use serde_json::{Map, json};

use super::fixtures::{DIMENSION, Draft, assert_whole, entity, mention, sweep_all};
use super::{Backend, TestGraph};
use crate::listing::{
    AliasRole, CommunityDetail, DocumentQuery, DocumentSort, EntityDetail, EntityQuery, EntitySort, NameMatch, Order,
    Page, PageStart, TOTAL_CAP,
};
use crate::records::{CommunityRow, DocumentRecord, EntityRecord, Layer, PublishOutcome};
use crate::{Error, GraphStore};

const FIRST: PageStart = PageStart::Offset(0);

fn default() -> CollectionId {
    CollectionId::default()
}

async fn documents(store: &dyn GraphStore, query: &DocumentQuery) -> Vec<String> {
    let page = store.documents(query, &FIRST, 100).await.expect("documents are listed");
    assert_eq!((page.items.len() as u64, page.total_capped, page.next_cursor), (page.total, false, None));
    page.items.into_iter().map(|d| d.properties.source).collect()
}

/// Puts a document with other properties than a draft has.
async fn put_as(store: &dyn GraphStore, source: &str, seq: u64, size: u64, mime_type: &str, chunks: &[&str]) {
    let draft = Draft::new(source, chunks);
    draft.stage(store).await;
    let mut publication = draft.publication(seq);
    publication.properties.file_size = size;
    publication.properties.mime_type = mime_type.to_owned();
    publication.properties.filename = source.rsplit('/').next().unwrap_or(source).to_owned();
    let outcome = store.publish(&publication).await.expect("a publication is answered");
    assert!(matches!(outcome, PublishOutcome::Published(_)), "{outcome:?}");
}

/// Each filter, each order in both directions, and walks by cursor that agree with walks by offset.
pub async fn documents_are_filtered_and_sorted(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let begun = graph.clock.as_ref();
    let start = graphmill_core::Clock::now(begun);
    for (n, (source, size, mime_type, chunks)) in [
        ("manuals/Pump.pdf", 30, "application/pdf", &["A", "B"][..]),
        ("manuals/valve.pdf", 10, "application/pdf", &["A"]),
        ("Berichte/ÖL.md", 20, "text/markdown", &["A", "B", "C"]),
        ("pump notes.md", 20, "text/markdown", &["A"]),
    ]
    .into_iter()
    .enumerate()
    {
        put_as(store, source, n as u64 + 1, size, mime_type, chunks).await;
        graph.clock.advance(Duration::from_secs(10));
    }
    let (pump, valve, oil, notes) = ("manuals/Pump.pdf", "manuals/valve.pdf", "Berichte/ÖL.md", "pump notes.md");
    let all = DocumentQuery { collection: Some(default()), ..DocumentQuery::default() };
    let with = |change: &dyn Fn(&mut DocumentQuery)| {
        let mut query = all.clone();
        change(&mut query);
        query
    };
    let at = |seconds: i64| Some(graphmill_core::Timestamp::from_millis(start.as_millis() + seconds * 1_000));
    for (query, expected) in [
        (all.clone(), vec![notes, oil, valve, pump]),
        (with(&|q| q.q = Some("PUMP".into())), vec![notes, pump]),
        (with(&|q| q.q = Some("öl".into())), vec![oil]),
        (with(&|q| q.q = Some("manuals/p".into())), vec![pump]),
        (with(&|q| q.q = Some("%".into())), vec![]),
        (with(&|q| q.mime_type = Some("application/pdf".into())), vec![valve, pump]),
        (with(&|q| q.source_prefix = Some("manuals/".into())), vec![valve, pump]),
        (with(&|q| q.source_prefix = Some("anuals/".into())), vec![]),
        (with(&|q| q.updated_after = at(10)), vec![notes, oil, valve]),
        (with(&|q| q.updated_before = at(10)), vec![pump]),
        (with(&|q| (q.updated_after, q.updated_before) = (at(10), at(30))), vec![oil, valve]),
        (with(&|q| q.sort = DocumentSort::CreatedAt), vec![notes, oil, valve, pump]),
        (with(&|q| (q.sort, q.order) = (DocumentSort::Filename, Order::Asc)), vec![notes, pump, valve, oil]),
        (with(&|q| (q.sort, q.order) = (DocumentSort::UpdatedAt, Order::Asc)), vec![pump, valve, oil, notes]),
    ] {
        assert_eq!(documents(store, &query).await, expected, "{query:?}");
    }
    let sorted = |sort| with(&|q| q.sort = sort);
    assert_eq!(documents(store, &sorted(DocumentSort::FileSize)).await[0], pump);
    assert_eq!(documents(store, &sorted(DocumentSort::ChunkCount)).await[..2], [oil, pump]);
    for collection in [Some(default()), None] {
        for sort in ["updated_at", "created_at", "filename", "file_size", "chunk_count"] {
            for order in ["asc", "desc"] {
                let sort = sort.parse().expect("a sort");
                let order = order.parse().expect("an order");
                walk_documents(&graph, DocumentQuery { collection: collection.clone(), sort, order, ..all.clone() })
                    .await;
            }
        }
    }
    let touched = store.document(Draft::new(pump, &[]).id()).await.expect("it is read").expect("it is there");
    let touch = crate::records::Touch {
        collection: default(),
        document: touched.id,
        seq: Seq(9),
        content_hash: touched.properties.content_hash,
        settings_hash: touched.properties.settings_hash,
        filename: "Umbenannt.pdf".into(),
        mime_type: "application/pdf".into(),
    };
    store.touch(&touch).await.expect("it is touched");
    assert_eq!(documents(store, &with(&|q| q.q = Some("umbenannt".into()))).await, [pump]);
    assert_eq!(documents(store, &with(&|q| q.q = Some("manuals/pump".into()))).await, [pump], "the source stays");
}

async fn walk_documents(graph: &TestGraph, query: DocumentQuery) {
    let store = graph.store.as_ref();
    let whole = store.documents(&query, &FIRST, 100).await.expect("documents are listed").items;
    assert_eq!(whole.len(), 4);
    let mut by_cursor: Vec<DocumentRecord> = Vec::new();
    let mut start = PageStart::Offset(0);
    loop {
        let page = store.documents(&query, &start, 1).await.expect("documents are listed");
        let by_offset =
            store.documents(&query, &PageStart::Offset(by_cursor.len() as u64), 1).await.expect("documents are listed");
        assert_eq!(page.items, by_offset.items);
        by_cursor.extend(page.items);
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    assert_eq!(by_cursor, whole, "{query:?}");
}

/// Mentions and chunks of this document alone, beside the counts of the collection.
pub async fn entities_of_a_document_by_mentions(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A A A", "A>B", "C"]);
    draft.put(store, 1).await;
    Draft::new("b.md", &["B", "B C"]).put(store, 2).await;
    let page = store.document_entities(draft.id(), &FIRST, 10).await.expect("they are read").expect("it is there");
    let shown = |page: &Page<crate::listing::DocumentEntity>| -> Vec<(String, u64, u64, u64)> {
        page.items
            .iter()
            .map(|e| (e.entity.name.clone(), e.mentions_here, e.chunks_here, e.entity.mention_count))
            .collect()
    };
    assert_eq!(page.total, 3);
    assert_eq!(shown(&page)[0], ("A".into(), 4, 2, 4));
    let rest: BTreeSet<_> = shown(&page)[1..].iter().cloned().collect();
    assert_eq!(rest, BTreeSet::from([("B".into(), 1, 1, 3), ("C".into(), 1, 1, 2)]));
    let (mut walked, mut start) = (Vec::new(), PageStart::Offset(0));
    loop {
        let page = store.document_entities(draft.id(), &start, 1).await.expect("they are read").expect("it is there");
        walked.extend(shown(&page));
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    assert_eq!(walked, shown(&page));
    Draft::new("a.md", &["C"]).put(store, 3).await;
    let page = store.document_entities(draft.id(), &FIRST, 10).await.expect("they are read").expect("it is there");
    assert_eq!((page.total, page.items.len()), (1, 1));
    store.remove(&draft.collection, draft.id(), Seq(4)).await.expect("it is removed");
    assert!(store.document_entities(draft.id(), &FIRST, 10).await.expect("they are read").is_none());
    Draft::new("staged.md", &["A"]).stage(store).await;
    let staged = store.document_entities(Draft::new("staged.md", &[]).id(), &FIRST, 10).await.expect("it is answered");
    assert!(staged.is_none(), "what is staged is no document yet");
}

async fn find(store: &dyn GraphStore, query: EntityQuery) -> BTreeSet<String> {
    let page = store.entities(&default(), &query, &FIRST, 100).await.expect("entities are listed");
    assert_eq!(page.items.len() as u64, page.total, "{query:?}");
    page.items.into_iter().map(|e| e.name).collect()
}

fn part(q: &str) -> EntityQuery {
    EntityQuery { q: Some(q.to_owned()), ..EntityQuery::default() }
}

/// Anywhere in a name or at its beginning; case, width, white space and plural do not matter; scripts without spaces by single characters.
pub async fn parts_of_names_are_found(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let names = [
        ("Northgate Pump", "product"),
        ("Pump Station 4", "location"),
        ("泵站手册", "document"),
        ("東京 Pump", "product"),
        ("Straße", "location"),
        ("Batteries", "product"),
        ("C++", "concept"),
        ("50% \"off\" *", "concept"),
    ];
    let mentions = names.iter().map(|(name, kind)| mention(name, kind, "", &[0])).collect();
    let (facts, _) = ChunkFacts::canonical(mentions, Vec::new(), Vec::new());
    let draft = Draft { chunks: vec![("names".into(), facts)], ..Draft::new("a.md", &[]) };
    draft.put(store, 1).await;
    let all: BTreeSet<String> = names.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(find(store, EntityQuery::default()).await, all);
    for (q, expected) in [
        ("pump", vec!["Northgate Pump", "Pump Station 4", "東京 Pump"]),
        ("PUMPS", vec!["Northgate Pump", "Pump Station 4", "東京 Pump"]),
        ("ＰＵＭＰ", vec!["Northgate Pump", "Pump Station 4", "東京 Pump"]),
        ("gate  pu", vec!["Northgate Pump"]),
        ("pu", vec!["Northgate Pump", "Pump Station 4", "東京 Pump"]),
        ("4", vec!["Pump Station 4"]),
        ("泵站手", vec!["泵站手册"]),
        ("泵站", vec!["泵站手册"]),
        ("册", vec!["泵站手册"]),
        ("站泵", vec![]),
        ("京 p", vec!["東京 Pump"]),
        ("strasse", vec!["Straße"]),
        ("STRAẞE", vec!["Straße"]),
        ("batteries", vec!["Batteries"]),
        ("battery", vec!["Batteries"]),
        ("c++", vec!["C++"]),
        ("+", vec!["C++"]),
        ("\"off\"", vec!["50% \"off\" *"]),
        ("%", vec!["50% \"off\" *"]),
        ("* OR pump", vec![]),
        ("nowhere", vec![]),
        ("\u{7}", vec![]),
    ] {
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(find(store, part(q)).await, expected, "{q}");
    }
    let prefix = |q: &str| EntityQuery { name_match: NameMatch::Prefix, ..part(q) };
    for (q, expected) in
        [("Pump", "Pump Station 4"), ("泵", "泵站手册"), ("n", "Northgate Pump"), ("batteries", "Batteries")]
    {
        assert_eq!(find(store, prefix(q)).await, BTreeSet::from([expected.to_owned()]), "{q}");
    }
    assert!(find(store, prefix("gate")).await.is_empty());
    let of_type = |kind: &str| EntityQuery { entity_type: Some(kind.to_owned()), ..EntityQuery::default() };
    assert_eq!(find(store, of_type("location")).await, BTreeSet::from(["Pump Station 4".into(), "Straße".into()]));
    assert_eq!(find(store, of_type("Location")).await, BTreeSet::new(), "types are compared as they are");
    let both = EntityQuery { entity_type: Some("product".into()), ..part("pump") };
    assert_eq!(find(store, both).await, BTreeSet::from(["Northgate Pump".into(), "東京 Pump".into()]));
    store.remove(&draft.collection, draft.id(), Seq(2)).await.expect("it is removed");
    assert!(find(store, part("pump")).await.is_empty(), "names go with their entities");
    assert_whole(store).await;
}

/// Many entities, so that lists are read in both ways that a backend may have: whole, and by walking an order.
pub async fn entities_are_walked_in_every_order(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let many = TOTAL_CAP as usize + 200;
    let name = |n: usize| format!("thing {n:05}{}", if n.is_multiple_of(100) { " rare" } else { "" });
    for part in 0..2 {
        let chunks = (0..many).collect::<Vec<_>>();
        let chunks = chunks.chunks(200).map(|numbers| {
            let of = |n: &usize| {
                let kind = if n.is_multiple_of(3) { "product" } else { "concept" };
                let spans: Vec<u32> = (0..1 + (*n as u32 * 7 % 5)).collect();
                mention(&name(*n), kind, "", &spans)
            };
            // Every second one is in one document alone.
            let wanted = numbers.iter().filter(|n| part == 0 || n.is_multiple_of(2));
            let (facts, _) = ChunkFacts::canonical(wanted.map(of).collect(), Vec::new(), Vec::new());
            (format!("chunk {} of {part}", numbers[0]), facts)
        });
        let draft = Draft { chunks: chunks.collect(), ..Draft::new(&format!("{part}.md"), &[]) };
        draft.put(store, part + 1).await;
    }
    for sort in [EntitySort::Importance, EntitySort::MentionCount, EntitySort::Name] {
        for (q, entity_type) in [(None, None), (Some("thing"), None), (Some("rare"), None), (None, Some("product"))] {
            let query = EntityQuery {
                q: q.map(str::to_owned),
                entity_type: entity_type.map(str::to_owned),
                sort,
                ..EntityQuery::default()
            };
            let walked = walk_entities(store, &query).await;
            let expected = (0..many)
                .filter(|n| q != Some("rare") || n.is_multiple_of(100))
                .filter(|n| entity_type.is_none() || n.is_multiple_of(3));
            assert_eq!(walked.len(), expected.count(), "{query:?}");
            let rank = |e: &EntityRecord| match sort {
                EntitySort::Importance => (u64::MAX - e.mention_count * e.document_count, String::new(), e.id),
                EntitySort::MentionCount => (u64::MAX - e.mention_count, String::new(), e.id),
                EntitySort::Name => (0, e.name.clone(), e.id),
            };
            assert!(walked.is_sorted_by_key(rank), "{query:?}");
        }
    }
}

async fn walk_entities(store: &dyn GraphStore, query: &EntityQuery) -> Vec<EntityRecord> {
    let (mut walked, mut start): (Vec<EntityRecord>, _) = (Vec::new(), PageStart::Offset(0));
    loop {
        let page = store.entities(&default(), query, &start, 700).await.expect("entities are listed");
        if walked.len() == 1_400 {
            let by_offset =
                store.entities(&default(), query, &PageStart::Offset(1_400), 700).await.expect("entities are listed");
            assert_eq!(by_offset.items, page.items, "{query:?}");
            assert_eq!((by_offset.total, by_offset.total_capped), (page.total, page.total_capped));
        }
        walked.extend(page.items);
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => {
                let total = walked.len() as u64;
                assert!(page.total == total || (page.total_capped && page.total == TOTAL_CAP && total > TOTAL_CAP));
                return walked;
            }
        }
    }
}

async fn detail(store: &dyn GraphStore, id: EntityId) -> EntityDetail {
    store.entity(id, &FIRST, 100).await.expect("an entity is read").expect("it is there")
}

fn said(spelling: &str, entity_type: &str, description: &str, spans: &[(u32, u32)]) -> Mention {
    Mention {
        spelling: spelling.into(),
        entity_type: entity_type.into(),
        description: description.into(),
        spans: spans.into(),
    }
}

/// Votes, both directions of aliases with the chunk that defines them, mentions with their place; what goes takes its evidence along.
pub async fn an_entity_shows_its_evidence(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let long = said("Valve Controller", "product", "opens valves", &[(4, 20)]);
    let defines = ChunkFacts::canonical(
        vec![long.clone(), said("VC", "concept", "", &[(22, 24)])],
        vec![super::fixtures::statement("Valve Controller", "VC", "")],
        vec![AliasEvidence { short: "VC".into(), long: "Valve Controller".into() }],
    )
    .0;
    let plain =
        ChunkFacts::canonical(vec![said("valve controllers", "person", "", &[(0, 5), (9, 14)])], vec![], vec![]).0;
    let mut first = Draft::new("a.md", &[]);
    first.chunks = vec![("The Valve Controller (VC) opens".into(), defines.clone()), ("other words".into(), plain)];
    first.put(store, 1).await;
    let second = Draft { chunks: vec![("The Valve Controller (VC)".into(), defines)], ..Draft::new("b.md", &[]) };
    second.put(store, 2).await;

    let found = detail(store, entity("valve controller")).await;
    assert_eq!((found.collection.clone(), found.entity.id), (default(), entity("valve controller")));
    assert_eq!((found.entity.mention_count, found.entity.document_count), (4, 2));
    let votes = |votes: &[crate::listing::Vote]| votes.iter().map(|v| (v.value.clone(), v.votes)).collect::<Vec<_>>();
    assert_eq!(votes(&found.type_votes), [("person".into(), 2), ("product".into(), 2)]);
    assert_eq!(votes(&found.spelling_votes), [("Valve Controller".into(), 2), ("valve controllers".into(), 2)]);
    assert_eq!((found.spelling_total, found.relations_out, found.relations_in), (2, 1, 0));
    let [alias] = &found.aliases[..] else { panic!("{:?}", found.aliases) };
    assert_eq!((alias.entity, alias.name.as_str(), alias.role), (entity("VC"), "VC", AliasRole::ShortForm));
    assert_eq!((alias.evidence_count, alias.evidence.len(), found.alias_total), (2, 2, 1));
    let places: BTreeSet<_> = alias.evidence.iter().map(|p| (p.document, p.chunk_index, p.page_start)).collect();
    assert_eq!(places, BTreeSet::from([(first.id(), 0, 1), (second.id(), 0, 1)]));
    assert_eq!((found.mentions.total, found.mentions.items.len()), (3, 3));
    let mention = found.mentions.items.iter().find(|m| m.place.document == first.id() && m.place.chunk_index == 0);
    let mention = mention.expect("the chunk that defines it mentions it");
    assert_eq!((&mention.said, mention.start_char), (&vec![long], 0));
    assert_eq!((mention.place.chunk, mention.place.page_end), (first.staged()[0].id, 2));

    let short = detail(store, entity("VC")).await;
    assert_eq!((short.aliases[0].entity, short.aliases[0].role), (entity("valve controller"), AliasRole::LongForm));
    assert_eq!((short.relations_out, short.relations_in), (0, 1));

    let (mut walked, mut start) = (Vec::new(), PageStart::Offset(0));
    loop {
        let page =
            store.entity(entity("valve controller"), &start, 1).await.expect("it is read").expect("there").mentions;
        walked.extend(page.items);
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    assert_eq!(walked, found.mentions.items);
    let none = store.entity(entity("valve controller"), &PageStart::Offset(9), 5).await.expect("it is read");
    assert_eq!(none.map(|e| (e.mentions.items.len(), e.mentions.total)), Some((0, 3)));

    store.remove(&default(), first.id(), Seq(3)).await.expect("it is removed");
    let found = detail(store, entity("valve controller")).await;
    assert_eq!((found.aliases[0].evidence_count, found.mentions.total), (1, 1));
    store.remove(&default(), second.id(), Seq(4)).await.expect("it is removed");
    assert!(store.entity(entity("VC"), &FIRST, 5).await.expect("it is answered").is_none());
    sweep_all(store).await;
    assert_whole(store).await;
}

/// The same name in two collections is two entities, and a list has those of one.
pub async fn collections_have_entities_of_their_own(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let other: CollectionId = "other".parse().expect("a collection name");
    Draft::new("a.md", &["Pump>Valve"]).put(store, 1).await;
    Draft { collection: other.clone(), ..Draft::new("a.md", &["Pump", "Gate"]) }.put(store, 2).await;
    assert_eq!(find(store, part("pum")).await.len(), 1);
    let theirs = store.entities(&other, &EntityQuery::default(), &FIRST, 10).await.expect("entities are listed");
    assert_eq!((theirs.total, theirs.items.len()), (2, 2));
    let id = EntityId::new(&other, &EntityName::new("pump").expect("a name"));
    assert_eq!(detail(store, id).await.collection, other);
    assert_eq!(detail(store, entity("pump")).await.collection, default());
    let nobody: CollectionId = "nobody".parse().expect("a collection name");
    let none = store.entities(&nobody, &part("pump"), &FIRST, 10).await.expect("entities are listed");
    assert_eq!((none.total, none.items.len()), (0, 0));
}

fn community(level: u32, key: &str, parent: Option<CommunityId>, members: &[EntityId]) -> CommunityRow {
    CommunityRow {
        id: CommunityId::new(&default(), level, key.as_bytes()),
        level,
        parent,
        title: format!("About {key}"),
        summary: format!("All of {key}."),
        modularity_share_millionths: 125_000,
        members: members.to_vec(),
    }
}

async fn run(store: &dyn GraphStore, rows: Vec<CommunityRow>, stands_at: u64) -> u64 {
    let run = store.begin_run(&default(), Layer::Communities, true).await.expect("a run begins");
    store.put_communities(&run, rows).await.expect("communities are written");
    store.finish_run(&run, stands_at, Map::new()).await.expect("the run ends");
    run.number
}

async fn community_of(store: &dyn GraphStore, id: CommunityId) -> Option<CommunityDetail> {
    store.community(id, &FIRST, 100).await.expect("a community is read")
}

/// The generation that readers see, with live members alone; entities know their communities; a run that has not ended shows nothing.
pub async fn communities_are_read_of_one_generation(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    Draft::new("a.md", &["A>B", "A B", "C>D"]).put(store, 1).await;
    let other = Draft::new("b.md", &["E>F"]);
    other.put(store, 2).await;
    let [a, b, c, d, e, f] = ["A", "B", "C", "D", "E", "F"].map(entity);
    let top = community(1, "top", None, &[a, b, c, d]);
    let ab = community(0, "ab", Some(top.id), &[a, b]);
    let cd = community(0, "cd", Some(top.id), &[c, d]);
    let ef = community(0, "ef", None, &[e, f]);
    let empty = store.communities(&default(), None, &FIRST, 10).await.expect("communities are listed");
    assert_eq!((empty.generation.generation, empty.page.total), (0, 0));
    let number = run(store, vec![top.clone(), ab.clone(), cd.clone(), ef.clone()], 2).await;
    let list = store.communities(&default(), None, &FIRST, 10).await.expect("communities are listed");
    assert_eq!((list.generation.generation, list.generation.stands_at, list.generation.publish_number), (number, 2, 2));
    let levels: Vec<(u32, u64)> = list.page.items.iter().map(|c| (c.level, c.size)).collect();
    assert_eq!((levels, list.page.total), (vec![(0, 2), (0, 2), (0, 2), (1, 4)], 4));
    let coarse = store.communities(&default(), Some(1), &FIRST, 10).await.expect("communities are listed").page;
    assert_eq!((coarse.total, coarse.items[0].id), (1, top.id));
    let (mut walked, mut start) = (Vec::new(), PageStart::Offset(0));
    loop {
        let page = store.communities(&default(), None, &start, 1).await.expect("communities are listed").page;
        walked.extend(page.items);
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    assert_eq!(walked, list.page.items);

    let found = community_of(store, top.id).await.expect("it is there");
    assert_eq!((found.collection, found.community.parent, found.child_total), (default(), None, 2));
    assert_eq!(found.community.summary, "All of top.");
    assert!((found.community.modularity_share - 0.125).abs() < 1e-12);
    let children: BTreeSet<CommunityId> = found.children.iter().map(|c| c.id).collect();
    assert_eq!(children, BTreeSet::from([ab.id, cd.id]));
    assert_eq!((found.members.total, found.members.items.len()), (4, 4));
    let weights = |e: &EntityRecord| std::cmp::Reverse(e.mention_count * e.document_count);
    assert!(found.members.items.is_sorted_by_key(weights));
    assert_eq!(community_of(store, ab.id).await.expect("it is there").community.parent, Some(top.id));
    let of_a = detail(store, a).await.communities;
    assert_eq!(of_a.iter().map(|c| (c.community_id, c.level)).collect::<Vec<_>>(), [(ab.id, 0), (top.id, 1)]);
    assert_eq!(of_a[1].title, "About top");

    // A member goes; then all of a community.
    Draft::new("a.md", &["A>B", "A B", "C"]).put(store, 3).await;
    assert_eq!(community_of(store, cd.id).await.expect("it is there").community.size, 1);
    let found = community_of(store, top.id).await.expect("it is there");
    assert_eq!((found.community.size, found.members.total), (3, 3));
    store.remove(&default(), other.id(), Seq(4)).await.expect("it is removed");
    assert!(community_of(store, ef.id).await.is_none(), "nobody of it lives");
    let list = store.communities(&default(), Some(0), &FIRST, 10).await.expect("communities are listed");
    assert_eq!((list.page.total, list.page.items.len()), (2, 2));
    // It comes back as another one: the old generation does not know it.
    other.put(store, 5).await;
    assert!(detail(store, e).await.communities.is_empty());
    assert_whole(store).await;

    let unfinished = store.begin_run(&default(), Layer::Communities, true).await.expect("a run begins");
    let next = community(0, "all", None, &[a, b, c, e, f]);
    store.put_communities(&unfinished, vec![next.clone()]).await.expect("communities are written");
    assert!(community_of(store, next.id).await.is_none());
    // A member that goes while a run writes is none when it ends.
    store.remove(&default(), other.id(), Seq(6)).await.expect("it is removed");
    store.finish_run(&unfinished, 6, Map::new()).await.expect("the run ends");
    let found = community_of(store, next.id).await.expect("it is there");
    assert_eq!((found.community.size, found.members.items.len(), found.child_total), (3, 3, 0));
    assert!(community_of(store, top.id).await.is_none(), "it was of another generation");
    assert_eq!(detail(store, a).await.communities.len(), 1);
    assert_whole(store).await;
}

/// More members than are sorted at once.
pub async fn a_large_community_is_paged(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let many = TOTAL_CAP as u32 + 50;
    let names: Vec<String> = (0..many + 100).map(|n| format!("thing{n}x")).collect();
    let chunks = names.chunks(300).map(|names| {
        let mentions = names.iter().enumerate().map(|(i, name)| mention(name, "concept", "", &[0, 1, 2][..1 + i % 3]));
        (names.join(" "), ChunkFacts::canonical(mentions.collect(), Vec::new(), Vec::new()).0)
    });
    let draft = Draft { chunks: chunks.collect(), ..Draft::new("a.md", &[]) };
    draft.put(store, 1).await;
    let members: Vec<EntityId> = names[..many as usize].iter().map(|name| entity(name)).collect();
    let whole = community(0, "large", None, &members);
    run(store, vec![whole.clone()], 1).await;
    let (mut walked, mut start): (Vec<EntityRecord>, _) = (Vec::new(), PageStart::Offset(0));
    loop {
        let found = store.community(whole.id, &start, 1_000).await.expect("it is read").expect("it is there");
        assert_eq!((found.community.size, found.members.total), (u64::from(many), u64::from(many)));
        walked.extend(found.members.items);
        match found.members.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    let ids: BTreeSet<EntityId> = walked.iter().map(|e| e.id).collect();
    assert_eq!((walked.len(), ids), (members.len(), members.into_iter().collect()));
    assert!(walked.is_sorted_by_key(|e| (std::cmp::Reverse(e.mention_count), e.id)));
}

/// Publications since a layer was made, and chunks without a vector.
pub async fn layers_say_how_far_they_are_behind(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let report = async || store.layer_report(&default()).await.expect("layers are read");
    assert_eq!(report().await, Default::default());
    let space = store.ensure_space(&default(), "model one", DIMENSION).await.expect("a space is made");
    assert!(
        !report().await.similarities.stale && !report().await.communities.stale,
        "there is nothing to make them of"
    );
    let mut draft = Draft::new("a.md", &["A>B", "B>C"]);
    draft.put(store, 1).await;
    let found = report().await;
    assert_eq!((found.embeddings.chunks_without_vector, found.embeddings.stale), (2, true));
    assert_eq!((found.similarities.generation, found.similarities.behind, found.similarities.stale), (0, 1, true));
    draft.spaces = vec![space.id];
    draft.put(store, 2).await;
    let number = store.stats(Some(&default())).await.expect("stats are read").publish_number;
    let asked = Map::from_iter([("top_k".to_owned(), json!(5))]);
    for layer in [Layer::Similarities, Layer::Communities] {
        let run = store.begin_run(&default(), layer, true).await.expect("a run begins");
        store.finish_run(&run, number, asked.clone()).await.expect("the run ends");
    }
    let found = report().await;
    assert_eq!((found.embeddings.stale, found.embeddings.spaces.len()), (false, 1));
    for layer in [&found.similarities, &found.communities] {
        assert_eq!((layer.stands_at, layer.behind, layer.stale), (number, 0, false));
        assert_eq!(layer.parameters, asked);
    }
    store.ensure_space(&default(), "model two", DIMENSION).await.expect("a space is made");
    Draft::new("b.md", &["D"]).put(store, 3).await;
    store.remove(&default(), Draft::new("b.md", &[]).id(), Seq(4)).await.expect("it is removed");
    let found = report().await;
    assert_eq!((found.similarities.behind, found.communities.stale), (2, true));
    let spaces: Vec<_> = found.embeddings.spaces.iter().map(|s| (s.model.as_str(), s.chunks_without_vector)).collect();
    assert_eq!(spaces, [("model one", 0), ("model two", 2)]);
    let nobody = store.layer_report(&"nobody".parse().expect("a name")).await.expect("layers are read");
    assert_eq!(nobody, Default::default());
}

/// A cursor means something in its own list and order alone.
pub async fn a_cursor_of_something_else_is_refused(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B", "B>C A"]);
    draft.put(store, 1).await;
    Draft::new("b.md", &["A"]).put(store, 2).await;
    let documents = store.documents(&DocumentQuery::default(), &FIRST, 1).await.expect("documents are listed");
    let entities = store.entities(&default(), &EntityQuery::default(), &FIRST, 1).await.expect("entities are listed");
    let of_documents = PageStart::Cursor(documents.next_cursor.expect("a second follows"));
    let of_entities = PageStart::Cursor(entities.next_cursor.expect("a second follows"));
    let refused = |answer: Result<(), Error>| {
        assert!(matches!(&answer, Err(Error::Invalid(why)) if why.contains("cursor")), "{answer:?}")
    };
    let by_name = EntityQuery { sort: EntitySort::Name, ..EntityQuery::default() };
    let rising = DocumentQuery { order: Order::Asc, ..DocumentQuery::default() };
    refused(store.entities(&default(), &by_name, &of_entities, 1).await.map(drop));
    refused(store.documents(&rising, &of_documents, 1).await.map(drop));
    let nonsense = PageStart::Cursor("nonsense".into());
    for start in [&of_documents, &nonsense] {
        refused(store.entities(&default(), &EntityQuery::default(), start, 1).await.map(drop));
        refused(store.entity(entity("A"), start, 1).await.map(drop));
        refused(store.document_entities(draft.id(), start, 1).await.map(drop));
        refused(store.communities(&default(), None, start, 1).await.map(drop));
        refused(store.community(CommunityId::new(&default(), 0, b"x"), start, 1).await.map(drop));
    }
    refused(store.documents(&DocumentQuery::default(), &of_entities, 1).await.map(drop));
}
