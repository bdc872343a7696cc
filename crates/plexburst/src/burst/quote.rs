//! What a burst on a rented machine will cost, before anything is spent: the machine that would be taken, how long it is
//! expected to work, and what the choices beside it come to.

use serde::Serialize;

use super::estimate::{Rates, Span, Work, Worked};
use super::guard::survey::Survey;
use super::request::Options;
use super::spec::Section;
use crate::cloud::deadline;
use crate::cloud::offer::{self, Offer, Wish};
use crate::cloud::price;
use crate::cloud::provider::Provider;
use crate::config::{Config, rented};
use crate::error::{Error, Result};
use crate::host::equip;

/// What it means that the machine has no key.
pub const CANNOT_END_ITSELF: &str = "\
the machine cannot end itself: should this machine be gone for good, it is billed until somebody runs `plexburst sweep`. \
`plexburst sweep --timer` sets that up on a machine that is always on; `scaleway.self_destruct` gives it a key of its own";

/// Choices beside the one that is taken.
const CHOICES: usize = 3;

/// What one machine comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// The provider's name of the type.
    pub commercial_type: String,
    /// Where.
    pub zone: String,
    /// vCPUs.
    pub cpus: u32,
    /// GB of its volume.
    pub volume_gb: u64,
    /// The provider's word for the stock.
    pub stock: String,
    /// Euros for an hour of all of it, without VAT.
    pub eur_per_hour: f64,
    /// Where the price comes from.
    pub source: String,
    /// How long it is needed, in seconds; none when the work is not known.
    pub time: Option<Span>,
    /// What that comes to in euros, each started hour in full.
    pub eur: Option<Span>,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quote {
    /// What would be rented first.
    pub first: Choice,
    /// What there is to do; none when the media could not be listed.
    pub work: Option<Work>,
    /// What the time rests on.
    pub basis: String,
    /// Hours after which it is gone at the latest.
    pub hours_at_most: f64,
    /// What it costs then.
    pub eur_at_most: f64,
    /// Machines that are expected to come to less.
    pub cheaper: Vec<Choice>,
    /// Machines that are expected to be done sooner.
    pub faster: Vec<Choice>,
    /// Whether the machine can end itself when nobody else does.
    pub ends_itself: bool,
}

/// Machines of this kind that can be had, best first.
///
/// # Errors
/// None; the account, the provider.
pub async fn offers<P: Provider>(
    provider: &P,
    config: &Config,
    options: &Options,
    library_bytes: u64,
) -> Result<Vec<Offer>> {
    let (wish, commercial_type) = wish(config, options, library_bytes)?;
    let offers = provider.offers(&wish).await?;
    if offers.is_empty() {
        return Err(
            Error::refused(format!("{commercial_type} is not offered in {}", wish.zones.join(", ")))
                .hint("take another --instance, or set `scaleway.zone`"),
        );
    }
    // A machine that the program cannot run on is not worth an hour.
    let mut unfit = None;
    let mut fit = Vec::new();
    for offer in offers {
        match equip::programs(equip::kernel_name(&offer.arch)) {
            Ok(_) => fit.push(offer),
            Err(error) => unfit = Some(error),
        }
    }
    match unfit {
        Some(error) if fit.is_empty() => Err(error),
        _ => Ok(fit),
    }
}

fn wish(config: &Config, options: &Options, library_bytes: u64) -> Result<(Wish, String)> {
    let account = rented::account(&config.scaleway)?;
    let asked = options.instance.as_deref().or(config.scaleway.instance.as_deref());
    let profile = offer::profile(asked, &options.sizes)?;
    // Sonic analysis runs on x86-64 only.
    let needs_x86_64 = !options.quick;
    let mut zones = vec![account.zone];
    zones.extend(config.scaleway.other_zones.iter().cloned());
    let wish = Wish {
        types: offer::with_alternatives(&profile.commercial_type, needs_x86_64),
        volume_gb: profile.volume_gb.max(offer::volume_for(library_bytes, 0)),
        zones,
        needs_x86_64,
    };
    Ok((wish, profile.commercial_type))
}

/// Works it out; nothing is made.
///
/// # Errors
/// See [`offers`]; limits that do not pay the first hour.
pub async fn quote<P: Provider>(
    provider: &P,
    config: &Config,
    options: &Options,
    library_bytes: u64,
    work: Option<Work>,
    earlier: &[Worked],
) -> Result<Quote> {
    let rates = Rates::of(earlier);
    let first = offers(provider, config, options, library_bytes).await?.swap_remove(0);
    let (mut wish, _) = wish(config, options, library_bytes)?;
    wish.types = price::TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    wish.zones = vec![first.zone.clone()];
    let others = provider.offers(&wish).await?;
    let hours = options.max_hours.or(config.scaleway.max_hours);
    let cost = options.max_cost.or(config.scaleway.max_cost);
    let seconds = deadline::seconds(&first.price, hours, cost)?;
    let taken = choice(&first, work, &rates);
    let others: Vec<Choice> = others
        .iter()
        .filter(|other| other.commercial_type != first.commercial_type && other.stock != "shortage")
        .filter(|other| equip::programs(equip::kernel_name(&other.arch)).is_ok())
        .map(|other| choice(other, work, &rates))
        .collect();
    // Less than a day's deadline is told to the minute; a year is the most there is.
    #[allow(clippy::cast_precision_loss)]
    let hours_at_most = seconds as f64 / 3600.0;
    Ok(Quote {
        cheaper: best(&others, &taken, |c| c.eur),
        faster: best(&others, &taken, |c| c.time),
        work,
        basis: rates.basis(),
        hours_at_most,
        eur_at_most: first.price.of(u64::try_from(seconds).unwrap_or(0)),
        first: taken,
        ends_itself: config.scaleway.self_destruct || config.scaleway.self_destruct_key_file.is_some(),
    })
}

fn choice(offer: &Offer, work: Option<Work>, rates: &Rates) -> Choice {
    let time = work.map(|work| rates.time(work, offer.cpus));
    // Times of work are far below what an integer of that size holds, and never negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let eur = time.map(|time| Span {
        least: offer.price.of(time.least as u64),
        expected: offer.price.of(time.expected as u64),
        most: offer.price.of(time.most as u64),
    });
    Choice {
        commercial_type: offer.commercial_type.clone(),
        zone: offer.zone.clone(),
        cpus: offer.cpus,
        volume_gb: offer.volume_gb,
        stock: offer.stock.clone(),
        eur_per_hour: offer.price.per_hour(),
        source: offer.price.source.clone(),
        time,
        eur,
    }
}

/// Those that are better than `than` by what `of` tells, best first.
fn best(others: &[Choice], than: &Choice, of: impl Fn(&Choice) -> Option<Span>) -> Vec<Choice> {
    let Some(limit) = of(than).map(|span| span.expected) else {
        return Vec::new();
    };
    let mut better: Vec<(f64, &Choice)> = others
        .iter()
        .filter_map(|one| Some((of(one)?.expected, one)))
        .filter(|(value, _)| *value < limit)
        .collect();
    better.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.eur_per_hour.total_cmp(&b.1.eur_per_hour)));
    better.into_iter().take(CHOICES).map(|(_, one)| one.clone()).collect()
}

/// What there is to do in the selected sections: files that the library does not know or that changed, and tracks that Sonic
/// has not seen. `before` is `inspect` of the library.
#[must_use]
pub fn work(survey: &Survey, before: &serde_json::Value, sections: &[Section], selected: &[i64], quick: bool) -> Work {
    let mut work = Work::default();
    for section in survey.sections.iter().filter(|section| selected.contains(&section.id)) {
        let fresh = section.new + section.changed;
        work.files += fresh;
        let is_music = sections.iter().any(|s| s.id == section.id && s.kind == "artist");
        if is_music && !quick {
            let known = before["sections"]
                .as_array()
                .and_then(|all| all.iter().find(|s| s["id"].as_i64() == Some(section.id)));
            let tracks = known.and_then(|s| s["counts"]["tracks"].as_u64()).unwrap_or(0);
            let done = known.and_then(|s| s["sonic_analysed"].as_u64()).unwrap_or(0);
            work.sonic += tracks.saturating_sub(done) + fresh;
        }
    }
    work
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::price::Price;

    fn offer(name: &str, cpus: u32, hour: f64) -> Offer {
        Offer {
            commercial_type: name.to_owned(),
            zone: "fr-par-1".to_owned(),
            cpus,
            memory: 4 << 30,
            volume_gb: 40,
            is_local: true,
            arch: "x86_64".to_owned(),
            price: Price {
                server: hour,
                volume: 0.0,
                address: 0.0,
                source: String::new(),
            },
            stock: "available".to_owned(),
        }
    }

    #[test]
    fn a_larger_machine_may_be_the_cheaper_one_but_never_below_an_hour() {
        let rates = Rates::of(&[]);
        // 20,000 s of one vCPU.
        let work = Some(Work {
            files: 10_000,
            sonic: 0,
        });
        let small = choice(&offer("S", 2, 0.05), work, &rates);
        // 10,000 s and a quarter of an hour: four started hours.
        assert!((small.eur.unwrap().expected - 0.2).abs() < 1e-9, "{small:?}");
        let others = [
            choice(&offer("L", 8, 0.09), work, &rates),
            choice(&offer("XL", 64, 0.25), work, &rates),
        ];
        let cheaper = best(&others, &small, |c| c.eur);
        assert_eq!(cheaper.len(), 1);
        assert_eq!(cheaper[0].commercial_type, "L");
        let faster: Vec<String> = best(&others, &small, |c| c.time)
            .into_iter()
            .map(|c| c.commercial_type)
            .collect();
        assert_eq!(faster, ["XL", "L"]);
        // A quarter of an hour is billed as an hour.
        let idle = choice(&offer("S", 2, 0.05), Some(Work::default()), &rates);
        assert!((idle.eur.unwrap().least - 0.05).abs() < 1e-9);
        assert!(best(&others, &choice(&offer("S", 2, 0.05), None, &rates), |c| c.eur).is_empty());
    }
}
