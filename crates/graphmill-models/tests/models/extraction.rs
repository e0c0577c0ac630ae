//! `/v1/chat/completions`.

use graphmill_core::{EntityName, ErrorCode};
use graphmill_models::{CallContext, ChunkInput, Error, ErrorClass, Extraction, Models};
use graphmill_testkit::fake_models::{Fault, FaultFor, Mode};

use super::{collection, models, set_up};

const TEXT: &str = "The Maas Pump stands in Rotterdam. Sensor 4 of the Maas Pump was read by Crew 9.";

fn chunk(text: &str) -> ChunkInput<'_> {
    ChunkInput { text, ..ChunkInput::default() }
}

async fn extract(models: &Models, text: &str) -> Result<Extraction, Error> {
    models.extractor.extract(&collection(), chunk(text), &CallContext::new()).await
}

fn check(extraction: &Extraction) {
    let names: Vec<&str> = extraction.facts.mentions.iter().map(|m| m.spelling.as_str()).collect();
    assert_eq!(names, ["Crew 9", "Maas Pump", "Rotterdam", "Sensor 4"]);
    assert_eq!(extraction.facts.statements.len(), 3);
    assert!(extraction.dropped.is_empty() && !extraction.truncated);
    let pump = &extraction.facts.mentions[1];
    assert_eq!(pump.spans, [(4, 13), (51, 60)]);
    assert!(pump.description.contains("Maas Pump"));
}

#[tokio::test]
async fn a_chunk_is_asked_once_and_kept() {
    let set = set_up(Mode { latency_ms: 40, ..Mode::default() }).await;
    let (a, b) = tokio::join!(extract(&set.models, TEXT), extract(&set.models, TEXT));
    let (a, b) = (a.unwrap(), b.unwrap());
    check(&a);
    check(&b);
    assert!(a.from_cache != b.from_cache, "one of the two found the other's answer");
    let again = extract(&models(&set.server, &set.cache), TEXT).await.unwrap();
    assert!(again.from_cache);
    assert_eq!(again.facts, a.facts);
    assert_eq!(set.server.stats().requests, 1);
}

#[tokio::test]
async fn all_that_the_answer_depends_on_is_in_the_key() {
    let set = set_up(Mode::default()).await;
    let (base, other) = (chunk(TEXT), "other".parse().unwrap());
    let key = |c, chunk| set.models.extractor.cache_key(c, chunk).unwrap();
    let keys = [
        key(&collection(), base),
        key(&other, base),
        key(&collection(), chunk("x")),
        key(&collection(), ChunkInput { heading_path: "A > B", ..base }),
        key(&collection(), ChunkInput { context: Some("A > B"), ..base }),
    ];
    assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_asked_again() {
    for fault in [
        Fault::Refusal,
        Fault::Garbage,
        Fault::WrongJson,
        Fault::TruncatedJson,
        Fault::ErrorWith200,
        Fault::Cut,
        Fault::InternalError,
        Fault::RateLimited,
        Fault::Hang,
    ] {
        let set = set_up(Mode { script: vec![fault, fault], ..Mode::default() }).await;
        check(&extract(&set.models, TEXT).await.unwrap_or_else(|e| panic!("{fault:?}: {e}")));
        assert_eq!(set.server.stats().requests, 3, "{fault:?}");
        assert_eq!(set.cache.entries.lock().len(), 1);
    }
}

#[tokio::test]
async fn a_chunk_that_cannot_be_processed_is_set_aside() {
    for (fault, code, requests) in [
        (Fault::Refusal, ErrorCode::ModelBadAnswer, 3),
        (Fault::Garbage, ErrorCode::ModelBadAnswer, 3),
        (Fault::ContentFilter, ErrorCode::ModelRefused, 1),
        (Fault::TooLong, ErrorCode::ModelRefused, 1),
        (Fault::BadRequest, ErrorCode::ModelRefused, 2),
    ] {
        let about = vec![FaultFor { contains: "Maas".into(), fault }];
        let set = set_up(Mode { texts: about, ..Mode::default() }).await;
        let error = extract(&set.models, TEXT).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Quarantine { code }, "{fault:?}: {error}");
        assert_eq!(set.server.stats().requests, requests, "{fault:?}");
        assert!(set.cache.entries.lock().is_empty(), "a bad answer is not kept");
        assert!(!error.to_string().contains("Rotterdam"), "no payload in {error}");
        assert!(extract(&set.models, "Only Delft here.").await.is_ok());
    }
}

#[tokio::test]
async fn a_server_without_json_mode_is_asked_without_it() {
    let set = set_up(Mode { fail_rate: 1.0, faults: vec![Fault::NoJsonMode], ..Mode::default() }).await;
    check(&extract(&set.models, TEXT).await.unwrap());
    extract(&set.models, "Only Delft here.").await.unwrap();
    assert_eq!(set.server.stats().faults[&Fault::NoJsonMode], 1);
    assert_eq!(set.server.stats().requests, 3);
}

#[tokio::test]
async fn a_refusal_of_everything_is_fatal() {
    let set = set_up(Mode { fail_rate: 1.0, faults: vec![Fault::BadRequest], ..Mode::default() }).await;
    let error = extract(&set.models, TEXT).await.unwrap_err();
    assert!(matches!(error.class(), ErrorClass::Fatal { code: ErrorCode::ModelRefused, .. }), "{error:?}");
}

#[tokio::test]
async fn tokens_are_counted() {
    let set = set_up(Mode::default()).await;
    let ctx = CallContext::new();
    set.models.extractor.extract(&collection(), chunk(TEXT), &ctx).await.unwrap();
    let usage = ctx.usage.snapshot();
    assert_eq!((usage.requests, usage.cache_hits), (1, 0));
    assert!(usage.input_tokens > 0 && usage.output_tokens > 0);
}

#[tokio::test]
async fn another_model_has_another_fingerprint() {
    let set = set_up(Mode::default()).await;
    let mut other = super::settings(&set.server.url());
    other.llm.as_mut().unwrap().model = "fake-2".into();
    let others = Models::new(&other, set.cache.clone()).unwrap();
    assert_ne!(set.models.extractor.settings_fingerprint(), others.extractor.settings_fingerprint());
    assert_ne!(
        set.models.extractor.cache_key(&collection(), chunk(TEXT)),
        others.extractor.cache_key(&collection(), chunk(TEXT))
    );
    assert!(EntityName::new(&set.models.extractor.version().model).is_ok());
}
