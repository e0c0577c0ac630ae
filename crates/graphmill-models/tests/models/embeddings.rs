//! `/v1/embeddings`.

use std::sync::atomic::Ordering;

use graphmill_core::ErrorCode;
use graphmill_models::{CallContext, EmbedAnswer, EmbedInput, Error, ErrorClass, Models, decode_vector};
use graphmill_testkit::fake_models::{Fault, FaultFor, Mode, embedding};

use super::{KEY, collection, models, set_up};

async fn embed(models: &Models, texts: &[String], ctx: &CallContext) -> Result<Vec<EmbedAnswer>, Error> {
    let inputs: Vec<EmbedInput<'_>> = texts.iter().map(|text| EmbedInput { text }).collect();
    models.embedder.embed(&collection(), &inputs, ctx).await
}

fn texts(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("text number {i}")).collect()
}

fn check(texts: &[String], answers: &[EmbedAnswer]) {
    assert_eq!(texts.len(), answers.len());
    for (text, answer) in texts.iter().zip(answers) {
        assert_eq!(answer.as_ref().unwrap(), &embedding(text, 32), "{text}");
    }
}

#[tokio::test]
async fn each_text_is_asked_once_and_kept() {
    let set = set_up(Mode { latency_ms: 5, ..Mode::default() }).await;
    let ctx = CallContext::new();
    let mut wanted = texts(150);
    wanted.extend(texts(20)); // again
    check(&wanted, &embed(&set.models, &wanted, &ctx).await.unwrap());
    let stats = set.server.stats();
    assert_eq!((stats.requests, stats.items.len()), (3, 150));
    assert!(stats.items.iter().all(|item| item.asked == 1));
    assert_eq!(set.cache.entries.lock().len(), 150);
    let key = set.models.embedder.cache_key(&collection(), &wanted[0]).unwrap();
    assert_eq!(decode_vector(&set.cache.entries.lock()[&key]), Some(embedding(&wanted[0], 32)));
    // After a restart the cache has all.
    let again = models(&set.server, &set.cache);
    check(&wanted, &embed(&again, &wanted, &ctx).await.unwrap());
    assert_eq!(set.server.stats().requests, 3);
    assert_eq!(ctx.usage.snapshot().cache_hits, 150);
    assert_eq!(again.embedder.space().dimension, Some(32));
}

#[tokio::test]
async fn the_same_texts_in_two_calls_at_once_are_asked_once() {
    let set = set_up(Mode { latency_ms: 50, ..Mode::default() }).await;
    let ctx = CallContext::new();
    let (mut forward, mut backward) = (texts(40), texts(60));
    backward.reverse();
    forward.push("one more".into());
    let (a, b, c) = tokio::join!(
        embed(&set.models, &forward, &ctx),
        embed(&set.models, &backward, &ctx),
        embed(&set.models, &forward, &ctx)
    );
    check(&forward, &a.unwrap());
    check(&backward, &b.unwrap());
    check(&forward, &c.unwrap());
    assert!(set.server.stats().items.iter().all(|item| item.asked == 1), "{:?}", set.server.stats().asked_again());
}

#[tokio::test]
async fn collections_share_no_answers() {
    let set = set_up(Mode::default()).await;
    let ctx = CallContext::new();
    embed(&set.models, &texts(1), &ctx).await.unwrap();
    let other = "other".parse().unwrap();
    set.models.embedder.embed(&other, &[EmbedInput { text: "text number 0" }], &ctx).await.unwrap();
    assert_eq!(set.server.stats().items[0].asked, 2);
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_refused_whole_and_asked_again() {
    for fault in [
        Fault::ShortEmbeddings,
        Fault::OtherDimension,
        Fault::ZeroVector,
        Fault::Garbage,
        Fault::WrongJson,
        Fault::TruncatedJson,
        Fault::ErrorWith200,
        Fault::Cut,
        Fault::InternalError,
        Fault::Unavailable,
        Fault::RateLimited,
        Fault::Hang,
        Fault::ShuffledEmbeddings,
    ] {
        let set = set_up(Mode { script: vec![fault], ..Mode::default() }).await;
        let ctx = CallContext::new();
        check(&texts(4), &embed(&set.models, &texts(4), &ctx).await.unwrap_or_else(|e| panic!("{fault:?}: {e}")));
        let requests = if fault == Fault::ShuffledEmbeddings { 1 } else { 2 };
        assert_eq!(set.server.stats().requests, requests, "{fault:?}");
        assert_eq!(set.cache.entries.lock().len(), 4);
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_embedded_costs_only_itself() {
    for (fault, code) in [
        (Fault::ZeroVector, ErrorCode::ModelBadAnswer),
        (Fault::TooLong, ErrorCode::ModelRefused),
        (Fault::BadRequest, ErrorCode::ModelRefused),
        (Fault::Garbage, ErrorCode::ModelBadAnswer),
    ] {
        let texts_about = vec![FaultFor { contains: "poison".into(), fault }];
        let set = set_up(Mode { texts: texts_about, ..Mode::default() }).await;
        let mut wanted = texts(30);
        wanted.push("poison".into());
        let mut answers = embed(&set.models, &wanted, &CallContext::new()).await.unwrap();
        let refused = answers.pop().unwrap().unwrap_err();
        assert_eq!(refused.code, code, "{fault:?}: {refused}");
        check(&texts(30), &answers);
        assert_eq!(set.cache.entries.lock().len(), 30);
        assert!(set.server.stats().requests < 25, "{fault:?}: {}", set.server.stats().requests);
        assert!(set.server.stats().asked_again().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_only_answers_nonsense_is_not_asked_for_ever() {
    let set = set_up(Mode { fail_rate: 1.0, faults: vec![Fault::ShortEmbeddings], ..Mode::default() }).await;
    let error = embed(&set.models, &texts(64), &CallContext::new()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Retry { code: ErrorCode::ModelBadAnswer });
    assert!(error.to_string().contains("vectors for"), "{error}");
    assert!(set.server.stats().requests < 20, "{}", set.server.stats().requests);
    assert!(set.cache.entries.lock().is_empty());
}

#[tokio::test]
async fn what_a_person_must_mend_is_fatal_with_a_hint() {
    for fault in [Fault::Unauthorized, Fault::UnknownModel, Fault::BadRequest] {
        let set = set_up(Mode { fail_rate: 1.0, faults: vec![fault], ..Mode::default() }).await;
        let error = embed(&set.models, &texts(1), &CallContext::new()).await.unwrap_err();
        assert!(
            matches!(error.class(), ErrorClass::Fatal { code: ErrorCode::ModelRefused, ref hint } if !hint.is_empty()),
            "{error:?}"
        );
        assert!(!format!("{error:?} {error} {:?}", super::settings(&set.server.url())).contains(KEY));
        assert!(set.server.stats().requests <= 2);
    }
}

#[tokio::test]
async fn an_outage_is_slept_through() {
    let set = set_up(Mode {
        fail_rate: 1.0,
        faults: vec![Fault::Unavailable],
        retry_after: String::new(),
        ..Mode::default()
    })
    .await;
    let ctx = CallContext::new();
    let error = embed(&set.models, &texts(2), &ctx).await.unwrap_err();
    assert!(matches!(error.class(), ErrorClass::Snooze { code: ErrorCode::ModelUnavailable, .. }), "{error:?}");
    assert_eq!((set.server.stats().requests, ctx.usage.snapshot().retries), (3, 2));
    let clients = models(&set.server, &set.cache);
    drop(set.server); // connection refused
    let error = embed(&clients, &texts(2), &ctx).await.unwrap_err();
    assert!(matches!(error.class(), ErrorClass::Snooze { code: ErrorCode::ModelUnavailable, .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn an_answer_is_kept_before_it_is_used() {
    let set = set_up(Mode::default()).await;
    set.cache.writes.forget_permits(usize::MAX >> 4);
    let (ctx, wanted) = (CallContext::new(), texts(3));
    let mut call = Box::pin(embed(&set.models, &wanted, &ctx));
    while set.server.stats().answered == 0 {
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), &mut call).await.is_err());
    }
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), &mut call).await.is_err());
    set.cache.writes.add_permits(1);
    check(&wanted, &call.await.unwrap());
    assert_eq!(set.cache.entries.lock().len(), 3);
}

#[tokio::test]
async fn a_cache_that_fails_is_no_reason_to_pay_twice() {
    let set = set_up(Mode::default()).await;
    set.cache.broken.store(true, Ordering::SeqCst);
    let error = embed(&set.models, &texts(1), &CallContext::new()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Retry { code: ErrorCode::StorageFailed });
    assert_eq!(set.server.stats().requests, 0, "nothing is asked for that cannot be looked up");
    set.cache.broken.store(false, Ordering::SeqCst);
    set.cache.full.store(true, Ordering::SeqCst);
    let error = embed(&set.models, &texts(1), &CallContext::new()).await.unwrap_err();
    assert!(matches!(error.class(), ErrorClass::Snooze { code: ErrorCode::StorageFull, .. }), "{error:?}");
}

#[tokio::test]
async fn the_dimension_is_probed() {
    let set = set_up(Mode { embedding_dim: 7, ..Mode::default() }).await;
    assert_eq!(set.models.embedder.space().dimension, None);
    assert_eq!(set.models.embedder.probe(&CallContext::new()).await.unwrap().dimension, Some(7));
    // Vectors of another dimension are never mixed in.
    set.server.set_mode(Mode { embedding_dim: 8, ..Mode::default() });
    assert!(embed(&set.models, &texts(2), &CallContext::new()).await.is_err());
    assert_eq!(set.cache.entries.lock().len(), 1);
}
