//! What a status other than 200 means.

use std::time::Duration;

use serde_json::Value;

/// A quota that is used up comes back by a person's hand or the next day, not in seconds.
const QUOTA_PAUSE: Duration = Duration::from_secs(300);

/// An answer that is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 429; with the time to wait if it is known.
    RateLimited(Option<Duration>),
    /// The server's trouble, which passes.
    Transient(String),
    /// The item is too long for the model.
    TooLong(String),
    /// The item's content is refused.
    Content(String),
    /// The server does not know this parameter of the request.
    Parameter(&'static str),
    /// A 400 that says no more: the item's or everybody's fault.
    Unclear(String),
    /// Nothing of this kind will be answered until a person does something: reason and hint.
    Everything(String, &'static str),
}

/// Parameters that some servers refuse and that the request can do without.
const OPTIONAL_PARAMETERS: [&str; 3] = ["response_format", "temperature", "encoding_format"];

/// Reads a status and the body that came with it. Nothing of the body but a short code gets into a message: servers quote keys and texts.
pub(super) fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Refusal {
    let told: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    // `{"error": {…}}`, `{"error": "sentence"}`, `{"detail": …}`, `{"message": …}`
    let error = told.get("error").unwrap_or(&told);
    let word = |name: &str| error.get(name).and_then(Value::as_str).filter(|s| is_code(s)).unwrap_or_default();
    let (code, kind, parameter) = (word("code"), word("type"), word("param"));
    let message = String::from_utf8_lossy(&body[..body.len().min(4096)]).to_lowercase();
    let named = if code.is_empty() { kind } else { code };
    let reason = if named.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status} ({named})") };
    let says = |words: &[&str]| words.iter().any(|w| message.contains(w));
    match status {
        429 if code == "insufficient_quota" => Refusal::RateLimited(Some(retry_after.unwrap_or(QUOTA_PAUSE))),
        429 => Refusal::RateLimited(retry_after),
        401 | 403 => Refusal::Everything(reason, "check the API key and what it is allowed to use"),
        402 => Refusal::Everything(reason, "the account at the provider has no credit left"),
        404 => Refusal::Everything(reason, "check the URL (it ends in /v1) and the name of the model"),
        413 => Refusal::TooLong(reason),
        300..=399 => Refusal::Everything(reason, "the server redirects elsewhere; set the URL that it redirects to"),
        408 | 409 | 425 | 500..=599 => Refusal::Transient(reason),
        400 | 422 => {
            if code == "model_not_found" || says(&["model not found", "model does not exist", "no such model"]) {
                return Refusal::Everything(reason, "check the name of the model");
            }
            let too_long = [
                "context length",
                "context window",
                "maximum context",
                "too long",
                "too many tokens",
                "context_length",
            ];
            if code == "context_length_exceeded" || says(&too_long) {
                return Refusal::TooLong(reason);
            }
            if says(&["content_filter", "content_policy", "content management policy", "safety system"]) {
                return Refusal::Content(reason);
            }
            let unknown = OPTIONAL_PARAMETERS.iter().find(|p| parameter == **p || message.contains(**p));
            unknown.map_or(Refusal::Unclear(reason), |p| Refusal::Parameter(p))
        }
        _ => Refusal::Everything(reason, "check the URL (it ends in /v1) and the name of the model"),
    }
}

/// A word as servers name errors with; a sentence or a key is none.
fn is_code(text: &str) -> bool {
    text.len() <= 48 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.') && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(read(429, second, b""), Refusal::RateLimited(second));
        let quota = br#"{"error": {"message": "x", "code": "insufficient_quota"}}"#;
        assert_eq!(read(429, None, quota), Refusal::RateLimited(Some(QUOTA_PAUSE)));
        assert_eq!(read(503, None, b"<html>"), Refusal::Transient("HTTP 503".into()));
        assert!(matches!(read(401, None, b"{}"), Refusal::Everything(..)));
        let long = br#"{"error": {"message": "This model's maximum context length is 8192 tokens"}}"#;
        assert_eq!(read(400, None, long), Refusal::TooLong("HTTP 400".into()));
        let parameter = br#"{"error": {"message": "Unsupported", "param": "response_format"}}"#;
        assert_eq!(read(400, None, parameter), Refusal::Parameter("response_format"));
        assert_eq!(read(422, None, br#"{"detail": [{"msg": "?"}]}"#), Refusal::Unclear("HTTP 422".into()));
    }

    #[test]
    fn what_the_server_quotes_is_not_repeated() {
        let body =
            br#"{"error": {"message": "Incorrect API key provided: sk-SECRET", "code": "sk-SECRET of the user"}}"#;
        assert!(!format!("{:?}", read(401, None, body)).contains("SECRET"));
    }
}
