//! From a configuration and a plugins folder to a state that is ready to run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Diagnostic, Diagnostics, KnownPlugin, KnownPlugins, Source};
use crate::plugin::{Engine, FileProblem, Library, Plugin};
use crate::state::{Refusal, State};
use crate::telemetry::Telemetry;
use crate::worker::Parts;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    File(PathBuf),
    /// Built in, for `demo` and tests.
    Text(Source),
}

impl Origin {
    pub(super) fn read(&self) -> Result<Source, Diagnostics> {
        match self {
            Self::File(path) => Source::read(path),
            Self::Text(source) => Ok(source.clone()),
        }
    }
}

/// Checks a file without running it: plugins are compiled and started once. Answers the files of the
/// plugins folder that are no plugins, which nothing in the configuration needs.
pub fn check(path: &Path, engine: &Engine) -> Result<Vec<FileProblem>, Diagnostics> {
    let found = prepare(&Origin::File(path.to_owned()), engine, None, &Telemetry::default())?;
    let (Found::New(Prepared { library, .. }) | Found::Unchanged(library)) = found;
    Ok(library.problems.clone())
}

/// A checked configuration with everything that its plugins need, not yet running.
pub(super) struct Prepared {
    pub state: Arc<State>,
    pub library: Arc<Library>,
    pub(super) parts: Vec<Parts>,
}

/// Reads, checks and builds everything, plugin instances included, without touching what runs.
/// Blocks: plugins are compiled and started here.
pub(super) fn prepare(
    origin: &Origin,
    engine: &Engine,
    before: Option<&Before>,
    telemetry: &Telemetry,
) -> Result<Found, Diagnostics> {
    let source = origin.read()?;
    let mut library = Library::default();
    let old_library = before.map(|before| Arc::clone(&before.library)).unwrap_or_default();
    let parsed = config::parse(source.clone(), |folder| {
        library = Library::read(engine, folder, &old_library);
        known(&library)
    });
    let config = parsed.map_err(|mut refused| {
        refused.notes = library.problems.iter().map(FileProblem::to_string).collect();
        refused
    })?;
    if before.is_some_and(|before| !before.force && *before.state.config == config && library.is_same(&before.library))
    {
        return Ok(Found::Unchanged(Arc::new(library)));
    }
    let refused = |refusals: Vec<Refusal>| Diagnostics::new(source.clone(), diagnostics(refusals));
    let count = before.map_or(config.workers, |before| before.workers);
    let old_state = before.map(|before| &*before.state);
    let state = Arc::new(State::build(config, &library, old_state, telemetry).map_err(refused)?);
    let parts = (0..count).map(|worker| state.parts(worker)).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    Ok(Found::New(Prepared { state, library: Arc::new(library), parts }))
}

/// What came of reading the configuration and the plugins folder.
pub(super) enum Found {
    New(Prepared),
    /// Nothing that runs has changed. The library may have new problems to tell of.
    Unchanged(Arc<Library>),
}

/// What runs when a new configuration is prepared.
pub(super) struct Before {
    pub library: Arc<Library>,
    pub state: Arc<State>,
    pub workers: usize,
    /// Prepare also when nothing has changed.
    pub force: bool,
}

fn known(library: &Library) -> KnownPlugins {
    let known = |plugin: &Plugin| KnownPlugin { kinds: plugin.kinds(), needs: plugin.needs.clone() };
    library.iter().map(|plugin| (plugin.name.to_string(), known(plugin))).collect()
}

fn diagnostics(refusals: Vec<Refusal>) -> Vec<Diagnostic> {
    let diagnostic =
        |refusal: Refusal| Diagnostic { place: refusal.place, message: refusal.message, help: refusal.help };
    refusals.into_iter().map(diagnostic).collect()
}
