//! An MLflow server of a few lines: the calls that a tracker makes, and ways of not answering them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Answers,
    /// Closes the connection.
    Closes,
    /// Reads it, and never answers.
    Hangs,
    /// Says 500.
    Fails,
    /// Does what requests of this call ask, and never answers those; batches without metrics it does answer.
    HearsOnly(&'static str),
    /// Says 400 to this call, unless it is a batch without metrics.
    Refuses(&'static str),
}

/// A run, as the server has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) tags: Vec<(String, String)>,
    /// Key, value, step and time.
    pub(super) metrics: Vec<(String, Value, i64, i64)>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    runs: Vec<Run>,
    files: BTreeMap<String, Vec<u8>>,
    most_metrics: usize,
}

/// The server, on a port of its own, until the test ends.
pub(super) struct Fake {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state =
            State { manner: Manner::Answers, runs: Vec::new(), files: BTreeMap::new(), most_metrics: 0 };
        let state = Arc::new(Mutex::new(state));
        let own = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&own);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { port, state }
    }

    pub(super) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn set(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// Has no run any more.
    pub(super) fn forget(&self) {
        self.state.lock().unwrap().runs.clear();
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        self.state.lock().unwrap().runs.clone()
    }

    /// What was uploaded, by its path.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().files.clone()
    }

    pub(super) fn most_metrics_of_a_request(&self) -> usize {
        self.state.lock().unwrap().most_metrics
    }
}

/// One request of a connection.
fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let manner = state.lock().unwrap().manner;
    if manner == Manner::Closes {
        return;
    }
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let header = header.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let (status, answer) = match manner {
        Manner::Hangs => return std::thread::sleep(Duration::from_secs(5)),
        Manner::Fails => (500, json!("out of order")),
        Manner::Refuses(call) if path.contains(call) && !body_is_description(&body) => {
            (400, json!({ "error_code": "INVALID_PARAMETER_VALUE", "message": "no" }))
        }
        _ => done(&path, &body, &mut state.lock().unwrap()),
    };
    if matches!(manner, Manner::HearsOnly(call) if path.contains(call) && !body_is_description(&body)) {
        return std::thread::sleep(Duration::from_secs(5));
    }
    let answer = answer.to_string();
    // A client that has given up reads no answer.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    );
}

/// Whether a batch has no metrics.
fn body_is_description(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|body| body["metrics"].as_array().is_some_and(Vec::is_empty))
}

fn done(path: &str, body: &[u8], state: &mut State) -> (u16, Value) {
    if let Some(file) = path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/") {
        state.files.insert(file.to_owned(), body.to_vec());
        return (200, json!({}));
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let missing = (404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing" }));
    let id = body["run_id"].as_str().or(query.strip_prefix("run_id=")).unwrap_or("").to_owned();
    let index = id.strip_prefix("run").and_then(|index| index.parse::<usize>().ok()).unwrap_or(usize::MAX);
    match path.strip_prefix("/api/2.0/mlflow/").unwrap() {
        "experiments/get-by-name" => (200, json!({ "experiment": { "experiment_id": "0" } })),
        "runs/create" => {
            let name = body["run_name"].as_str().unwrap().to_owned();
            let run =
                Run { name, status: "RUNNING".to_owned(), tags: pairs(&body["tags"]), ..Run::default() };
            state.runs.push(run);
            (200, json!({ "run": shown(state, state.runs.len() - 1) }))
        }
        "runs/search" => {
            let filter = body["filter"].as_str().unwrap().to_owned();
            let is_it =
                |run: &Run| run.tags.iter().any(|(key, value)| filter == format!("tags.`{key}` = '{value}'"));
            let found = state.runs.iter().position(is_it);
            (200, found.map_or(json!({}), |index| json!({ "runs": [shown(state, index)] })))
        }
        _ if index >= state.runs.len() => missing,
        "runs/get" => (200, json!({ "run": shown(state, index) })),
        "runs/update" => {
            state.runs[index].status = body["status"].as_str().unwrap().to_owned();
            (200, json!({}))
        }
        "runs/log-batch" => {
            let metrics = body["metrics"].as_array().unwrap();
            state.most_metrics = state.most_metrics.max(metrics.len());
            let run = &mut state.runs[index];
            run.params.extend(pairs(&body["params"]));
            run.tags.extend(pairs(&body["tags"]));
            run.metrics.extend(metrics.iter().map(|metric| {
                let key = metric["key"].as_str().unwrap().to_owned();
                let number = |name: &str| metric[name].as_i64().unwrap();
                (key, metric["value"].clone(), number("step"), number("timestamp"))
            }));
            (200, json!({}))
        }
        _ => missing,
    }
}

fn pairs(list: &Value) -> Vec<(String, String)> {
    let pair =
        |pair: &Value| (pair["key"].as_str().unwrap().to_owned(), pair["value"].as_str().unwrap().to_owned());
    list.as_array().unwrap().iter().map(pair).collect()
}

/// A run as `runs/get` has it, with the last step of each metric.
fn shown(state: &State, index: usize) -> Value {
    let run = &state.runs[index];
    let mut last: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (key, _, step, time) in &run.metrics {
        let newest = last.entry(key).or_insert((*step, *time));
        *newest = (*newest).max((*step, *time));
    }
    let metrics: Vec<Value> = last
        .into_iter()
        .map(|(key, (step, time))| json!({ "key": key, "step": step, "timestamp": time, "value": 0.0 }))
        .collect();
    let params: Vec<Value> =
        run.params.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let uri = format!("mlflow-artifacts:/0/run{index}/artifacts");
    json!({
        "info": { "run_id": format!("run{index}"), "experiment_id": "0", "artifact_uri": uri },
        "data": { "metrics": metrics, "params": params }
    })
}
