//! `/v1/chat/completions`, for titles and summaries of communities.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CacheKey, CollectionId, ContentCache, ErrorCode, IdHasher, fault_point};
use serde_json::Value;

use super::TRIES;
use super::answer;
use super::conversation::{Answered, Chat, Question, Said, TEMPERATURES};
use super::in_flight::InFlight;
use crate::metrics::Kind;
use crate::summariser::{CommunityInput, MemberInput, Summariser, Summary};
use crate::usage::Usage;
use crate::{CallContext, Error, Quarantined};

/// Version of the prompt; part of every cache key.
const PROMPT_VERSION: u32 = 1;

const SYSTEM: &str = "You describe groups of related things that were found in a document collection. You get the members of one group and the \
relations between them. Use nothing but what you are given. Answer with one JSON object and nothing else: {\"title\": a name for the group, at most \
ten words, \"summary\": two to four sentences that say what its members have in common and how they hang together}.";

/// Longest title and summary, in characters; what is longer is cut.
const LONGEST_TITLE: usize = 200;
const LONGEST_SUMMARY: usize = 4_000;

/// Longest description of a member or relation that is sent, in characters.
const LONGEST_DESCRIPTION: usize = 300;

/// Summarises through a server that speaks OpenAI's wire format.
pub struct OpenAiSummariser {
    chat: Arc<Chat>,
    cache: Arc<dyn ContentCache>,
    in_flight: InFlight,
}

impl OpenAiSummariser {
    /// Over a chat model that the extractor asks too.
    pub(super) fn over(chat: Arc<Chat>, cache: Arc<dyn ContentCache>) -> Self {
        Self { chat, cache, in_flight: InFlight::default() }
    }

    fn key(&self, collection: &CollectionId, user: &str) -> CacheKey {
        let hasher = IdHasher::new("community summary")
            .field(self.chat.model().as_bytes())
            .field(&PROMPT_VERSION.to_le_bytes())
            .field(user.as_bytes());
        CacheKey { collection: collection.clone(), hash: hasher.finish32() }
    }

    async fn look_up(&self, key: &CacheKey, ctx: &CallContext) -> Result<Option<Summary>, Error> {
        let kept = self.cache.get(std::slice::from_ref(key)).await?;
        let said: Option<Said> =
            kept.into_iter().next().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let read = said.and_then(|said| read(&said.content).ok());
        Usage::add(&ctx.usage.cache_hits, u64::from(read.is_some()));
        Kind::Summary.looked_up(usize::from(read.is_some()), usize::from(read.is_none()));
        Ok(read)
    }
}

#[async_trait]
impl Summariser for OpenAiSummariser {
    fn is_offline(&self) -> bool {
        false
    }

    async fn summarise(
        &self,
        collection: &CollectionId,
        community: &CommunityInput,
        ctx: &CallContext,
    ) -> Result<Summary, Error> {
        let question = question(community);
        let key = self.key(collection, &question.user);
        let _claim = self.in_flight.claim(vec![key.clone()]).await;
        if let Some(summary) = self.look_up(&key, ctx).await? {
            return Ok(summary);
        }
        let mut bad = String::new();
        for temperature in TEMPERATURES {
            let said = match self.chat.ask(&question, temperature, ctx).await? {
                Answered::Said(said) => said,
                Answered::Bad(reason) => {
                    Usage::add(&ctx.usage.bad_answers, 1);
                    Kind::Summary.bad_answer();
                    bad = reason;
                    continue;
                }
                Answered::Refused(reason) => return Err(Quarantined { code: ErrorCode::ModelRefused, reason }.into()),
            };
            match read(&said.content) {
                Ok(summary) => {
                    fault_point!("models.summary.answered");
                    let bytes = serde_json::to_vec(&said).map_err(|e| Error::CacheFailed(e.to_string()))?;
                    self.cache.put(vec![(key, Bytes::from(bytes))]).await?;
                    fault_point!("models.summary.recorded");
                    return Ok(summary);
                }
                Err(reason) => {
                    Usage::add(&ctx.usage.bad_answers, 1);
                    Kind::Summary.bad_answer();
                    bad = reason.to_owned();
                }
            }
        }
        let reason = format!("the model's answer could not be used in {TRIES} tries: {bad}");
        Err(Quarantined { code: ErrorCode::ModelBadAnswer, reason }.into())
    }
}

fn question(community: &CommunityInput) -> Question {
    let member = MemberInput { name: "Pump".into(), entity_type: "product".into(), description: "moves water".into() };
    let harmless = CommunityInput { size: 1, members: vec![member], relations: Vec::new() };
    Question {
        system: SYSTEM.into(),
        user: user(community),
        harmless: user(&harmless),
        kind: Kind::Summary,
        about: "community",
    }
}

fn user(community: &CommunityInput) -> String {
    let mut text = format!("<text>\nGroup of {} members. The most important:\n", community.size);
    for member in &community.members {
        let line = format!("- {} ({}): {}", member.name, member.entity_type, short(&member.description));
        text.push_str(line.trim_end_matches([' ', ':']));
        text.push('\n');
    }
    text.push_str("Relations:\n");
    for relation in &community.relations {
        let (source, target, kind) = (&relation.source, &relation.target, &relation.relation_type);
        let line = format!("- {source} -> {target} ({kind}): {}", short(&relation.description));
        text.push_str(line.trim_end_matches([' ', ':']));
        text.push('\n');
    }
    text.push_str("</text>");
    text
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_DESCRIPTION).collect()
}

/// Title and summary of an answer, or why the model has to be asked again.
fn read(content: &str) -> Result<Summary, &'static str> {
    // Some models put the object between fences or sentences.
    let object = content.find('{').and_then(|from| content.rfind('}').and_then(|to| content.get(from..=to)));
    let value = object.and_then(answer::parse_whole).ok_or("it is no JSON object")?;
    let line = |name: &str, most: usize| {
        let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
        let clean = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('\0', "");
        clean.chars().take(most).collect::<String>()
    };
    let (title, summary) = (line("title", LONGEST_TITLE), line("summary", LONGEST_SUMMARY));
    if title.is_empty() || summary.is_empty() {
        return Err("it has no title or no summary");
    }
    Ok(Summary { title, summary })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_leniently_and_never_guessed() {
        let right = Summary { title: "Pumps".into(), summary: "They pump. All of them.".into() };
        for content in [
            r#"{"title": "Pumps", "summary": "They pump. All of them."}"#,
            "Here it is:\n```json\n{\"title\": \" Pumps\", \"summary\": \"They pump.\\nAll of them.\"}\n```",
        ] {
            assert_eq!(read(content).as_ref(), Ok(&right), "{content}");
        }
        for content in
            ["", "no", "{}", r#"{"title": "", "summary": "x"}"#, r#"{"title": "x"}"#, r#"{"title": "x", "summary": 3}"#]
        {
            assert!(read(content).is_err(), "{content}");
        }
    }
}
