//! How a stub is set up.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, tz::Offset};
use tokio::net::TcpListener;

use crate::{
    clock::Clock,
    core::{Core, Settings},
    cors::Origins,
    error::StubError,
    fault::Faults,
    gate::Gates,
    model::{Library, ModelSpec, Name},
    record::{RecordMode, Recorder},
    scheduler::{Keep, Limits, Scheduler},
    stub::Stub,
};

/// The settings that a program may want to pass on; the defaults are those of the builder.
#[derive(Clone, Debug, Default)]
pub struct StubOptions {
    /// Where to listen; a free port on loopback if `None`.
    pub listen: Option<SocketAddr>,
    /// The models; the default ones if empty.
    pub models: Vec<ModelSpec>,
    /// How long a load takes.
    pub load_time: Duration,
    /// The time between tokens.
    pub token_pace: Duration,
    /// How many tokens an answer has; as many as its echo if `None`.
    pub tokens: Option<usize>,
    /// Models that may be loaded at once; 3 if `None`.
    pub max_loaded: Option<usize>,
}

/// Sets up a [`Stub`].
pub struct StubBuilder {
    listen: SocketAddr,
    models: Vec<ModelSpec>,
    limits: Limits,
    settings: Settings,
    clock: Clock,
    recording: RecordMode,
    lines: Option<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for StubBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            listen,
            models,
            limits,
            settings,
            clock,
            recording,
            lines: _,
        } = self;
        f.debug_struct("StubBuilder")
            .field("listen", listen)
            .field("models", models)
            .field("limits", limits)
            .field("settings", settings)
            .field("clock", clock)
            .field("recording", recording)
            .finish_non_exhaustive()
    }
}

impl Default for StubBuilder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            models: Vec::new(),
            limits: Limits {
                max_loaded: 3,
                parallel: 1,
                max_queue: 512,
                load_time: Duration::ZERO,
                keep_alive: Keep::For(Duration::from_mins(5)),
                context: 4096,
                memory: None,
            },
            settings: Settings {
                version: "0.33.0".to_owned(),
                offset: Offset::UTC,
                pace: Duration::ZERO,
                tokens: None,
                answer: None,
                origins: Origins::Local,
                check_host: true,
            },
            clock: Clock::system(),
            recording: RecordMode::Full,
            lines: None,
        }
    }
}

impl StubBuilder {
    /// Takes over all that `options` sets.
    #[must_use]
    pub fn options(mut self, options: StubOptions) -> Self {
        let StubOptions {
            listen,
            models,
            load_time,
            token_pace,
            tokens,
            max_loaded,
        } = options;
        self.listen = listen.unwrap_or(self.listen);
        self.models.extend(models);
        self.limits.load_time = load_time;
        self.settings.pace = token_pace;
        self.settings.tokens = tokens;
        self.limits.max_loaded = max_loaded.unwrap_or(self.limits.max_loaded);
        self
    }

    /// Where to listen. Default: a free port on loopback.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Adds a model. Without any, the stub has the default models.
    #[must_use]
    pub fn model(mut self, model: ModelSpec) -> Self {
        self.models.push(model);
        self
    }

    /// How long a load takes. Default: no time.
    #[must_use]
    pub fn load_time(mut self, time: Duration) -> Self {
        self.limits.load_time = time;
        self
    }

    /// The time between tokens. Default: none.
    #[must_use]
    pub fn token_pace(mut self, pace: Duration) -> Self {
        self.settings.pace = pace;
        self
    }

    /// How many tokens every answer has. Default: as many as its echo.
    #[must_use]
    pub fn tokens(mut self, count: usize) -> Self {
        self.settings.tokens = Some(count);
        self
    }

    /// What every answer says. Default: it echoes the prompt.
    #[must_use]
    pub fn answer(mut self, text: &str) -> Self {
        self.settings.answer = Some(text.to_owned());
        self
    }

    /// How many models may be loaded at once (`OLLAMA_MAX_LOADED_MODELS`). Default: 3.
    #[must_use]
    pub fn max_loaded(mut self, models: usize) -> Self {
        self.limits.max_loaded = models.max(1);
        self
    }

    /// How many requests a runner works on at once (`OLLAMA_NUM_PARALLEL`). Default: 1.
    #[must_use]
    pub fn parallel(mut self, requests: usize) -> Self {
        self.limits.parallel = requests.max(1);
        self
    }

    /// How many requests may wait for a load (`OLLAMA_MAX_QUEUE`). Default: 512.
    #[must_use]
    pub fn max_queue(mut self, requests: usize) -> Self {
        self.limits.max_queue = requests;
        self
    }

    /// Keep-alive of models loaded without one (`OLLAMA_KEEP_ALIVE`); `None` is for ever.
    /// Default: 5 minutes.
    #[must_use]
    pub fn keep_alive(mut self, keep: Option<Duration>) -> Self {
        self.limits.keep_alive = keep.map_or(Keep::Forever, Keep::For);
        self
    }

    /// Context of models loaded without one (`OLLAMA_CONTEXT_LENGTH`). Default: 4096.
    #[must_use]
    pub fn context_length(mut self, tokens: u32) -> Self {
        self.limits.context = i64::from(tokens);
        self
    }

    /// Memory for models, in bytes. Default: no limit.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// What `/api/version` says.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.settings.version);
        self
    }

    /// The zone offset in which `expires_at` and `modified_at` are written. Default: UTC.
    #[must_use]
    pub fn utc_offset(mut self, hours: i8) -> Self {
        self.settings.offset = Offset::from_hours(hours).unwrap_or(Offset::UTC);
        self
    }

    /// Lets browsers call from anywhere (`OLLAMA_ORIGINS=*`).
    #[must_use]
    pub fn allow_any_origin(mut self) -> Self {
        self.settings.origins = Origins::Any;
        self
    }

    /// How much is recorded. Default: everything.
    #[must_use]
    pub fn recording(mut self, mode: RecordMode) -> Self {
        self.recording = mode;
        self
    }

    /// Writes a JSON line at the start and at the end of every request.
    #[must_use]
    pub fn record_to(mut self, lines: impl Write + Send + 'static) -> Self {
        self.lines = Some(Box::new(lines));
        self
    }

    /// The clock of all times in answers. Default: the computer's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// When a model name is invalid or the address cannot be listened on.
    pub async fn start(self) -> Result<Stub, StubError> {
        let address = self.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| StubError::Listen { address, source })?;
        self.start_on(listener)
    }

    /// Starts on a listener that is there already, in the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// When a model name is invalid or the listener has no address.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start_on(mut self, listener: TcpListener) -> Result<Stub, StubError> {
        let address = listener.local_addr().map_err(|source| StubError::Listen {
            address: self.listen,
            source,
        })?;
        self.settings.check_host = address.ip().is_loopback();
        let library = self.library()?;
        let (gates, recorder) = (
            Arc::new(Gates::default()),
            Recorder::new(self.recording, self.lines),
        );
        let scheduler = Scheduler::new(
            self.limits,
            self.clock.clone(),
            Arc::clone(&gates),
            Arc::clone(&recorder),
        );
        let core = Arc::new(Core {
            settings: self.settings,
            clock: self.clock,
            library,
            scheduler,
            faults: Faults::default(),
            gates,
            recorder,
            blobs: Mutex::default(),
            listening: Mutex::default(),
        });
        Ok(Stub::new(core, address, listener))
    }

    fn library(&mut self) -> Result<Library, StubError> {
        let mut models = std::mem::take(&mut self.models);
        if models.is_empty() {
            models = default_models();
        }
        let library = Library::default();
        let mut modified = self.clock.now();
        for spec in models {
            let name = Name::parse(&spec.name).ok_or_else(|| StubError::ModelName {
                name: spec.name.clone(),
            })?;
            library.add(name, spec, modified);
            // Lists show the newest first: the order in which they were added.
            modified = modified
                .checked_sub(SignedDuration::from_secs(1))
                .unwrap_or(modified);
        }
        Ok(library)
    }
}

/// The models of a stub that was given none.
pub fn default_models() -> Vec<ModelSpec> {
    vec![
        ModelSpec::chat("llama3.2:1b").with_tools().license("MIT"),
        ModelSpec::chat("qwen3:0.6b")
            .with_tools()
            .with_thinking()
            .trained_context(40_960),
        ModelSpec::chat("gemma3:270m").trained_context(32_768),
        ModelSpec::embedding("all-minilm:latest"),
    ]
}
