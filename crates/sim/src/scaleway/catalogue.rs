//! Zones, server types, images and prices as they were recorded on 2026-07-01 (facts/cloud.md §1.12).
//!
//! Types that nobody should order any more are among them, with `available` in the availability list, as the real API has
//! them.

/// The zones there are (facts/cloud.md §1.1).
pub(crate) const ZONES: &[&str] = &[
    "fr-par-1", "fr-par-2", "fr-par-3", "nl-ams-1", "nl-ams-2", "nl-ams-3", "pl-waw-1", "pl-waw-2", "pl-waw-3",
    "it-mil-1",
];

/// EUR per GB and hour of a local volume.
pub(crate) const LOCAL_GB_HOUR: f64 = 0.000_044;
/// EUR per GB and hour of a block volume with 5,000 IOPS.
pub(crate) const BLOCK_5K_GB_HOUR: f64 = 0.000_118;
/// The same with 15,000; the published ratio is about 1.6.
pub(crate) const BLOCK_15K_GB_HOUR: f64 = 0.000_19;
/// EUR per hour of an IPv4 address; IPv6 costs nothing.
pub(crate) const IPV4_HOUR: f64 = 0.004;
/// Zones of this one cost half as much again.
const DEAR: (&str, f64) = ("fr-par-3", 1.5);

/// Whether a type can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stock {
    Available,
    Scarce,
    /// It can be created, and not started.
    Shortage,
}

impl Stock {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stock::Available => "available",
            Stock::Scarce => "scarce",
            Stock::Shortage => "shortage",
        }
    }
}

/// A commercial type.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: &'static str,
    pub(crate) cpus: u32,
    pub(crate) ram_gb: u64,
    /// In fr-par-1.
    eur_per_hour: f64,
    /// The most local storage it may have, in GB; 0: block volumes only.
    pub(crate) local_gb: u64,
    pub(crate) mbit: u64,
    pub(crate) stock: Stock,
    /// Not sold any more, though the availability list calls it available.
    pub(crate) ended: bool,
}

impl Type {
    pub(crate) fn arch(&self) -> &'static str {
        match self.name.starts_with("BASIC2-A")
            || self.name.starts_with("STANDARD2-A")
            || self.name.starts_with("COPARM")
        {
            true => "arm64",
            false => "x86_64",
        }
    }

    pub(crate) fn eur_per_hour(&self, zone: &str) -> f64 {
        self.eur_per_hour * if zone == DEAR.0 { DEAR.1 } else { 1.0 }
    }

    /// What `products/servers` says, which is not always what the catalog says.
    pub(crate) fn listed_eur_per_hour(&self, zone: &str) -> f64 {
        if self.name == "STANDARD2-A32C-128G" {
            1.1978
        } else {
            self.eur_per_hour(zone)
        }
    }

    pub(crate) fn is_in(&self, zone: &str) -> bool {
        let old = [
            "DEV1",
            "GP1",
            "PLAY2",
            "PRO2",
            "STARDUST1",
            "START1",
            "VC1",
            "X64",
            "ENT1",
            "COPARM1",
        ];
        ZONES.contains(&zone) && (zone != "it-mil-1" || !old.iter().any(|range| self.name.starts_with(range)))
    }

    /// The range that the catalog puts it in.
    pub(crate) fn range(&self) -> &'static str {
        self.name.split_once('-').map_or(self.name, |(range, _)| range)
    }
}

/// The type of that name.
pub(crate) fn find(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|of| of.name == name)
}

const fn of(name: &'static str, cpus: u32, ram_gb: u64, eur_per_hour: f64, local_gb: u64, mbit: u64) -> Type {
    Type {
        name,
        cpus,
        ram_gb,
        eur_per_hour,
        local_gb,
        mbit,
        stock: Stock::Available,
        ended: false,
    }
}

const fn scarce(mut of: Type, stock: Stock) -> Type {
    of.stock = stock;
    of
}

const fn ended(mut of: Type) -> Type {
    of.ended = true;
    of
}

/// What is sold, and what was.
pub(crate) const TYPES: &[Type] = &[
    scarce(of("STARDUST1-S", 1, 1, 0.0006, 10, 100), Stock::Shortage),
    of("DEV1-S", 2, 2, 0.008_976, 20, 200),
    of("DEV1-M", 3, 4, 0.020_196, 40, 300),
    of("DEV1-L", 4, 8, 0.042_84, 80, 400),
    of("DEV1-XL", 4, 12, 0.065_076, 120, 500),
    of("GP1-XS", 4, 16, 0.092_82, 150, 500),
    of("GP1-S", 8, 32, 0.190_74, 300, 800),
    of("GP1-M", 16, 64, 0.383_52, 600, 1500),
    of("GP1-L", 32, 128, 0.774_18, 600, 5000),
    of("GP1-XL", 48, 256, 1.673_82, 600, 10_000),
    of("PLAY2-PICO", 1, 2, 0.014_28, 0, 100),
    of("PLAY2-NANO", 2, 4, 0.027_54, 0, 200),
    of("PLAY2-MICRO", 4, 8, 0.055_08, 0, 400),
    of("PRO2-XXS", 2, 8, 0.0561, 0, 350),
    of("PRO2-XS", 4, 16, 0.1122, 0, 700),
    of("PRO2-S", 8, 32, 0.223_38, 0, 1500),
    scarce(of("PRO2-M", 16, 64, 0.446_76, 0, 3000), Stock::Scarce),
    scarce(of("PRO2-L", 32, 128, 0.894_54, 0, 6000), Stock::Shortage),
    of("BASIC2-A2C-4G", 2, 4, 0.023, 0, 200),
    of("BASIC2-A2C-8G", 2, 8, 0.0345, 0, 200),
    of("BASIC2-A4C-8G", 4, 8, 0.0517, 0, 400),
    of("BASIC2-A4C-16G", 4, 16, 0.0689, 0, 400),
    of("BASIC2-A8C-16G", 8, 16, 0.1034, 0, 800),
    of("BASIC2-A8C-32G", 8, 32, 0.1378, 0, 800),
    of("BASIC2-A16C-32G", 16, 32, 0.2067, 0, 1600),
    of("BASIC2-A16C-64G", 16, 64, 0.2756, 0, 1600),
    of("BASIC3-X2C-4G", 2, 4, 0.039_45, 0, 350),
    of("BASIC3-X2C-8G", 2, 8, 0.059_22, 0, 350),
    of("BASIC3-X4C-8G", 4, 8, 0.079, 0, 700),
    of("BASIC3-X4C-16G", 4, 16, 0.118_45, 0, 700),
    of("BASIC3-X8C-16G", 8, 16, 0.177_67, 0, 1500),
    of("BASIC3-X8C-32G", 8, 32, 0.2368, 0, 1500),
    of("BASIC3-X16C-32G", 16, 32, 0.355_25, 0, 3000),
    of("BASIC3-X16C-64G", 16, 64, 0.473_29, 0, 3000),
    of("STANDARD2-A2C-8G", 2, 8, 0.0586, 0, 400),
    of("STANDARD2-A4C-16G", 4, 16, 0.1171, 0, 800),
    of("STANDARD2-A8C-32G", 8, 32, 0.2343, 0, 1600),
    of("STANDARD2-A16C-64G", 16, 64, 0.5039, 0, 3200),
    of("STANDARD2-A32C-128G", 32, 128, 1.0078, 0, 6400),
    scarce(of("STANDARD3-X2C-8G", 2, 8, 0.0809, 0, 500), Stock::Scarce),
    scarce(of("STANDARD3-X4C-16G", 4, 16, 0.1617, 0, 1000), Stock::Scarce),
    scarce(of("STANDARD3-X8C-32G", 8, 32, 0.319, 0, 2000), Stock::Shortage),
    scarce(of("STANDARD3-X16C-64G", 16, 64, 0.649, 0, 4000), Stock::Shortage),
    of("POP2-2C-8G", 2, 8, 0.0735, 0, 400),
    of("POP2-4C-16G", 4, 16, 0.147, 0, 800),
    of("POP2-8C-32G", 8, 32, 0.29, 0, 1600),
    of("POP2-16C-64G", 16, 64, 0.59, 0, 3200),
    of("POP2-HC-2C-4G", 2, 4, 0.0532, 0, 400),
    of("POP2-HC-4C-8G", 4, 8, 0.1064, 0, 800),
    of("POP2-HC-8C-16G", 8, 16, 0.2128, 0, 1600),
    of("POP2-HM-2C-16G", 2, 16, 0.103, 0, 400),
    of("POP2-HN-3", 2, 4, 0.2554, 0, 3000),
    of("POP2-HN-5", 2, 4, 0.4524, 0, 5000),
    of("POP2-HN-10", 4, 8, 0.7264, 0, 10_000),
    of("COMPUTE3-X2C-4G", 2, 4, 0.0585, 0, 500),
    of("COMPUTE3-X4C-8G", 4, 8, 0.117, 0, 1000),
    of("MEMORY3-X2C-16G", 2, 16, 0.1133, 0, 500),
    ended(of("START1-S", 2, 2, 0.0105, 50, 200)),
    ended(of("VC1S", 2, 2, 0.006, 50, 200)),
    ended(of("X64-15GB", 6, 15, 0.05, 200, 250)),
    ended(of("ENT1-S", 8, 32, 0.36, 0, 1600)),
    ended(of("COPARM1-2C-8G", 2, 8, 0.0426, 0, 200)),
];

/// An image of the marketplace: for each a local and a block variant per zone and architecture.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) label: &'static str,
    pub(crate) name: &'static str,
}

/// The images that can be ordered by label.
pub(crate) const IMAGES: &[Image] = &[
    Image {
        label: "debian_bookworm",
        name: "Debian Bookworm",
    },
    Image {
        label: "debian_trixie",
        name: "Debian Trixie",
    },
    Image {
        label: "ubuntu_jammy",
        name: "Ubuntu 22.04 Jammy Jellyfish",
    },
    Image {
        label: "ubuntu_noble",
        name: "Ubuntu 24.04 Noble Numbat",
    },
];

/// How large the system of an image is: the least size of a root volume.
pub(crate) const IMAGE_BYTES: u64 = 10_000_000_000;

/// Where the root disk of an image variant lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Local,
    Block,
}

/// One variant of an image in one zone: what `local-images` lists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalImage {
    pub(crate) image: &'static Image,
    pub(crate) root: Root,
    pub(crate) arch: &'static str,
    pub(crate) zone: &'static str,
}

impl LocalImage {
    /// The same everywhere and always, as image ids in a catalogue are.
    pub(crate) fn id(&self) -> String {
        let what = format!("{} {:?} {} {}", self.image.label, self.root, self.arch, self.zone);
        crate::fixture::random::Random::of(&what).uuid()
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.root {
            Root::Local => "instance_local",
            Root::Block => "instance_sbs",
        }
    }

    /// Local images are for types with local storage.
    pub(crate) fn fits(&self, of: &Type) -> bool {
        of.arch() == self.arch && of.is_in(self.zone) && (self.root == Root::Block || of.local_gb > 0)
    }
}

/// Every variant of every image.
pub(crate) fn local_images() -> impl Iterator<Item = LocalImage> {
    IMAGES.iter().flat_map(|image| {
        ZONES.iter().flat_map(move |&zone| {
            // No type of that architecture has local storage.
            [(Root::Local, "x86_64"), (Root::Block, "x86_64"), (Root::Block, "arm64")]
                .into_iter()
                .map(move |(root, arch)| LocalImage {
                    image,
                    root,
                    arch,
                    zone,
                })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_where_they_were_seen() {
        let dev = find("DEV1-S").unwrap();
        assert!(dev.is_in("fr-par-1") && !dev.is_in("it-mil-1") && !dev.is_in("de-ber-1"));
        assert_eq!(find("BASIC2-A4C-8G").unwrap().arch(), "arm64");
        assert!((find("POP2-2C-8G").unwrap().eur_per_hour("fr-par-3") - 0.110_25).abs() < 1e-9);
        assert!(find("START1-S").unwrap().ended && find("START1-S").unwrap().stock == Stock::Available);
    }

    #[test]
    fn a_local_image_needs_local_storage() {
        let local = local_images().find(|image| image.root == Root::Local).unwrap();
        assert!(local.fits(find("DEV1-S").unwrap()));
        assert!(!local.fits(find("PLAY2-NANO").unwrap()));
        let ids: std::collections::BTreeSet<String> = local_images().map(|image| image.id()).collect();
        assert_eq!(ids.len(), local_images().count());
    }
}
