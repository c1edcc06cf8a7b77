//! Listening, serving and stopping.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use kms::manager::KeyManager;
use rustls::ServerConfig;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::app::App;
use crate::connections::Held;
use crate::health::Health;
use crate::journal;
use crate::journal::Level;
use crate::metrics::Extra;
use crate::notify::Manager;
use crate::peer::Peer;
use crate::router::router;
use crate::settings::Settings;
use crate::settings::TlsSettings;
use crate::tls;

/// How often what time alone causes is looked at, and the service manager told.
const TICK: Duration = Duration::from_secs(5);

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A socket cannot be listened on.
    #[error("cannot listen on {place}: {source}")]
    Listen {
        /// The socket or the address.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// Something else is at the socket's path.
    #[error("{} is no socket, and nothing is removed that is none", .0.display())]
    NoSocket(PathBuf),
    /// Certificates or their key.
    #[error("TLS: {0}")]
    Tls(String),
    /// The system gives no threads.
    #[error("the system gives no threads or signals: {0}")]
    Threads(io::Error),
    /// The home cannot be closed.
    #[error(transparent)]
    Home(#[from] kms::manager::Error),
}

/// Asked for at each SIGHUP: the configuration as it is now, or why it is not taken.
type Reload = Box<dyn Fn() -> Result<Option<TlsSettings>, String> + Send + Sync>;

/// Called once the daemon serves, and can be told to stop.
type Ready = Box<dyn FnOnce() + Send>;

/// TLS as it is now; replaced as a whole at SIGHUP.
type Tls = Arc<RwLock<Arc<ServerConfig>>>;

/// Ends a daemon as SIGTERM does.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Notify>);

impl Stopper {
    /// Ends it; what was begun comes to its end.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// A daemon that listens and does not serve yet.
pub struct Server {
    kms: Arc<KeyManager>,
    settings: Settings,
    extra: Extra,
    unix: Option<(UnixListener, PathBuf)>,
    tcp: Option<(TcpListener, Arc<ServerConfig>)>,
    reload: Option<Reload>,
    manager: Manager,
    stopper: Stopper,
    ready: Option<Ready>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens. The process's umask is to be 077 by now, and the home open.
    ///
    /// # Errors
    /// When an address is taken or a certificate is not what it should be.
    pub fn listen(
        kms: impl Into<Arc<KeyManager>>,
        settings: Settings,
    ) -> Result<Self, ServerError> {
        let kms = kms.into();
        let unix = settings.unix.as_deref().map(listen_here).transpose()?;
        let tcp = settings.tls.as_ref().map(listen_there).transpose()?;
        let (manager, stopper) = (Manager::default(), Stopper(Arc::default()));
        let extra = Extra::default();
        let ready = None;
        Ok(Self { kms, settings, extra, unix, tcp, reload: None, manager, stopper, ready })
    }

    /// With what is asked at SIGHUP: TLS as it is configured now. A configuration that is not taken
    /// changes nothing.
    #[must_use]
    pub fn on_reload(
        mut self,
        reload: impl Fn() -> Result<Option<TlsSettings>, String> + Send + Sync + 'static,
    ) -> Self {
        self.reload = Some(Box::new(reload));
        self
    }

    /// With more metrics, in Prometheus's text form, of what runs beside it in this process.
    #[must_use]
    pub fn with_metrics(mut self, extra: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.extra = Extra::of(extra);
        self
    }

    /// With a service manager that is told, as `NOTIFY_SOCKET` names it.
    #[must_use]
    pub fn notifying(mut self, socket: Option<OsString>) -> Self {
        self.manager = Manager::at(socket.as_deref());
        self
    }

    /// With what is done once it serves: from then on a signal stops it in order.
    #[must_use]
    pub fn on_ready(mut self, ready: impl FnOnce() + Send + 'static) -> Self {
        self.ready = Some(Box::new(ready));
        self
    }

    /// The address that TLS is served on: its port is known only now where none was asked for.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// The home, until it is served.
    pub fn kms(&self) -> &KeyManager {
        &self.kms
    }

    /// What ends it from within the process.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until SIGTERM or SIGINT, and lets what was begun come to its end. Closes the home, unless
    /// someone else holds it too, who may have more to end first.
    ///
    /// # Errors
    /// When there are no threads, or the home cannot be closed.
    pub fn run(self) -> Result<(), ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("connections")
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
        let socket = self.unix.as_ref().map(|(_, path)| path.clone());
        let stop_timeout = self.settings.limits.stop_timeout;
        let app = runtime.block_on(self.serve())?;
        runtime.shutdown_timeout(stop_timeout);
        if let Some(path) = socket {
            _ = std::fs::remove_file(path);
        }
        let Some(app) = Arc::into_inner(app) else { return Ok(()) };
        let Some(kms) = Arc::into_inner(app.kms) else { return Ok(()) };
        Ok(kms.close()?)
    }

    async fn serve(self) -> Result<Arc<App>, ServerError> {
        let Self { kms, settings, extra, unix, tcp, reload, manager, stopper, ready } = self;
        let signals = Signals::listen().map_err(ServerError::Threads)?;
        let app = Arc::new(App::new(kms, settings.limits, extra));
        let listening = Listening {
            router: router(Arc::clone(&app)),
            app: Arc::clone(&app),
            stop: watch::channel(false).0,
            alive: mpsc::channel(1),
        };
        let tls = tcp.as_ref().map(|(_, config)| Arc::new(RwLock::new(Arc::clone(config))));
        if let Some((listener, path)) = unix {
            let listener = tokio::net::UnixListener::from_std(listener);
            let listener = listener.map_err(|source| at(path.display(), source))?;
            tokio::spawn(listening.clone_for_loop().accept_here(listener));
        }
        if let (Some((listener, _)), Some(tls)) = (tcp, &tls) {
            let listener = tokio::net::TcpListener::from_std(listener);
            let listener = listener.map_err(|source| at("the address", source))?;
            tokio::spawn(listening.clone_for_loop().accept_there(listener, Arc::clone(tls)));
        }
        tell_ready(&app, &manager);
        if let Some(ready) = ready {
            ready();
        }
        tokio::select! {
            () = keep(&app, &manager, (signals, reload, tls)) => {}
            () = stopper.0.notified() => {}
        }
        manager.tell("STOPPING=1");
        journal::line(Level::Info, "stopping: what was begun comes to its end", &[]);
        listening.finish().await;
        Ok(app)
    }
}

/// What the daemon is told by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on none of them ends the process as it is.
    fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt, hangup: signal(SignalKind::hangup())? })
    }
}

/// Waits for the end; on the way, what time alone causes, and SIGHUP.
async fn keep(
    app: &Arc<App>,
    manager: &Manager,
    (mut signals, reload, tls): (Signals, Option<Reload>, Option<Tls>),
) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hangup.recv() => take_over(reload.as_ref(), tls.as_deref(), manager),
            _ = tick.tick() => tick_once(app, manager).await,
        }
    }
}

fn tell_ready(app: &App, manager: &Manager) {
    let unlocked = !app.kms.is_sealed();
    let status = if unlocked { "ready" } else { "locked: waits for someone to unlock" };
    manager.tell(&format!("READY=1\nSTATUS={status}"));
    journal::line(Level::Info, status, &[]);
}

/// What time alone causes: expiry, ordered destruction, ended sessions, the record of a flood.
async fn tick_once(app: &Arc<App>, manager: &Manager) {
    let its = Arc::clone(app);
    let done = tokio::task::spawn_blocking(move || {
        let unrecorded = its.take_unrecorded();
        let flood = if unrecorded > 0 { its.kms.record_refusals(unrecorded) } else { Ok(()) };
        flood.and_then(|()| its.kms.carry_out_due()).map(|()| Health::of(&its))
    });
    match done.await {
        Ok(Ok(health)) => {
            let status = if health.ready { "ready" } else { "not ready" };
            manager.tell(&format!("WATCHDOG=1\nSTATUS={status}"));
        }
        Ok(Err(error)) => {
            let fields = [("code", error.code()), ("error", &*error.to_string())];
            journal::line(Level::Error, "what was due could not be carried out", &fields);
        }
        Err(_) => journal::line(Level::Error, "what was due could not be looked at", &[]),
    }
}

/// SIGHUP: takes the configuration over where it is good.
fn take_over(reload: Option<&Reload>, tls: Option<&RwLock<Arc<ServerConfig>>>, manager: &Manager) {
    let Some(reload) = reload else { return };
    manager.tell("RELOADING=1");
    let taken = reload().and_then(|settings| match (settings, tls) {
        (Some(settings), Some(current)) => {
            let new = tls::server(&settings).map_err(|e| e.to_string())?;
            *current.write().unwrap_or_else(PoisonError::into_inner) = new;
            Ok(())
        }
        (None, _) | (_, None) => Ok(()),
    });
    match taken {
        Ok(()) => journal::line(Level::Info, "configuration taken over", &[]),
        Err(why) => {
            let fields = [("why", &*why)];
            journal::line(Level::Error, "configuration is bad; the old one stays", &fields);
        }
    }
    manager.tell("READY=1");
}

/// What the accept loops share.
struct Listening {
    app: Arc<App>,
    router: Router,
    stop: watch::Sender<bool>,
    alive: (mpsc::Sender<()>, mpsc::Receiver<()>),
}

/// One accept loop.
#[derive(Clone)]
struct Loop {
    app: Arc<App>,
    router: Router,
    stop: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl Listening {
    fn clone_for_loop(&self) -> Loop {
        Loop {
            app: Arc::clone(&self.app),
            router: self.router.clone(),
            stop: self.stop.subscribe(),
            _alive: self.alive.0.clone(),
        }
    }

    /// Takes no more, and waits for what was begun.
    async fn finish(self) {
        let Self { app, stop, alive: (sender, mut receiver), .. } = self;
        _ = stop.send(true);
        drop(sender);
        let ended = tokio::time::timeout(app.limits.stop_timeout, receiver.recv()).await;
        if ended.is_err() {
            journal::line(Level::Warning, "some requests did not end in time", &[]);
        }
    }
}

impl Loop {
    async fn accept_here(mut self, listener: tokio::net::UnixListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stop.changed() => return,
            };
            let Ok((stream, _)) = accepted else {
                pause().await;
                continue;
            };
            let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
            let Some(held) = self.app.connections.enter() else { continue };
            let peer = Peer { uid, ..Peer::default() };
            tokio::spawn(self.clone().serve(stream, peer, held));
        }
    }

    async fn accept_there(mut self, listener: tokio::net::TcpListener, tls: Tls) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stop.changed() => return,
            };
            let Ok((stream, from)) = accepted else {
                pause().await;
                continue;
            };
            let Some(held) = self.app.connections.enter() else { continue };
            _ = stream.set_nodelay(true);
            let config = Arc::clone(&tls.read().unwrap_or_else(PoisonError::into_inner));
            let peer = Peer { address: Some(from.ip()), ..Peer::default() };
            tokio::spawn(self.clone().shake_hands(stream, peer, (held, config)));
        }
    }

    async fn shake_hands(
        self,
        stream: tokio::net::TcpStream,
        mut peer: Peer,
        (held, config): (Held, Arc<ServerConfig>),
    ) {
        let accepting = TlsAcceptor::from(config).accept(stream);
        let timeout = self.app.limits.handshake_timeout;
        let stream = tokio::select! {
            accepted = tokio::time::timeout(timeout, accepting) => accepted,
            () = held.connection.end.notified() => return,
        };
        let Ok(Ok(stream)) = stream else { return };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        peer.certificate = shown.map(|certificate| tls::hash_of(certificate));
        self.serve(stream, peer, held).await;
    }

    async fn serve<S>(mut self, stream: S, peer: Peer, held: Held)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = Arc::clone(&held.connection);
        let router = self.router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(Arc::clone(&connection));
            router.clone().call(request.map(Body::new))
        });
        let limits = &self.app.limits;
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes.max(8192))
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(serving);
        loop {
            tokio::select! {
                _ = serving.as_mut() => return, // how it ended is the other end's affair
                () = held.connection.end.notified() => return,
                _ = self.stop.changed() => serving.as_mut().graceful_shutdown(),
            }
            if *self.stop.borrow() {
                _ = serving.as_mut().await;
                return;
            }
        }
    }
}

/// No descriptors left, or the like: others may close some meanwhile.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn listen_here(path: &Path) -> Result<(UnixListener, PathBuf), ServerError> {
    let refuse = |source| at(path.display(), source);
    match path.symlink_metadata() {
        // Whoever made it is gone: the home's lock is ours.
        Ok(about) if about.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(refuse)?;
        }
        Ok(_) => return Err(ServerError::NoSocket(path.to_owned())),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(refuse)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(refuse)?;
    listener.set_nonblocking(true).map_err(refuse)?;
    Ok((listener, path.to_owned()))
}

fn listen_there(settings: &TlsSettings) -> Result<(TcpListener, Arc<ServerConfig>), ServerError> {
    let refuse = |source| at(settings.listen, source);
    let config = tls::server(settings).map_err(|e| ServerError::Tls(e.to_string()))?;
    let listener = TcpListener::bind(settings.listen).map_err(refuse)?;
    listener.set_nonblocking(true).map_err(refuse)?;
    Ok((listener, config))
}

fn at(place: impl std::fmt::Display, source: io::Error) -> ServerError {
    ServerError::Listen { place: place.to_string(), source }
}
