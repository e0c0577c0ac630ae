//! 429 and how many requests there are at once.

use std::time::{Duration, Instant};

use futures::future::join_all;
use graphmill_core::ErrorCode;
use graphmill_models::{CallContext, ChunkInput, Error, ErrorClass};
use graphmill_testkit::fake_models::{Fault, Mode};

use super::{collection, set_up};

#[tokio::test]
async fn a_short_limit_is_waited_out_by_all() {
    let set =
        set_up(Mode { script: vec![Fault::RateLimited], retry_after: "0.3".into(), latency_ms: 10, ..Mode::default() })
            .await;
    let (ctx, collection) = (CallContext::new(), collection());
    let start = Instant::now();
    let texts: Vec<String> = (0..12).map(|i| format!("Only Delft {i} here.")).collect();
    let calls = texts.iter().map(|text| {
        let chunk = ChunkInput { text, ..ChunkInput::default() };
        set.models.extractor.extract(&collection, chunk, &ctx)
    });
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert!(start.elapsed() >= Duration::from_millis(300));
    let stats = set.server.stats();
    assert_eq!(stats.requests, 13);
    assert!(stats.max_in_flight <= 4, "{}", stats.max_in_flight);
    assert_eq!(ctx.usage.snapshot().rate_limited, 1);
    // Those that were under way end; then nothing starts until the pause is over.
    let refused = stats.log.iter().find(|r| r.fault == Fault::RateLimited).unwrap().ended_ms.unwrap();
    let early = stats.log.iter().filter(|r| r.started_ms > refused + 50 && r.started_ms < refused + 290).count();
    assert_eq!(early, 0, "{:?}", stats.log);
}

#[tokio::test]
async fn a_long_limit_is_given_to_the_job_and_nothing_is_sent_meanwhile() {
    let in_an_hour = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3600));
    for (header, least, most) in [("30", 29, 30), (in_an_hour.as_str(), 3590, 3600)] {
        let set =
            set_up(Mode { script: vec![Fault::RateLimited], retry_after: header.into(), ..Mode::default() }).await;
        let chunk = ChunkInput { text: "Only Delft here.", ..ChunkInput::default() };
        for _ in 0..3 {
            let error = set.models.extractor.extract(&collection(), chunk, &CallContext::new()).await.unwrap_err();
            let ErrorClass::Snooze { after, code: ErrorCode::ModelRateLimited, .. } = error.class() else {
                panic!("{error:?}");
            };
            assert!((least..=most).contains(&after.as_secs()), "{after:?}");
        }
        assert_eq!(set.server.stats().requests, 1);
    }
}

#[tokio::test]
async fn a_storm_of_faults_loses_nothing_and_pays_nothing_twice() {
    let mode = Mode { fail_rate: 0.4, latency_ms: 2, seed: 42, ..Mode::default() };
    let set = set_up(mode).await;
    let (ctx, collection) = (CallContext::new(), collection());
    let texts: Vec<String> = (0..60).map(|i| format!("The Mill {i} stands in Delft.")).collect();
    let set = &set;
    let (ctx, collection) = (&ctx, &collection);
    let calls = texts.iter().map(|text| async move {
        let chunk = ChunkInput { text, ..ChunkInput::default() };
        // What a job does: sleep or try again until it is done.
        for _ in 0..50 {
            match set.models.extractor.extract(collection, chunk, ctx).await {
                Ok(extraction) => return extraction,
                Err(Error::RateLimited { after, .. }) => tokio::time::sleep(after).await,
                Err(Error::Unavailable { .. } | Error::Quarantined(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        panic!("{text} is never done");
    });
    let found = join_all(calls).await;
    assert!(found.iter().all(|e| e.truncated || e.facts.mentions.len() == 2), "{found:?}");
    let stats = set.server.stats();
    assert!(stats.asked_again().is_empty(), "{:?}", stats.asked_again());
    assert!(stats.max_in_flight <= 4);
    assert_eq!(ctx.usage.paused(), 0);
}
