//! From settings to models.

use std::sync::Arc;

use graphmill_models::{CallContext, ChunkInput, EmbedInput, Error, ModelSettings, Models};
use graphmill_testkit::fake_models::Mode;

use super::memory_cache::MemoryCache;
use super::{KEY, collection, set_up, settings};

#[tokio::test]
async fn nothing_set_is_offline_and_caches_nothing() {
    let cache = Arc::new(MemoryCache::default());
    let models = Models::new(&ModelSettings::default(), cache.clone()).unwrap();
    let (collection, ctx) = (collection(), CallContext::new());
    let text = "The Maas Pump of the PostgreSQL server stands in Rotterdam.";
    let vectors = models.embedder.embed(&collection, &[EmbedInput { text }], &ctx).await.unwrap();
    assert_eq!(vectors[0].as_ref().unwrap().len() as u32, models.embedder.space().dimension.unwrap());
    let chunk = ChunkInput { text, ..ChunkInput::default() };
    let extraction = models.extractor.extract(&collection, chunk, &ctx).await.unwrap();
    assert!(extraction.facts.mentions.iter().any(|m| m.spelling == "PostgreSQL"));
    assert!(cache.entries.lock().is_empty());
    assert!(models.embedder.cache_key(&collection, text).is_none());
}

#[tokio::test]
async fn the_key_is_sent_and_never_shown() {
    let set = set_up(Mode { api_key: KEY.into(), ..Mode::default() }).await;
    let inputs = [EmbedInput { text: "x" }];
    assert!(set.models.embedder.embed(&collection(), &inputs, &CallContext::new()).await.unwrap()[0].is_ok());
    let shown = format!("{:?} {:?}", set.models, settings(&set.server.url()));
    assert!(!shown.contains(KEY) && shown.contains("***"), "{shown}");
}

#[test]
fn a_wrong_setting_is_named() {
    for url in ["", "no url", "ftp://x/v1", "file:///v1"] {
        let error = Models::new(&settings(url), Arc::new(MemoryCache::default())).unwrap_err();
        assert!(matches!(error, Error::Settings { name: "embedding", .. }), "{url}: {error:?}");
    }
    let mut empty = settings("http://127.0.0.1:1/v1/");
    empty.llm.as_mut().unwrap().model = " ".into();
    assert!(matches!(
        Models::new(&empty, Arc::new(MemoryCache::default())).unwrap_err(),
        Error::Settings { name: "llm", .. }
    ));
}
