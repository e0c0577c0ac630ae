//! Refusals as the document describes them: one type a group of error codes, the status from the one table.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use graphmill_core::ErrorCode;
use serde_json::{Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, example::ExampleBuilder};

use crate::status_of;

/// What can be answered to any request.
const COMMON: &[(ErrorCode, &str)] = &[
    (ErrorCode::InvalidParameter, "the query parameter \"x\" is not known; this path takes none"),
    (ErrorCode::HostNotAllowed, "the header Host is \"example.org\"; this server is called by 127.0.0.1:8000"),
    (ErrorCode::OriginNotAllowed, "requests from the origin \"http://example.org\" are not allowed"),
    (ErrorCode::Internal, "the server made a mistake with this request; its log says more"),
    (ErrorCode::StorageFailed, "the database cannot be read"),
    (ErrorCode::Unavailable, "the server is stopping"),
    (ErrorCode::GraphUnavailable, "the graph store does not answer"),
    (ErrorCode::StorageFull, "there is no room on the disk"),
];

/// What can be answered to any request of a path that asks for a key.
const KEYED: &[(ErrorCode, &str)] = &[
    (ErrorCode::Unauthorized, "this server asks for a key, and the request has none"),
    (ErrorCode::TooManyRequests, "too many wrong tokens came from this address"),
];

/// What a read-only key is answered with where something is changed.
const WRITES: &[(ErrorCode, &str)] =
    &[(ErrorCode::ReadOnlyKey, "the key reader may only read: it may call GET and HEAD")];

/// Types that stand for what a request is refused with.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident { $($code:ident => $sentence:literal),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl ::utoipa::IntoResponses for $name {
                fn responses() -> $crate::openapi::Responses {
                    $crate::openapi::refused_with(&[$((::graphmill_core::ErrorCode::$code, $sentence)),+])
                }
            }
        )+
    };
}

refusals! {
    /// A query parameter, a path parameter or a field with a value that is not allowed.
    BadParameter {
        InvalidParameter => "the parameter limit is \"0\"; it must be a whole number from 1 to 1000",
    }
    /// A JSON body that is none, is too long, comes too slowly, or has a field with a bad name or value.
    BadBody {
        InvalidParameter => "the field \"when\" is not known; the fields are older_than_days, status",
        InvalidJson => "the body is a list; it must be a JSON object",
        WrongContentType => "the body is \"text/plain\"; this path takes application/json",
        TooLarge => "the body is larger than 64 KiB",
        RequestTimeout => "nothing was received for 60 s; send the request again",
    }
    /// No job has this id.
    NoSuchJob {
        NotFound => "there is no job job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
    }
    /// No document has this id.
    NoSuchDocument {
        NotFound => "there is no document doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
    }
    /// No collection has this name.
    NoSuchCollection {
        NotFound => "there is no collection \"team-b\"",
    }
    /// The `Idempotency-Key` stands for another request, or for one that is not answered yet.
    ReusedKey {
        InvalidParameter => "the header Idempotency-Key stands twice",
        IdempotencyInFlight => "a request with the Idempotency-Key \"a\" has not been answered yet",
        IdempotencyKeyReused => "the Idempotency-Key \"a\" was used for another request",
    }
    /// No entity has this id.
    NoSuchEntity {
        NotFound => "there is no entity ent-aaaaaaaaaaaaaaaaaaaaaaaaaa",
    }
    /// No community has this id.
    NoSuchCommunity {
        NotFound => "there is no community com-aaaaaaaaaaaaaaaaaaaaaaaaaa",
    }
    /// Something later of the same document stands in the way.
    Overtaken {
        Overtaken => "the document has gone on with job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10, which stands in the way",
    }
}

pub(crate) use refusals;

/// Answers by status.
pub(crate) type Responses = BTreeMap<String, RefOr<Response>>;

/// Two groups of refusals.
pub(crate) struct And<A, B>(PhantomData<(A, B)>);

impl<A: IntoResponses, B: IntoResponses> IntoResponses for And<A, B> {
    fn responses() -> Responses {
        let mut all = A::responses();
        for (status, more) in B::responses() {
            match (all.get_mut(&status), more) {
                (Some(RefOr::T(there)), RefOr::T(more)) => join(there, more),
                (_, more) => _ = all.insert(status, more),
            }
        }
        all
    }
}

fn join(there: &mut Response, more: Response) {
    there.description = format!("{} {}", there.description, more.description);
    for (media, content) in more.content {
        if let (Some(RefOr::T(known)), RefOr::T(content)) = (there.content.get_mut(&media), content) {
            known.examples.extend(content.examples);
        }
    }
}

/// The answers with these codes, by status, each with an example.
pub(crate) fn refused_with(codes: &[(ErrorCode, &str)]) -> Responses {
    let mut by_status: BTreeMap<String, Vec<(ErrorCode, &str)>> = BTreeMap::new();
    for (code, sentence) in codes {
        by_status.entry(status_of(*code).as_str().to_owned()).or_default().push((*code, *sentence));
    }
    let response = |codes: Vec<(ErrorCode, &str)>| {
        let words: Vec<String> = codes.iter().map(|(code, _)| format!("`{code}`: {}.", code.meaning())).collect();
        let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
        for (code, sentence) in codes {
            let value = json!({"error": sentence, "code": code});
            content = content.examples_from_iter([(code.as_str(), ExampleBuilder::new().value(Some(value)).build())]);
        }
        ResponseBuilder::new().description(words.join(" ")).content("application/json", content.build()).build()
    };
    by_status.into_iter().map(|(status, codes)| (status, RefOr::T(response(codes)))).collect()
}

/// Adds what any request can be answered with to an operation.
pub(super) fn add_common(operation: &mut Value, keyed: bool, writes: bool) {
    add(operation, COMMON);
    if keyed {
        add(operation, KEYED);
    }
    if keyed && writes {
        add(operation, WRITES);
    }
    operation["responses"].as_object_mut().expect("an operation has responses").sort_keys();
}

fn add(operation: &mut Value, codes: &[(ErrorCode, &str)]) {
    const EXAMPLES: &str = "/content/application~1json/examples";
    let more = serde_json::to_value(refused_with(codes)).expect("responses are JSON");
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    for (status, response) in more.as_object().expect("responses are an object") {
        let Some(there) = responses.get_mut(status) else {
            responses.insert(status.clone(), response.clone());
            continue;
        };
        if let (Some(Value::Object(there)), Some(Value::Object(more))) =
            (there.pointer_mut(EXAMPLES), response.pointer(EXAMPLES))
        {
            there.extend(more.clone());
        }
        let both = format!(
            "{} {}",
            there["description"].as_str().unwrap_or_default(),
            response["description"].as_str().unwrap_or_default()
        );
        there["description"] = json!(both);
    }
}
