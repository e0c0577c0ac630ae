//! A server that dies, hangs, refuses, or is another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use graphmill_graph::Error;
use graphmill_graph::neo4j::{Neo4jConnection, Neo4jSettings, Params, Timeouts};
use graphmill_testkit::{Neo4jServer, Neo4jSettings as ServerSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{connect, connection, server, to};

const COUNT: &str = "MATCH (n:GmTest) RETURN count(n) AS n";

async fn count(neo4j: &Neo4jConnection) -> u64 {
    neo4j.read(COUNT, Params::new()).await.unwrap().pop().unwrap().take("n").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_pool_works_on_after_a_kill() {
    let mut server = server().await;
    let neo4j = to(&server, Timeouts { reconnect: Duration::from_secs(60), ..Timeouts::default() });
    neo4j.statement("CREATE (:GmTest {id: 1})", Params::new()).await.unwrap();
    // Many connections stand when the server dies, and one is in the middle of a transaction.
    let idle = (0..8).map(|_| neo4j.read(COUNT, Params::new()));
    futures::future::try_join_all(idle).await.unwrap();
    let (reached, died) = (Arc::new(tokio::sync::Notify::new()), Arc::new(std::sync::Barrier::new(2)));
    let attempts = Arc::new(AtomicU32::new(0));
    let write = {
        let (neo4j, reached, died, attempts) = (neo4j.clone(), reached.clone(), died.clone(), attempts.clone());
        tokio::spawn(async move {
            neo4j
                .write(move |tx| {
                    tx.run("MERGE (:GmTest {id: 2})", Params::new())?;
                    if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                        reached.notify_one();
                        died.wait();
                    }
                    tx.run("MERGE (:GmTest {id: 3})", Params::new())
                })
                .await
        })
    };
    reached.notified().await;
    server.kill();
    tokio::task::spawn_blocking(move || died.wait()).await.unwrap();
    let quick = to(&server, Timeouts { reconnect: Duration::from_millis(200), ..Timeouts::default() });
    assert!(matches!(quick.read(COUNT, Params::new()).await, Err(Error::Unavailable { .. })), "a dead server answers");
    let server = tokio::task::spawn_blocking(move || {
        server.restart().unwrap();
        server
    })
    .await
    .unwrap();
    write.await.unwrap().unwrap();
    assert!(attempts.load(Ordering::SeqCst) > 1, "the kill was not noticed");
    assert_eq!(count(&neo4j).await, 3);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_is_given_up_and_used_again_when_it_goes_on() {
    let server = server().await;
    let neo4j = to(&server, Timeouts { answer: Duration::from_secs(2), ..Timeouts::default() });
    assert_eq!(count(&neo4j).await, 0);
    server.pause().unwrap();
    let hung = neo4j
        .write(|tx| {
            tx.run("MERGE (:GmTest {id: 1})", Params::new())?;
            tx.run("MERGE (:GmTest {id: 2})", Params::new())
        })
        .await;
    assert!(matches!(&hung, Err(Error::Unavailable { message, .. }) if message.contains("no answer")), "{hung:?}");
    let mut pages = neo4j.pages(COUNT, Params::new(), 10);
    assert!(matches!(pages.next().await, Err(Error::Unavailable { .. })));
    server.resume().unwrap();
    // The abandoned transaction must end without a commit; the lock that it holds is free then.
    neo4j.write(|tx| tx.run("MERGE (:GmTest {id: 3})", Params::new())).await.unwrap();
    assert_eq!(count(&neo4j).await, 1, "an abandoned transaction was committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_writes_nothing_more() {
    let (neo4j, _keep) = connection().await;
    assert_eq!(count(&neo4j).await, 0);
    let (reached, (go, wait)) = (Arc::new(tokio::sync::Notify::new()), std::sync::mpsc::channel::<()>());
    let (told, mut ended) = (reached.clone(), false);
    let (report, reported) = tokio::sync::oneshot::channel();
    let mut report = Some(report);
    let call = neo4j.write(move |tx| {
        tx.run("CREATE (:GmTest)", Params::new())?;
        told.notify_one();
        if !std::mem::replace(&mut ended, true) {
            let _ = wait.recv();
        }
        let second = tx.run("CREATE (:GmTest)", Params::new());
        if let Some(report) = report.take() {
            let _ = report.send(second.is_err());
        }
        second
    });
    tokio::select! {
        _ = call => panic!("it must wait"),
        () = reached.notified() => {}
    }
    drop(go);
    assert!(reported.await.unwrap(), "a dropped call goes on");
    assert_eq!(count(&neo4j).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_set() {
    let settings = ServerSettings { password: Some("right password".to_owned()), ..Default::default() };
    let mut server = tokio::task::spawn_blocking(move || Neo4jServer::start_with(settings).unwrap()).await.unwrap();
    let url = server.url();
    let refused = connect(&url, Some("neo4j"), Some("wrong")).await.unwrap_err();
    assert!(
        matches!(&refused, Error::WrongPassword(message) if message.contains("GRAPHMILL_GRAPH_PASSWORD")),
        "{refused:?}"
    );
    assert!(!refused.to_string().contains("wrong\""), "{refused}");
    let open = connect(&url, None, None).await.unwrap_err();
    assert!(matches!(open, Error::WrongPassword(_)), "{open:?}");
    let known = |suffix: &str| {
        let url = format!("{url}{suffix}");
        async move { connect(&url, Some("neo4j"), Some("right password")).await }
    };
    let database = known("?database=nowhere").await.unwrap_err();
    assert!(matches!(&database, Error::WrongDatabase(message) if message.contains("?database=")), "{database:?}");
    let neo4j = known("?database=neo4j").await.unwrap();
    neo4j.statement("CREATE (:GmTest)", Params::new()).await.unwrap();

    // The routing table of a single server names itself.
    let routed = url.replace("bolt://", "neo4j://");
    let routed = connect(&routed, Some("neo4j"), Some("right password")).await.unwrap();
    routed.write(|tx| tx.run("CREATE (:GmTest)", Params::new())).await.unwrap();
    assert_eq!(count(&routed).await, 2);

    let settings = ServerSettings { password: Some("right password".to_owned()), read_only: true };
    let server = tokio::task::spawn_blocking(move || {
        server.restart_with(settings).unwrap();
        server
    })
    .await
    .unwrap();
    assert_eq!(count(&neo4j).await, 2);
    let written = neo4j.write(|tx| tx.run("CREATE (:GmTest)", Params::new())).await;
    assert!(matches!(written, Err(Error::ReadOnly(_))), "{written:?}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_unavailable() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Neo4jSettings::parse(&format!("bolt://{gone}"), None, None).unwrap();
    let neo4j = Neo4jConnection::new(settings, Timeouts { reconnect: Duration::ZERO, ..Timeouts::default() }).unwrap();
    assert!(matches!(neo4j.check().await, Err(Error::Unavailable { .. })));
}

/// Answers one connection after another with these bytes, each after the client has written something.
async fn fake(answers: Vec<Vec<u8>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut read = vec![0; 4096];
            for answer in &answers {
                if !matches!(socket.read(&mut read).await, Ok(1..)) {
                    break;
                }
                // The client may be gone already.
                let _ = socket.write_all(answer).await;
            }
            // Whatever it says at the end.
            let _ = socket.read(&mut read).await;
        }
    });
    format!("bolt://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn old_servers_and_other_services_are_refused() {
    // Bolt 4.4, then SUCCESS {server: "Neo4j/4.4.40", connection_id: "bolt-1"}, then whatever is asked succeeds.
    let mut hello = vec![0xB1, 0x70, 0xA2, 0x86];
    hello.extend(b"server");
    hello.push(0x8C);
    hello.extend(b"Neo4j/4.4.40");
    hello.extend([0x8D]);
    hello.extend(b"connection_id");
    hello.push(0x86);
    hello.extend(b"bolt-1");
    let mut framed = vec![0, hello.len() as u8];
    framed.extend(hello);
    framed.extend([0, 0]);
    let success = vec![0, 3, 0xB1, 0x70, 0xA0, 0, 0];
    let old = fake(vec![vec![0, 0, 4, 4], framed, success.clone(), success]).await;
    let refused = connect(&old, None, None).await.unwrap_err();
    let said = refused.to_string();
    assert!(
        matches!(refused, Error::UnsupportedServer(_)) && said.contains("4.4.40") && said.contains("5.15"),
        "{said}"
    );

    // A server without any version in common, and a web server.
    for answer in [vec![0, 0, 0, 0], b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()] {
        let refused = connect(&fake(vec![answer]).await, None, None).await.unwrap_err();
        assert!(matches!(&refused, Error::UnsupportedServer(message) if message.contains("7687")), "{refused:?}");
    }
}
