//! Schemas of our own text types (feature `openapi`): the pattern says what is an id, so that a client can tell before it asks.

use std::borrow::Cow;

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    ChunkId, CollectionId, CommunityId, DocumentId, EntityId, ErrorCode, JobId, JobStatus, JobType, StageStatus,
    Timestamp,
};

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

macro_rules! schemas {
    ($($type:ident: $schema:expr;)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    RefOr::T(Schema::Object($schema.build()))
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($type))
                }
            }
        )+
    };
}

/// One of the words of a type.
macro_rules! words {
    ($type:ident) => {
        text().enum_values(Some($type::ALL.iter().map(|word| word.as_str())))
    };
}

schemas! {
    JobStatus: words!(JobStatus);
    JobType: words!(JobType);
    StageStatus: words!(StageStatus);
    ErrorCode: words!(ErrorCode).description(Some("Stable name of a kind of error."));
    JobId: text()
        .pattern(Some("^job-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"))
        .description(Some("A job: `job-` and a UUIDv7."))
        .examples(["job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10"]);
    DocumentId: text()
        .pattern(Some("^doc-[a-z2-7]{25}[aeimquy4]$"))
        .description(Some("A document: collection and source."))
        .examples(["doc-aaaaaaaaaaaaaaaaaaaaaaaaaa"]);
    ChunkId: text()
        .pattern(Some("^chk-[a-z2-7]{25}[aeimquy4]$"))
        .description(Some("A chunk: document, content, facts, occurrence."))
        .examples(["chk-aaaaaaaaaaaaaaaaaaaaaaaaaa"]);
    EntityId: text()
        .pattern(Some("^ent-[a-z2-7]{25}[aeimquy4]$"))
        .description(Some("An entity: collection and normalised name."))
        .examples(["ent-aaaaaaaaaaaaaaaaaaaaaaaaaa"]);
    CommunityId: text()
        .pattern(Some("^com-[a-z2-7]{25}[aeimquy4]$"))
        .description(Some("A community of one generation."))
        .examples(["com-aaaaaaaaaaaaaaaaaaaaaaaaaa"]);
    CollectionId: text()
        .pattern(Some("^[a-z0-9][a-z0-9_-]{0,62}$"))
        .description(Some("Name of a collection; `default` exists from the start."))
        .examples(["default"]);
    Timestamp: text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("An instant (RFC 3339). Shown in UTC to the millisecond."))
        .examples(["2024-01-15T16:30:05.123Z"]);
}
