//! JSON bodies: small, read within a time limit, and taken apart field by field with errors that name the field.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use graphmill_core::ErrorCode;
use serde_json::{Map, Value};

use crate::error::shortened;
use crate::{Error, Result};

/// Largest JSON body, in bytes. The longest that the API knows has a few hundred.
const MAX_BYTES: usize = 64 * 1024;

/// Longest pause between two pieces of a body.
const IDLE: Duration = Duration::from_secs(60);

/// The fields of a JSON object. An empty body is an object without fields.
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// What stands before a name in a message: where the object is within the body.
    within: String,
}

/// How long a client may be silent within a body, as the connection that it came over was told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence(pub(crate) Duration);

impl Silence {
    pub(crate) fn of(extensions: &axum::http::Extensions) -> Duration {
        extensions.get::<Self>().map_or(IDLE, |silence| silence.0)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = read_small(body, Silence::of(&parts.extensions)).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::of(Map::new()));
        }
        check_content_type(&parts.headers)?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(mut map)) => {
                map.values_mut().for_each(whole_numbers);
                Ok(Self::of(map))
            }
            Ok(other) => Err(invalid_json(format!("the body is {}; it must be a JSON object", kind_of(&other)))),
            Err(e) => Err(invalid_json(format!("the body is no JSON: {e}"))),
        }
    }
}

/// `7.0` is the whole number 7: JSON Schema says so, and writers that know only floating point send it.
fn whole_numbers(value: &mut Value) {
    // Up to here each whole number has its own f64.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < MOST);
            // Written without a point, it is read as what it is.
            if let Some(whole) = float.and_then(|f| format!("{f:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

/// Reads a body up to the limit; a longer one is cut off as soon as that is known.
async fn read_small(body: Body, silence: Duration) -> Result<Bytes> {
    let too_large = || Error::new(ErrorCode::TooLarge, format!("the body is larger than {} KiB", MAX_BYTES / 1024));
    if body.size_hint().lower() > MAX_BYTES as u64 {
        drain(body);
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut read = BytesMut::new();
    loop {
        let next = tokio::time::timeout(silence, stream.next()).await.map_err(|_| timeout(silence))?;
        match next {
            None => return Ok(read.freeze()),
            Some(Err(e)) => return Err(invalid_json(format!("the body could not be read: {e}"))),
            Some(Ok(piece)) if read.len() + piece.len() > MAX_BYTES => {
                drop(piece);
                drain(Body::from_stream(stream));
                return Err(too_large());
            }
            Some(Ok(piece)) => read.extend_from_slice(&piece),
        }
    }
}

/// Reads on for a short while after an answer was given early and throws it away: a connection that is closed on unread bytes is reset,
/// and the client might never see the answer.
pub(crate) fn drain(body: Body) {
    const MOST_BYTES: usize = 64 * 1024 * 1024;
    const LONGEST: Duration = Duration::from_secs(5);
    tokio::spawn(async move {
        let mut stream = body.into_data_stream();
        let mut left = MOST_BYTES;
        let _ = tokio::time::timeout(LONGEST, async {
            while let Some(Ok(piece)) = stream.next().await {
                left = left.saturating_sub(piece.len());
                if left == 0 {
                    break;
                }
            }
        })
        .await;
    });
}

/// The client was silent for so long.
pub(crate) fn timeout(silence: Duration) -> Error {
    let seconds = silence.as_secs_f64();
    Error::new(ErrorCode::RequestTimeout, format!("nothing was received for {seconds} s; send the request again"))
}

fn invalid_json(message: String) -> Error {
    Error::new(ErrorCode::InvalidJson, message)
}

fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let given = headers.get(header::CONTENT_TYPE).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let parsed = given.as_deref().and_then(|v| v.parse::<mime::Mime>().ok());
    if parsed.is_some_and(|m| {
        m.type_() == "application" && (m.subtype() == "json" || m.suffix().is_some_and(|s| s == "json"))
    }) {
        return Ok(());
    }
    let shown = given.map_or("missing".to_owned(), |v| format!("{:?}", shortened(&v)));
    Err(Error::new(ErrorCode::WrongContentType, format!("Content-Type is {shown}; this path takes application/json"))
        .hint("send the header Content-Type: application/json"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl Fields {
    /// From an object.
    pub(crate) fn of(map: Map<String, Value>) -> Self {
        Self { map, within: String::new() }
    }

    /// From the object that the field `name` of another one holds.
    pub(crate) fn within(name: &str, map: Map<String, Value>) -> Self {
        Self { map, within: format!("{name}.") }
    }

    /// The object as it stands, without fields that are null.
    pub(crate) fn value(&self) -> Value {
        Value::Object(self.map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    /// The fields that were not taken.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|v| !v.is_null())
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &other, "a string")),
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(name, &other, "true or false")),
        }
    }

    /// A whole number within a range.
    pub(crate) fn number(&mut self, name: &str, low: i64, high: i64) -> Result<Option<i64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_i64().filter(|n| (low..=high).contains(n));
        number.map(Some).ok_or_else(|| self.wrong(name, &value, &format!("a whole number from {low} to {high}")))
    }

    /// A list of strings.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        texts.map(Some).ok_or_else(|| self.wrong(name, &value, "a list of strings"))
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.wrong(name, &other, "an object")),
        }
    }

    /// Refuses what was not taken; a misspelt field must not be silently ignored.
    pub(crate) fn finish(self, allowed: &[&str]) -> Result<()> {
        match self.map.keys().find(|k| !allowed.contains(&k.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(Error::invalid(format!(
                "the field {:?} is not known; the fields are {}",
                format!("{}{}", self.within, shortened(unknown)),
                allowed.join(", ")
            ))),
        }
    }

    fn wrong(&self, name: &str, value: &Value, wanted: &str) -> Error {
        let (within, shown) = (&self.within, shortened(&value.to_string()));
        Error::invalid(format!("the field {within}{name} is {shown}; it must be {wanted}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(content_type: &str, body: impl Into<Body>) -> Result<Fields> {
        let request = Request::builder().header("content-type", content_type).body(body.into()).unwrap();
        Fields::from_request(request, &()).await
    }

    fn error(result: Result<Fields>) -> (ErrorCode, String) {
        let e = result.unwrap_err();
        (e.code(), e.to_string())
    }

    #[tokio::test]
    async fn an_empty_body_is_an_object_without_fields() {
        let request = Request::builder().body(Body::empty()).unwrap();
        Fields::from_request(request, &()).await.unwrap().finish(&[]).unwrap();
        read("text/plain", " \n").await.unwrap().finish(&[]).unwrap();
    }

    #[tokio::test]
    async fn broken_deep_and_wrong_json_is_refused() {
        assert_eq!(error(read("application/json", "{\"a\":").await).0, ErrorCode::InvalidJson);
        let deep = "[".repeat(30_000);
        assert_eq!(error(read("application/json", deep).await).0, ErrorCode::InvalidJson);
        let (code, message) = error(read("application/json; charset=utf-8", "[1]").await);
        assert_eq!((code, message.as_str()), (ErrorCode::InvalidJson, "the body is a list; it must be a JSON object"));
        let (code, message) = error(read("application/x-www-form-urlencoded", "a=1").await);
        assert_eq!(code, ErrorCode::WrongContentType);
        assert!(message.contains("application/x-www-form-urlencoded"), "{message}");
    }

    #[tokio::test]
    async fn a_long_body_is_cut_when_it_is_known_to_be_long() {
        let piece = Bytes::from(vec![b' '; 32 * 1024]);
        let endless = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        let (code, message) = error(read("application/json", Body::from_stream(endless)).await);
        assert_eq!((code, message.as_str()), (ErrorCode::TooLarge, "the body is larger than 64 KiB"));
    }

    #[tokio::test]
    async fn a_whole_number_may_be_written_with_a_point() {
        let body = r#"{"days":7.0,"cold":-3e1,"half":7.5,"large":1e16,"zero":-0.0,"inner":{"list":[1.0,0.5]}}"#;
        let mut fields = read("application/json", body).await.unwrap();
        assert_eq!(fields.number("days", 0, 10).unwrap(), Some(7));
        assert_eq!(fields.number("cold", -30, 10).unwrap(), Some(-30));
        assert_eq!(fields.number("zero", 0, 10).unwrap(), Some(0));
        fields.number("half", 0, 10).unwrap_err();
        fields.number("large", 0, i64::MAX).unwrap_err();
        assert_eq!(fields.object("inner").unwrap().unwrap()["list"].to_string(), "[1,0.5]");
    }

    #[tokio::test]
    async fn a_field_with_a_wrong_value_or_name_is_named() {
        let mut fields = read("application/json", r#"{"days":"7","when":1}"#).await.unwrap();
        let message = fields.number("days", 0, 10).unwrap_err().to_string();
        assert_eq!(message, "the field days is \"7\"; it must be a whole number from 0 to 10");
        let message = fields.finish(&["days"]).unwrap_err().to_string();
        assert_eq!(message, "the field \"when\" is not known; the fields are days");
    }
}
