//! Why a connection failed, in the words of people: the libraries say it in layers of their own.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use crate::output::in_words;

/// The innermost cause.
pub(crate) fn why(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return "nothing listens there".to_owned(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                    return "the connection was cut".to_owned();
                }
                io::ErrorKind::TimedOut => return "it took too long".to_owned(),
                _ => {}
            }
        }
        last = cause;
    }
    in_words(&last.to_string())
}

/// Why the server's certificate is not taken, if it is that.
pub(super) fn untrusted(error: &(dyn Error + 'static)) -> Option<String> {
    let rustls::Error::InvalidCertificate(found) = causes(error).find_map(|cause| cause.downcast_ref())? else {
        return None;
    };
    Some(match found {
        CertificateError::UnknownIssuer => "its certificate is signed by nobody that this system trusts; give the authority, or exactly the \
             server's certificate, with --ca-cert"
            .to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; use the name that stands in it as the server's address".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; the server needs a new one".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; look at the clock of this machine".to_owned()
        }
        CertificateError::ApplicationVerificationFailure => {
            "it shows another certificate than its lock file names".to_owned()
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it shows a certificate of an authority as its own; give exactly that certificate with --ca-cert, or sign one for the server with it"
                .to_owned()
        }
        other => in_words(&other.to_string()),
    })
}

/// An error and what stands behind it. What `std::io::Error` wraps is a step too: it hides it from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| behind(*error))
}

fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_is_said_in_words() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(why(&refused), "nothing listens there");
        assert_eq!(untrusted(&refused), None);
        assert_eq!(why(&io::Error::other(io::Error::from_raw_os_error(113))), "No route to host");
        let certificate = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, certificate);
        assert!(untrusted(&wrapped).is_some_and(|why| why.contains("--ca-cert")));
    }
}
