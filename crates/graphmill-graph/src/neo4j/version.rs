//! Which servers can be served.

use std::fmt;

use crate::{Error, Result};

/// The oldest server that can: `CREATE VECTOR INDEX` and the exact cosine of Cypher came with it.
pub const MINIMUM_VERSION: ServerVersion = ServerVersion { major: 5, minor: 15 };

/// A version as the server tells it; those since 2025 begin with the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// 5, 2025 …
    pub major: u32,
    /// 26 of 5.26.
    pub minor: u32,
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Reads what a server calls itself (`Neo4j/5.26.1`) and refuses one that is too old or something else.
pub(super) fn accepted(agent: &str) -> Result<ServerVersion> {
    let number = agent.strip_prefix("Neo4j/").and_then(|version| {
        let mut parts = version.split(['.', '-']);
        Some(ServerVersion { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    });
    match number {
        Some(version) if version >= MINIMUM_VERSION => Ok(version),
        _ => Err(Error::UnsupportedServer(format!(
            "the server says that it is {agent:?}; Neo4j {MINIMUM_VERSION} or later is needed (vector indexes): upgrade it, 5.26 is the \
             version with long support"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_other_servers_are_refused() {
        for good in ["Neo4j/5.15.0", "Neo4j/5.26.1", "Neo4j/5.27-aura", "Neo4j/2025.01.0"] {
            assert!(accepted(good).is_ok(), "{good}");
        }
        for bad in ["Neo4j/4.4.40", "Neo4j/5.14.0", "Neo4j/dev", "Memgraph/3.0", ""] {
            assert!(matches!(accepted(bad), Err(Error::UnsupportedServer(_))), "{bad}");
        }
    }
}
