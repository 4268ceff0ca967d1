//! Bars as SVG, made on the server: they need no script, and say their values to who cannot see them.

/// The drawing's width and height, in its own units.
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 220.0;
/// Room above, for the line and its points.
const HEAD: f64 = 6.0;
/// Room below the bars for what they are called.
const FOOT: f64 = 22.0;
/// The share of its place that a bar fills.
const FILLED: f64 = 0.7;

/// What a bar, or a point of a line, is to show.
pub(in crate::console) struct Span {
    /// What it is called.
    pub name: String,
    /// Where it begins: 0, or where the one before ended.
    pub from: i64,
    /// Where it ends.
    pub to: i64,
    /// What it says.
    pub value: String,
    /// How it looks, in CSS.
    pub class: &'static str,
}

/// A drawing of bars, or of a line through their ends.
pub(in crate::console) struct Chart {
    /// From left to right.
    pub bars: Vec<Bar>,
    /// Where zero is, from the top.
    pub zero: f64,
    /// The width of the place that each has.
    pub place: f64,
}

/// One bar.
pub(in crate::console) struct Bar {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub value: String,
    /// How it looks, in CSS.
    pub class: &'static str,
    /// Its left edge, its upper edge, its width and its height.
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    /// Where it ends, from the top.
    pub end: f64,
    /// The left edge of its place.
    pub left: f64,
    /// The middle, where its name stands.
    pub middle: f64,
    /// Whether there is room for the name.
    pub is_named: bool,
}

impl Bar {
    /// Whether there is anything to see of it.
    pub(in crate::console) fn is_drawn(&self) -> bool {
        self.height > 0.0
    }
}

impl Chart {
    /// The drawing's size, as a `viewBox`.
    pub(in crate::console) fn view_box(&self) -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }

    /// Where names stand.
    pub(in crate::console) fn foot(&self) -> f64 {
        HEIGHT - 6.0
    }

    /// The right edge.
    pub(in crate::console) fn right(&self) -> f64 {
        WIDTH
    }

    /// The ends of the bars as the points of a line.
    pub(in crate::console) fn points(&self) -> String {
        self.bars.iter().map(|bar| format!("{},{}", bar.middle, bar.end)).collect::<Vec<_>>().join(" ")
    }

    /// Draws them.
    pub(in crate::console) fn of(spans: &[Span]) -> Self {
        Self::layered(&[spans])
    }

    /// Draws them over each other, at one scale and in the same places, which the first names.
    pub(in crate::console) fn layered(layers: &[&[Span]]) -> Self {
        let ends = || layers.iter().copied().flatten().flat_map(|span| [span.from as f64, span.to as f64]);
        let places = layers.iter().map(|spans| spans.len()).max().unwrap_or_default();
        let (highest, lowest) = (ends().fold(0.0, f64::max), ends().fold(0.0, f64::min));
        let scale = (HEIGHT - HEAD - FOOT) / (highest - lowest).max(1.0);
        let (zero, place) = (HEAD + highest * scale, WIDTH / (places.max(1) as f64));
        // A name is about 80 wide.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1, and few")]
        let named_each = (80.0 / place).ceil().max(1.0) as usize;
        let bar = |layer: usize, at: usize, span: &Span| {
            let (from, to) = (zero - span.from as f64 * scale, zero - span.to as f64 * scale);
            let left = at as f64 * place;
            Bar {
                name: span.name.clone(),
                value: span.value.clone(),
                class: span.class,
                x: round(left + place * (1.0 - FILLED) / 2.0),
                y: round(from.min(to)),
                width: round(place * FILLED),
                height: round((from - to).abs()),
                end: round(to),
                left: round(left),
                middle: round(left + place / 2.0),
                is_named: layer == 0 && at.is_multiple_of(named_each),
            }
        };
        let mut bars = Vec::new();
        for (layer, spans) in layers.iter().enumerate() {
            bars.extend(spans.iter().enumerate().map(|(at, span)| bar(layer, at, span)));
        }
        Self { bars, zero: round(zero), place: round(place) }
    }
}

fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "halves and quarters are exact")]
mod tests {
    use super::*;

    fn span((name, from, to): (&str, i64, i64)) -> Span {
        Span { name: name.to_owned(), from, to, value: to.to_string(), class: "bar" }
    }

    fn drawn(chart: &Chart) -> Vec<(f64, f64)> {
        chart.bars.iter().map(|bar| (bar.y, bar.height)).collect()
    }

    #[test]
    fn bars_stand_on_zero_and_hang_from_it() {
        let chart = Chart::of(&[("a", 0, 300), ("b", 0, 0), ("c", 0, -100)].map(span));
        assert_eq!(chart.zero, 150.0);
        assert_eq!(drawn(&chart), [(6.0, 144.0), (150.0, 0.0), (150.0, 48.0)]);
        assert_eq!(chart.points(), "133.3,6 400,150 666.7,198");
        assert!(Chart::of(&[]).bars.is_empty());
    }

    #[test]
    fn a_bar_begins_where_the_one_before_ended() {
        let chart = Chart::of(&[("a", 0, 100), ("up", 100, 192), ("down", 192, 96)].map(span));
        assert_eq!(chart.zero, 198.0);
        assert_eq!(drawn(&chart), [(98.0, 100.0), (6.0, 92.0), (6.0, 96.0)]);
    }

    #[test]
    fn layers_share_places_and_scale_and_are_named_once() {
        let below = [("a", 0, 192), ("b", 0, 96)].map(span);
        let above = [("a", 0, 48), ("b", 0, 0)].map(span);
        let chart = Chart::layered(&[&below, &above]);
        assert_eq!(drawn(&chart), [(6.0, 192.0), (102.0, 96.0), (150.0, 48.0), (198.0, 0.0)]);
        assert_eq!([0, 1].map(|at| chart.bars[at].x), [2, 3].map(|at| chart.bars[at].x));
        assert_eq!([0, 1, 2, 3].map(|at| chart.bars[at].is_named), [true, true, false, false]);
        assert_eq!([0, 3].map(|at| chart.bars[at].is_drawn()), [true, false]);
    }
}
