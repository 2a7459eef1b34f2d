//! Where the server is and who asks, by the environment: the variables are those of MLflow's own client.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::Link;

/// An MLflow server, and where runs are put there.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server's address, as in `http://127.0.0.1:5000`, without user and password and without a slash at its end.
    pub tracking_uri: String,
    /// The experiment by its name; it is made where there is none.
    pub experiment: String,
    /// The experiment by its number, which wins over its name.
    pub experiment_id: Option<String>,
    /// The header `Authorization`, where there is one.
    pub(crate) authorization: Option<String>,
    /// Whether the server's certificate is taken as it is.
    pub(crate) any_certificate: bool,
    /// A file of certificates (PEM) to trust, instead of the well-known ones.
    pub(crate) certificates: Option<String>,
    /// Whether the newest checkpoint is sent at a run's end.
    pub(crate) with_checkpoint: bool,
    pub(crate) pace: Pace,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From one look at `metrics.jsonl` to the next.
    pub(crate) look_every: Duration,
    /// The first wait after a request that failed; each is twice as long as the one before.
    pub(crate) first_retry: Duration,
    /// The longest.
    pub(crate) last_retry: Duration,
    /// The longest wait for a connection.
    pub(crate) connect: Duration,
    /// The longest time of a call.
    pub(crate) call: Duration,
    /// The longest time in which a file is sent.
    pub(crate) upload: Duration,
    /// How long the end of a run waits for a server that answers.
    pub(crate) end: Duration,
    /// How long it waits for one that does not.
    pub(crate) end_away: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(5),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(60),
            connect: Duration::from_secs(3),
            call: Duration::from_secs(10),
            upload: Duration::from_secs(60),
            end: Duration::from_secs(60),
            end_away: Duration::from_secs(10),
        }
    }
}

/// Without what is secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("tracking_uri", &self.tracking_uri)
            .field("experiment", &self.experiment)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// What the environment says of the run in `folder`: `MLFLOW_TRACKING_URI`, or, where that isn't set, the server that the run is on
    /// already. Nothing where neither names one, and where the variable is empty.
    ///
    /// # Errors
    /// In words, if the address isn't one of a server.
    pub fn of_run(folder: &Path) -> Result<Option<Self>, String> {
        Self::read(|name| std::env::var(name).ok(), || Link::read(folder).map(|link| link.tracking_uri))
    }

    pub(crate) fn read(
        variable: impl Fn(&str) -> Option<String>,
        otherwise: impl FnOnce() -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let uri = variable("MLFLOW_TRACKING_URI").or_else(otherwise);
        let Some(uri) =
            uri.map(|uri| uri.trim().trim_end_matches('/').to_owned()).filter(|uri| !uri.is_empty())
        else {
            return Ok(None);
        };
        let (tracking_uri, within) = split_user(&uri);
        refuse_unless_server(&tracking_uri)?;
        let user = set("MLFLOW_TRACKING_USERNAME")
            .map(|user| format!("{user}:{}", set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default()));
        let authorization = match (user.or(within), set("MLFLOW_TRACKING_TOKEN")) {
            (Some(user), _) => Some(format!("Basic {}", base64(user.as_bytes()))),
            (None, token) => token.map(|token| format!("Bearer {token}")),
        };
        let is_on = |name: &str| {
            set(name)
                .is_some_and(|value| !["0", "false", "no", "off"].contains(&value.to_lowercase().as_str()))
        };
        Ok(Some(Self {
            tracking_uri,
            experiment: set("MLFLOW_EXPERIMENT_NAME").unwrap_or_else(|| "Default".to_owned()),
            experiment_id: set("MLFLOW_EXPERIMENT_ID"),
            authorization,
            any_certificate: is_on("MLFLOW_TRACKING_INSECURE_TLS"),
            certificates: set("MLFLOW_TRACKING_SERVER_CERT_PATH"),
            with_checkpoint: is_on("LOOPED_MLFLOW_CHECKPOINT"),
            pace: Pace::default(),
        }))
    }
}

/// An address without `user:password@`, and that.
fn split_user(uri: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = uri.split_once("://") else { return (uri.to_owned(), None) };
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => (format!("{scheme}://{}", &rest[at + 1..]), Some(rest[..at].to_owned())),
        None => (uri.to_owned(), None),
    }
}

fn refuse_unless_server(uri: &str) -> Result<(), String> {
    let after = |scheme: &str| uri.strip_prefix(scheme).filter(|rest| !rest.is_empty());
    if after("https://").is_some() && !cfg!(feature = "https") {
        return Err(format!(
            "MLFLOW_TRACKING_URI: {uri}: this program was built without the feature `https`"
        ));
    }
    if after("http://").or_else(|| after("https://")).is_some() {
        return Ok(());
    }
    Err(format!(
        "MLFLOW_TRACKING_URI: `{uri}` is not the address of a server. Allowed: http://HOST:PORT or https://HOST, as of \
         `mlflow server`, which keeps what it is sent in files or a database of its own (`--backend-store-uri`)"
    ))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let byte = |i: usize| u32::from(part.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= part.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], linked: Option<&str>) -> Result<Option<Settings>, String> {
        let of = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(of, || linked.map(str::to_owned))
    }

    #[test]
    fn the_environment_names_the_server_or_the_run_does_and_an_empty_variable_turns_it_off() {
        assert_eq!(read(&[], None), Ok(None));
        let uri = |variables: &[(&str, &str)], linked| read(variables, linked).unwrap().unwrap().tracking_uri;
        assert_eq!(
            uri(&[("MLFLOW_TRACKING_URI", "http://here:5000/")], Some("http://there")),
            "http://here:5000"
        );
        assert_eq!(uri(&[], Some("http://there")), "http://there");
        assert_eq!(read(&[("MLFLOW_TRACKING_URI", "")], Some("http://there")), Ok(None));
    }

    #[test]
    fn who_asks_is_a_user_a_token_or_in_the_address_and_nothing_secret_is_shown() {
        let settings = |more: &[(&str, &str)], uri: &str| {
            read(&[&[("MLFLOW_TRACKING_URI", uri)], more].concat(), None).unwrap().unwrap()
        };
        let user = [("MLFLOW_TRACKING_USERNAME", "Aladdin"), ("MLFLOW_TRACKING_PASSWORD", "open sesame")];
        let by_user = settings(&user, "http://here");
        // The example of RFC 7617.
        assert_eq!(by_user.authorization.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert!(!format!("{by_user:?}").contains("QWxh"));
        let by_token = settings(&[("MLFLOW_TRACKING_TOKEN", "abc")], "http://here");
        assert_eq!(by_token.authorization.as_deref(), Some("Bearer abc"));
        let within = settings(&[], "http://Aladdin:open sesame@here:5000/under");
        assert_eq!(within.authorization, by_user.authorization);
        assert_eq!(within.tracking_uri, "http://here:5000/under");
    }

    #[test]
    fn what_is_no_server_is_refused_with_what_to_do() {
        for uri in ["sqlite:///mlflow.db", "./mlruns", "file:///tmp/mlruns", "databricks", "http://"] {
            let refused = read(&[("MLFLOW_TRACKING_URI", uri)], None).unwrap_err();
            assert!(
                refused.contains("is not the address of a server") && refused.contains("mlflow server"),
                "{refused}"
            );
        }
    }

    #[test]
    fn base64_pads() {
        for (text, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
