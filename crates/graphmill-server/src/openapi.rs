//! The OpenAPI 3.1 document, made from the handlers: each route and its description are one entry (`router.rs`), each shape is the struct that is
//! serialised. What holds for all operations is added here: who may call, what any request can be answered with, where the stream's messages are.

mod absent;
mod answers;
mod messages;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::OpenApi;

pub(crate) use answers::{
    And, BadBody, BadParameter, NoSuchCollection, NoSuchCommunity, NoSuchDocument, NoSuchEntity, NoSuchJob, Overtaken,
    Responses, ReusedKey, refusals, refused_with,
};

use crate::auth;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "graphmill",
        description = "Document collections become a knowledge graph, by background jobs that can be watched, cancelled, resumed and trusted.\n\n\
            Every error has the same body: `error` is a sentence for a person, `code` is stable and for programs, `hint` says what to do. \
            A query parameter without a value counts as absent, one that is not described is refused. Fields that have no value are left out of answers; in requests `null` is as good as nothing.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(crate::error::ErrorBody, messages::StreamMessage, messages::Details)),
    tags(
        (name = "jobs", description = "Background jobs: what they do, did and will do."),
        (name = "documents", description = "Uploads and what was made of them."),
        (name = "collections", description = "The units of tenancy, model choice and quota."),
        (name = "search", description = "Finding chunks."),
        (name = "entities", description = "What the documents speak of."),
        (name = "communities", description = "Entities that belong together."),
        (name = "graph", description = "The graph as a whole."),
        (name = "keys", description = "Who may call."),
        (name = "server", description = "Health, version, this description."),
    )
)]
struct Frame;

/// A community, or `null` where none is the answer.
pub(crate) fn community_or_null() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Ref, Type};
    let null = ObjectBuilder::new().schema_type(Type::Null);
    AnyOfBuilder::new().item(Ref::from_schema_name("CommunityId")).item(null).into()
}

/// The document as JSON text, made once.
pub(crate) static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// The document.
pub(crate) fn document() -> Value {
    let mut whole = Frame::openapi();
    whole.merge(crate::router::paths().into_openapi());
    // Relative: behind whatever name and scheme the reader called.
    let mut whole = serde_json::to_value(whole).expect("the document is JSON");
    whole["servers"] = json!([{"url": "/"}]);
    absent::say_where_null_may_stand(&mut whole);
    whole["components"]["securitySchemes"] = security_schemes();
    for (path, operations) in whole["paths"].as_object_mut().expect("paths are an object") {
        for (method, operation) in operations.as_object_mut().expect("a path is an object") {
            let keyed = !auth::OPEN.contains(&path.as_str());
            answers::add_common(operation, keyed, method != "get");
            operation["security"] = match (keyed, auth::is_stream(path)) {
                (false, _) => json!([]),
                (true, false) => json!([{"key": []}]),
                (true, true) => json!([{"key": []}, {"token": []}]),
            };
        }
    }
    whole
}

/// How a key is shown.
fn security_schemes() -> Value {
    json!({
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key, `gm_<id>_<secret>`, from `POST /api/keys` or `graphmill key create`. While there is no key, a server on a loopback address \
                asks for none. Read-only keys may call GET alone; bound keys see one collection."
        },
        "token": {
            "type": "apiKey",
            "in": "query",
            "name": "token",
            "description": "The same key, on streams alone: browsers open them without headers of their own."
        }
    })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::assert_described;
