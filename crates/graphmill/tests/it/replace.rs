//! Replacing and deleting: whatever came before, the graph is that of the final documents.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};

use crate::support::{assert_completed, markdown, seed, start};

/// 200 random uploads, replacements and deletions over 12 documents that share entities, several at a time.
#[tokio::test(flavor = "multi_thread")]
async fn after_two_hundred_random_steps_the_export_is_that_of_a_fresh_folder() {
    let seed = seed();
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let app = start().await;
    let mut documents: BTreeMap<u32, (String, Option<String>)> = BTreeMap::new();
    let mut unended = Vec::new();
    for step in 0..200 {
        let n = rng.random_range(0..12_u32);
        let name = format!("doc-{n}.md");
        if rng.random_bool(0.25)
            && let Some((id, text)) = documents.get_mut(&n)
            && text.is_some()
        {
            let (status, answer) = app.delete(&format!("/api/documents/{id}")).await.unwrap();
            assert!(matches!(status, 200 | 202), "seed {seed}, step {step}: {status} {answer}");
            *text = None;
        } else {
            let text = markdown(rng.random_range(0..40), rng.random_range(1..6));
            let (status, answer) = app.upload(&name, text.clone(), &[]).await.unwrap();
            assert_eq!(status, 202, "seed {seed}, step {step}: {answer}");
            unended.push(answer["job_id"].as_str().unwrap().to_owned());
            documents.insert(n, (answer["document_id"].as_str().unwrap().to_owned(), Some(text)));
        }
        if rng.random_bool(0.2) {
            for job in unended.drain(..) {
                app.wait_ended(&job).await.unwrap();
            }
        }
    }
    for job in unended {
        let page = app.wait_ended(&job).await.unwrap();
        assert_ne!(page["status"], "failed", "seed {seed}: {page:#}");
    }
    for (id, text) in documents.values() {
        let wanted = if text.is_some() { 200 } else { 404 };
        crate::support::eventually(&app, &format!("/api/documents/{id}/chunks"), wanted).await;
    }

    let fresh = start().await;
    for (n, (_, text)) in &documents {
        if let Some(text) = text {
            let job = fresh.upload_job(&format!("doc-{n}.md"), text.clone(), &[]).await.unwrap();
            assert_completed(&fresh.wait_ended(&job).await.unwrap());
        }
    }
    let expected = fresh.export("default").await.unwrap();
    assert_eq!(app.export("default").await.unwrap(), expected, "seed {seed}");
}
