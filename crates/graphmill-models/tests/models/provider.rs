//! Models by the settings of a collection.

use std::sync::Arc;

use graphmill_models::{CallContext, ChunkInput, ErrorClass, ModelChoice, ModelProvider, ModelSettings};
use graphmill_testkit::fake_models::{FakeConfig, FakeModels, Mode};

use super::memory_cache::MemoryCache;
use super::{collection, settings, surroundings};

const TEXT: &str = "The Maas Pump stands in Rotterdam. The Maas Pump was read by Anna Berg.";

fn types(types: &[&str]) -> ModelChoice {
    ModelChoice { entity_types: Some(types.iter().map(|t| (*t).to_owned()).collect()), ..ModelChoice::default() }
}

fn named(embedding: &str, extraction: &str) -> ModelChoice {
    ModelChoice { embedding: Some(embedding.into()), extraction: Some(extraction.into()), entity_types: None }
}

#[tokio::test]
async fn a_collection_uses_other_models_of_the_same_server_or_none() {
    let server = FakeModels::start(FakeConfig { listen: None, mode: Mode::default() }).await.unwrap();
    let cache = Arc::new(MemoryCache::default());
    let provider = ModelProvider::with_surroundings(&settings(&server.url()), cache, surroundings()).unwrap();
    let usual = provider.of(&ModelChoice::default()).unwrap();
    assert_eq!((usual.embedder.space().model.as_str(), usual.extractor.version().model.as_str()), ("fake-1", "fake-1"));
    let other = provider.of(&named("small", "large")).unwrap();
    assert_eq!((other.embedder.space().model.as_str(), other.extractor.version().model.as_str()), ("small", "large"));
    let again = provider.of(&named("small", "large")).unwrap();
    assert!(Arc::ptr_eq(&other.embedder, &again.embedder), "one client a model: they share its rate limit");
    let offline = provider.of(&named("offline", "offline")).unwrap();
    assert_eq!(offline.extractor.version().model, "rules-v1");
    assert!(offline.embedder.cache_key(&collection(), "x").is_none());
    let keys = [&usual, &other].map(|m| m.embedder.cache_key(&collection(), "x").unwrap());
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_model_without_a_server_is_refused_with_what_to_do() {
    let provider = ModelProvider::new(&ModelSettings::default(), Arc::new(MemoryCache::default())).unwrap();
    let error = provider.of(&named("small", "offline")).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("embedding.url") && said.contains("\"small\"") && said.contains("offline"), "{said}");
    assert!(matches!(error.class(), ErrorClass::Fatal { .. }));
}

#[tokio::test]
async fn only_the_wanted_types_are_given_offline_and_by_a_server() {
    let server = FakeModels::start(FakeConfig { listen: None, mode: Mode::default() }).await.unwrap();
    let online =
        ModelProvider::with_surroundings(&settings(&server.url()), Arc::new(MemoryCache::default()), surroundings())
            .unwrap();
    let offline = ModelProvider::new(&ModelSettings::default(), Arc::new(MemoryCache::default())).unwrap();
    for provider in [&online, &offline] {
        let chunk = ChunkInput { text: TEXT, ..ChunkInput::default() };
        let all = provider.of(&ModelChoice::default()).unwrap().extractor;
        let facts = all.extract(&collection(), chunk, &CallContext::new()).await.unwrap().facts;
        let first = facts.mentions[0].entity_type.clone();
        let some = provider.of(&types(&[&first, "valve"])).unwrap().extractor;
        let kept = some.extract(&collection(), chunk, &CallContext::new()).await.unwrap().facts;
        let expected: Vec<_> = facts.mentions.iter().filter(|m| m.entity_type == first).cloned().collect();
        assert_eq!(kept.mentions, expected);
        assert!(kept.statements.len() <= facts.statements.len());
        let none = provider.of(&types(&["valve"])).unwrap().extractor;
        let kept = none.extract(&collection(), chunk, &CallContext::new()).await.unwrap().facts;
        assert_eq!((kept.mentions.len(), kept.statements.len(), kept.aliases.len()), (0, 0, 0));
        let prints = [&all, &some, &none].map(|extractor| extractor.settings_fingerprint());
        assert!(prints[0] != prints[1] && prints[1] != prints[2], "the types are among what decides 'unchanged'");
        let keys = [&all, &some].map(|extractor| extractor.cache_key(&collection(), chunk));
        assert!(keys[0].is_none() || keys[0] != keys[1], "an answer is kept for its types");
    }
}
