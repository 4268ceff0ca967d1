//! Bars as SVG, made on the server: they need no script, and say their values to who cannot see them.

/// The drawing's width and height, in its own units.
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 220.0;
/// Room below the bars for what they are called.
const FOOT: f64 = 22.0;
/// The share of its place that a bar fills.
const FILLED: f64 = 0.7;

/// A drawing of bars.
pub(in crate::console) struct Chart {
    /// From left to right.
    pub bars: Vec<Bar>,
    /// Where zero is, from the top.
    pub zero: f64,
}

/// One bar.
pub(in crate::console) struct Bar {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub value: String,
    /// Its left edge, its upper edge, its width and its height.
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    /// The middle, where its name stands.
    pub middle: f64,
    /// Whether there is room for the name.
    pub is_named: bool,
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

    /// Draws bars from what they are called, their lengths, and what they say.
    pub(in crate::console) fn of(bars: &[(String, i64, String)]) -> Self {
        let lengths = || bars.iter().map(|(_, length, _)| *length as f64);
        let (highest, lowest) = (lengths().fold(0.0, f64::max), lengths().fold(0.0, f64::min));
        let scale = (HEIGHT - FOOT) / (highest - lowest).max(1.0);
        let (zero, place) = (highest * scale, WIDTH / (bars.len().max(1) as f64));
        // A name is about 60 wide.
        let named_each = (60.0 / place).ceil().max(1.0) as usize;
        let bar = |(at, (name, length, value)): (usize, &(String, i64, String))| {
            let (left, height) = (at as f64 * place, *length as f64 * scale);
            Bar {
                name: name.clone(),
                value: value.clone(),
                x: round(left + place * (1.0 - FILLED) / 2.0),
                y: round(zero - height.max(0.0)),
                width: round(place * FILLED),
                height: round(height.abs()),
                middle: round(left + place / 2.0),
                is_named: at % named_each == 0,
            }
        };
        Self { bars: bars.iter().enumerate().map(bar).collect(), zero: round(zero) }
    }
}

fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_zero_and_hang_from_it() {
        let bars = [("a", 300), ("b", 0), ("c", -100)];
        let bars = bars.map(|(name, length)| (name.to_owned(), length, length.to_string()));
        let chart = Chart::of(&bars);
        let drawn: Vec<(f64, f64)> = chart.bars.iter().map(|bar| (bar.y, bar.height)).collect();
        assert_eq!(chart.zero, 148.5);
        assert_eq!(drawn, [(0.0, 148.5), (148.5, 0.0), (148.5, 49.5)]);
        assert!(Chart::of(&[]).bars.is_empty());
    }
}
