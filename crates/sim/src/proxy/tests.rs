//! The proxy in front of a small server that answers by name.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const LISTING: &str = "<R><Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents>\
                       <CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes></R>";

/// A store with one listing and one object.
async fn store() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let read = client.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            assert!(head.contains("HTTP/1.0") && head.contains("Host: store"), "{head}");
            let body = if head.starts_with("GET /bucket?") {
                LISTING
            } else {
                "content"
            };
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

async fn ask(proxy: &Proxy, target: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: store\r\nConnection: keep-alive\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn every_fault_does_what_it_says() {
    let proxy = Proxy::start(store().await, 1).await.unwrap();
    let (listing, object) = ("/bucket?list-type=2", "/bucket/a");
    assert!(ask(&proxy, object).await.ends_with("content"));
    assert!(ask(&proxy, listing).await.ends_with(LISTING));
    assert_eq!(proxy.spoilt(), 0);
    proxy.set(Fault::Status(503));
    let refused = ask(&proxy, object).await;
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("SlowDown"),
        "{refused}"
    );
    proxy.set(Fault::Closed);
    assert_eq!(ask(&proxy, object).await, "");
    proxy.set(Fault::HalfListing);
    let half = ask(&proxy, listing).await;
    assert!(
        half.contains("<Key>a</Key>") && !half.contains("<Key>b</Key>"),
        "{half}"
    );
    assert!(half.contains("<Prefix>x/</Prefix>"), "{half}");
    let (head, body) = half.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    assert!(ask(&proxy, object).await.ends_with("content"));
    proxy.set(Fault::NoBodies { hang: false });
    assert!(ask(&proxy, object).await.ends_with("Content-Length: 7\r\n\r\n"));
    assert!(ask(&proxy, listing).await.ends_with(LISTING));
    assert_eq!(proxy.spoilt(), 4);
    assert_eq!(proxy.requests(), 8);
}

#[tokio::test]
async fn what_hangs_is_let_go_when_the_fault_is_over() {
    let proxy = Proxy::start(store().await, 1).await.unwrap();
    proxy.set(Fault::Silent);
    let hanging = ask(&proxy, "/bucket/a");
    tokio::pin!(hanging);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut hanging)
            .await
            .is_err()
    );
    proxy.set(Fault::None);
    assert_eq!(hanging.await, "");
    assert!(ask(&proxy, "/bucket/a").await.ends_with("content"));
}

#[tokio::test]
async fn late_answers_and_some_errors() {
    let proxy = Proxy::start(store().await, 7).await.unwrap();
    let slow = |errors| Fault::Slow {
        from: Duration::from_millis(30),
        to: Duration::from_millis(40),
        errors,
    };
    proxy.set(slow(0));
    let begun = Instant::now();
    assert!(ask(&proxy, "/bucket/a").await.ends_with("content"));
    assert!(begun.elapsed() >= Duration::from_millis(30));
    proxy.set(slow(500));
    let mut errors = 0;
    for _ in 0..40 {
        errors += u32::from(ask(&proxy, "/bucket/a").await.contains("InternalError"));
    }
    assert!((5..35).contains(&errors), "{errors} of 40");
}
