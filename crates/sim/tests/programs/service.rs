//! Starting and stopping real servers, by the library and by the command line, and a whole round by the server itself.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use sim::service::{ServiceError, start, stop};

#[test]
fn start_stop_start_again_on_the_same_library() {
    let world = World::new();
    let port = free_port();
    for _ in 0..2 {
        start(&world.server, &world.support(), port, &[]).unwrap();
        assert!(
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err(),
            "nobody listens"
        );
        let pid = fs::read_to_string(world.data().join("plexmediaserver.pid")).unwrap();
        stop(&world.support()).unwrap();
        assert!(
            !Path::new("/proc").join(pid.trim()).join("exe").exists(),
            "the process is still there"
        );
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let wal = format!("{}-wal", store::LIBRARY_DB);
        assert!(world.databases().join(store::LIBRARY_DB).exists() && !world.databases().join(wal).exists());
    }
    stop(&world.support()).unwrap();
}

#[test]
fn it_comes_back_when_the_server_answers_and_not_before() {
    let world = World::new();
    world.tempo(r#"{"refusing_seconds":0.3,"starting_seconds":0.3,"migrating_seconds":0.3}"#);
    let since = std::time::Instant::now();
    start(&world.server, &world.support(), free_port(), &[]).unwrap();
    assert!(since.elapsed().as_secs_f64() >= 0.6, "{:?}", since.elapsed());
    stop(&world.support()).unwrap();
}

#[test]
fn a_taken_port_and_a_second_server_are_refused_with_their_words() {
    let world = World::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = start(&world.server, &world.support(), port, &[]).unwrap_err();
    assert!(
        matches!(&error, ServiceError::Ended { .. }) && error.to_string().contains("cannot listen"),
        "{error}"
    );
    let port = free_port();
    start(&world.server, &world.support(), port, &[]).unwrap();
    let error = start(&world.server, &world.support(), free_port(), &[]).unwrap_err();
    assert!(error.to_string().contains("another Plex Media Server"), "{error}");
    stop(&world.support()).unwrap();
}

#[test]
fn the_command_line_does_the_same() {
    let world = World::new();
    let port = free_port().to_string();
    let (server, support) = (world.server.to_str().unwrap(), world.support());
    let support = support.to_str().unwrap();
    let plextv = world.dir.path().join("plextv");
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_plex-sim"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let claim = run(&["claim", "--plextv", plextv.to_str().unwrap()]);
    let claim = String::from_utf8(claim.stdout).unwrap();
    let output = run(&[
        "start",
        "--server",
        server,
        "--support",
        support,
        "--port",
        &port,
        "--plextv",
        plextv.to_str().unwrap(),
        "--claim",
        claim.trim(),
    ]);
    assert!(output.status.success(), "{output:?}");
    let preferences = fs::read_to_string(world.data().join("Preferences.xml")).unwrap();
    assert!(preferences.contains("PlexOnlineToken"), "{preferences}");
    let mode = fs::metadata(world.data().join("Preferences.xml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let output = run(&["start", "--server", server, "--support", support, "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: "), "{output:?}");
    assert!(run(&["stop", "--support", support]).status.success());
    assert!(!world.data().join("plexmediaserver.pid").exists());
}

#[test]
fn a_whole_round_by_the_server_itself() {
    let world = World::with_library();
    sim::music::synthesise(&world.media(), &music(3)).unwrap();
    let plextv = world.dir.path().join("plextv");
    let claim = sim::plextv::PlexTv::at(&plextv).issue_claim(true).unwrap();
    let settings = env(&[("PLEX_SIM_PLEXTV", &plextv), ("PLEX_CLAIM", Path::new(&claim))]);
    let port = free_port();
    start(&world.server, &world.support(), port, &settings).unwrap();
    let ask = |method: &str, path: &str| {
        use std::io::Write as _;
        let token = fs::read_to_string(world.data().join(".LocalAdminToken")).unwrap();
        let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: sim\r\nX-Plex-Token: {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{method} {path}: {reply}");
        reply
    };
    let settle = || {
        let since = std::time::Instant::now();
        while ask("GET", "/activities").contains("<Activity ") {
            assert!(since.elapsed().as_secs() < 120);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    ask("GET", "/library/sections/1/refresh");
    settle();
    ask("POST", "/butler/MusicAnalysis");
    settle();
    ask("POST", "/butler/LoudnessAnalysis");
    settle();
    let tracks = ask("GET", "/library/sections/1/all?type=10");
    assert_eq!(tracks.matches("<Track ").count(), 3, "{tracks}");
    assert_eq!(tracks.matches("musicAnalysisVersion=\"1\"").count(), 3, "{tracks}");
    let albums = ask("GET", "/library/sections/1/all?type=9");
    assert!(
        albums.contains("musicAnalysisVersion=\"1\"") && albums.contains("loudnessAnalysisVersion="),
        "{albums}"
    );
    stop(&world.support()).unwrap();
    assert_eq!(world.vectors().len(), 3);
    let analysed = "SELECT count(*) FROM media_items WHERE media_analysis_version > 0";
    assert_eq!(world.number(analysed), 3);
    let measured = "SELECT count(*) FROM media_streams WHERE extra_data LIKE '%ld:loudness%'";
    assert_eq!(world.number(measured), 3);
}
