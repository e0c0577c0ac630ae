//! One question to a chat model: parameters that the server does not know are left out, refusals are told apart.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer;
use super::refusal::Refusal;
use super::transport::{Failure, Transport};
use super::{Surroundings, TRIES};
use crate::metrics::Kind;
use crate::usage::Usage;
use crate::{CallContext, Endpoint, Error, ModelSettings};

/// No answer is longer, in bytes.
const LONGEST_ANSWER: usize = 4 << 20;

/// Temperature of the tries: a model that repeats itself would repeat a bad answer as well.
pub(super) const TEMPERATURES: [f64; TRIES as usize] = [0.0, 0.3, 0.6];

/// A chat model of a server, shared by all that ask it, so that they share its rate.
pub(super) struct Chat {
    transport: Transport,
    /// The server takes `response_format`.
    json_mode: AtomicBool,
    /// The server takes `temperature`.
    temperature: AtomicBool,
}

/// What is asked.
pub(super) struct Question {
    pub(super) system: Cow<'static, str>,
    pub(super) user: String,
    /// A question of the same kind to which nobody can object: tells whether a refusal is this question's fault or the configuration's.
    pub(super) harmless: String,
    /// As it is counted.
    pub(super) kind: Kind,
    /// `chunk`, `community`: for messages.
    pub(super) about: &'static str,
}

/// An answer as the cache keeps it: what the model said, so that better rules can read it again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) content: String,
    /// The model was cut off.
    pub(super) cut: bool,
}

pub(super) enum Answered {
    Said(Said),
    Bad(String),
    Refused(String),
}

impl Chat {
    pub(super) fn new(
        endpoint: &Endpoint,
        settings: &ModelSettings,
        surroundings: Surroundings,
    ) -> Result<Self, Error> {
        let transport = Transport::new("llm", endpoint, settings, LONGEST_ANSWER, surroundings)?;
        Ok(Self { transport, json_mode: AtomicBool::new(true), temperature: AtomicBool::new(true) })
    }

    pub(super) fn model(&self) -> &str {
        self.transport.model()
    }

    fn body(&self, system: &str, user: &str, temperature: f64) -> Value {
        let mut body = json!({
            "model": self.transport.model(),
            "messages": [{ "role": "system", "content": system }, { "role": "user", "content": user }],
        });
        if self.temperature.load(Ordering::Relaxed) {
            body["temperature"] = json!(temperature);
        }
        if self.json_mode.load(Ordering::Relaxed) {
            body["response_format"] = json!({ "type": "json_object" });
        }
        body
    }

    /// One request; a parameter that the server does not know is left out from then on.
    pub(super) async fn ask(
        &self,
        question: &Question,
        temperature: f64,
        ctx: &CallContext,
    ) -> Result<Answered, Error> {
        loop {
            let body = self.body(&question.system, &question.user, temperature);
            let failure = match self.transport.post(question.kind, "chat/completions", &body, ctx).await {
                Ok(bytes) => return Ok(read_reply(&bytes, question.kind, ctx)),
                Err(failure) => failure,
            };
            match failure {
                Failure::Call(error) => return Err(error),
                Failure::Answer(reason) => return Ok(Answered::Bad(reason)),
                Failure::Body(Refusal::Parameter("response_format"))
                    if self.json_mode.swap(false, Ordering::Relaxed) => {}
                Failure::Body(Refusal::Parameter("temperature")) if self.temperature.swap(false, Ordering::Relaxed) => {
                }
                Failure::Body(refusal) => return self.refused(question, refusal, ctx).await,
            }
        }
    }

    async fn refused(&self, question: &Question, refusal: Refusal, ctx: &CallContext) -> Result<Answered, Error> {
        let about = question.about;
        let reason = match refusal {
            Refusal::TooLong(reason) => {
                return Ok(Answered::Refused(format!("the {about} is too long for the model: {reason}")));
            }
            Refusal::Content(reason) => {
                return Ok(Answered::Refused(format!("the model refuses the content: {reason}")));
            }
            Refusal::Unclear(reason) | Refusal::Transient(reason) | Refusal::Everything(reason, _) => reason,
            Refusal::Parameter(name) => format!("HTTP 400 about {name}"),
            Refusal::RateLimited(_) => "HTTP 429".to_owned(),
        };
        let body = self.body(&question.system, &question.harmless, 0.0);
        match self.transport.post(question.kind, "chat/completions", &body, ctx).await {
            Ok(_) | Err(Failure::Answer(_)) => {
                Ok(Answered::Refused(format!("the model server refuses this {about} and takes others: {reason}")))
            }
            Err(Failure::Call(error)) => Err(error),
            Err(Failure::Body(_)) => {
                Err(self.transport.refused(reason, "check the name of the model and what it accepts"))
            }
        }
    }
}

/// What the model said, or why there is nothing.
fn read_reply(bytes: &[u8], kind: Kind, ctx: &CallContext) -> Answered {
    // Read leniently: a lone surrogate in a sentence must not cost the answer.
    let Some(reply) = std::str::from_utf8(bytes).ok().and_then(answer::parse_whole) else {
        return Answered::Bad("it is not the JSON of a chat answer".into());
    };
    let tokens = |name: &str| reply.get("usage").and_then(|u| u.get(name)).and_then(Value::as_u64).unwrap_or(0);
    let (input, output) = (tokens("prompt_tokens"), tokens("completion_tokens"));
    Usage::add(&ctx.usage.input_tokens, input);
    Usage::add(&ctx.usage.output_tokens, output);
    kind.tokens(input, output);
    let Some(choice) = reply.get("choices").and_then(|c| c.get(0)) else {
        return Answered::Bad("it has no choices".into());
    };
    let finish = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
    if finish == "content_filter" {
        return Answered::Refused("the model refuses the content: content_filter".into());
    }
    let content = match choice.get("message").and_then(|m| m.get("content")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|p| p.get("text").and_then(Value::as_str)).collect(),
        // Some servers hand the object out as it is.
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => return Answered::Bad("it has no content".into()),
    };
    Answered::Said(Said { content, cut: finish == "length" })
}
