#![allow(clippy::unwrap_used, missing_docs)]
use looped_blocks as _;
use looped_eval as _;
use looped_tasks as _;
#[test]
fn experiments_load() {
    for f in ["quickstart.toml", "study/last_20.toml", "paper/linear_tied.toml", "paper/tree_standard.toml"] {
        let path = format!("{}/../../experiments/{f}", env!("CARGO_MANIFEST_DIR"));
        let l = looped_config::load(&path, &["training.learning_rate=3e-4".into(), "training.n_loop_window=0".into(), "model.injector={type=\"last_n\",m=1}".into(), "model.block.type=transfomer".into(), "evaluation.baselines=[{type=\"knn\",k=0}]".into(), "modle.x=1".into(), "training.engine=fuse".into(), "task.hidden=1".into(), "training.train_steps=1e4".into(), "training.log_every_steps=\"x\"".into()]);
        println!("{}\n", l.map(|_| String::new()).unwrap_or_else(|e| e.to_string()));
        let l = looped_config::load(&path, &[]);
        println!("{}\n", l.map(|l| l.experiment.to_toml().unwrap()).unwrap_or_else(|e| e.to_string()));
    }
}
