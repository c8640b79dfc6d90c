//! Line charts as SVG.

use std::fmt::Write as _;

use super::super::verdicts::with_unit;
use super::markup::escaped;

/// The size of the drawing, and the space around it for labels.
const WIDTH: f64 = 640.0;
const WIDE: f64 = 1_320.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// The look of the first, second, … line.
const STYLES: [&str; 4] = ["one", "two", "three", "four"];

/// A line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: &'static str,
    /// Its points, from left to right. A missing value interrupts it.
    pub points: Vec<(f64, Option<f64>)>,
}

/// The scale of an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// From zero to at least this.
    Linear(f64),
    /// Powers of ten between the figures.
    Logarithmic,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// The unit of the vertical axis.
    pub unit: &'static str,
    /// The vertical scale.
    pub scale: Scale,
    /// Labels of the horizontal axis, with their positions; the first and the last one are its ends.
    pub ticks: Vec<(f64, String)>,
    /// What the horizontal axis shows.
    pub below: &'static str,
    /// The lines.
    pub series: Vec<Series>,
    /// A bound, drawn as a line of its own.
    pub target: Option<f64>,
    /// Whether it takes the whole width of the page.
    pub is_wide: bool,
}

/// The vertical axis of a chart.
struct Axis {
    is_logarithmic: bool,
    low: f64,
    high: f64,
    marks: Vec<f64>,
}

impl Axis {
    fn of(chart: &Chart) -> Self {
        let values = || chart.series.iter().flat_map(|series| series.points.iter().filter_map(|(_, value)| *value));
        let most = values().chain(chart.target).fold(0.0, f64::max);
        match chart.scale {
            Scale::Linear(least) => {
                let step = step(most.max(least) / 4.0);
                let count = (most.max(least) / step).ceil().max(1.0);
                let marks = std::iter::successors(Some(0.0), |mark| Some(mark + step));
                let high = step * count;
                Self {
                    is_logarithmic: false,
                    low: 0.0,
                    high,
                    marks: marks.take_while(|mark| *mark <= high * 1.001).collect(),
                }
            }
            Scale::Logarithmic => {
                let least = values().filter(|value| *value > 0.0).fold(f64::MAX, f64::min).clamp(0.001, 1e6);
                let (low, high) = (least.log10().floor(), most.max(least).log10().ceil());
                let high = high.max(low + 1.0);
                let marks = std::iter::successors(Some(low), |mark| Some(mark + 1.0));
                let marks = marks.take_while(|mark| *mark <= high).map(|mark| 10_f64.powf(mark)).collect();
                Self { is_logarithmic: true, low, high, marks }
            }
        }
    }

    /// The height of a value on the drawing.
    fn y(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.max(0.001).log10() } else { value };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM)
    }
}

/// A round step that is at least this.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-6).log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least * 0.999)
        .unwrap_or(power * 10.0)
}

impl Chart {
    /// The figure, with its title and its legend.
    #[must_use]
    pub fn draw(&self) -> String {
        let axis = Axis::of(self);
        let width = self.width();
        let mut text = format!(
            "<figure class=\"card{}\"><h3>{} <span class=\"soft\">in {}</span></h3>",
            if self.is_wide { " wide" } else { "" },
            escaped(self.title),
            escaped(self.unit)
        );
        self.legend(&mut text);
        let _ = write!(
            text,
            "<svg viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(&self.description())
        );
        for mark in &axis.marks {
            let y = axis.y(*mark);
            let _ = write!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                width - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                label(*mark)
            );
        }
        let (bottom, middle) = (HEIGHT - BOTTOM, LEFT + (width - RIGHT - LEFT) / 2.0);
        for (place, (at, name)) in self.ticks.iter().enumerate() {
            let anchor = if place == 0 {
                "start"
            } else if place + 1 == self.ticks.len() {
                "end"
            } else {
                "middle"
            };
            let _ = write!(
                text,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                self.x(*at),
                bottom + 16.0,
                escaped(name)
            );
        }
        let _ = write!(
            text,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            width - RIGHT,
            HEIGHT - 4.0,
            escaped(self.below)
        );
        if let Some(target) = self.target {
            let y = axis.y(target);
            let above = if y < TOP + 14.0 { y + 14.0 } else { y - 5.0 };
            let _ = write!(
                text,
                "<line class=\"target\" x1=\"{LEFT}\" x2=\"{0:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"target-name\" x=\"{0:.1}\" y=\"{above:.1}\" text-anchor=\"end\">target {1}</text>",
                width - RIGHT,
                escaped(&with_unit(target, self.unit))
            );
        }
        for (series, style) in self.series.iter().zip(STYLES.iter().cycle()) {
            self.line(series, style, &axis, &mut text);
        }
        text.push_str("</svg></figure>");
        text
    }

    /// The place of a value on the horizontal axis.
    fn x(&self, at: f64) -> f64 {
        let begin = self.ticks.first().map_or(0.0, |(at, _)| *at);
        let end = self.ticks.last().map_or(1.0, |(at, _)| *at);
        LEFT + ((at - begin) / (end - begin).max(1e-9)).clamp(0.0, 1.0) * (self.width() - RIGHT - LEFT)
    }

    fn width(&self) -> f64 {
        if self.is_wide { WIDE } else { WIDTH }
    }

    fn line(&self, series: &Series, style: &str, axis: &Axis, text: &mut String) {
        let mut path = String::new();
        let mut is_begun = false;
        for (at, value) in &series.points {
            let Some(value) = value else {
                is_begun = false;
                continue;
            };
            let _ = write!(path, "{}{:.1} {:.1}", if is_begun { "L" } else { "M" }, self.x(*at), axis.y(*value));
            is_begun = true;
        }
        if !path.is_empty() {
            let _ = write!(text, "<path class=\"series {style}\" d=\"{path}\"/>");
        }
    }

    fn legend(&self, text: &mut String) {
        if self.series.len() < 2 {
            return;
        }
        text.push_str("<div class=\"legend\">");
        for (series, style) in self.series.iter().zip(STYLES.iter().cycle()) {
            let _ = write!(
                text,
                "<span><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><path class=\"series {style}\" d=\"M1 4L25 4\"/></svg>{}</span>",
                escaped(series.name)
            );
        }
        text.push_str("</div>");
    }

    /// The chart for those who do not see it: the last value of each line.
    fn description(&self) -> String {
        let last = |series: &Series| {
            let value = series.points.iter().rev().find_map(|(_, value)| *value)?;
            Some(format!("{} ends at {}", series.name, with_unit(value, self.unit)))
        };
        let lines: Vec<String> = self.series.iter().filter_map(last).collect();
        format!("{}: {}", self.title, lines.join(", "))
    }
}

/// A figure beside the axis.
fn label(value: f64) -> String {
    if value >= 1.0 || value == 0.0 {
        let text = format!("{value:.1}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, values: &[Option<f64>]) -> Chart {
        let points = values.iter().enumerate().map(|(at, value)| (f64::from(u32::try_from(at).unwrap()), *value));
        Chart {
            title: "latency",
            unit: "ms",
            scale,
            ticks: vec![(0.0, "0 s".to_owned()), (2.0, "2 s".to_owned())],
            below: "time",
            series: vec![Series { name: "p99 & more", points: points.collect() }],
            target: Some(5.0),
            is_wide: false,
        }
    }

    #[test]
    fn lines_begin_again_after_a_gap_and_stay_within_the_drawing() {
        let text = chart(Scale::Linear(0.0), &[Some(1.0), None, Some(1e9)]).draw();
        assert_eq!(text.matches("class=\"series").count(), 1, "{text}");
        let path = text.split(" d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 0), "{path}");
        assert!(path.ends_with(&format!("M{:.1} {TOP:.1}", WIDTH - RIGHT)), "{path}");
        assert!(text.contains("target 5 ms") && !text.contains("& more"), "{text}");
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten() {
        let axis = Axis::of(&chart(Scale::Logarithmic, &[Some(0.2), Some(30.0)]));
        assert_eq!(axis.marks.iter().map(|mark| label(*mark)).collect::<Vec<_>>(), ["0.1", "1", "10", "100"]);
        assert!(axis.y(0.2) > axis.y(2.0) && axis.y(2.0) > axis.y(20.0));
    }

    #[test]
    fn marks_are_round() {
        let axis = Axis::of(&chart(Scale::Linear(100.0), &[Some(93.0)]));
        assert_eq!(axis.marks.iter().map(|mark| label(*mark)).collect::<Vec<_>>(), ["0", "25", "50", "75", "100"]);
        for values in [&[][..], &[None], &[Some(0.0)]] {
            assert!(chart(Scale::Linear(0.0), values).draw().ends_with("</svg></figure>"));
            assert!(!chart(Scale::Logarithmic, values).draw().contains("NaN"));
        }
    }
}
