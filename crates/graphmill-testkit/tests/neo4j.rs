//! The launcher of a real Neo4j.

use std::time::Duration;

use graphmill_testkit::neo4j::shared;
use graphmill_testkit::{Neo4jServer, Neo4jSettings};
use neo4j::driver::auth::AuthToken;
use neo4j::driver::{ConnectionConfig, Driver, DriverConfig};

#[expect(clippy::result_large_err, reason = "the driver's errors are large, and rarely made")]
fn run(url: &str, password: &str, query: &str) -> neo4j::Result<Vec<i64>> {
    let auth =
        if password.is_empty() { AuthToken::new_none_auth() } else { AuthToken::new_basic_auth("neo4j", password) };
    let config = DriverConfig::new().with_auth(auth.into()).with_connection_acquisition_timeout(Duration::from_secs(2));
    let connection: ConnectionConfig = url.parse().unwrap();
    let driver = Driver::new(connection, config);
    let rows = driver.session(Default::default()).auto_commit(query).run()?.records;
    Ok(rows.into_iter().filter_map(|row| row.into_values().next()?.as_int()).collect())
}

#[test]
fn a_server_of_one_test_outlives_a_kill_and_a_pause() {
    let password = "a password of tests";
    let mut server =
        Neo4jServer::start_with(Neo4jSettings { password: Some(password.to_owned()), ..Default::default() }).unwrap();
    println!("ready in {:?}", server.start_time);
    let url = server.url();
    assert!(run(&url, "", "RETURN 1").is_err(), "it takes everybody");
    run(&url, password, "CREATE (:Kept)").unwrap();
    server.kill();
    assert!(run(&url, password, "RETURN 1").is_err(), "it was not killed");
    server.restart().unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(run(&url, password, "MATCH (k:Kept) RETURN count(k)").unwrap(), [1]);

    server.pause().unwrap();
    assert!(run(&url, password, "RETURN 1").is_err(), "it was not paused");
    server.resume().unwrap();
    assert_eq!(run(&url, password, "RETURN 1").unwrap(), [1]);

    server.stop().unwrap();
    let settings = Neo4jSettings { password: Some(password.to_owned()), read_only: true };
    server.restart_with(settings).unwrap();
    assert_eq!(run(&url, password, "MATCH (k:Kept) RETURN count(k)").unwrap(), [1]);
    assert!(run(&url, password, "CREATE (:Refused)").is_err(), "it can be changed");
}

#[test]
fn shared_servers_are_empty_and_do_not_see_each_other() {
    let (one, other) = (shared::database().unwrap(), shared::database().unwrap());
    run(&one.url(), "", "CREATE (:Mine)").unwrap();
    run(&one.url(), "", "CREATE VECTOR INDEX mine FOR (n:Mine) ON n.v OPTIONS {indexConfig: {`vector.dimensions`: 4}}")
        .unwrap();
    assert_eq!(run(&other.url(), "", "MATCH (n) RETURN count(n)").unwrap(), [0]);
    let url = one.url();
    drop(one);
    let again = shared::database().unwrap();
    assert_eq!(again.url(), url, "it was not given again");
    assert_eq!(run(&url, "", "MATCH (n) RETURN count(n)").unwrap(), [0]);
    assert_eq!(run(&url, "", "SHOW INDEXES YIELD type WHERE type <> 'LOOKUP' RETURN count(*)").unwrap(), [0]);
}
