//! What the pipeline needs of a summariser of communities.

use async_trait::async_trait;
use graphmill_core::CollectionId;

use crate::{CallContext, Error};

/// What is known of a community: its most important members and the relations among these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommunityInput {
    /// Members in all.
    pub size: u64,
    /// The most important ones, best first.
    pub members: Vec<MemberInput>,
    /// Relations among them, strongest first.
    pub relations: Vec<RelationInput>,
}

/// A member of a community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInput {
    /// Its name.
    pub name: String,
    /// Its type.
    pub entity_type: String,
    /// What is said of it; may be empty.
    pub description: String,
}

/// A relation between two members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationInput {
    /// Name of the one.
    pub source: String,
    /// Name of the other.
    pub target: String,
    /// Its type.
    pub relation_type: String,
    /// What is said of it; may be empty.
    pub description: String,
}

/// Title and summary of a community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// One line.
    pub title: String,
    /// A few sentences.
    pub summary: String,
}

impl CommunityInput {
    /// The title without a model: the names of the three most important members.
    pub fn plain_title(&self) -> String {
        let names: Vec<&str> = self.members.iter().take(3).map(|member| member.name.as_str()).collect();
        names.join(", ")
    }

    /// The summary without a model: sentences that follow from members and relations alone.
    pub fn plain_summary(&self) -> Summary {
        let shown: Vec<String> =
            self.members.iter().take(5).map(|m| format!("{} ({})", m.name, m.entity_type)).collect();
        let rest = self.size.saturating_sub(shown.len() as u64);
        let mut summary = match self.size {
            1 => format!("1 entity: {}", shown.join(", ")),
            n => format!("{n} entities: {}", shown.join(", ")),
        };
        if rest > 0 {
            summary.push_str(&format!(" and {rest} more"));
        }
        summary.push('.');
        for relation in self.relations.iter().take(5) {
            let verb = relation.relation_type.replace('_', " ");
            summary.push_str(&format!(" {} {verb} {}.", relation.source, relation.target));
        }
        Summary { title: self.plain_title(), summary }
    }
}

/// Describes communities. Dropping a future stops its request at once; none starts later.
#[async_trait]
pub trait Summariser: Send + Sync + 'static {
    /// Whether it works without a server: no call costs anything, and none has to be waited for.
    fn is_offline(&self) -> bool;

    /// Title and summary. An [`Error::Quarantined`] concerns this community alone; see [`Error::class`].
    async fn summarise(
        &self,
        collection: &CollectionId,
        community: &CommunityInput,
        ctx: &CallContext,
    ) -> Result<Summary, Error>;
}

/// Describes without a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfflineSummariser;

#[async_trait]
impl Summariser for OfflineSummariser {
    fn is_offline(&self) -> bool {
        true
    }

    async fn summarise(
        &self,
        _collection: &CollectionId,
        community: &CommunityInput,
        _ctx: &CallContext,
    ) -> Result<Summary, Error> {
        Ok(community.plain_summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_summary_says_who_and_what() {
        let member =
            |name: &str| MemberInput { name: name.into(), entity_type: "product".into(), description: String::new() };
        let relation = RelationInput {
            source: "Pump".into(),
            target: "Valve".into(),
            relation_type: "part_of".into(),
            description: String::new(),
        };
        let names = ["Pump", "Valve", "Gate", "Mill", "Hall", "Door"];
        let community = CommunityInput { size: 7, members: names.map(member).to_vec(), relations: vec![relation] };
        let Summary { title, summary } = community.plain_summary();
        assert_eq!(title, "Pump, Valve, Gate");
        assert_eq!(
            summary,
            "7 entities: Pump (product), Valve (product), Gate (product), Mill (product), Hall (product) and 2 more. \
             Pump part of Valve."
        );
    }
}
