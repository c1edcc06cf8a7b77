//! `GET /v1/audit/export`: the lines of the log as they stand, or a table; streamed.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use kms::audit::ExportFormat;
use kms::audit::Query;
use kms_api::Failure;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::app::App;
use crate::exchange::Exchange;
use crate::exchange::REQUEST_ID;
use crate::failures;

/// How the records are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default = "jsonl")]
    format: String,
}

fn jsonl() -> String {
    "jsonl".to_owned()
}

type Pieces = mpsc::Receiver<Result<Frame<Bytes>, io::Error>>;

/// Streams the records.
pub(crate) async fn export(State(app): State<Arc<App>>, request: Request) -> Response {
    let (exchange, _, _) = Exchange::begin(app, request).await;
    match begin(&exchange).await {
        Err(failure) => exchange.answer("audit.export", Err(failure)),
        Ok((pieces, kind)) => {
            let stream = StreamBody::new(PieceStream(pieces));
            let mut response = Response::new(Body::new(stream));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            if let Ok(id) = HeaderValue::try_from(&*exchange.id) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            response
        }
    }
}

/// Begins the export; answers once the first piece is there, or why there will be none.
async fn begin(exchange: &Exchange) -> Result<(Pieces, &'static str), Failure> {
    exchange.app.admit(&exchange.peer)?;
    let query = exchange.parts.uri.query().unwrap_or_default();
    let wanted: Wanted =
        serde_urlencoded::from_str(query).map_err(|e| failures::unreadable("query", &e))?;
    let format: ExportFormat =
        wanted.format.parse().map_err(|e| failures::unreadable("query", &e))?;
    let kind = match format {
        ExportFormat::Jsonl => "application/jsonl",
        ExportFormat::Csv => "text/csv",
    };
    let (caller, principal) = exchange.caller()?;
    let Some(principal) = principal else { return Err(exchange.refuse(&caller)) };
    exchange.app.spend(principal, 1)?;
    let (sender, pieces) = mpsc::channel(4);
    let (begun, has_begun) = oneshot::channel();
    let app = Arc::clone(&exchange.app);
    tokio::spawn(async move {
        let kms = Arc::clone(&app.kms);
        let runtime = tokio::runtime::Handle::current();
        let patience = app.limits.body_timeout;
        let work = move || {
            let mut out = Out { sender, begun: Some(begun), piece: Vec::new(), runtime, patience };
            let done = kms.audit(&caller).export(&Query::default(), format, &mut out);
            match done {
                Ok(_) => _ = out.flush(),
                Err(error) => out.fail(error.into()),
            }
        };
        _ = app.ordinary.run(principal, work).await;
    });
    match has_begun.await {
        Ok(Ok(())) => Ok((pieces, kind)),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(failures::overloaded()),
    }
}

/// Where the export writes to.
struct Out {
    sender: mpsc::Sender<Result<Frame<Bytes>, io::Error>>,
    begun: Option<oneshot::Sender<Result<(), Failure>>>,
    piece: Vec<u8>,
    runtime: tokio::runtime::Handle,
    patience: Duration,
}

const PIECE: usize = 64 << 10;

impl Out {
    fn fail(mut self, failure: Failure) {
        match self.begun.take() {
            Some(begun) => _ = begun.send(Err(failure)),
            // Half of it is out: a body that breaks off is no export.
            None => {
                let broken = io::Error::other("the export was cut off");
                let sending = self.sender.send(Err(broken));
                _ = self.runtime.block_on(tokio::time::timeout(self.patience, sending));
            }
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(begun) = self.begun.take() {
            _ = begun.send(Ok(()));
        }
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        // Who reads too slowly keeps a thread from others, and is let go.
        let sending = self.sender.send(Ok(Frame::data(piece.into())));
        let sent = self.runtime.block_on(tokio::time::timeout(self.patience, sending));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// The pieces as hyper takes them.
struct PieceStream(Pieces);

impl futures_core::Stream for PieceStream {
    type Item = Result<Frame<Bytes>, io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
