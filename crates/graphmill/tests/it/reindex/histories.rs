//! A delta equals a full rebuild, byte for byte, over random histories through the binary.

use rand::{Rng, SeedableRng};
use serde_json::json;

use super::{after_a_full_one, ingest, reindex, start};
use crate::support::{eventually, markdown, seed};

/// Sections of a report, some of them repeated in other reports (equal vectors) and within it.
fn report(rng: &mut rand::rngs::StdRng) -> String {
    let whole = markdown(rng.random_range(0..3), 14);
    let sections: Vec<&str> = whole.split("## ").collect();
    let mut text = String::new();
    for _ in 0..rng.random_range(1..12) {
        text.push_str("## ");
        text.push_str(sections[rng.random_range(0..sections.len())]);
        if rng.random_bool(0.3) {
            text.push_str(&format!("Note {} of the day.\n\n", rng.random_range(0..1_000)));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_ends_as_a_full_rebuild() {
    let app = start("").await;
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed());
    for round in 0..12 {
        for _ in 0..rng.random_range(0..5) {
            let name = format!("{}.md", rng.random_range(0..9));
            if rng.random_bool(0.75) {
                let text = report(&mut rng);
                ingest(&app, &name, text).await;
            } else {
                let (_, list) = app.get("/api/documents?limit=50").await.unwrap();
                let Some(document) = list["documents"].as_array().unwrap().first() else { continue };
                let path = format!("/api/documents/{}", document["document_id"].as_str().unwrap());
                assert!(matches!(app.delete(&path).await.unwrap().0, 200 | 202));
                eventually(&app, &path, 404).await;
            }
        }
        // The same parameters most of the time, so that deltas stand on deltas.
        let body = if round % 5 == 4 { json!({"top_k": 2, "threshold": 0.3}) } else { json!({"top_k": 4}) };
        let page = reindex(&app, body.clone()).await;
        let after_delta = app.export("default").await.unwrap();
        if round % 3 == 2 {
            assert_eq!(after_a_full_one(&app, body).await, after_delta, "round {round}: {page:#}");
        }
    }
}
