//! c28: a dropped call stops at once, starts nothing later, and what was answered is not paid for again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use graphmill_models::{CallContext, ChunkInput, EmbedInput};
use graphmill_testkit::fake_models::{FakeModels, Mode};

use super::{collection, set_up};

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The server sees that the client is gone.
async fn idle(server: &FakeModels) {
    let start = std::time::Instant::now();
    while server.stats().in_flight > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "requests are still under way");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn c28_cancel_then_retry() {
    let set = set_up(Mode { latency_ms: 60, ..Mode::default() }).await;
    let (ctx, collection) = (CallContext::new(), collection());
    let texts: Vec<String> = (0..40).map(|i| format!("Sensor {i} of Mill {i} was read by Crew {i}.")).collect();
    let run = || {
        let call = |text| set.models.extractor.extract(&collection, ChunkInput { text, ..ChunkInput::default() }, &ctx);
        futures::stream::iter(texts.iter()).map(move |text| call(text)).buffer_unordered(8)
    };
    let mut first = Box::pin(run());
    for _ in 0..10 {
        first.next().await.unwrap().unwrap();
    }
    while set.server.stats().in_flight == 0 {
        let _ = tokio::time::timeout(Duration::from_millis(5), first.next()).await;
    }
    drop(first);
    let cancelled = now_ms();
    idle(&set.server).await;
    assert!(now_ms() - cancelled < 1_000);
    let stats = set.server.stats();
    assert!(stats.aborted > 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(set.server.stats().requests, stats.requests, "a request started after the cancel");
    let extractions: Vec<_> = run().collect().await;
    assert!(extractions.iter().all(|e| e.as_ref().is_ok_and(|e| e.facts.mentions.len() == 3)));
    // An answer that was on its way when the call was dropped was never recorded: it alone may be asked for again.
    let again = set.server.stats().asked_again().len();
    assert!(again <= 4, "{again} texts were paid for twice");
    assert!(ctx.usage.snapshot().cache_hits >= 10);
}

#[tokio::test]
async fn who_waits_for_a_dropped_call_asks_itself() {
    let set = set_up(Mode { latency_ms: 200, ..Mode::default() }).await;
    let (ctx, collection) = (CallContext::new(), collection());
    let inputs = [EmbedInput { text: "shared" }];
    let mut first = Box::pin(set.models.embedder.embed(&collection, &inputs, &ctx));
    let mut second = Box::pin(set.models.embedder.embed(&collection, &inputs, &ctx));
    while set.server.stats().requests == 0 {
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(set.server.stats().requests, 1);
    drop(first);
    assert!(second.await.unwrap()[0].is_ok());
    let stats = set.server.stats();
    assert_eq!((stats.requests, stats.answered), (2, 1));
}
