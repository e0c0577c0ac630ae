//! TLS.

use std::path::{Path, PathBuf};

use graphmill_testkit::{AppSettings, TestApp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::{create, run};
use crate::contract::raw;
use crate::support::{BINARY, markdown};

/// An authority, and certificates of it for `localhost`.
struct Authority {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { dir: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue(&self, name: &str, until: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (pem, private) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        std::fs::write(&pem, certificate.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        (text(&pem), text(&private))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_http2_and_websockets_with_keys() {
    let authority = Authority::new();
    let (pem, key) = authority.issue("server", 2100);
    let app = TestApp::start_with(BINARY, |s| s.arg("--tls-cert").arg(&pem).arg("--tls-key").arg(&key)).await.unwrap();
    let port = app.url().rsplit(':').next().unwrap().to_owned();
    assert!(app.url().starts_with("https://"), "{}", app.url());
    // On this machine the lock file tells which certificate is the server's.
    let token = create(app.settings(), &["one"]).await;
    let ca = reqwest::Certificate::from_pem(&std::fs::read(authority.path("ca.pem")).unwrap()).unwrap();
    let client = |ca: reqwest::Certificate| reqwest::Client::builder().no_proxy().tls_certs_only([ca]);
    let url = format!("https://localhost:{port}");
    for (http, version) in [
        (client(ca.clone()).build().unwrap(), reqwest::Version::HTTP_2),
        (client(ca.clone()).http1_only().build().unwrap(), reqwest::Version::HTTP_11),
    ] {
        let answer = http.get(format!("{url}/api/jobs")).bearer_auth(&token).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(http.get(format!("{url}/api/jobs")).send().await.unwrap().status().as_u16(), 401);
    }
    // One who speaks HTTP is told so.
    let plain = raw(&app, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(plain.status == 400 && plain.body.contains("https"), "{plain:?}");
    // The command line: an upload and a WebSocket, by the lock file, and from elsewhere by the authority.
    let file = authority.path("a.md");
    std::fs::write(&file, markdown(1, 3)).unwrap();
    let (code, out, err) = run(app.settings(), &["ingest", &text(&file)]).await;
    assert_eq!(code, 0, "{out} {err}");
    let token_file = authority.path("token");
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    let elsewhere = AppSettings::new(BINARY, authority.path("nothing"));
    let (ca, token_file) = (text(&authority.path("ca.pem")), text(&token_file));
    let far = ["--server", &url, "--ca-cert", &ca, "--token-file", &token_file];
    let list = [&["jobs", "list"][..], &far].concat();
    let (code, out, err) = run(&elsewhere, &list).await;
    assert!(code == 0 && out.contains("a.md"), "{out} {err}");
    let job = out.split_whitespace().next().unwrap().to_owned();
    let (code, _, err) = run(&elsewhere, &[&["jobs", "watch", &job][..], &far].concat()).await;
    assert_eq!(code, 0, "{err}");
    // Without the authority nobody is believed.
    let (code, _, err) = run(&elsewhere, &["jobs", "list", "--server", &url, "--token-file", &token_file]).await;
    assert!(code == 1 && err.contains(&url), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_read_again_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let (pem, key) = authority.issue("server", 2100);
    let app = TestApp::start_with(BINARY, |s| s.arg("--tls-cert").arg(&pem).arg("--tls-key").arg(&key)).await.unwrap();
    let lock = || std::fs::read_to_string(app.settings().data_dir().join("graphmill.lock")).unwrap();
    let hang_up = async |word: &str| {
        let before = app.log().matches(word).count();
        let pid = rustix::process::Pid::from_raw(i32::try_from(app.pid().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        let heard = async {
            while app.log().matches(word).count() == before {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(graphmill_testkit::app::PATIENCE, heard).await.expect(word);
    };
    let first = lock();
    let (new_pem, new_key) = authority.issue("new", 2100);
    std::fs::copy(new_pem, &pem).unwrap();
    hang_up("was not read again").await;
    assert_eq!(lock(), first, "certificate and key do not belong together");
    std::fs::copy(new_key, &key).unwrap();
    hang_up("the TLS certificate was read again").await;
    assert_ne!(lock(), first);
    assert_eq!(run(app.settings(), &["stats"]).await.0, 0, "the new one is trusted");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (pem, key) = authority.issue("good", 2100);
    let (old, old_key) = authority.issue("old", 2021);
    let missing = text(&authority.path("missing.pem"));
    let settings = AppSettings::new(BINARY, authority.path("data"));
    for (args, words) in [
        (vec!["--tls-cert", &pem], vec!["--tls-key"]),
        (vec!["--tls-key", &key], vec!["--tls-cert"]),
        (vec!["--tls-cert", &missing, "--tls-key", &key], vec!["missing.pem", "cannot be read"]),
        (vec!["--tls-cert", &pem, "--tls-key", &missing], vec!["missing.pem", "cannot be read"]),
        (vec!["--tls-cert", &key, "--tls-key", &key], vec!["good.key", "no certificate"]),
        (vec!["--tls-cert", &pem, "--tls-key", &pem], vec!["good.pem", "cannot be read"]),
        (vec!["--tls-cert", &pem, "--tls-key", &old_key], vec!["old.key", "does not belong"]),
        (vec!["--tls-cert", &old, "--tls-key", &old_key], vec!["old.pem", "expired at 2021"]),
    ] {
        let (code, _, err) = run(&settings, &[&["serve", "--listen", "127.0.0.1:0"][..], &args].concat()).await;
        assert_eq!(code, 1, "{args:?}: {err}");
        for word in words {
            assert!(err.contains(word), "{args:?}: {word:?} is not in {err}");
        }
    }
}

/// The usual `openssl req -x509` makes a certificate that is its own authority; given with `--ca-cert` it is taken, and no other is.
#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_taken_where_exactly_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&dir.path().join(name));
    for name in ["server", "other"] {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(at(&format!("{name}.pem")), made.pem()).unwrap();
        std::fs::write(at(&format!("{name}.key")), made.key().serialize_pem()).unwrap();
    }
    let app = TestApp::start_with(BINARY, |s| {
        s.arg("--tls-cert").arg(at("server.pem")).arg("--tls-key").arg(at("server.key"))
    })
    .await
    .unwrap();
    let elsewhere = AppSettings::new(BINARY, dir.path().join("nothing"));
    let (code, out, err) = run(&elsewhere, &["stats", "--server", app.url(), "--ca-cert", &at("server.pem")]).await;
    assert!(code == 0 && out.contains("documents"), "{code} {out}{err}");
    for more in [&["--ca-cert", &at("other.pem")][..], &[]] {
        let (code, _, err) = run(&elsewhere, &[&["stats", "--server", app.url()], more].concat()).await;
        assert!(code == 1 && err.contains("--ca-cert") && !err.contains("CaUsedAsEndEntity"), "{code} {err}");
    }
}
