//! What strace writes of several threads, call by call.

use std::collections::HashMap;

/// The calls of a trace that was taken with `-f`, each in one line. Where another thread came between, strace writes a call in
/// two: such a one stands where it began, a flush where it ended, since only then it has flushed anything.
pub(crate) fn calls(trace: &str) -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    let mut begun: HashMap<&str, (Option<usize>, &str)> = HashMap::new();
    for line in trace.lines() {
        let (thread, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_start();
        if let Some(beginning) = rest.strip_suffix("<unfinished ...>") {
            let is_flush = beginning.split('(').next().is_some_and(|name| name.contains("sync"));
            let place = (!is_flush).then_some(calls.len());
            begun.insert(thread, (place, beginning.trim_end()));
            if !is_flush {
                calls.push(line.to_owned());
            }
        } else if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let Some((place, beginning)) = begun.remove(thread) else {
                continue;
            };
            let whole = format!("{thread} {beginning}{end}");
            match place {
                Some(place) => calls[place] = whole,
                None => calls.push(whole),
            }
        } else {
            calls.push(line.to_owned());
        }
    }
    calls
}

#[test]
fn calls_that_another_thread_came_between_are_whole() {
    let trace = "\
7 fsync(4</a> <unfinished ...>
8  rename(\"/b\", \"/c\" <unfinished ...>
7 <... fsync resumed>)             = 0
9 write(1</d>, \"x\", 1) = 1
8 <... rename resumed>)            = 0
10 fsync(5</e> <unfinished ...>";
    assert_eq!(
        calls(trace),
        [
            "8 rename(\"/b\", \"/c\")            = 0",
            "7 fsync(4</a>)             = 0",
            "9 write(1</d>, \"x\", 1) = 1",
        ]
    );
}
