//! Collections that do not exist: a mistyped one is not a whole and empty one.

use anyhow::bail;

use super::{Client, Refused};
use crate::query::step;

/// Collection that everything is put into when none is named; it need not exist yet.
const DEFAULT: &str = "default";
/// Names that are said.
const SHOWN: usize = 10;

impl Client {
    /// An error with the known ones when there is no such collection. What else the server says against the name is left to the request that
    /// follows.
    pub(crate) async fn must_have(&self, collection: Option<&str>) -> anyhow::Result<()> {
        let Some(name) = collection.filter(|name| *name != DEFAULT) else { return Ok(()) };
        match self.get(&format!("/api/collections/{}", step(name))).await {
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => {}
            _ => return Ok(()),
        }
        let page = self.get("/api/collections?limit=100").await?;
        let names: Vec<_> =
            page["collections"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        let known = match names.len() {
            0 => "there is none yet".to_owned(),
            n if n > SHOWN => format!("known: {}, … (graphmill collections list)", names[..SHOWN].join(", ")),
            _ => format!("known: {}", names.join(", ")),
        };
        bail!("there is no collection {name} ({known})");
    }
}
