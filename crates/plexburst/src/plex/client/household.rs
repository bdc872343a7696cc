//! What people do with a server: watching, rating, playlists. A burst never calls these on a real home; the
//! demonstration and the tests do, to be a household while a burst runs.

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
        let machine = self.identity().await?.machine_identifier;
        let ids = items.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let call = self
            .call(Method::POST, "/playlists")
            .query("type", "audio")
            .query("title", title)
            .query("smart", "0")
            .query("uri", &format!("server://{machine}/{LIBRARY}/library/metadata/{ids}"));
        let malformed = call.error(Kind::Malformed("no playlist in it".to_owned()));
        let answer = call.json::<Envelope<Playlists>>().await?.container;
        answer.playlists.into_iter().next().ok_or(malformed)
    }
}
