//! `graphmill key …`: create, list, revoke. With a server or without one: who may read the data folder has the authority.

use std::process::ExitCode;

use serde_json::json;

use crate::assembly::Work;
use crate::cli::CreateKeyArgs;
use crate::client::Client;
use crate::config::Config;
use crate::output::{Table, as_it_is, fact, json as as_json, kept, plural, say, tell, text};

/// Makes a key. Its token alone goes to standard output, so that a script can take it.
pub(crate) async fn create(config: Config, args: CreateKeyArgs) -> anyhow::Result<ExitCode> {
    // Keys may be made before anything else.
    let client = Client::connect_to_manage(&config, Work::Jobs).await?;
    let body = json!({"name": args.name, "read_only": args.read_only, "collection": args.collection});
    let answer = client.post_json("/api/keys", &body).await;
    client.close().await;
    let answer = answer?;
    if as_json() {
        as_it_is(&answer.to_string())
    } else {
        say!("{}", text(&answer, "token"))
    }
    let what = match (args.read_only, &args.collection) {
        (true, Some(collection)) => format!("reads the collection {collection}"),
        (false, Some(collection)) => format!("reads and writes the collection {collection}"),
        (true, None) => "reads everything".to_owned(),
        (false, None) => "may do everything".to_owned(),
    };
    tell!("the key {} {what}; it is not shown again: keep it now (GRAPHMILL_TOKEN or --token-file)", args.name);
    Ok(ExitCode::SUCCESS)
}

/// All keys, one a line.
pub(crate) async fn list(config: Config) -> anyhow::Result<ExitCode> {
    let client = Client::connect_to_manage(&config, Work::None).await?;
    let answer = client.get("/api/keys").await;
    client.close().await;
    let answer = answer?;
    crate::output::answer(&answer, |answer| {
        let mut table =
            Table::new(&[kept("key"), fact("may", 4), fact("collection", 3), fact("made", 1), fact("last used", 2)]);
        for key in answer["keys"].as_array().into_iter().flatten() {
            let may = if key["read_only"] == true { "read" } else { "read and write" };
            table.row([
                text(key, "name").to_owned(),
                may.to_owned(),
                key["collection"].as_str().unwrap_or("all").to_owned(),
                text(key, "created_at").to_owned(),
                key["last_used_at"].as_str().unwrap_or("never").to_owned(),
            ]);
        }
        table.print();
        tell!("{}", plural(answer["total"].as_u64().unwrap_or(0), "key"));
    });
    Ok(ExitCode::SUCCESS)
}

/// Revokes a key.
pub(crate) async fn revoke(config: Config, name: &str) -> anyhow::Result<ExitCode> {
    let client = Client::connect_to_manage(&config, Work::None).await?;
    let segment: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let answer = client.delete(&format!("/api/keys/{}", segment.replace('+', "%20"))).await;
    let remote = client.is_remote();
    client.close().await;
    let answer = answer?;
    if as_json() {
        as_it_is(&answer.to_string());
    }
    tell!("the key {name} is revoked{}", if remote { "; its requests and streams have ended" } else { "" });
    if answer["keys_left"] == 0 && answer["key_required"] == false {
        tell!("no key is left: on a loopback address the server serves everyone on this machine without one");
    }
    Ok(ExitCode::SUCCESS)
}
