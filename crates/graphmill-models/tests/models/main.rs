//! The clients against a model server that fails on demand.

mod cancellation;
mod embeddings;
mod extraction;
mod memory_cache;
mod provider;
mod rate_limits;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use graphmill_core::CollectionId;
use graphmill_models::openai::Surroundings;
use graphmill_models::{Endpoint, ModelSettings, Models, Secret};
use graphmill_testkit::fake_models::{FakeConfig, FakeModels, Mode};
use memory_cache::MemoryCache;

const KEY: &str = "sk-very-secret";

/// A fake server, a cache and the clients over both.
struct Setting {
    server: FakeModels,
    cache: Arc<MemoryCache>,
    models: Models,
}

fn settings(url: &str) -> ModelSettings {
    let endpoint = Endpoint { url: url.to_owned(), model: "fake-1".into(), api_key: Some(Secret::new(KEY)) };
    ModelSettings {
        embedding: Some(endpoint.clone()),
        llm: Some(endpoint),
        concurrency: 4,
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_millis(700),
        request_timeout: Duration::from_secs(5),
        retry_pause: Duration::from_millis(10),
        longest_wait: Duration::from_secs(2),
    }
}

/// No chance in tests.
fn surroundings() -> Surroundings {
    Surroundings { jitter: Arc::new(|| 1.0), ..Surroundings::default() }
}

async fn set_up(mode: Mode) -> Setting {
    let server = FakeModels::start(FakeConfig { listen: None, mode }).await.unwrap();
    let cache = Arc::new(MemoryCache::default());
    let models = models(&server, &cache);
    Setting { server, cache, models }
}

/// Clients that know nothing of earlier ones but the cache, as after a restart.
fn models(server: &FakeModels, cache: &Arc<MemoryCache>) -> Models {
    Models::with_surroundings(&settings(&server.url()), cache.clone(), surroundings()).unwrap()
}

fn collection() -> CollectionId {
    CollectionId::default()
}
