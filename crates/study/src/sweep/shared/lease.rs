//! Who does a run, where several machines share its folder: a lease, which its holder renews and others take when it isn't renewed any more.
//!
//! A lease is a file with a number in its name, `NAME.1`, `NAME.2`, ...; the highest counts. Whoever takes a run makes the next one, which the
//! file system lets only one do (`O_EXCL`, which NFS keeps since version 3; locks aren't needed). Its holder writes a new line into it
//! every few seconds. Whoever waits for the run watches that line by a clock of its own: machines' clocks are never compared, so they may differ.
//!
//! Only a line that hasn't changed for the whole of a lease lets another take the run. Its holder counts too, from its last renewal on, and
//! gives up after half of that, so it is gone before another begins.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// What a holder writes that is done with its run.
const RELEASED: &[u8] = b"released\n";

/// The environment variable for the seconds of a lease, which counts when a sweep is planned.
const SECONDS: &str = "LOOPED_LEASE_SECONDS";

/// Seconds of a lease where nothing else is said.
const USUAL_SECONDS: f64 = 60.0;

/// How often a lease is renewed in its time.
const RENEWALS: u32 = 12;

/// How long a lease lasts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Seconds after which another may take what wasn't renewed. All who share a folder must count alike.
    seconds: f64,
}

impl Terms {
    /// A lease of so many seconds.
    ///
    /// # Panics
    /// If they aren't a positive number.
    #[must_use]
    pub fn of_seconds(seconds: f64) -> Self {
        assert!(seconds > 0.0 && seconds.is_finite(), "a lease lasts {seconds} seconds");
        Self { seconds }
    }

    /// A minute, or what `LOOPED_LEASE_SECONDS` says.
    #[must_use]
    pub fn from_environment() -> Self {
        let said = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok());
        let seconds = said.filter(|&seconds: &f64| seconds > 0.0 && seconds <= 1e6).unwrap_or(USUAL_SECONDS);
        Self { seconds }
    }

    fn whole(self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// A run that somebody wants to do.
#[derive(Debug)]
pub struct Taking {
    folder: PathBuf,
    name: String,
    holder: String,
    terms: Terms,
    /// The lease that is in the way: its number and line, and since when that stands.
    seen: Option<(u64, Vec<u8>, Instant)>,
}

/// A run that is held.
#[derive(Debug)]
pub struct Lease {
    file: PathBuf,
    renewed: Arc<Mutex<Renewed>>,
    terms: Terms,
    /// Dropped to end the thread.
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// When a lease was renewed last.
#[derive(Debug)]
struct Renewed {
    /// By a clock that stands still while the machine sleeps, and by one that can be set: the later counts.
    at: (Instant, SystemTime),
    taken_over: bool,
}

impl Renewed {
    fn now() -> Self {
        Self { at: (Instant::now(), SystemTime::now()), taken_over: false }
    }

    fn age(&self) -> Duration {
        self.at.0.elapsed().max(self.at.1.elapsed().unwrap_or_default())
    }
}

impl Taking {
    /// Of what is called `name`, by `holder`, in a folder of leases.
    #[must_use]
    pub fn new(folder: &Path, name: &str, holder: &str, terms: Terms) -> Self {
        let (folder, name, holder) = (folder.to_owned(), name.to_owned(), holder.to_owned());
        Self { folder, name, holder, terms, seen: None }
    }

    /// The lease, if nobody holds it, or its holder hasn't renewed it for its whole time, as seen by earlier calls. To be asked again
    /// and again.
    ///
    /// # Errors
    /// If the folder can't be used.
    pub fn attempt(&mut self) -> io::Result<Option<Lease>> {
        fs::create_dir_all(&self.folder)?;
        let Some(number) = self.highest()? else { return self.make(1) };
        let line = match fs::read(self.file(number)) {
            Ok(line) => line,
            // Its holder was replaced just now.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if line == RELEASED {
            return self.make(number + 1);
        }
        match &self.seen {
            Some((seen, before, since)) if (*seen, before) == (number, &line) => {
                if since.elapsed() >= self.terms.whole() { self.make(number + 1) } else { Ok(None) }
            }
            _ => {
                self.seen = Some((number, line, Instant::now()));
                Ok(None)
            }
        }
    }

    /// Who is in the way, in the holder's own words; nothing if nobody was seen.
    #[must_use]
    pub fn held_by(&self) -> Option<String> {
        let (_, line, _) = self.seen.as_ref()?;
        Some(String::from_utf8_lossy(line).split('\t').next().unwrap_or_default().trim().to_owned())
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{}.{number}", self.name))
    }

    fn highest(&self) -> io::Result<Option<u64>> {
        let mut highest = None;
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_prefix(self.name.as_str())?.strip_prefix('.'));
            highest = highest.max(number.and_then(|number| number.parse().ok()));
        }
        Ok(highest)
    }

    /// Makes the lease with this number, unless somebody else is first.
    fn make(&mut self, number: u64) -> io::Result<Option<Lease>> {
        let path = self.file(number);
        let mut file = match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.seen = None;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        file.write_all(line(&self.holder, 0).as_bytes())?;
        file.sync_all()?;
        for earlier in 1..number {
            // They say nothing any more; whoever removes them.
            let _ = fs::remove_file(self.file(earlier));
        }
        Lease::start(path, self.file(number + 1), self.holder.clone(), self.terms).map(Some)
    }
}

fn line(holder: &str, renewal: u64) -> String {
    format!("{holder}\t{renewal}\n")
}

/// Writes another line into a lease, which must be there. The file is closed, so that others see it on NFS too.
fn renew(path: &Path, line: &str) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

impl Lease {
    fn start(file: PathBuf, next: PathBuf, holder: String, terms: Terms) -> io::Result<Self> {
        let renewed = Arc::new(Mutex::new(Renewed::now()));
        let (done, told) = channel::<()>();
        let (shared, path) = (Arc::clone(&renewed), file.clone());
        let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
            let own = || shared.lock().unwrap_or_else(PoisonError::into_inner);
            for renewal in 1.. {
                match told.recv_timeout(terms.whole() / RENEWALS) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return,
                }
                if next.exists() || own().age() > terms.whole() / 2 {
                    own().taken_over = true;
                    return;
                }
                // Before the file is written: a write that hangs doesn't make the lease younger.
                let now = Renewed::now();
                if renew(&path, &line(&holder, renewal)).is_ok() {
                    *own() = now;
                }
            }
        })?;
        Ok(Self { file, renewed, terms, done: Some(done), thread: Some(thread) })
    }

    /// Whether the run is still this holder's: if not, another does it, or may soon.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        !renewed.taken_over && renewed.age() <= self.terms.whole() / 2
    }
}

impl Drop for Lease {
    /// Lets another take the run at once.
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            // It can't panic; and if it did, the lease would run out.
            let _ = thread.join();
        }
        if self.is_held() {
            // Where that fails, the lease runs out.
            let _ = fs::write(&self.file, RELEASED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taking(folder: &Path, holder: &str, seconds: f64) -> Taking {
        Taking::new(folder, "a-seed0", holder, Terms::of_seconds(seconds))
    }

    #[test]
    fn one_holds_what_is_free_and_another_gets_it_when_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (taking(folder.path(), "one", 60.0), taking(folder.path(), "other", 60.0));
        let held = one.attempt().unwrap().unwrap();
        assert!(held.is_held());
        assert!(other.attempt().unwrap().is_none());
        assert_eq!(other.held_by().unwrap(), "one");
        drop(held);
        assert!(other.attempt().unwrap().unwrap().is_held());
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a-seed0.2"]);
    }

    #[test]
    fn of_many_that_try_at_once_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let try_it = |i: usize| {
                let path = folder.path().to_owned();
                std::thread::spawn(move || taking(&path, &i.to_string(), 60.0).attempt().unwrap())
            };
            let threads: Vec<_> = (0..8).map(try_it).collect();
            let held: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
            assert_eq!(held.len(), 1);
        }
    }

    #[test]
    fn what_is_renewed_is_kept_and_what_is_not_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let held = taking(folder.path(), "one", 0.6).attempt().unwrap().unwrap();
        let mut other = taking(folder.path(), "other", 0.6);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1800) {
            assert!(other.attempt().unwrap().is_none() && held.is_held());
            std::thread::sleep(Duration::from_millis(20));
        }
        // As a machine leaves it that dies: nobody renews it or gives it back.
        let mut held = held;
        held.done = None;
        held.thread.take().unwrap().join().unwrap();
        std::mem::forget(held);
        let begun = Instant::now();
        let taken = loop {
            if let Some(taken) = other.attempt().unwrap() {
                break taken;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(begun.elapsed() >= Duration::from_millis(500));
        assert!(taken.is_held());
    }

    #[test]
    fn a_holder_that_could_not_renew_gives_up_before_another_may_begin() {
        let folder = tempfile::tempdir().unwrap();
        let held = taking(folder.path(), "one", 0.6).attempt().unwrap().unwrap();
        // As if the shared folder were gone.
        fs::remove_file(folder.path().join("a-seed0.1")).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        assert!(!held.is_held());
        drop(held);
        assert!(!folder.path().join("a-seed0.1").exists(), "nothing is given back that was lost");
    }

    #[test]
    fn a_holder_that_was_replaced_knows() {
        let folder = tempfile::tempdir().unwrap();
        let held = taking(folder.path(), "one", 2.4).attempt().unwrap().unwrap();
        fs::write(folder.path().join("a-seed0.2"), "other\t0\n").unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert!(!held.is_held());
    }
}
