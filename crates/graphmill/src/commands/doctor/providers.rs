//! Model servers: do they answer, is the key taken, do they have the model. Nothing that costs is asked for.

use std::time::Duration;

use graphmill_models::Endpoint;
use serde_json::Value;

use super::Finding;
use crate::client::why;
use crate::config::Config;

/// Looks at each configured one.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (what, offline, endpoint) in [
        (
            "embedding",
            "the offline model is used (set embedding.url and embedding.model for another)",
            &config.models.embedding,
        ),
        (
            "llm",
            "entities are found by offline rules (set llm.url and llm.model for a language model)",
            &config.models.llm,
        ),
    ] {
        findings.push(match endpoint {
            None => Finding::ok(what, offline),
            Some(endpoint) => ask(what, endpoint).await,
        });
    }
    findings
}

async fn ask(what: &'static str, endpoint: &Endpoint) -> Finding {
    let (url, model) = (&endpoint.url, &endpoint.model);
    let client = match reqwest::Client::builder().timeout(Duration::from_secs(10)).build() {
        Ok(client) => client,
        Err(e) => return Finding::bad(what, e.to_string()),
    };
    let mut request = client.get(format!("{url}/models"));
    if let Some(key) = &endpoint.api_key {
        request = request.bearer_auth(key.expose());
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(e) => {
            let why = why(&e.without_url());
            return Finding::bad(
                what,
                format!("{url} does not answer ({why}); see that the address is right and the server runs"),
            );
        }
    };
    match answer.status().as_u16() {
        401 | 403 => Finding::bad(what, format!("{url} refuses the key; set {what}.api_key")),
        404 | 405 => {
            Finding::ok(what, format!("{url} answers; it does not list its models, so {model:?} was not looked for"))
        }
        status if !answer.status().is_success() => Finding::warning(what, format!("{url} answers with HTTP {status}")),
        _ => listed(what, url, model, &answer.json().await.unwrap_or_default()),
    }
}

fn listed(what: &'static str, url: &str, model: &str, body: &Value) -> Finding {
    let models: Vec<&str> = body["data"].as_array().into_iter().flatten().filter_map(|m| m["id"].as_str()).collect();
    if models.is_empty() {
        return Finding::ok(
            what,
            format!("{url} answers; it does not list its models, so {model:?} was not looked for"),
        );
    }
    if models.contains(&model) {
        return Finding::ok(what, format!("{url} has {model:?}"));
    }
    let some: Vec<_> = models.iter().take(5).copied().collect();
    Finding::warning(what, format!("{url} does not list {model:?}; it has {}", some.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::State;
    use super::*;

    #[test]
    fn a_model_that_is_not_listed_is_doubtful() {
        let body = json!({"data": [{"id": "small"}, {"id": "large"}]});
        assert_eq!(listed("llm", "http://x/v1", "small", &body).state, State::Ok);
        let finding = listed("llm", "http://x/v1", "smal", &body);
        assert_eq!(finding.state, State::Warning);
        assert!(finding.message.contains("small, large"), "{}", finding.message);
    }
}
