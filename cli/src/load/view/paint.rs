//! Coloured text of a known width, and charts of block characters. Knows nothing of loads.

/// A colour of the terminal's own palette, which suits its background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Faint,
    Strong,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Plain => "0",
            Colour::Faint => "90",
            Colour::Strong => "1",
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Cyan => "36",
        }
    }
}

/// A line that is being written, at most so wide.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    width: usize,
    limit: usize,
    colours: bool,
}

impl Line {
    pub(super) fn new(limit: usize, colours: bool) -> Self {
        Self { text: String::new(), width: 0, limit, colours }
    }

    /// Adds text, as far as there is room. All that is shown here is one column a letter, except where a name in a URL
    /// or an error is not; then the line is cut by the terminal.
    pub(super) fn add(mut self, colour: Colour, text: &str) -> Self {
        let room = self.limit.saturating_sub(self.width);
        let fits: String = text.chars().filter(|letter| !letter.is_control()).take(room).collect();
        self.width += fits.chars().count();
        if self.colours && colour != Colour::Plain && !fits.is_empty() {
            self.text += &format!("\x1b[{}m{fits}\x1b[0m", colour.code());
        } else {
            self.text += &fits;
        }
        self
    }

    /// Adds another line as it is.
    pub(super) fn join(mut self, other: Line) -> Self {
        self.width += other.width;
        self.text += &other.text;
        self
    }

    /// Fills up with blanks.
    pub(super) fn to(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width);
        self.add(Colour::Plain, &" ".repeat(missing))
    }

    pub(super) fn end(self) -> String {
        self.text
    }
}

/// From nothing to a whole cell.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Columns of blocks; of each, `(lower, upper)`, the part up to `lower` in the first colour and the rest in the second.
pub(super) fn columns(
    values: &[(f64, f64)],
    top: f64,
    rows: usize,
    width: usize,
    colour: (Colour, Colour),
    colours: bool,
) -> Vec<Line> {
    let eighths = |value: f64| if top > 0.0 { (value / top * rows as f64 * 8.0).round() as usize } else { 0 };
    let cell = |row: usize, value: f64| eighths(value).saturating_sub((rows - 1 - row) * 8).min(8);
    (0..rows)
        .map(|row| {
            let mut line = Line::new(width, colours);
            for (lower, upper) in values {
                // Something is never nothing.
                let least = usize::from(row + 1 == rows && *upper > 0.0);
                let (low, high) = (cell(row, *lower), cell(row, *upper).max(least));
                line = match (low, high) {
                    (0, high) => line.add(colour.1, EIGHTHS[high].encode_utf8(&mut [0; 4])),
                    (low, high) if low >= high => line.add(colour.0, EIGHTHS[low].encode_utf8(&mut [0; 4])),
                    // One cell has one shape: where it has two parts, the larger is shown.
                    (low, high) if low * 2 >= high => line.add(colour.0, EIGHTHS[high].encode_utf8(&mut [0; 4])),
                    (_, high) => line.add(colour.1, EIGHTHS[high].encode_utf8(&mut [0; 4])),
                };
            }
            line.to(width)
        })
        .collect()
}

/// A bar from left to right, `part` of `width` columns.
pub(super) fn bar(part: f64, width: usize) -> (String, String) {
    let full = ((part.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    ("━".repeat(full), "─".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_never_wider_than_it_may_be() {
        let line = Line::new(5, false).add(Colour::Red, "ab").add(Colour::Plain, "c\x1b\ndefg").add(Colour::Red, "x");
        assert_eq!(line.end(), "abcde");
        assert_eq!(Line::new(9, false).add(Colour::Plain, "ab").to(4).add(Colour::Plain, "c").end(), "ab  c");
        assert_eq!(Line::new(3, true).add(Colour::Red, "a").end(), "\x1b[31ma\x1b[0m");
    }

    #[test]
    fn a_chart_is_as_high_as_its_values() {
        let values = [(0.0, 0.0), (0.0, 0.01), (0.0, 4.0), (0.0, 8.0), (4.0, 8.0)];
        let lines = columns(&values, 8.0, 2, 5, (Colour::Cyan, Colour::Yellow), false);
        assert_eq!(lines.into_iter().map(Line::end).collect::<Vec<_>>(), ["   ██", " ▁███"]);
        assert_eq!(bar(0.5, 4), ("━━".to_owned(), "──".to_owned()));
        assert_eq!(bar(7.0, 2).0, "━━");
    }
}
