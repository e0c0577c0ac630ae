//! Values, transactions and pages of a healthy server.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};

use graphmill_graph::Error;
use graphmill_graph::neo4j::{Params, Row};

use super::connection;

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_as_they_went() {
    let (neo4j, _keep) = connection().await;
    let vector = vec![0.1_f32, -3.5e-30, f32::MAX, 0.0];
    let inner = Params::new().set("id", "chk-1").set("n", 3_u32);
    let params = Params::new()
        .set("text", "Grüße, 世界 \u{1F600} \0")
        .set("large", i64::MAX as u64)
        .set("small", i64::MIN)
        .set("float", 0.1_f64)
        .set("yes", true)
        .set("bytes", vec![0_u8, 255, 7])
        .set("vector", vector.clone())
        .set("none", None::<String>)
        .set("texts", vec!["a".to_owned(), String::new()])
        .set("rows", vec![inner.clone(), inner]);
    // By way of a node, so that it is what the server keeps and not what it echoes.
    let query = "CREATE (n:GmTest {text: $text, large: $large, small: $small, float: $float, yes: $yes, bytes: $bytes, vector: $vector, \
                 none: $none, texts: $texts}) RETURN n.text AS text, n.large AS large, n.small AS small, n.float AS float, n.yes AS yes, \
                 n.bytes AS bytes, n.vector AS vector, n.none AS none, n.texts AS texts, $rows AS rows, [] AS empty";
    let mut row = neo4j.write(move |tx| tx.one(query, params.clone())).await.unwrap();
    assert_eq!(row.take::<String>("text").unwrap(), "Grüße, 世界 \u{1F600} \0");
    assert_eq!(row.take::<u64>("large").unwrap(), i64::MAX as u64);
    assert_eq!(row.take::<i64>("small").unwrap(), i64::MIN);
    assert_eq!(row.take::<f64>("float").unwrap(), 0.1);
    assert!(row.take::<bool>("yes").unwrap());
    assert_eq!(row.take::<Vec<u8>>("bytes").unwrap(), [0, 255, 7]);
    assert_eq!(row.take::<Vec<f32>>("vector").unwrap(), vector);
    assert_eq!(row.take::<Option<String>>("none").unwrap(), None);
    assert_eq!(row.take::<Vec<String>>("texts").unwrap(), ["a", ""]);
    assert!(row.take::<Vec<String>>("empty").unwrap().is_empty());
    let mut rows = row.take::<Vec<Row>>("rows").unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].take::<String>("id").unwrap().as_str(), rows[1].take::<u32>("n").unwrap()), ("chk-1", 3));
    assert!(matches!(row.take::<String>("text"), Err(Error::Backend(message)) if message.contains("text")));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_are_refused_by_name() {
    let (neo4j, _keep) = connection().await;
    let sent = neo4j.read("RETURN $seq AS seq", Params::new().set("seq", u64::MAX)).await;
    assert!(matches!(sent, Err(Error::Invalid(message)) if message.contains("$seq")));
    let mut row = neo4j.read("RETURN -1 AS n, 'x' AS text", Params::new()).await.unwrap().pop().unwrap();
    assert!(matches!(row.take::<u64>("n"), Err(Error::Backend(message)) if message.contains("\"n\"")));
    let error = row.take::<i64>("text").unwrap_err().to_string();
    assert!(error.contains("a string") && !error.contains("'x'"), "{error}");
    assert!(matches!(neo4j.read("RETURN wrong", Params::new()).await, Err(Error::Backend(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_closure_rolls_back() {
    let (neo4j, _keep) = connection().await;
    let written = neo4j
        .write(|tx| {
            tx.run("CREATE (:GmTest)", Params::new())?;
            Err::<(), _>(Error::Invalid("no".to_owned()))
        })
        .await;
    assert!(matches!(written, Err(Error::Invalid(message)) if message == "no"));
    let mut row = neo4j.read("MATCH (n:GmTest) RETURN count(n) AS n", Params::new()).await.unwrap().pop().unwrap();
    assert_eq!(row.take::<u64>("n").unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_repeated_until_both_went_through() {
    let (neo4j, _keep) = connection().await;
    neo4j.statement("CREATE (:GmTest {id: 1, n: 0}), (:GmTest {id: 2, n: 0})", Params::new()).await.unwrap();
    // Both hold their first node before either asks for its second one; the barrier is for the first attempt of each alone.
    let (barrier, attempts) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let raise = |first: i64, second: i64| {
        let (barrier, attempts, mut met) = (barrier.clone(), attempts.clone(), false);
        neo4j.write(move |tx| {
            let raise = "MATCH (n:GmTest {id: $id}) SET n.n = n.n + 1";
            attempts.fetch_add(1, Ordering::SeqCst);
            tx.run(raise, Params::new().set("id", first))?;
            if !std::mem::replace(&mut met, true) {
                barrier.wait();
            }
            tx.run(raise, Params::new().set("id", second))
        })
    };
    let (one, other) = tokio::join!(raise(1, 2), raise(2, 1));
    one.unwrap();
    other.unwrap();
    assert!(attempts.load(Ordering::SeqCst) > 2, "there was no deadlock to repeat");
    let rows = neo4j.read("MATCH (n:GmTest) RETURN n.n AS n", Params::new()).await.unwrap();
    let counts: Vec<u64> = rows.into_iter().map(|mut row| row.take("n").unwrap()).collect();
    assert_eq!(counts, [2, 2]);
}

/// TLS in front of a server, with a certificate that nobody has signed.
async fn tls_in_front_of(server: String) -> u16 {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut inner = tokio::net::TcpStream::connect(server).await.unwrap();
                if let Ok(mut outer) = acceptor.accept(socket).await {
                    // Either side may end it.
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_unless_the_scheme_says_any() {
    let (_, keep) = connection().await;
    let port = tls_in_front_of(keep.url().replace("bolt://", "")).await;
    let any = super::connect(&format!("bolt+ssc://127.0.0.1:{port}"), None, None).await.unwrap();
    assert_eq!(any.read("RETURN 1 AS n", Params::new()).await.unwrap().pop().unwrap().take::<u64>("n").unwrap(), 1);
    let refused = super::connect(&format!("bolt+s://127.0.0.1:{port}"), None, None).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("not trusted") && said.contains("SSL_CERT_FILE"), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn large_messages_wait_for_no_acknowledgement() {
    let (neo4j, keep) = connection().await;
    let port: u16 = keep.url().rsplit(':').next().unwrap().parse().unwrap();
    let sockets = || {
        let numbers = std::fs::read_dir("/dev/fd").unwrap().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<std::os::fd::RawFd>().ok());
        let ours = numbers.filter(|number| {
            let peer = socket2::SockRef::from(number).peer_addr().ok().and_then(|peer| peer.as_socket());
            peer.is_some_and(|peer| peer.port() == port)
        });
        ours.map(|number| socket2::SockRef::from(&number).nodelay().unwrap()).collect::<Vec<_>>()
    };
    assert!(sockets().contains(&false), "the driver sets it by itself now: nodelay.rs can go");
    let vector = vec![0.5_f32; 1_000];
    let count = neo4j.read("RETURN size($v) AS n", Params::new().set("v", vector)).await;
    assert_eq!(count.unwrap().pop().unwrap().take::<u64>("n").unwrap(), 1_000);
    assert!(!sockets().is_empty() && !sockets().contains(&false));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_come_when_they_are_asked_for() {
    let (neo4j, _keep) = connection().await;
    let mut pages = neo4j.pages("UNWIND range(1, 2500) AS n RETURN n", Params::new(), 1_000);
    let (mut sizes, mut next) = (Vec::new(), 1_u64);
    while let Some(page) = pages.next().await.unwrap() {
        sizes.push(page.len());
        for mut row in page {
            assert_eq!(row.take::<u64>("n").unwrap(), next);
            next += 1;
        }
    }
    assert_eq!(sizes, [1_000, 1_000, 500]);
    assert!(pages.next().await.unwrap().is_none());

    // An endless answer is not read ahead, and a dropped one gives its connection back: more of them than there are connections.
    for _ in 0..20 {
        let mut endless = neo4j.pages("UNWIND range(1, 1000000000) AS n RETURN n", Params::new(), 10);
        assert_eq!(endless.next().await.unwrap().unwrap().len(), 10);
    }
    let mut wrong = neo4j.pages("UNWIND range(1, 30) AS n RETURN 1 / (n - 25) AS n", Params::new(), 10);
    assert!(wrong.next().await.unwrap().is_some());
    let mut last = wrong.next().await;
    while let Ok(Some(_)) = last {
        last = wrong.next().await;
    }
    assert!(matches!(last, Err(Error::Backend(_))), "the error is lost: {last:?}");
}
