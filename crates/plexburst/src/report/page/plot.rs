//! One value over time, as an SVG that a page can hold.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 150.0;
/// Room for the words at the axes.
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 20.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 6.0;

/// `points` in the order of time; the upper end of the axis is the greatest value. Nothing when there are fewer than two.
pub(super) fn plot(title: &str, points: &[(Timestamp, f64)], unit: &dyn Fn(f64) -> String) -> Option<Markup> {
    let (first, last) = (points.first()?.0, points.last()?.0);
    let span = last.duration_since(first).as_secs_f64();
    if span <= 0.0 {
        return None;
    }
    let top = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let scale = if top > 0.0 { top } else { 1.0 };
    let x = |at: Timestamp| LEFT + at.duration_since(first).as_secs_f64() / span * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (1.0 - value / scale) * (HEIGHT - TOP - BOTTOM);
    let mut line = String::new();
    for (at, value) in points {
        let command = if line.is_empty() { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _ = write!(line, "{command}{:.1} {:.1}", x(*at), y(*value));
    }
    let ground = y(0.0);
    let area = format!("{line}L{:.1} {ground:.1}L{LEFT:.1} {ground:.1}Z", x(last));
    let clock = |at: Timestamp| {
        let local = at.to_zoned_datetime(jiff::tz::TimeZone::system());
        local
            .strftime(if span < 300.0 { "%H:%M:%S" } else { "%H:%M" })
            .to_string()
    };
    Some(html! {
        figure {
            figcaption { (title) }
            svg viewBox={"0 0 " (WIDTH) " " (HEIGHT)} role="img" aria-label=(title) {
                path class="area" d=(area) {}
                path class="line" d=(line) {}
                line class="axis" x1=(LEFT) y1=(ground) x2=(WIDTH - RIGHT) y2=(ground) {}
                line class="axis" x1=(LEFT) y1=(TOP) x2=(LEFT) y2=(ground) {}
                text x=(LEFT - 4.0) y=(TOP + 9.0) text-anchor="end" { (unit(top)) }
                text x=(LEFT - 4.0) y=(ground) text-anchor="end" { "0" }
                text x=(LEFT) y=(HEIGHT - 5.0) { (clock(first)) }
                text x=(WIDTH - RIGHT) y=(HEIGHT - 5.0) text-anchor="end" { (clock(last)) }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    #[test]
    fn the_greatest_value_is_at_the_top_and_time_runs_to_the_right() {
        let made = plot("tracks", &[(at(0), 0.0), (at(60), 50.0), (at(120), 100.0)], &|v| {
            format!("{v:.0}")
        });
        let svg = made.unwrap().into_string();
        assert!(svg.contains("M44.0 130.0L259.0 69.0L474.0 8.0"), "{svg}");
        assert!(svg.contains(">100<"), "{svg}");
    }

    #[test]
    fn one_moment_is_no_plot() {
        let unit = |v: f64| v.to_string();
        assert!(plot("x", &[(at(0), 1.0)], &unit).is_none());
        assert!(plot("x", &[(at(0), 1.0), (at(0), 2.0)], &unit).is_none());
        // Nothing but zero is still a plot, and not a division by it.
        let flat = plot("x", &[(at(0), 0.0), (at(9), 0.0)], &unit).unwrap().into_string();
        assert!(!flat.contains("NaN"), "{flat}");
    }
}
