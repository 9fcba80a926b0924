//! The least that a proxy made of the same HTTP library can be: what a hop costs without foreman.
//!
//! It reads a request whole, sends it on over a connection that is kept, and passes the answer on as
//! it comes. It looks at nothing, keeps nothing and answers for nothing.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// Connections to the target that wait for a request.
type Idle = Rc<RefCell<Vec<SendRequest<Full<Bytes>>>>>;

/// Serves in front of a target until killed.
pub(crate) async fn serve(target: SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    writeln!(io::stdout(), "listening on http://{address}").expect("say where");
    io::stdout().flush().expect("say where");
    let idle = Idle::default();
    let local = LocalSet::new();
    local.run_until(accept(listener, target, idle)).await;
}

async fn accept(listener: TcpListener, target: SocketAddr, idle: Idle) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("send at once");
        let idle = Rc::clone(&idle);
        spawn_local(async move {
            let each = service_fn(|request| pass_on(target, &idle, request));
            let serving = server::conn::http1::Builder::new();
            // Its caller leaves when it has measured enough.
            let _left = serving.serve_connection(TokioIo::new(stream), each).await;
        });
    }
}

async fn pass_on(
    target: SocketAddr,
    idle: &Idle,
    request: Request<Incoming>,
) -> hyper::Result<Response<Incoming>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let kept = idle.borrow_mut().pop();
    let mut sender = match kept {
        Some(sender) => sender,
        None => connect(target).await?,
    };
    sender.ready().await?;
    let request = Request::from_parts(head, Full::new(body));
    let answer = sender.send_request(request).await?;
    idle.borrow_mut().push(sender);
    Ok(answer)
}

async fn connect(target: SocketAddr) -> hyper::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target).await.expect("the target");
    stream.set_nodelay(true).expect("send at once");
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    spawn_local(connection);
    Ok(sender)
}
