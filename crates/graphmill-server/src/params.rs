//! Query parameters: typed, with errors that name the parameter, the bad value and the allowed ones.
//!
//! A parameter that the operation does not know was refused before (`known_params.rs`); an empty one (`status=`) counts as absent; one that stands
//! twice is refused, because guessing which is meant would be wrong half of the time.

use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::error::shortened;
use crate::{Error, Result};

/// The query parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    /// Reads a query string (`a=1&b=2`, form encoding).
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Self(pairs.filter(|(_, value)| !value.is_empty()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    /// The value of a parameter.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.0.iter().filter(|(k, _)| k == name).map(|(_, v)| v.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Error::invalid(format!("the parameter {name} stands twice; give it once")));
        }
        Ok(first)
    }

    /// A value whose type says itself what is allowed.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        value.parse().map(Some).map_err(|e| Error::invalid(format!("the parameter {name}: {e}")))
    }

    /// A whole number within a range.
    pub(crate) fn number(&self, name: &str, allowed: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        let number = value.parse().ok().filter(|n| allowed.contains(n));
        number.map(Some).ok_or_else(|| {
            let (low, high) = (allowed.start(), allowed.end());
            let shown = shortened(value);
            Error::invalid(format!("the parameter {name} is {shown:?}; it must be a whole number from {low} to {high}"))
        })
    }

    /// `limit`, from 1 to 1000.
    pub(crate) fn limit(&self, default: u32) -> Result<u32> {
        let limit = self.number("limit", 1..=1000)?;
        Ok(limit.and_then(|n| u32::try_from(n).ok()).unwrap_or(default))
    }

    /// `offset`, 0 or more.
    pub(crate) fn offset(&self) -> Result<u64> {
        Ok(self.number("offset", 0..=MAX_OFFSET)?.unwrap_or(0))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        Ok(match self.text(name)? {
            None => false,
            Some(value) => truth(value).ok_or_else(|| {
                Error::invalid(format!("the parameter {name} is {:?}; it must be true or false", shortened(value)))
            })?,
        })
    }

    /// The same parameters with `name` set to `value` and those in `without` left out, as a query string.
    pub(crate) fn with(&self, name: &str, value: &str, without: &[&str]) -> String {
        let kept = self.0.iter().filter(|(k, _)| k != name && !without.contains(&k.as_str()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).append_pair(name, value).finish()
    }
}

/// Largest offset: what every JSON client can say exactly.
const MAX_OFFSET: u64 = (1 << 53) - 1;

/// `true`, `1`, `false` or `0`; Python's `True` and `False` too, as generated clients write them into forms.
pub(crate) fn truth(value: &str) -> Option<bool> {
    match value {
        "true" | "True" | "1" => Some(true),
        "false" | "False" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use graphmill_core::JobStatus;

    use super::*;

    #[test]
    fn an_empty_parameter_is_absent() {
        let p = Params::parse("status=&job_type=&limit=50&offset=0");
        assert_eq!(p.parsed::<JobStatus>("status").unwrap(), None);
        assert_eq!(p.limit(10).unwrap(), 50);
        assert_eq!(p.offset().unwrap(), 0);
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        let p = Params::parse("status=done&limit=1001&offset=-1&logs=maybe&q=a&q=b");
        let say = |e: Error| e.to_string();
        assert_eq!(
            say(p.parsed::<JobStatus>("status").unwrap_err()),
            "the parameter status: \"done\" is none of pending, running, completed, failed, cancelled"
        );
        assert_eq!(
            say(p.limit(50).unwrap_err()),
            "the parameter limit is \"1001\"; it must be a whole number from 1 to 1000"
        );
        assert_eq!(
            say(p.offset().unwrap_err()),
            "the parameter offset is \"-1\"; it must be a whole number from 0 to 9007199254740991"
        );
        assert!(say(p.flag("logs").unwrap_err()).contains("true or false"));
        assert!(say(p.text("q").unwrap_err()).contains("twice"));
    }

    #[test]
    fn the_next_page_keeps_the_filter() {
        let p = Params::parse("status=failed&offset=50&limit=10&q=a%26b");
        assert_eq!(p.with("cursor", "x=", &["offset"]), "status=failed&limit=10&q=a%26b&cursor=x%3D");
    }
}
