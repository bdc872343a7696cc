//! How fast the media were from the last worker at the same place: shown by `plan`, and asked about before a burst is begun
//! that would work below `media.min_speed`.

use super::{Context, confirm};
use crate::burst::measured::Measured;
use crate::burst::request::Options;
use crate::config::Settings;
use crate::error::Result;
use crate::media::Media;

/// What the last worker measured; none when none has, and for a plain folder.
pub(super) fn last(settings: &Settings, options: &Options) -> Result<Option<Measured>> {
    let media = Media::of(&settings.config.media)?;
    if !media.is_remote() {
        return Ok(None);
    }
    Measured::newest(&settings.state_dir, &options.on, &media.name())
}

/// One line for a person; none for a plain folder.
pub(super) fn line(settings: &Settings, measured: Option<&Measured>) -> Result<Option<String>> {
    let media = Media::of(&settings.config.media)?;
    if !media.is_remote() {
        return Ok(None);
    }
    let least = settings.config.media.min_speed;
    let text = match (measured, least) {
        (Some(measured), _) => {
            let below = match least.filter(|_| measured.is_below(least)) {
                Some(least) => format!("; `media.min_speed` asks for {least:.1}, so `sync` asks before it begins"),
                None => String::new(),
            };
            format!(
                "{}: {} by the worker of burst {} on {}{below}",
                media.name(),
                measured.speed,
                measured.burst,
                measured.at.strftime("%Y-%m-%d"),
            )
        }
        (None, Some(least)) => format!(
            "{}: not yet measured from there; the worker measures it, and stops below {least:.1} MB/s",
            media.name()
        ),
        (None, None) => format!("{}: not yet measured from there; the worker measures it", media.name()),
    };
    Ok(Some(text))
}

/// Whether media that are slower than asked for are agreed to: by `--allow-slow-media`, or by an answer where the last worker found them so.
/// Nobody is asked where nothing speaks against them.
pub(super) fn agree(settings: &Settings, options: &Options, is_allowed: bool, context: &Context) -> Result<bool> {
    let least = settings.config.media.min_speed;
    if is_allowed || least.is_none() {
        return Ok(is_allowed);
    }
    let Some(measured) = last(settings, options)?.filter(|measured| measured.is_below(least)) else {
        return Ok(false);
    };
    let question = format!(
        "The media were read at {:.1} MB/s by the worker of burst {}, and `media.min_speed` asks for {:.1}. Go on all the same?",
        measured.speed.rate(),
        measured.burst,
        least.unwrap_or_default(),
    );
    confirm::confirm_or(
        &question,
        false,
        "give --allow-slow-media to go on all the same, or lower `media.min_speed`",
        context,
    )?;
    Ok(true)
}
