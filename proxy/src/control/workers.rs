//! The workers' threads.

use std::sync::Arc;

use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;

use crate::telemetry::{AccessLog, Telemetry};
use crate::worker::{Command, Worker};

pub(super) struct WorkerThread {
    pub commands: mpsc::UnboundedSender<Command>,
    pub thread: Option<std::thread::JoinHandle<()>>,
}

impl WorkerThread {
    /// Room for nested balancers, each with a Wasm stack of its own.
    const STACK_BYTES: usize = 8 << 20;

    pub fn start(index: usize, access: Option<&AccessLog>, telemetry: &Arc<Telemetry>) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let access = access.map(AccessLog::logger);
        let telemetry = Arc::clone(telemetry);
        let run = move || match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
        {
            Ok(runtime) => runtime.block_on(Worker::new(index, access, telemetry).run(inbox)),
            Err(error) => tracing::error!(index, %error, "a worker did not start"),
        };
        let name = format!("worker-{index}");
        let thread = std::thread::Builder::new().name(name).stack_size(Self::STACK_BYTES).spawn(run)?;
        Ok(Self { commands, thread: Some(thread) })
    }
}
