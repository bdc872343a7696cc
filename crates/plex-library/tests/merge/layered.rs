//! Home laid over the base merges as a copy of home of its own does, and is what is caught up with afterwards.

use plex_library::merge::{self, Options};
use plex_library::{Databases, layered, snapshot};
use sim::fixture::{Fixture, edit};

use crate::support::{NOW, Trio, assert_same, databases, dump};

#[test]
fn home_over_the_base_merges_as_a_copy_of_home_does() {
    let trio = Trio::new();
    let (tracks, films) = (&trio.base.sections[0].leaves, &trio.base.sections[2]);
    trio.home(|home| {
        edit::add_playlist(home, 1, "Kitchen", &tracks[..4], NOW).expect("playlist");
        edit::add_collection(home, films.id, "Winter", &films.leaves[..3], NOW + 1).expect("collection");
        edit::refresh_item(home, tracks[5], "by the household", NOW).expect("edit");
    });
    trio.worker(|worker| {
        edit::refresh_item(worker, tracks[6], "by the worker", NOW).expect("edit");
        edit::analyse_track(worker, tracks[6], NOW).expect("analysis");
    });
    let at = |name: &str| Databases::at(trio.dir.path().join(name));
    let (base, mine, plain) = (at("base-copy"), at("layered"), at("plain"));
    snapshot::take(&databases(&trio.base), base.dir(), &()).expect("base");
    let made = layered::take(&databases(&trio.mine), &base, mine.dir(), &()).expect("layered");
    assert!(matches!(made, layered::Made::Layered(bytes) if bytes > 0), "{made:?}");
    snapshot::take(&databases(&trio.mine), plain.dir(), &()).expect("plain");

    let results = [&plain, &mine].map(|mine| {
        let theirs: Fixture = trio
            .theirs
            .copy(
                &trio
                    .dir
                    .path()
                    .join(mine.dir().file_name().expect("name"))
                    .join("theirs"),
            )
            .expect("copy");
        let report = merge::merge(&base, mine, &databases(&theirs), &Options::default()).expect("merged");
        (theirs, report)
    });
    let [(one, first), (other, second)] = &results;
    assert_eq!(first.carried, second.carried);
    assert_same(&dump(one), &dump(other), second);

    // The base goes, home as it was takes its place, and the household goes on.
    std::fs::remove_dir_all(base.dir()).expect("removed");
    layered::fold(&mine).expect("folded");
    trio.home(|home| edit::add_playlist(home, 1, "Cellar", &tracks[..2], NOW + 9).expect("playlist"));
    let options = Options {
        catch_up: true,
        ..Options::default()
    };
    for (from, result) in [(&plain, one), (&mine, other)] {
        merge::merge(from, &databases(&trio.mine), &databases(result), &options).expect("caught up");
    }
    assert_same(&dump(one), &dump(other), second);
}
