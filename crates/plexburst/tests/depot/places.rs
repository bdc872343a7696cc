//! The same promises in every place.

use crate::support::{Place, file, noise, open};

#[tokio::test(flavor = "multi_thread")]
async fn every_place_keeps_what_it_is_given() {
    for place in Place::all("every_place_keeps_what_it_is_given") {
        let kind = place.kind;
        let depot = open(&place.config);
        assert_eq!(depot.list().await.unwrap(), [], "{kind}: an empty depot is no error");
        assert_eq!(depot.read("worker/journal.jsonl").await.unwrap(), None, "{kind}");
        depot.remove("worker/journal.jsonl").await.unwrap();
        depot.remove_all().await.unwrap();

        let content = noise(200_000);
        let from = file(place.dir.path(), &content);
        let object = depot.put_file("base/library.db.zst", &from).await.unwrap();
        assert_eq!(object.parts.len(), 4, "{kind}");
        assert!(depot.is_there(&object).await.unwrap(), "{kind}");
        assert!(place.part(&object, 3).is_file(), "{kind}: {:?}", depot.list().await);
        let to = place.dir.path().join("back");
        depot.get(&object, &to).await.unwrap();
        assert!(std::fs::read(&to).unwrap() == content, "{kind}");

        for word in ["one", "another, longer one", ""] {
            depot.put_bytes("mailbox/cancel", word.as_bytes()).await.unwrap();
            let read = depot.read("mailbox/cancel").await.unwrap();
            assert_eq!(read.as_deref(), Some(word.as_bytes()), "{kind}");
        }
        let listed = depot.list().await.unwrap();
        assert_eq!(listed.len(), 5, "{kind}: {listed:?}");
        assert_eq!(listed.iter().map(|l| l.bytes).sum::<u64>(), 200_000, "{kind}");
        assert!(listed.iter().all(|l| l.key.starts_with("B/")), "{kind}: {listed:?}");

        depot.remove("mailbox/cancel").await.unwrap();
        assert_eq!(depot.read("mailbox/cancel").await.unwrap(), None, "{kind}");
        depot.remove_all().await.unwrap();
        assert_eq!(depot.list().await.unwrap(), [], "{kind}");
        assert!(!depot.is_there(&object).await.unwrap(), "{kind}");
        let e = depot.get(&object, &place.dir.path().join("gone")).await.unwrap_err();
        assert!(e.chain().contains("is missing from the depot"), "{kind}: {}", e.chain());
    }
}

/// Two machines that write at once: what either of them put is what it gets back.
#[tokio::test(flavor = "multi_thread")]
async fn two_writers_do_not_meet() {
    for place in Place::all("two_writers_do_not_meet") {
        let kind = place.kind;
        let (one, two) = (open(&place.config), open(&place.config));
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let contents = [noise(150_000), noise(300_000)[150_000..].to_vec()];
        let files = [file(dirs[0].path(), &contents[0]), file(dirs[1].path(), &contents[1])];
        let words = [vec![b'1'; 3000], vec![b'2'; 5000]];
        let (first, second, _, _) = tokio::join!(
            one.put_file("result/delta", &files[0]),
            two.put_file("result/delta", &files[1]),
            async {
                for _ in 0..10 {
                    one.put_bytes("status", &words[0]).await.unwrap();
                }
            },
            async {
                for _ in 0..10 {
                    two.put_bytes("status", &words[1]).await.unwrap();
                    match two.read("status").await.unwrap() {
                        Some(seen) => assert!(words.contains(&seen), "{kind}: {} bytes, neither's", seen.len()),
                        // rclone's server takes an object away for a moment while another is put in its place.
                        None => assert!(kind.starts_with("S3"), "{kind}: nothing is there"),
                    }
                }
            }
        );
        for (object, content) in [(first.unwrap(), &contents[0]), (second.unwrap(), &contents[1])] {
            let to = dirs[0].path().join("back");
            one.get(&object, &to).await.unwrap();
            assert!(std::fs::read(&to).unwrap() == *content, "{kind}");
        }
    }
}
