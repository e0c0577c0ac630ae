//! Keys and TLS over the real binary: their life beside open streams, crashes, restarts, logs; addresses that other machines reach.

mod tls;

use std::time::Duration;

use futures::StreamExt;
use graphmill_testkit::{AppSettings, TestApp};
use serde_json::{Value, json};
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::contract::{assert_error, hold, raw, request};
use crate::support::{BINARY, markdown};

type Socket = tokio_tungstenite::WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Runs a command to its end: exit code, standard output, standard error.
async fn run(settings: &AppSettings, args: &[&str]) -> (i32, String, String) {
    let ended = tokio::time::timeout(Duration::from_secs(60), settings.command(args).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// `key create`; answers the token, which is all of standard output.
async fn create(settings: &AppSettings, args: &[&str]) -> String {
    let all: Vec<&str> = ["key", "create"].iter().chain(args).copied().collect();
    let (code, out, err) = run(settings, &all).await;
    assert_eq!(code, 0, "{err}");
    let token = out.trim_end().to_owned();
    assert!(token.starts_with("gm_") && !token.contains(char::is_whitespace) && !err.contains(&token), "{out} {err}");
    token
}

async fn get(app: &TestApp, path: &str, token: &str) -> (u16, Value) {
    let answer = app.http().get(format!("{}{path}", app.url())).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn open(app: &TestApp, job: &str, token: Option<&str>, in_query: bool) -> Result<Socket, Error> {
    let path = app.socket(&format!("/api/jobs/{job}/stream"));
    let mut request = match token {
        Some(token) if in_query => format!("{path}?token={token}").into_client_request().unwrap(),
        _ => path.into_client_request().unwrap(),
    };
    if let Some(token) = token.filter(|_| !in_query) {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

/// Reads to the close; its code and how long it took.
async fn closed(socket: &mut Socket) -> (u16, Duration) {
    let begun = std::time::Instant::now();
    loop {
        let message = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("it stays open");
        if let Message::Close(frame) = message.expect("cut without a close").unwrap() {
            return (frame.unwrap().code.into(), begun.elapsed());
        }
    }
}

async fn start_held(points: &str) -> TestApp {
    TestApp::start_with(BINARY, |s| {
        s.env("FAILPOINTS", points).env("TOKIO_WORKER_THREADS", "8").env("GRAPHMILL_LOG", "trace")
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_live_and_die_beside_open_streams() {
    let mut app = start_held(&hold("embedding")).await;
    let job = app.upload_job("a.md", markdown(1, 4), &[]).await.unwrap();
    let mut anyone = open(&app, &job, None, false).await.unwrap();
    // The first key ends what was begun without one.
    let one = create(app.settings(), &["one"]).await;
    let (code, took) = closed(&mut anyone).await;
    assert!(code == 1008 && took < Duration::from_secs(1), "{code} {took:?}");
    assert_error(&app.get("/api/jobs").await.unwrap(), 401, "unauthorized");
    assert!(matches!(open(&app, &job, None, false).await, Err(Error::Http(a)) if a.status().as_u16() == 401));
    let two = create(app.settings(), &["two", "--read-only"]).await;
    let mut streams = Vec::new();
    for (token, in_query) in [(&one, true), (&one, false), (&two, true)] {
        streams.push(open(&app, &job, Some(token), in_query).await.unwrap());
    }
    assert_eq!(get(&app, &format!("/api/jobs/{job}"), &two).await.0, 200);
    let cancel =
        app.http().post(format!("{}/api/jobs/{job}/cancel", app.url())).bearer_auth(&two).send().await.unwrap();
    assert_eq!(
        (cancel.status().as_u16(), cancel.json::<Value>().await.unwrap()["code"].clone()),
        (403, json!("read_only_key"))
    );
    let (code, out, _) = run(app.settings(), &["key", "list"]).await;
    assert!(code == 0 && out.lines().count() == 2 && out.contains("two") && !out.contains(&one[17..]), "{out}");
    let (code, _, err) = run(app.settings(), &["key", "revoke", "one"]).await;
    assert!(code == 0 && err.contains("streams have ended"), "{err}");
    for stream in &mut streams[..2] {
        let (code, took) = closed(stream).await;
        assert!(code == 1008 && took < Duration::from_secs(1), "{code} {took:?}");
    }
    assert_error(&get(&app, "/api/jobs", &one).await, 401, "unauthorized");
    assert!(matches!(open(&app, &job, Some(&one), true).await, Err(Error::Http(a)) if a.status().as_u16() == 401));
    assert_eq!(run(app.settings(), &["key", "revoke", "one"]).await.0, 1, "it is gone");
    // The other one goes on, over a restart too.
    assert_eq!(get(&app, "/api/jobs", &two).await.0, 200);
    let wrong = format!("gm_{}", &one[3..20]);
    for shown in [&wrong, &one[..one.len() - 1], "x"] {
        assert_error(&get(&app, "/api/jobs", shown).await, 401, "unauthorized");
    }
    let first_log = app.log();
    app.restart_quiet().await.unwrap();
    assert_error(&app.get("/api/jobs").await.unwrap(), 401, "unauthorized");
    assert_error(&get(&app, "/api/jobs", &one).await, 401, "unauthorized");
    assert_eq!(get(&app, "/api/jobs", &two).await.0, 200);
    // The command line follows with a key that is given, and with the folder's own token without one.
    let with_key = app.settings().clone().env("GRAPHMILL_TOKEN", &two);
    assert_eq!(run(&with_key, &["jobs", "watch", &job]).await.0, 0);
    assert_eq!(run(app.settings(), &["jobs", "show", &job]).await.0, 0);
    let (code, _, err) = run(&with_key, &["jobs", "cancel", &job]).await;
    assert!(code == 1 && err.contains("may only read"), "{err}");
    // Nothing of a secret was written, at the most talkative.
    let log = format!("{first_log}{}", app.log());
    assert!(log.contains("a key was made") && log.len() > 1_000);
    for token in [&one, &two] {
        assert!(!log.contains(&token[17..]) && !log.contains(&token[20..40]), "a token is in the log");
    }
    for entry in
        std::fs::read_dir(app.settings().data_dir()).unwrap().map(Result::unwrap).filter(|e| e.path().is_file())
    {
        let bytes = std::fs::read(entry.path()).unwrap();
        let found = bytes.windows(40).any(|w| w == &two.as_bytes()[17..57]);
        assert!(!found, "{} holds a token", entry.path().display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_key_is_made_leaves_all_of_it_or_nothing() {
    for (point, made) in [("store.key.before_commit", false), ("store.key.after_commit", true)] {
        let mut app =
            TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", format!("{point}=return(kill)"))).await.unwrap();
        let (code, out, _) = run(app.settings(), &["key", "create", "ci"]).await;
        assert_eq!((code, out.as_str()), (1, ""), "{point}");
        app.wait_gone().await.unwrap();
        app.restart_quiet().await.unwrap();
        let (_, list, _) = run(app.settings(), &["key", "list"]).await;
        assert_eq!(list.contains("ci"), made, "{point}: {list}");
        assert_eq!(app.get("/api/jobs").await.unwrap().0, if made { 401 } else { 200 }, "{point}");
        if made {
            // Nobody has its token; its name comes free with it.
            let (code, _, err) = run(app.settings(), &["key", "create", "ci"]).await;
            assert!(code == 1 && err.contains("there is a key ci already"), "{err}");
            assert_eq!(run(app.settings(), &["key", "revoke", "ci"]).await.0, 0);
        }
        let token = create(app.settings(), &["ci"]).await;
        assert_eq!(get(&app, "/api/jobs", &token).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_without_a_server_and_open_the_way_to_other_machines() {
    let dir = tempfile::tempdir().unwrap();
    let settings = AppSettings::new(BINARY, dir.path().join("data"));
    for address in ["0.0.0.0:0", "[::]:0"] {
        let (code, _, err) = run(&settings, &["serve", "--listen", address]).await;
        assert!(code == 1 && err.contains("graphmill key create") && err.contains(address), "{err}");
    }
    let token = create(&settings, &["ops"]).await;
    let (code, out, err) = run(&settings, &["key", "list"]).await;
    assert!(code == 0 && out.starts_with("ops ") && err.contains("1 key"), "{out} {err}");
    let app = TestApp::launch(settings.listen("0.0.0.0:0")).await.unwrap();
    assert_eq!(get(&app, "/api/jobs", &token).await.0, 200);
    assert!(app.log().contains("unencrypted"), "{}", app.log());
    // The last key goes; strangers stay out.
    let (code, _, err) = run(app.settings(), &["key", "revoke", "ops"]).await;
    assert!(code == 0 && !err.contains("no key is left"), "{err}");
    assert_error(&app.get("/api/jobs").await.unwrap(), 401, "unauthorized");
    create(app.settings(), &["next"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_head_is_answered_in_json() {
    let app = crate::support::start().await;
    let host = app.url().trim_start_matches("http://").to_owned();
    for (sent, status, code) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "bad_request"),
        (format!("GET /livez HTTP/9.9\r\nHost: {host}\r\n\r\n"), 400, "bad_request"),
        (request("GET", "/livez", &host, "no colon\r\n"), 400, "bad_request"),
        (request("GET", "/livez", &host, &format!("x: {}\r\n", "y".repeat(200_000))), 431, "headers_too_large"),
        (request("GET", &format!("/{}", "y".repeat(70_000)), &host, ""), 431, "headers_too_large"),
    ] {
        let answer = raw(&app, sent).await.unwrap();
        assert_error(&answer.json(), status, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_limited_and_right_ones_are_not() {
    let app = crate::support::start().await;
    let token = create(app.settings(), &["one"]).await;
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(get(&app, "/api/jobs", "gm_wrong_token").await.0);
    }
    assert!(statuses[..20].iter().all(|s| *s == 401) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(get(&app, "/api/jobs", &token).await.0, 200, "a good key is never locked out");
    assert!(app.log().matches("a token was refused").count() < 60);
}
