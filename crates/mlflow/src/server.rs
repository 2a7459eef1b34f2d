//! The calls of MLflow's REST API that a run needs. Each is one request, of bounded time.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body, RequestBuilder};

use crate::problem::{Problem, Result};
use crate::settings::Settings;

/// Enough of an answer that says no.
const SHOWN: usize = 300;

/// Most parameters, and most tags, of one request.
pub(crate) const PARAMS: usize = 100;
/// Most metrics of one request.
pub(crate) const METRICS: usize = 1000;

/// A server, asked by one thread.
pub(crate) struct Server {
    agent: Agent,
    settings: Settings,
}

/// A run as the server has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RemoteRun {
    pub(crate) id: String,
    pub(crate) experiment_id: String,
    pub(crate) artifact_uri: String,
    pub(crate) is_deleted: bool,
    /// The last step of each metric, and when it was.
    pub(crate) metrics: Vec<(String, i64, i64)>,
    pub(crate) params: Vec<(String, String)>,
}

/// A number of a step. A value that isn't finite is sent in words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) key: String,
    pub(crate) value: f64,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) step: i64,
}

/// A key with its value.
pub(crate) type Pair = (String, String);

impl Server {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("looped/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(settings.pace.connect))
            .timeout_global(Some(settings.pace.call));
        #[cfg(feature = "https")]
        let config = config.tls_config(tls(&settings)?);
        Ok(Self { agent: config.build().new_agent(), settings })
    }

    /// The page that shows a run.
    pub(crate) fn page_of(&self, run: &RemoteRun) -> String {
        format!("{}/#/experiments/{}/runs/{}", self.settings.tracking_uri, run.experiment_id, run.id)
    }

    /// The number of the experiment that the settings name; it is made where there is none.
    pub(crate) fn experiment(&self) -> Result<String> {
        if let Some(id) = &self.settings.experiment_id {
            return Ok(id.clone());
        }
        let name = &self.settings.experiment;
        match self.experiment_by_name(name) {
            Err(error) if error.is_missing() => {}
            found => return found,
        }
        match self.post("experiments/create", &json!({ "name": name })) {
            Ok(made) => text(&made["experiment_id"]).ok_or_else(|| self.not_mlflow()),
            // Another run was quicker.
            Err(Problem::Refused { code, .. }) if code == "RESOURCE_ALREADY_EXISTS" => {
                self.experiment_by_name(name)
            }
            Err(error) => Err(error),
        }
    }

    fn experiment_by_name(&self, name: &str) -> Result<String> {
        let found = self.get("experiments/get-by-name", &[("experiment_name", name)])?;
        let experiment = &found["experiment"];
        if experiment["lifecycle_stage"] == "deleted" {
            return Err(Problem::Refused {
                status: 400,
                code: String::new(),
                message: format!(
                    "the experiment `{name}` is deleted; restore it, or name another by MLFLOW_EXPERIMENT_NAME"
                ),
            });
        }
        text(&experiment["experiment_id"]).ok_or_else(|| self.not_mlflow())
    }

    /// Makes a run that has begun at `start`, in milliseconds since 1970.
    pub(crate) fn create_run(
        &self,
        experiment: &str,
        name: &str,
        start: i64,
        tags: &[Pair],
    ) -> Result<RemoteRun> {
        let request = json!({
            "experiment_id": experiment, "run_name": name, "start_time": start, "tags": pairs(tags)
        });
        let made = self.post("runs/create", &request)?;
        self.run_of(&made["run"])
    }

    /// A run by its id.
    pub(crate) fn run(&self, id: &str) -> Result<RemoteRun> {
        let found = self.get("runs/get", &[("run_id", id)])?;
        self.run_of(&found["run"])
    }

    /// The run of an experiment that has the tag `key` of this value, if there is one.
    pub(crate) fn run_tagged(&self, experiment: &str, key: &str, value: &str) -> Result<Option<RemoteRun>> {
        let filter = format!("tags.`{key}` = '{value}'");
        let request = json!({ "experiment_ids": [experiment], "filter": filter, "max_results": 1 });
        let found = self.post("runs/search", &request)?;
        found["runs"].get(0).map(|run| self.run_of(run)).transpose()
    }

    /// Says how a run stands: `RUNNING`, or how it has ended, and when.
    pub(crate) fn update_run(&self, id: &str, status: &str, end: Option<i64>) -> Result<()> {
        let mut request = json!({ "run_id": id, "status": status });
        if let Some(end) = end {
            request["end_time"] = end.into();
        }
        self.post("runs/update", &request).map(drop)
    }

    /// Adds metrics, parameters and tags to a run: at most [`METRICS`] and [`PARAMS`] of them.
    pub(crate) fn log(&self, id: &str, metrics: &[Metric], params: &[Pair], tags: &[Pair]) -> Result<()> {
        let metric = |metric: &Metric| {
            json!({
                "key": metric.key, "value": number(metric.value), "timestamp": metric.timestamp, "step": metric.step
            })
        };
        let request = json!({
            "run_id": id,
            "metrics": metrics.iter().map(metric).collect::<Vec<_>>(),
            "params": pairs(params),
            "tags": pairs(tags),
        });
        self.post("runs/log-batch", &request).map(drop)
    }

    /// Sends a file through the server, as `path` below the folder of all artifacts.
    pub(crate) fn upload(&self, path: &str, file: &Path) -> Result<()> {
        let opened = File::open(file).map_err(Problem::at(file))?;
        let segments: Vec<String> = path.split('/').map(escaped).collect();
        let uri = self.uri(&format!("mlflow-artifacts/artifacts/{}", segments.join("/")));
        let request =
            self.authorized(self.agent.put(&uri)).header("Content-Type", "application/octet-stream");
        let request = request.config().timeout_global(Some(self.settings.pace.upload)).build();
        self.answer(request.send(&opened)).map(drop)
    }

    fn get(&self, call: &str, query: &[(&str, &str)]) -> Result<Value> {
        let request = self.authorized(self.agent.get(self.uri(&format!("mlflow/{call}"))));
        self.answer(request.query_pairs(query.iter().copied()).call())
    }

    fn post(&self, call: &str, body: &Value) -> Result<Value> {
        let request = self.authorized(self.agent.post(self.uri(&format!("mlflow/{call}"))));
        self.answer(request.header("Content-Type", "application/json").send(body.to_string()))
    }

    fn uri(&self, call: &str) -> String {
        format!("{}/api/2.0/{call}", self.settings.tracking_uri)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.settings.authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        }
    }

    fn answer(&self, answer: std::result::Result<Response<Body>, ureq::Error>) -> Result<Value> {
        let mut answer = answer.map_err(|error| self.away(&error))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_string().map_err(|error| self.away(&error))?;
        let said: Option<Value> = serde_json::from_str(&body).ok();
        match status {
            200..=299 if body.trim().is_empty() => Ok(Value::Null),
            200..=299 => said.ok_or_else(|| self.not_mlflow()),
            // Too long, too often, or the server's own trouble: later it may do.
            408 | 429 | 500.. => {
                Err(Problem::Away(format!("{} answers {status}", self.settings.tracking_uri)))
            }
            _ => {
                let field = |name: &str| said.as_ref().and_then(|said| text(&said[name]));
                let message = field("message").unwrap_or_else(|| body.trim().to_owned());
                Err(Problem::Refused {
                    status,
                    code: field("error_code").unwrap_or_default(),
                    message: message.chars().take(SHOWN).collect(),
                })
            }
        }
    }

    fn away(&self, error: &ureq::Error) -> Problem {
        let why = match error {
            ureq::Error::Timeout(_) => "does not answer in time".to_owned(),
            error => format!("cannot be reached: {error}"),
        };
        Problem::Away(format!("{} {why}", self.settings.tracking_uri))
    }

    fn not_mlflow(&self) -> Problem {
        Problem::NotMlflow(self.settings.tracking_uri.clone())
    }

    fn run_of(&self, run: &Value) -> Result<RemoteRun> {
        let (info, data) = (&run["info"], &run["data"]);
        let all = |what: &str| data[what].as_array().map_or(&[][..], Vec::as_slice);
        Ok(RemoteRun {
            id: text(&info["run_id"]).ok_or_else(|| self.not_mlflow())?,
            experiment_id: text(&info["experiment_id"]).unwrap_or_default(),
            artifact_uri: text(&info["artifact_uri"]).unwrap_or_default(),
            is_deleted: info["lifecycle_stage"] == "deleted",
            metrics: all("metrics")
                .iter()
                .filter_map(|metric| {
                    // A step of 0 may be left out.
                    Some((
                        text(&metric["key"])?,
                        whole(&metric["step"]).unwrap_or(0),
                        whole(&metric["timestamp"]).unwrap_or(0),
                    ))
                })
                .collect(),
            params: all("params")
                .iter()
                .filter_map(|param| Some((text(&param["key"])?, text(&param["value"]).unwrap_or_default())))
                .collect(),
        })
    }
}

fn pairs(pairs: &[Pair]) -> Vec<Value> {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// JSON has no NaN; MLflow takes it in words.
fn number(value: f64) -> Value {
    match value {
        value if value.is_nan() => "NaN".into(),
        value if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        value => value.into(),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A whole number, which the JSON of protocol buffers may have as text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A segment of a path in an address.
fn escaped(segment: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    segment.bytes().map(escape).collect()
}

#[cfg(feature = "https")]
fn tls(settings: &Settings) -> Result<ureq::tls::TlsConfig> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
    let mut config = TlsConfig::builder().disable_verification(settings.any_certificate);
    if let Some(file) = &settings.certificates {
        let path = Path::new(file);
        let text = std::fs::read(path).map_err(Problem::at(path))?;
        let certificates = parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        config = config.root_certs(RootCerts::from(certificates));
    }
    Ok(config.build())
}
