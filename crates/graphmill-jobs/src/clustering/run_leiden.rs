//! Stage `run_leiden`: the communities of the projection.

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use graphmill_algorithms::leiden::{Communities, Graph, Level, Options, leiden};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Clustering;
use super::build_projection::Projection;

/// How often a computation says that it is under way.
const ALIVE_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

pub(super) struct RunLeiden<'a> {
    pub(super) clustering: &'a Clustering<'a>,
}

impl RunLeiden<'_> {
    pub(super) const NAME: &'static str = "run_leiden";
}

/// What was found, as later stages read it: 4 bytes an entity and level, and 8 a community.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) modularity: f64,
    levels: Vec<FoundLevel>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct FoundLevel {
    community_of: Bytes,
    shares_millionths: Vec<i64>,
}

/// What is told of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct LeidenDone {
    levels: u64,
    communities: u64,
    modularity: f64,
}

impl Found {
    fn new(communities: Communities) -> Self {
        let pack = |level: Level| {
            let mut community_of = BytesMut::with_capacity(level.community_of.len() * 4);
            level.community_of.iter().for_each(|community| community_of.put_u32_le(*community));
            FoundLevel { community_of: community_of.freeze(), shares_millionths: level.shares_millionths }
        };
        // An empty graph has no community and no level.
        let levels = communities.levels.into_iter().filter(|level| level.communities > 0).map(pack).collect();
        Self { modularity: communities.modularity, levels }
    }

    pub(super) fn into_levels(self) -> Vec<Level> {
        let unpack = |level: FoundLevel| Level {
            community_of: level.community_of.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c)).collect(),
            communities: level.shares_millionths.len(),
            shares_millionths: level.shares_millionths,
        };
        self.levels.into_iter().map(unpack).collect()
    }
}

/// Finds the communities of an encoded projection, on the pool for work that computes.
pub(super) async fn find(
    clustering: &Clustering<'_>,
    context: &JobContext,
    projection: Bytes,
) -> Result<Bytes, Interruption> {
    let options = Options {
        resolution_millionths: clustering.options.resolution_millionths(),
        seed: clustering.options.seed,
        max_levels: clustering.options.max_levels as usize,
        ..Options::default()
    };
    let work = context.compute(move |stop| {
        let projection: Projection = decode(&projection)?;
        let nodes = projection.entities().len() as u32;
        let graph = Graph::new(nodes, projection.edges());
        graphmill_core::fault_point!("clustering.leiden.graph");
        // It stops only when nobody waits for it any more.
        let found = leiden(&graph, &options, stop).map_err(|_| Interruption::Stopped)?;
        encode(&Found::new(found))
    });
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(ALIVE_EVERY, &mut work).await {
            Ok(found) => return found?,
            Err(_) => context.alive("Leiden"),
        }
    }
}

#[async_trait]
impl Stage for RunLeiden<'_> {
    const NAME: &'static str = Self::NAME;
    type Unit = ();
    type Output = LeidenDone;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<()>, Interruption> {
        Ok(vec![()])
    }

    async fn run(&self, context: &JobContext, _unit: &()) -> Result<UnitDone, Interruption> {
        let projection = context.unit_output(super::BuildProjection::NAME, 0).await?;
        Ok(UnitDone { output: find(self.clustering, context, projection).await? })
    }

    async fn finish(&self, context: &JobContext, _units: &[()]) -> Result<LeidenDone, Interruption> {
        let found: Found = decode(&context.unit_output(Self::NAME, 0).await?)?;
        let communities: usize = found.levels.iter().map(|level| level.shares_millionths.len()).sum();
        let done = LeidenDone {
            levels: found.levels.len() as u64,
            communities: communities as u64,
            modularity: found.modularity,
        };
        context.log(
            LogLevel::Info,
            format!("Found {} communities in {} levels", done.communities, done.levels),
            json!({"modularity": done.modularity, "seed": self.clustering.options.seed}),
        );
        Ok(done)
    }

    fn message(&self, _done: u64, _total: u64) -> String {
        "Finding communities".to_owned()
    }
}
