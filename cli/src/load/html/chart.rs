//! Charts as inline SVG: lines over a scale, with what each place says under the pointer. Knows numbers and words, and
//! nothing of loads; colours are those of the style sheet.

use std::fmt::Write;

use super::escape;

/// Inside the picture, in its own units.
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// A line, or an area above the ground.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    /// The class that has its colour: `c1` to `c5`, or `bad`.
    pub(super) class: &'static str,
    pub(super) filled: bool,
    /// By place; a missing one is a gap.
    pub(super) values: Vec<Option<f64>>,
}

/// One chart.
pub(super) struct Chart<'a> {
    /// What it shows, for those who do not see it.
    pub(super) label: &'a str,
    /// In the units of the picture, which are pixels where there is room for them.
    pub(super) width: f64,
    /// Where values stand, from 0 to 1.
    pub(super) places: Vec<f64>,
    /// What the pointer is told at each place, before the values.
    pub(super) place_names: Vec<String>,
    /// Marks on the ground: where (0 to 1), and what they say.
    pub(super) marks: Vec<(f64, String)>,
    pub(super) curves: Vec<Curve>,
    pub(super) words: fn(f64) -> String,
    /// Each step up is ten times as much.
    pub(super) logarithmic: bool,
}

/// What is shown from bottom to top, and the marks between.
struct Scale {
    low: f64,
    high: f64,
    marks: Vec<f64>,
    logarithmic: bool,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64> + Clone, logarithmic: bool) -> Self {
        let highest = values.clone().fold(0.0, f64::max);
        let lowest = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if logarithmic && lowest.is_finite() {
            return Self::logarithmic(lowest, highest);
        }
        let highest = if highest > 0.0 { highest } else { 1.0 };
        // 4 to 8 steps of 1, 2 or 5 times a power of ten.
        let rough = highest / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough).unwrap_or(rough);
        let steps = (highest / step * 1.02).ceil();
        Self {
            low: 0.0,
            high: steps * step,
            marks: (0..=steps as u32).map(|n| f64::from(n) * step).collect(),
            logarithmic: false,
        }
    }

    fn logarithmic(lowest: f64, highest: f64) -> Self {
        let steps = |many: bool| -> Vec<f64> {
            let digits: &[f64] = if many { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let powers = (lowest.log10().floor() as i32 - 1)..=(highest.log10().ceil() as i32 + 1);
            powers.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).collect()
        };
        let marks = steps(highest / lowest < 300.0);
        let low = marks.iter().copied().filter(|mark| *mark <= lowest).fold(lowest, |_, mark| mark);
        let high = marks.iter().copied().find(|mark| *mark >= highest && *mark > low).unwrap_or(highest);
        let marks = marks.into_iter().filter(|mark| *mark >= low && *mark <= high).collect();
        Self { low, high, marks, logarithmic: true }
    }

    fn y(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - part.clamp(0.0, 1.0))
    }
}

impl Chart<'_> {
    fn x(&self, place: f64) -> f64 {
        LEFT + (self.width - LEFT - RIGHT) * place.clamp(0.0, 1.0)
    }

    pub(super) fn svg(&self) -> String {
        let scale =
            Scale::new(self.curves.iter().flat_map(|curve| curve.values.iter().flatten().copied()), self.logarithmic);
        let width = self.width;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n<g class=\"grid\">",
            escape(self.label)
        );
        let ground = HEIGHT - BOTTOM;
        for mark in &scale.marks {
            let (y, right, words) = (
                scale.y(*mark),
                width - RIGHT,
                (self.words)(*mark).replace(".00 ", " ").replace(".0 ", " ").replace(".0k", "k"),
            );
            let _ = write!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{right}\"/><text x=\"{:.1}\" y=\"{:.1}\" class=\"end\">{words}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        for (place, words) in &self.marks {
            let (x, y) = (self.x(*place), HEIGHT - 8.0);
            let class = if *place > 0.97 { "end" } else { "middle" };
            let x_text = if *place > 0.97 { width - RIGHT } else { x };
            let _ = write!(
                svg,
                "<path d=\"M{x:.1} {ground}v4\"/><text x=\"{x_text:.1}\" y=\"{y}\" class=\"{class}\">{}</text>",
                escape(words)
            );
        }
        svg += "</g>\n";
        for curve in &self.curves {
            self.curve(&mut svg, curve, &scale);
        }
        self.pointer(&mut svg);
        svg + "</svg>\n"
    }

    fn curve(&self, svg: &mut String, curve: &Curve, scale: &Scale) {
        let points: Vec<_> = self.places.iter().zip(&curve.values).collect();
        for run in points.split(|(_, value)| value.is_none()) {
            let at: Vec<_> =
                run.iter().filter_map(|(p, value)| value.map(|value| (self.x(**p), scale.y(value)))).collect();
            let (Some(first), Some(last)) = (at.first(), at.last()) else { continue };
            if at.len() == 1 {
                let _ = writeln!(
                    svg,
                    "<circle class=\"dot {}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                    curve.class, first.0, first.1
                );
                continue;
            }
            let path: Vec<_> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let path = path.join("L");
            if curve.filled {
                let (class, ground) = (curve.class, HEIGHT - BOTTOM);
                let _ = writeln!(
                    svg,
                    "<path class=\"area {class}\" d=\"M{:.1} {ground}L{path}L{:.1} {ground}Z\"/>",
                    first.0, last.0
                );
            }
            let _ = writeln!(svg, "<path class=\"line {}\" d=\"M{path}\"/>", curve.class);
        }
    }

    /// A band around each place that tells its values.
    fn pointer(&self, svg: &mut String) {
        *svg += "<g class=\"pointer\">";
        for (at, place) in self.places.iter().enumerate() {
            let before = at.checked_sub(1).map_or(0.0, |before| (self.places[before] + place) / 2.0);
            let after = self.places.get(at + 1).map_or(1.0, |after| (after + place) / 2.0);
            let (from, to, middle) = (self.x(before), self.x(after), self.x(*place));
            let mut words = self.place_names[at].clone();
            for curve in &self.curves {
                if let Some(value) = curve.values[at] {
                    let _ = write!(words, "\n{}: {}", curve.name, (self.words)(value));
                }
            }
            let (height, ground) = (HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM);
            let _ = write!(
                svg,
                "<g><rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{height}\"/>\
                 <path d=\"M{middle:.1} {TOP}V{ground}\"/><title>{}</title></g>",
                (to - from).max(0.1),
                escape(&words)
            );
        }
        *svg += "</g>\n";
    }

    /// The names of the curves beside their colours.
    pub(super) fn legend(&self) -> String {
        let keys: Vec<_> = self
            .curves
            .iter()
            .map(|curve| format!("<span><i class=\"{}\"></i>{}</span>", curve.class, escape(&curve.name)))
            .collect();
        format!("<p class=\"legend\">{}</p>", keys.join(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_what_it_shows() {
        for logarithmic in [false, true] {
            for (low, high) in [(1.0, 1.0), (0.0, 0.0), (3.0, 17.0), (1e-5, 2.0), (0.99, 1.01), (1e-9, 1e9)] {
                let scale = Scale::new([low, high].into_iter(), logarithmic);
                assert!(scale.high >= high && scale.low <= low.max(scale.low), "{low} to {high}");
                assert!((2..=24).contains(&scale.marks.len()), "{low} to {high}: {:?}", scale.marks);
                for value in [low, high] {
                    assert!((TOP..=HEIGHT - BOTTOM).contains(&scale.y(value)), "{value}");
                }
            }
        }
    }
}
