//! What people do with a server: watching, rating, playlists. The demonstration and the tests call these, to be a household
//! while a burst runs. A burst itself only has made what the household had made and no merge could write.

use reqwest::Method;

use super::model::{Envelope, Playlist, Playlists};
use super::{Client, Error, Kind};

const LIBRARY: &str = "com.plexapp.plugins.library";

impl Client {
    /// Marks an item as seen once more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn scrobble(&self, item: i64) -> Result<(), Error> {
        self.mark("/:/scrobble", item).await
    }

    /// Marks an item as not seen.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn unscrobble(&self, item: i64) -> Result<(), Error> {
        self.mark("/:/unscrobble", item).await
    }

    async fn mark(&self, path: &str, item: i64) -> Result<(), Error> {
        let call = self.call(Method::GET, path).query("identifier", LIBRARY);
        call.query("key", &item.to_string()).send().await.map(drop)
    }

    /// Rates an item, 0 to 10; negative takes the rating away.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rate(&self, item: i64, rating: f64) -> Result<(), Error> {
        self.call(Method::PUT, "/:/rate")
            .query("identifier", LIBRARY)
            .query("key", &item.to_string())
            .query("rating", &rating.to_string())
            .send()
            .await
            .map(drop)
    }

    /// Says where a player is in an item: milliseconds of milliseconds; `state` is playing, paused or stopped.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn timeline(&self, item: i64, state: &str, time: u64, duration: u64) -> Result<(), Error> {
        self.call(Method::GET, "/:/timeline")
            .query("identifier", LIBRARY)
            .query("ratingKey", &item.to_string())
            .query("key", &format!("/library/metadata/{item}"))
            .query("state", state)
            .query("time", &time.to_string())
            .query("duration", &duration.to_string())
            .send()
            .await
            .map(drop)
    }

    /// The playlists.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn playlists(&self) -> Result<Vec<Playlist>, Error> {
        let call = self.call(Method::GET, "/playlists");
        Ok(call.json::<Envelope<Playlists>>().await?.container.playlists)
    }

    /// Makes a playlist of audio items.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_playlist(&self, title: &str, items: &[i64]) -> Result<Playlist, Error> {
        self.make_playlist("audio", title, items).await
    }

    /// Makes a playlist; `kind` is audio, video or photo.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn make_playlist(&self, kind: &str, title: &str, items: &[i64]) -> Result<Playlist, Error> {
        let mut call = self
            .call(Method::POST, "/playlists")
            .query("type", kind)
            .query("title", title)
            .query("smart", "0");
        if !items.is_empty() {
            call = call.query("uri", &self.uri(items).await?);
        }
        let malformed = call.error(Kind::Malformed("no playlist in it".to_owned()));
        let answer = call.json::<Envelope<Playlists>>().await?.container;
        answer.playlists.into_iter().next().ok_or(malformed)
    }

    /// The collections of a section.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn collections(&self, section: i64) -> Result<Vec<Playlist>, Error> {
        let path = format!("/library/sections/{section}/collections");
        let call = self.call(Method::GET, &path);
        Ok(call.json::<Envelope<Playlists>>().await?.container.playlists)
    }

    /// Makes a collection of items of one `metadata_type`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn make_collection(&self, section: i64, kind: i64, title: &str, items: &[i64]) -> Result<(), Error> {
        let mut call = self
            .call(Method::POST, "/library/collections")
            .query("type", &kind.to_string())
            .query("title", title)
            .query("smart", "0")
            .query("sectionId", &section.to_string());
        if !items.is_empty() {
            call = call.query("uri", &self.uri(items).await?);
        }
        call.send().await.map(drop)
    }

    /// Names an item, for good: agents do not change the name any more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rename(&self, item: i64, title: &str, title_sort: Option<&str>) -> Result<(), Error> {
        let path = format!("/library/metadata/{item}");
        let mut call = self
            .call(Method::PUT, &path)
            .query("title.value", title)
            .query("title.locked", "1");
        if let Some(sort) = title_sort.filter(|sort| *sort != title) {
            call = call.query("titleSort.value", sort).query("titleSort.locked", "1");
        }
        call.send().await.map(drop)
    }

    /// Items of this server as playlists and collections name them.
    async fn uri(&self, items: &[i64]) -> Result<String, Error> {
        let machine = self.identity().await?.machine_identifier;
        let ids = items.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        Ok(format!("server://{machine}/{LIBRARY}/library/metadata/{ids}"))
    }
}
