"""Drives the simulated server with python-plexapi, a client that was not written here.

Usage: plexapi_client.py BASEURL TOKEN MUSIC_DIR
Prints one line per step and "ALL DONE" at the end; any surprise is an exception and a non-zero exit code.
"""

import sys
import time

from plexapi.exceptions import BadRequest, NotFound, Unauthorized
from plexapi.server import PlexServer

PATIENCE = 60
IDENTIFIER = "com.plexapp.plugins.library"


def step(text):
    print(f"ok: {text}", flush=True)


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain until {what}")


def settle(plex):
    """Two idle observations in a row, as clients need them: an activity may show late."""
    idle = 0

    def is_idle():
        nonlocal idle
        idle = idle + 1 if not plex.activities else 0
        return idle >= 2

    wait_for("the server is idle", is_idle)


def listen(plex, alerts):
    """The websocket, when websocket-client is there; None otherwise."""
    try:
        import websocket  # noqa: F401
    except ImportError:
        print("SKIPPED plexapi AlertListener: websocket-client is not installed", flush=True)
        return None
    return plex.startAlertListener(callback=alerts.append)


def main(baseurl, token, music_dir):
    try:
        PlexServer(baseurl, token="bogus")
        raise AssertionError("a bogus token was let in")
    except Unauthorized:
        step("a bogus token is Unauthorized")

    plex = PlexServer(baseurl, token=token)
    assert plex.myPlexSubscription and plex.myPlexSigninState == "ok", plex.myPlexSigninState
    assert plex.version.startswith("1.43.4"), plex.version
    step(f"connected to {plex.friendlyName} {plex.version}")

    alerts = []
    listener = listen(plex, alerts)

    plex.library.add("Music", "artist", "tv.plex.agents.music", "Plex Music", music_dir, "en-US")
    wait_for("tracks are there", lambda: plex.library.section("Music").totalViewSize("track") > 0)
    settle(plex)
    music = plex.library.section("Music")
    assert music.type == "artist" and music.locations == [music_dir], (music.type, music.locations)
    artists, albums, tracks = music.searchArtists(), music.searchAlbums(), music.searchTracks()
    assert artists and albums and len(tracks) >= 4, (artists, albums, tracks)
    step(f"scanned {len(artists)} artists, {len(albums)} albums, {len(tracks)} tracks")

    walked = [track for artist in music.all() for album in artist.albums() for track in album.tracks()]
    assert sorted(t.ratingKey for t in walked) == sorted(t.ratingKey for t in tracks)
    track = plex.fetchItem(tracks[0].ratingKey)
    part = track.media[0].parts[0]
    assert part.file.startswith(music_dir) and part.size > 0 and track.duration > 0
    assert part.audioStreams(), "a track has an audio stream"
    assert track.artist().title == track.grandparentTitle and track.album().title == track.parentTitle
    assert music.get(artists[0].title).ratingKey == artists[0].ratingKey
    found = music.searchTracks(title=track.title)
    assert any(one.ratingKey == track.ratingKey for one in found)
    paged = music.searchTracks(container_size=2, maxresults=3)
    assert len(paged) == 3
    assert any(hit.ratingKey == track.ratingKey for hit in plex.search(track.title, limit=50))
    step("walked sections, artists, albums, tracks; searched; paged")

    setting = plex.settings.get("autoEmptyTrash")
    assert setting.type == "bool" and setting.value is True and setting.default is True
    setting.set(False)
    plex.settings.save()
    # A connection of its own: plexapi keeps the settings that it has read once.
    assert PlexServer(baseurl, token=token).settings.get("autoEmptyTrash").value is False
    assert plex.settings.get("MusicAnalysisBehavior").value == "scheduled"
    try:
        plex.query("/:/prefs?AutoScan=1", method=plex._session.put)
        raise AssertionError("an unknown preference was taken")
    except BadRequest:
        step("preferences: edited, read back, an unknown one is BadRequest")

    music.update()
    # The sections that plexapi has read once stay as they were until they are read anew.
    wait_for("the scan ended", lambda: not plex.activities and not music.reload().refreshing)
    settle(plex)
    step("refreshed, waited for by activity")
    music.cancelUpdate()
    music.emptyTrash()
    music.analyze()
    settle(plex)

    names = [task.name for task in plex.butlerTasks()]
    assert "MusicAnalysis" in names and "BackupDatabase" in names
    plex.runButlerTask("BackupDatabase")
    settle(plex)
    plex.runButlerTask("MusicAnalysis")
    settle(plex)
    analysed = [plex.fetchItem(one.ratingKey) for one in tracks]
    assert all(one.musicAnalysisVersion for one in analysed), [one.musicAnalysisVersion for one in analysed]
    assert track.sonicallySimilar(limit=3, maxDistance=2.0) is not None
    step("butler: a backup, and Sonic analysis of every track")

    track.markPlayed()
    track.rate(8.0)
    other = plex.fetchItem(tracks[1].ratingKey)
    other.updateProgress(4000)
    track.reload()
    other.reload()
    assert track.viewCount == 1 and track.lastViewedAt and track.userRating == 8.0
    assert other.viewOffset == 4000
    assert [seen.ratingKey for seen in plex.history()] == [track.ratingKey]
    track.markUnplayed()
    assert plex.fetchItem(track.ratingKey).viewCount in (None, 0)
    other.updateTimeline(1000, state="playing", duration=other.duration)
    assert [one.ratingKey for one in plex.sessions()] == [other.ratingKey]
    other.updateTimeline(other.duration, state="stopped", duration=other.duration)
    assert not plex.sessions()
    assert plex.fetchItem(other.ratingKey).viewCount == 1
    step("scrobbled, rated, stopped half-way, played through, read back")

    playlist = plex.createPlaylist("Mine", items=tracks[:2])
    assert [one.ratingKey for one in playlist.items()] == [one.ratingKey for one in tracks[:2]]
    playlist.addItems(tracks[2])
    playlist = plex.playlist("Mine")
    playlist.moveItem(playlist.items()[2])
    playlist = plex.playlist("Mine")
    playlist.removeItems(playlist.items()[1])
    left = [one.ratingKey for one in plex.playlist("Mine").items()]
    assert left == [tracks[2].ratingKey, tracks[1].ratingKey], left
    playlist.delete()
    try:
        plex.playlist("Mine")
        raise AssertionError("a deleted playlist is still there")
    except NotFound:
        step("playlists")
    collection = music.createCollection("Best", items=albums[:1])
    assert [one.ratingKey for one in music.collection("Best").items()] == [albums[0].ratingKey]
    collection.delete()
    queue = plex.createPlayQueue(albums[0])
    assert len(queue.items) == len(albums[0].tracks())
    track.editTitle("Another Title")
    assert plex.fetchItem(track.ratingKey).title == "Another Title"
    assert [field.name for field in plex.fetchItem(track.ratingKey).fields] == ["title"]
    step("collections, play queues, locked edits")

    assert plex.systemAccounts() and plex.systemDevices() and plex.bandwidth(timespan="hours")
    assert plex.account().subscriptionActive
    assert plex.identity().machineIdentifier == plex.machineIdentifier
    assert plex.transcodeSessions() == [] and plex.clients() == []
    plex.library.optimize()
    plex.library.cleanBundles()
    settle(plex)
    if listener is not None:
        wait_for("alerts came", lambda: {"activity", "timeline", "status", "playing"} <= {one["type"] for one in alerts})
        started = [one for one in alerts if one["type"] == "activity"]
        assert started[0]["ActivityNotification"][0]["event"] == "started"
        listener.stop()
        step(f"{len(alerts)} alerts came over the websocket")
    print("ALL DONE", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
