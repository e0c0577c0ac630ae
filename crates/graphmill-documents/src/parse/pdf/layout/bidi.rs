//! Right-to-left text: from the order in which a line shows its glyphs to the order in which it is read.
//!
//! The inverse of the Unicode Bidirectional Algorithm (UAX 9) for what lines of documents hold: words of both directions,
//! numbers, punctuation. Explicit formatting characters do not reach a page.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    RightToLeft,
    LeftToRight,
    Digit,
    /// Stands between the digits of one number.
    Separator,
    Neutral,
}

/// Whether a character is of a script written from right to left.
pub(super) fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}')
        && !matches!(c, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}')
}

fn class_of(unit: &str) -> Class {
    match unit.chars().next() {
        Some(c) if is_right_to_left(c) => Class::RightToLeft,
        Some(c) if c.is_numeric() => Class::Digit,
        Some(c) if c.is_alphabetic() => Class::LeftToRight,
        Some('.' | ',' | ':' | '/' | '-' | '+' | '%') => Class::Separator,
        _ => Class::Neutral,
    }
}

/// Turns the units of a line (glyphs and blanks, from the left) into text as it is read.
pub(super) fn logical(units: &[&str]) -> String {
    let classes: Vec<Class> = units.iter().map(|unit| class_of(unit)).collect();
    let strong: Vec<Class> =
        classes.iter().copied().filter(|class| matches!(class, Class::RightToLeft | Class::LeftToRight)).collect();
    let right = strong.iter().filter(|class| **class == Class::RightToLeft).count();
    let ends = (strong.first(), strong.last());
    let is_right = match ends {
        (Some(Class::RightToLeft), Some(Class::RightToLeft)) => true,
        (Some(Class::LeftToRight), Some(Class::LeftToRight)) => false,
        _ => 2 * right >= strong.len(),
    };
    let mut text = String::new();
    if is_right {
        read_from_right(units, &classes, &mut text);
        return text;
    }
    // Runs from the first to the last right-to-left unit that no left-to-right one interrupts.
    let mut at = 0;
    while at < units.len() {
        if classes[at] != Class::RightToLeft {
            text.push_str(units[at]);
            at += 1;
            continue;
        }
        let stop =
            classes[at..].iter().position(|class| *class == Class::LeftToRight).map_or(units.len(), |len| at + len);
        let last = classes[at..stop].iter().rposition(|class| *class == Class::RightToLeft).map_or(at, |len| at + len);
        read_from_right(&units[at..=last], &classes[at..=last], &mut text);
        at = last + 1;
    }
    text
}

/// Reads units from the right; words and numbers among them that run to the right keep their order.
fn read_from_right(units: &[&str], classes: &[Class], text: &mut String) {
    let mut at = units.len();
    while at > 0 {
        let start = run_to_the_right(classes, at);
        if start < at {
            units[start..at].iter().for_each(|unit| text.push_str(unit));
            at = start;
        } else {
            at -= 1;
            text.extend(units[at].chars().map(mirrored));
        }
    }
}

/// Where the left-to-right run starts that ends before `end`; `end` itself if there is none.
fn run_to_the_right(classes: &[Class], end: usize) -> usize {
    let runs = |class: Class| matches!(class, Class::LeftToRight | Class::Digit);
    if !runs(classes[end - 1]) {
        return end;
    }
    let mut start = end - 1;
    loop {
        let before = (0..start).rev().find(|at| !matches!(classes[*at], Class::Separator | Class::Neutral));
        let Some(before) = before.filter(|before| runs(classes[*before])) else { return start };
        let both_digits = classes[before] == Class::Digit && classes[start] == Class::Digit;
        let one_separator = start - before == 2 && classes[before + 1] == Class::Separator;
        if both_digits && start - before > 1 && !one_separator {
            return start;
        }
        start = before;
    }
}

fn mirrored(c: char) -> char {
    match c {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '{' => '}',
        '}' => '{',
        '<' => '>',
        '>' => '<',
        '«' => '»',
        '»' => '«',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::logical;

    fn read(shown: &str) -> String {
        let units: Vec<String> = shown.chars().map(String::from).collect();
        logical(&units.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn c04_lines_are_read_in_their_own_direction() {
        assert_eq!(read("םלוע םולש"), "שלום עולם");
        assert_eq!(read("םילקש 125 ריחמ"), "מחיר 125 שקלים");
        assert_eq!(read("ןאכ אצמנ report.pdf ץבוק"), "קובץ report.pdf נמצא כאן");
        assert_eq!(read("(םולש) 3.14 רפסמ"), "מספר 3.14 (שלום)");
        assert_eq!(read("the word םולש means peace"), "the word שלום means peace");
        assert_eq!(read("see םלוע 12 םולש here"), "see שלום 12 עולם here");
        assert_eq!(read("plain text 12"), "plain text 12");
    }
}
