//! What must hold before anything is taken: the whole list, for a burst, for `doctor` and for `plan`.

use std::path::Path;

use plex_library::Databases;

use super::survey::{self, Survey};
use super::{Finding, Findings, Guard, media as of_media, rights, server};
use crate::burst::request::{On, Options};
use crate::burst::spec::Section;
use crate::config::Config;
use crate::error::Result;
use crate::home::{Home, room};
use crate::media::mappings::Mappings;
use crate::media::{self, Media};
use crate::term::Printer;

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The settled configuration.
    pub config: &'a Config,
    /// The server at home; none when the library comes from an archive.
    pub home: Option<&'a Home>,
    /// Home's version of Plex, when it is known.
    pub plex_version: Option<&'a str>,
    /// The library.
    pub databases: &'a Databases,
    /// All of its sections.
    pub sections: &'a [Section],
    /// Those to be indexed.
    pub selected: &'a [i64],
    /// What was asked for.
    pub options: &'a Options,
    /// Every place that is written to.
    pub places: &'a room::Places,
    /// The worker's server.
    pub server: &'a Path,
    /// Whether the databases are read through; a burst does that on the snapshot instead.
    pub is_thorough: bool,
}

/// Looks at everything, whatever refuses; the survey is missing when the media could not be listed.
pub async fn look(subject: &Subject<'_>, printer: &Printer) -> (Findings, Option<Survey>) {
    let mut findings = Findings::default();
    let s = subject;
    if let Some(home) = s.home {
        findings.add(Guard::HomeHealthy, server::home_healthy(home).await);
        findings.add(Guard::HomeRights, rights::of_home(home).await);
    }
    if s.is_thorough {
        printer.progress("reading home's databases");
        findings.add(Guard::LibrarySound, server::library_sound(s.databases));
    }
    let server = match s.options.on {
        On::Here => server::worker_server(s.config, s.server, s.home, s.plex_version).await,
        On::Host(_) | On::Scaleway if s.config.depot.remote.is_none() => Ok(Finding::refused(
            Guard::WorkerServer,
            "the depot is a folder of this machine, which a worker on another machine cannot reach",
            "set `depot.remote` to a bucket or an SFTP host that both reach",
        )),
        On::Host(_) | On::Scaleway => server::image_elsewhere(s.config, s.home, s.plex_version).await,
    };
    findings.add(Guard::WorkerServer, server);
    findings.add(
        Guard::SameVersion,
        Ok(server::same_version(s.home, s.plex_version).await),
    );
    findings.add(Guard::SameSchema, server::same_schema(s.databases));
    findings.add(Guard::FreeSpace, server::free_space(s.places, s.databases));
    let has_music = s
        .sections
        .iter()
        .any(|x| x.kind == "artist" && s.selected.contains(&x.id));
    let wants_sonic = has_music && !s.options.quick;
    // Of a burst its own folder is known, without one the folder of all.
    let state = &s.places.state;
    let is_kept = [state.clone(), crate::burst::store::state_dir(state)]
        .iter()
        .any(|dir| crate::burst::claim::is_kept(s.config, dir));
    findings.add(
        Guard::PlexPass,
        server::plex_pass(s.home, s.config, wants_sonic, is_kept).await,
    );
    let survey = survey_of(s, printer, &mut findings).await;
    if let Some(home) = s.home {
        findings.add(Guard::DeletingOff, server::deleting(home).await);
        findings.add(Guard::SwapWaits, server::swap_waits(home, s.options.swap_now).await);
    }
    let is_archive = s.home.is_none();
    let findings = findings.whole(|guard| match guard {
        Guard::HomeHealthy | Guard::HomeRights | Guard::DeletingOff | Guard::SwapWaits if is_archive => {
            Finding::not_applicable(guard, "the library comes from an archive")
        }
        // Another one refuses already.
        Guard::MountPossible | Guard::RootsExist | Guard::FilesFound | Guard::FileTimes => {
            Finding::not_applicable(guard, "the media cannot be listed")
        }
        _ => Finding::later(guard),
    });
    (findings, survey)
}

async fn survey_of(s: &Subject<'_>, printer: &Printer, findings: &mut Findings) -> Option<Survey> {
    let media = match Media::of(&s.config.media) {
        Ok(media) => media,
        Err(error) => {
            findings.add(Guard::RootsExist, Err(error.into()));
            return None;
        }
    };
    let mount = match s.options.on {
        On::Host(_) | On::Scaleway if media.is_remote() => Ok(Finding::later(Guard::MountPossible)),
        _ => mount_possible(s, &media).await,
    };
    findings.add(Guard::MountPossible, mount);
    let listed = async {
        let mappings = Mappings::of(&s.config.media)?;
        let mut progress = |files: u64| printer.progress(&format!("listing the media: {files} files"));
        survey::survey(&media, s.databases, s.sections, &mappings, &mut progress).await
    };
    match listed.await {
        Ok(survey) => {
            findings.add(Guard::RootsExist, Ok(of_media::roots_exist(&media, &survey)));
            findings.add(
                Guard::FilesFound,
                Ok(of_media::files_found(&survey, s.options.accept_losses)),
            );
            printer.progress("comparing file times");
            findings.add(Guard::FileTimes, of_media::file_times(&media, &survey.timed).await);
            Some(survey)
        }
        Err(error) => {
            findings.add(Guard::FilesFound, Err(error));
            None
        }
    }
}

/// rclone and FUSE, where the media are a remote.
async fn mount_possible(s: &Subject<'_>, media: &Media) -> Result<Finding> {
    let guard = Guard::MountPossible;
    if !media.is_remote() {
        return Ok(Finding::not_applicable(
            guard,
            format!("{} is a plain folder", media.name()),
        ));
    }
    let rclone = match media.rclone().await {
        // The worker fetches one.
        Err(media::Error::NoRclone) if s.config.media.fetch_rclone => None,
        found => Some(found?),
    };
    if !Path::new("/dev/fuse").exists() {
        return Ok(Finding::refused(
            guard,
            "this machine has no /dev/fuse",
            "install fuse3 (`apt-get install fuse3`) and give this machine /dev/fuse, or set `media.directory`",
        ));
    }
    let evidence = match rclone.map(|rclone| rclone.version) {
        Some(Some(version)) => format!("rclone {version} and /dev/fuse are there"),
        Some(None) => "an rclone that does not tell its version, and /dev/fuse, are there".to_owned(),
        None => "rclone will be fetched; /dev/fuse is there".to_owned(),
    };
    Ok(Finding::passed(guard, evidence))
}
