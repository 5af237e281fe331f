use std::net::SocketAddr;

use tokio::time::timeout;

use super::*;
use crate::endpoint::{Endpoint, EndpointSet, EndpointState};
use crate::tcp::testing::endpoint;

/// Chooses the first endpoint that is untried.
struct First {
    set: EndpointSet,
    idle_timeout: Duration,
    permits: Arc<Semaphore>,
    metrics: Arc<ListenerMetrics>,
    entries: RefCell<Vec<Entry>>,
}

impl Terms for First {
    fn limits(&self) -> Option<Limits> {
        Some(Limits {
            idle_timeout: self.idle_timeout,
            upstream: "test".into(),
            retries: 2,
            permits: Arc::clone(&self.permits),
            metrics: Arc::clone(&self.metrics),
        })
    }

    fn pick(&self, _: &Arc<Client>, choice: &mut Choice) -> (Duration, Result<Active, NoEndpoint>) {
        let chosen = choice.eligible(&self.set).next().map(|index| &self.set.endpoints[index as usize]);
        let picked = chosen.ok_or(NoEndpoint::Nobody).map(|endpoint| {
            choice.mark_tried(endpoint.id);
            Active::new(Arc::clone(endpoint))
        });
        (Duration::from_micros(1), picked)
    }

    fn record(&self, entry: Entry) {
        self.entries.borrow_mut().push(entry);
    }
}

/// A listener at work.
struct Front {
    address: SocketAddr,
    sessions: Rc<Sessions<First>>,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Front {
    async fn new(endpoints: &[SocketAddr], idle_timeout: Duration, most: usize) -> Self {
        let endpoints: Vec<_> = endpoints.iter().map(|address| endpoint(*address)).collect();
        let states = vec![EndpointState::Healthy; endpoints.len()];
        let set = EndpointSet::new(1, endpoints.clone(), states, Duration::ZERO);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let permits = Arc::new(Semaphore::new(most));
        let first = First { set, idle_timeout, permits, metrics: Arc::default(), entries: RefCell::default() };
        let sessions = Sessions::new(first, socket).unwrap();
        let serving = Rc::clone(&sessions);
        tokio::task::spawn_local(async move { serving.serve().await });
        Self { address, sessions, endpoints }
    }

    async fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(self.address).await.unwrap();
        client
    }
}

const LONG: Duration = Duration::from_mins(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers `NAME: QUESTION`.
async fn echo(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let mut buffer = vec![0; BUFFER];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let answer = [name.as_bytes(), b": ", &buffer[..length]].concat();
            socket.send_to(&answer, client).await.unwrap();
        }
    });
    address
}

/// A port where nobody listens: it was just given up.
async fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn answer(client: &UdpSocket) -> String {
    let mut buffer = vec![0; BUFFER];
    let length = timeout(PATIENCE, client.recv(&mut buffer)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn ask(client: &UdpSocket, question: &str) -> String {
    client.send(question.as_bytes()).await.unwrap();
    answer(client).await
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.expect(what);
}

#[tokio::test(flavor = "local")]
async fn every_client_hears_its_own_answers_from_the_listeners_address() {
    let front = Front::new(&[echo("a").await], LONG, 10).await;
    let (one, two) = (front.client().await, front.client().await);
    for _ in 0..100 {
        one.send(b"1").await.unwrap();
        two.send(b"2").await.unwrap();
        assert_eq!(answer(&one).await, "a: 1");
        assert_eq!(answer(&two).await, "a: 2");
    }
    assert_eq!(front.sessions.open.borrow().len(), 2);
    assert_eq!(front.endpoints[0].stats.active(), 2);
}

#[tokio::test(flavor = "local")]
async fn datagrams_of_every_length_pass_whole() {
    let front = Front::new(&[echo("a").await], LONG, 10).await;
    let client = front.client().await;
    for length in [0, 1, 1472, 1473, 9000, 60_000] {
        assert_eq!(ask(&client, &"x".repeat(length)).await.len(), length + 3);
    }
}

#[tokio::test(flavor = "local")]
async fn a_question_to_nobody_is_answered_by_the_next_endpoint() {
    let front = Front::new(&[nobody().await, nobody().await, echo("c").await], LONG, 10).await;
    let client = front.client().await;
    assert_eq!(ask(&client, "hello").await, "c: hello");
    let counts = |of: fn(&Endpoint) -> u32| front.endpoints.iter().map(|endpoint| of(endpoint)).collect::<Vec<_>>();
    assert_eq!(counts(|endpoint| endpoint.stats.error_rate().min(1)), [1, 1, 0]);
    assert_eq!(counts(|endpoint| endpoint.stats.active()), [0, 0, 1]);
    assert!(front.endpoints[2].stats.latency_us() > 0);
}

#[tokio::test(flavor = "local")]
async fn a_session_whose_endpoint_goes_away_moves_on() {
    let first = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let front = Front::new(&[first.local_addr().unwrap(), echo("b").await], LONG, 10).await;
    let client = front.client().await;
    client.send(b"1").await.unwrap();
    let (_, proxy) = first.recv_from(&mut [0; 8]).await.unwrap();
    first.send_to(b"first", proxy).await.unwrap();
    assert_eq!(answer(&client).await, "first");
    drop(first);
    // This one is lost: it was sent to somebody who has answered before.
    client.send(b"2").await.unwrap();
    until("the session moves", || front.endpoints[1].stats.active() == 1).await;
    assert_eq!(ask(&client, "3").await, "b: 3");
    assert_eq!(front.endpoints[0].stats.active(), 0);
}

#[tokio::test(flavor = "local")]
async fn when_nobody_answers_the_session_ends_and_the_next_datagram_begins_another() {
    let late = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = late.local_addr().unwrap();
    drop(late);
    let front = Front::new(&[address], LONG, 1).await;
    let client = front.client().await;
    client.send(b"1").await.unwrap();
    until("the failure is counted", || front.endpoints[0].stats.error_rate() > 0).await;
    until("the permit is back", || front.sessions.terms.permits.available_permits() == 1).await;
    assert!(front.sessions.open.borrow().is_empty());
    assert_eq!(front.sessions.terms.entries.borrow()[0].error.as_deref(), Some("no endpoint answers"));
    let late = UdpSocket::bind(address).await.unwrap();
    client.send(b"2").await.unwrap();
    let mut buffer = [0; 8];
    timeout(PATIENCE, late.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(buffer[0], b'2');
}

#[tokio::test(flavor = "local")]
async fn there_are_only_so_many_sessions_and_idle_ones_make_room() {
    let front = Front::new(&[echo("a").await], Duration::from_millis(500), 2).await;
    let (one, two, three) = (front.client().await, front.client().await, front.client().await);
    assert_eq!(ask(&one, "1").await, "a: 1");
    assert_eq!(ask(&two, "2").await, "a: 2");
    three.send(b"lost").await.unwrap();
    assert_eq!(ask(&one, "1").await, "a: 1", "who has a session keeps it");
    assert_eq!(front.sessions.open.borrow().len(), 2);
    until("idle sessions end", || front.endpoints[0].stats.active() == 0).await;
    let metrics = &front.sessions.terms.metrics;
    assert_eq!((metrics.refused.load(Relaxed), metrics.active()), (1, 0));
    assert_eq!((metrics.received.load(Relaxed), metrics.sent.load(Relaxed)), (3, 12));
    assert_eq!(ask(&three, "3").await, "a: 3");
}

#[tokio::test(flavor = "local")]
async fn an_answer_that_is_owed_still_arrives_after_the_end() {
    let slow = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let front = Front::new(&[slow.local_addr().unwrap()], LONG, 10).await;
    let client = front.client().await;
    client.send(b"question").await.unwrap();
    let (_, proxy) = slow.recv_from(&mut [0; 8]).await.unwrap();
    let finishing = Rc::clone(&front.sessions);
    let finished = tokio::task::spawn_local(async move { finishing.finish().await });
    slow.send_to(b"answer", proxy).await.unwrap();
    assert_eq!(answer(&client).await, "answer");
    timeout(Duration::from_secs(3), finished).await.expect("nothing more is waited for").unwrap();
    until("the endpoint is free", || front.endpoints[0].stats.active() == 0).await;
}
