//! Paths of the API with their query parameters.

use std::fmt::Display;

use url::form_urlencoded::{Serializer, byte_serialize};

/// Query parameters; what has no value is left out.
pub(crate) struct Query(Serializer<'static, String>);

impl Query {
    pub(crate) fn new() -> Self {
        Self(Serializer::new(String::new()))
    }

    /// Adds a parameter if it has a value.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            self.0.append_pair(name, &value.to_string());
        }
        self
    }

    /// The path with these parameters.
    pub(crate) fn on(mut self, path: &str) -> String {
        let query = self.0.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// A value as one step of a path.
pub(crate) fn step(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_place() {
        let query = Query::new().with("q", Some("a&b=c d")).with("limit", None::<u32>).with("level", Some(0));
        assert_eq!(query.on("/api/x"), "/api/x?q=a%26b%3Dc+d&level=0");
        assert_eq!(Query::new().with("q", None::<&str>).on("/api/x"), "/api/x");
        assert_eq!(step("a/../b ?"), "a%2F..%2Fb%20%3F");
    }
}
