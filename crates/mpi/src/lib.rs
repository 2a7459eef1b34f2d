//! Ranks that are processes of MPI: what `mpirun -n 4 looped run ...` starts.
//!
//! All calls of MPI are made by one thread of its own, so that a rank whose others are gone isn't stuck in one: it saves, and ends.
#![cfg(feature = "mpi")]

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use looped_train::{Communicator, Lost, Waits};
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _, Root as _};

/// How often a waiting rank asks whether to keep waiting.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// Variables by which the programs that start processes of MPI tell them of each other: Open MPI's `mpirun`, those of MPICH and Intel, and
/// Slurm's `srun` with PMIx.
const STARTED_BY: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"];

/// What the thread is asked to do.
enum Call {
    Sum(Vec<f32>),
    SumWide(Vec<f64>),
    Tell(Vec<u8>),
}

/// The processes that were started together with this one.
pub struct Processes {
    rank: usize,
    count: usize,
    calls: Option<Sender<Call>>,
    /// The lock is never contended: it makes this type `Sync`, as a trainer has to be.
    answers: Mutex<Receiver<Call>>,
    thread: Option<JoinHandle<()>>,
}

impl Processes {
    /// The others, where a program of MPI's has started several.
    ///
    /// # Errors
    /// If MPI can't be begun: what is wrong.
    pub fn here() -> Result<Option<Self>, String> {
        if STARTED_BY.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(None);
        }
        let (calls, of_thread) = channel();
        let (to_caller, answers) = channel();
        let (begun, has_begun) = channel();
        let work = move || {
            let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
                let _ = begun.send(None);
                return;
            };
            let world = universe.world();
            let _ = begun.send(Some((world.rank(), world.size())));
            answer(&world, &of_thread, &to_caller);
        };
        let thread = std::thread::Builder::new().name("mpi".to_owned()).spawn(work);
        let thread = thread.map_err(|error| format!("MPI: {error}"))?;
        let Ok(Some((rank, count))) = has_begun.recv() else {
            return Err("MPI can't be begun in this process".to_owned());
        };
        let [rank, count] = [rank, count].map(|n| usize::try_from(n).unwrap_or_default());
        let (calls, thread, answers) = (Some(calls), Some(thread), Mutex::new(answers));
        Ok(Some(Self { rank, count, calls, answers, thread }))
    }

    fn call(&mut self, call: Call, waits: Waits<'_>) -> Result<Call, Lost> {
        let begun = Instant::now();
        let answers = self.answers.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.calls.as_ref().and_then(|calls| calls.send(call).ok()).ok_or(Lost)?;
        loop {
            match answers.recv_timeout(ASKED_EVERY) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if waits(begun.elapsed()) => {}
                Err(_) => return Err(Lost),
            }
        }
    }
}

/// Makes calls until there are no more.
fn answer(world: &SimpleCommunicator, calls: &Receiver<Call>, answers: &Sender<Call>) {
    let (mut sums, mut wide_sums) = (Vec::new(), Vec::new());
    while let Ok(call) = calls.recv() {
        let done = match call {
            Call::Sum(own) => {
                sums.resize(own.len(), 0.0_f32);
                world.all_reduce_into(&own[..], &mut sums[..], SystemOperation::sum());
                Call::Sum(std::mem::replace(&mut sums, own))
            }
            Call::SumWide(own) => {
                wide_sums.resize(own.len(), 0.0_f64);
                world.all_reduce_into(&own[..], &mut wide_sums[..], SystemOperation::sum());
                Call::SumWide(std::mem::replace(&mut wide_sums, own))
            }
            Call::Tell(mut message) => {
                let mut len = message.len() as u64;
                world.process_at_rank(0).broadcast_into(&mut len);
                message.resize(usize::try_from(len).unwrap_or_default(), 0);
                // Open MPI takes no empty message.
                if len > 0 {
                    world.process_at_rank(0).broadcast_into(&mut message[..]);
                }
                Call::Tell(message)
            }
        };
        if answers.send(done).is_err() {
            return;
        }
    }
}

impl Communicator for Processes {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn sum(&mut self, numbers: &mut [f32], waits: Waits<'_>) -> Result<(), Lost> {
        let Call::Sum(sums) = self.call(Call::Sum(numbers.to_vec()), waits)? else { return Err(Lost) };
        numbers.copy_from_slice(&sums);
        Ok(())
    }

    fn sum_wide(&mut self, numbers: &mut [f64], waits: Waits<'_>) -> Result<(), Lost> {
        let Call::SumWide(sums) = self.call(Call::SumWide(numbers.to_vec()), waits)? else {
            return Err(Lost);
        };
        numbers.copy_from_slice(&sums);
        Ok(())
    }

    fn tell(&mut self, message: &mut Vec<u8>, waits: Waits<'_>) -> Result<(), Lost> {
        let Call::Tell(told) = self.call(Call::Tell(std::mem::take(message)), waits)? else {
            return Err(Lost);
        };
        *message = told;
        Ok(())
    }

    /// Ends MPI, which waits for the others: a process that ends without it makes `mpirun` end them all.
    fn end(&mut self) {
        drop(self.calls.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
