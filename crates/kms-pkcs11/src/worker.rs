//! The worker: the process that a vendor's library runs in, and nothing else.
//!
//! It is told what to do on its standard input, which is a socket of the process that started it. The
//! first socket carries the steps of the start; more sockets come over it, the *lanes*: each is one
//! thread and one PKCS#11 session, so that as many calls are under way as there are lanes. The worker
//! decides nothing: no retries, no deadlines, no names of keys. It ends when the first socket closes,
//! also while the library hangs.

mod failure;
mod attributes;
mod capabilities;
mod template;
mod mechanism;
mod module;
mod keys;
mod make;
mod wrapping;
mod lane;

use std::io;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use cryptoki::types::AuthPin;
use kms_secret::SecretBytes;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::process::Signal;

use crate::wire::Failure;
use crate::wire::FailureKind;
use crate::wire::Line;
use crate::wire::Outcome;
use crate::wire::Step;
use crate::wire::Stepped;
use crate::worker::module::Library;
use crate::worker::module::Module;

/// Runs the worker on standard input until that closes. What a program's hidden subcommand calls
/// after it has protected its process; people have no use for it.
pub fn worker_main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("this part of the program is started by it alone: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?; // refuses what is no socket
    end_with(socket.try_clone()?)?;
    let mut control = Control { line: Line::new(socket), library: None, module: None };
    while control.step()? {}
    Ok(())
}

/// Ends this process as soon as the other side of the socket has gone, whatever else hangs.
fn end_with(socket: UnixStream) -> io::Result<()> {
    let watch = move || {
        let mut waited = [PollFd::new(&socket, PollFlags::empty())];
        while rustix::event::poll(&mut waited, None) == Err(rustix::io::Errno::INTR) {}
        // Not `exit`, which runs what the library has registered and may hang in it.
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, Signal::KILL);
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(watch).map(drop)
}

/// The first socket and what was started over it.
struct Control {
    line: Line,
    library: Option<Library>,
    module: Option<Arc<Module>>,
}

impl Control {
    /// Carries out one step; `false` after the last.
    fn step(&mut self) -> io::Result<bool> {
        let secret = self.line.receive()?;
        let step: Step = self.line.value()?;
        if matches!(step, Step::Lane) {
            // The descriptor comes once this was heard, so that no reading for a frame loses it.
            self.line.send(&Outcome::Ok(Stepped::Done), None)?;
            let socket = receive_descriptor(self.line.socket())?;
            let module = self.module.clone().ok_or(io::ErrorKind::NotConnected)?;
            lane::start(socket, module)?;
            return Ok(true);
        }
        let last = matches!(step, Step::End);
        let outcome = self.carry_out(step, secret);
        self.line.send(&outcome, None)?;
        Ok(!last)
    }

    fn carry_out(&mut self, step: Step, secret: SecretBytes) -> Outcome<Stepped> {
        match step {
            Step::Load { path } => {
                let (library, info) = Library::load(&path)?;
                self.library = Some(library);
                Ok(Stepped::Loaded(info))
            }
            Step::Initialize => self.library()?.initialize().map(|()| Stepped::Done),
            Step::Slots => self.library()?.slots().map(Stepped::Slots),
            Step::Open { slot } => self.library()?.open(slot).map(|()| Stepped::Done),
            Step::Login => {
                let module = self.library()?.log_in(&secret)?;
                self.module = Some(Arc::new(module));
                Ok(Stepped::Done)
            }
            Step::Capabilities { profile, pooling } => {
                let module = self.module.as_mut().and_then(Arc::get_mut).ok_or_else(too_early)?;
                module.learn(&profile, pooling).map(Stepped::Capabilities)
            }
            Step::InitToken { slot, label } => {
                let pin = text_pin(secret.expose())?;
                self.library()?.init_token(slot, &pin, &label).map(|()| Stepped::Done)
            }
            Step::InitPin { slot, so_pin_bytes } => {
                let at = usize::try_from(so_pin_bytes).unwrap_or(usize::MAX);
                let both = secret.expose().split_at_checked(at).ok_or_else(too_early)?;
                let pins = (text_pin(both.0)?, text_pin(both.1)?);
                self.library()?.init_pin(slot, &pins.0, &pins.1).map(|()| Stepped::Done)
            }
            Step::End => {
                self.module = None;
                self.library.take().ok_or_else(too_early)?.finalize().map(|()| Stepped::Done)
            }
            Step::Lane => Err(too_early()),
        }
    }

    fn library(&mut self) -> Outcome<&mut Library> {
        self.library.as_mut().ok_or_else(too_early)
    }
}

fn too_early() -> Failure {
    Failure { kind: FailureKind::Refused, told: "a step came before the one it needs".to_owned() }
}

fn text_pin(bytes: &[u8]) -> Outcome<AuthPin> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure {
        kind: FailureKind::Refused,
        told: "the PIN is no UTF-8".to_owned(),
    })?;
    Ok(AuthPin::from(text))
}

fn receive_descriptor(socket: &UnixStream) -> io::Result<UnixStream> {
    let mut marker = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut marker)];
    rustix::net::recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let descriptor: OwnedFd = received.ok_or(io::ErrorKind::InvalidData)?;
    Ok(UnixStream::from(descriptor))
}
