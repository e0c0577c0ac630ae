//! `GRAPHMILL_GRAPH_URL` and what belongs to it.

use std::fmt;

use url::Url;

use crate::{Error, Result};

const SCHEMES: &str = "neo4j, neo4j+s, neo4j+ssc, bolt, bolt+s, bolt+ssc";
const DEFAULT_PORT: u16 = 7687;

/// Where the server is and who we are there. The password is in no message and not in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Neo4jSettings {
    /// Host name or address, an IPv6 one without brackets.
    pub host: String,
    /// Port; 7687 unless said.
    pub port: u16,
    /// Whether the servers of a cluster are asked where to go (`neo4j`), or this one alone is spoken to (`bolt`).
    pub routing: bool,
    /// TLS.
    pub encryption: Encryption,
    /// User name; none for a server without authentication.
    pub user: Option<String>,
    /// Database; the user's default one when none is named.
    pub database: Option<String>,
    pub(super) password: Option<String>,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    None,
    /// TLS with a certificate that the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    SystemRoots,
    /// TLS with any certificate (`+ssc`): nobody reads along, but the server may be another one.
    AnyCertificate,
}

impl Neo4jSettings {
    /// From a URL such as `neo4j+s://user:password@host:7687?database=name`; `user` and `password` (`GRAPHMILL_GRAPH_USER`,
    /// `GRAPHMILL_GRAPH_PASSWORD`) win over those in it.
    ///
    /// # Errors
    /// [`Error::Invalid`] says which part is wrong; it never shows the password.
    pub fn parse(url: &str, user: Option<&str>, password: Option<&str>) -> Result<Self> {
        let parsed = Url::parse(url).map_err(|error| {
            invalid(format!("it cannot be read ({error}); write neo4j://HOST[:PORT][?database=NAME]"))
        })?;
        let (routing, encryption) = scheme(parsed.scheme())?;
        let host = parsed
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| invalid("it names no host; write neo4j://HOST[:PORT]".to_owned()))?;
        if !matches!(parsed.path(), "" | "/") {
            return Err(invalid(format!("it has the path {:?}; name the database as ?database=NAME", parsed.path())));
        }
        let mut database = None;
        for (key, value) in parsed.query_pairs() {
            match &*key {
                "database" if !value.is_empty() => database = Some(value.into_owned()),
                _ => return Err(invalid(format!("it has the parameter {key:?}; there is database=NAME alone"))),
            }
        }
        let in_url = |text: &str| (!text.is_empty()).then(|| decoded(text)).transpose();
        let user = match user {
            Some(user) => Some(user.to_owned()),
            None => in_url(parsed.username())?,
        };
        let password = match password {
            Some(password) => Some(password.to_owned()),
            None => in_url(parsed.password().unwrap_or_default())?,
        };
        if user.is_some() != password.is_some() {
            let (have, lack) = if user.is_some() { ("user", "PASSWORD") } else { ("password", "USER") };
            return Err(invalid(format!("there is a {have} only; set GRAPHMILL_GRAPH_{lack} too, or neither")));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = parsed.port().unwrap_or(DEFAULT_PORT);
        Ok(Self { host, port, routing, encryption, user, database, password })
    }

    /// Whether a URL is one of a Neo4j at all, by its scheme.
    pub fn is_neo4j_url(url: &str) -> bool {
        url.split_once("://").is_some_and(|(name, _)| scheme(&name.to_ascii_lowercase()).is_ok())
    }

    /// The address for messages: without credentials.
    pub fn address(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

impl fmt::Debug for Neo4jSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, routing, encryption, user, database, password } = self;
        f.debug_struct("Neo4jSettings")
            .field("host", host)
            .field("port", port)
            .field("routing", routing)
            .field("encryption", encryption)
            .field("user", user)
            .field("database", database)
            .field("password", &password.as_ref().map(|_| "…"))
            .finish()
    }
}

fn scheme(name: &str) -> Result<(bool, Encryption)> {
    let (family, encryption) = match name.split_once('+') {
        None => (name, Encryption::None),
        Some((family, "s")) => (family, Encryption::SystemRoots),
        Some((family, "ssc")) => (family, Encryption::AnyCertificate),
        Some(_) => ("", Encryption::None),
    };
    match family {
        "neo4j" => Ok((true, encryption)),
        "bolt" => Ok((false, encryption)),
        _ => Err(invalid(format!("it has the scheme {name:?}; there are {SCHEMES}"))),
    }
}

/// A part of the URL without its percent signs.
fn decoded(text: &str) -> Result<String> {
    // A query string knows `+` as a space besides, so that one is kept by hand.
    let query = format!("v={}", text.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let value = pairs.next().map(|(_, value)| value.into_owned());
    value.ok_or_else(|| invalid("its user or password cannot be read".to_owned()))
}

fn invalid(what: String) -> Error {
    Error::Invalid(format!("GRAPHMILL_GRAPH_URL is wrong: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Neo4jSettings> {
        Neo4jSettings::parse(url, None, None)
    }

    #[test]
    fn schemes_say_routing_and_encryption() {
        let of = |url: &str| parse(url).map(|s| (s.routing, s.encryption, s.port)).unwrap();
        assert_eq!(of("neo4j://h"), (true, Encryption::None, 7687));
        assert_eq!(of("neo4j+s://h:1"), (true, Encryption::SystemRoots, 1));
        assert_eq!(of("neo4j+ssc://h"), (true, Encryption::AnyCertificate, 7687));
        assert_eq!(of("bolt://h"), (false, Encryption::None, 7687));
        assert_eq!(of("bolt+s://h"), (false, Encryption::SystemRoots, 7687));
        assert_eq!(of("bolt+ssc://h/"), (false, Encryption::AnyCertificate, 7687));
        for wrong in
            ["http://h", "neo4j+x://h", "neo4j", "", "bolt://", "bolt://h/db", "bolt://h?x=1", "bolt://h?database="]
        {
            assert!(matches!(parse(wrong), Err(Error::Invalid(_))), "{wrong}");
        }
        assert!(Neo4jSettings::is_neo4j_url("NEO4J+S://h") && !Neo4jSettings::is_neo4j_url("graph.db"));
    }

    #[test]
    fn credentials_are_decoded_and_the_environment_wins() {
        let settings = parse("neo4j://us%40er:p%2F+%26%25@[::1]:9?database=my-db").unwrap();
        assert_eq!((settings.user.as_deref(), settings.password.as_deref()), (Some("us@er"), Some("p/+&%")));
        assert_eq!((settings.host.as_str(), settings.address().as_str()), ("::1", "[::1]:9"));
        assert_eq!(settings.database.as_deref(), Some("my-db"));
        let settings = Neo4jSettings::parse("neo4j://a:b@h", Some("c"), Some("d")).unwrap();
        assert_eq!((settings.user.as_deref(), settings.password.as_deref()), (Some("c"), Some("d")));
        assert!(Neo4jSettings::parse("neo4j://h", Some("c"), None).is_err());
    }

    #[test]
    fn the_password_is_never_shown() {
        let settings = parse("neo4j://user:geheim@h").unwrap();
        assert!(!format!("{settings:?}").contains("geheim"));
        for wrong in
            ["neo4j://user:geheim@h:port", "http://user:geheim@h", "neo4j://user:geheim@h/x", "neo4j://:geheim@h"]
        {
            assert!(!parse(wrong).unwrap_err().to_string().contains("geheim"), "{wrong}");
        }
    }
}
