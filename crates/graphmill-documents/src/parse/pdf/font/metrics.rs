//! Widths of the standard fonts, for old files that leave them out (ISO 32000-1, 9.6.2.2), in thousandths of the size.

/// Helvetica from the blank to the tilde, from its font metrics.
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
];

/// Times from the blank to the tilde.
const TIMES: [u16; 95] = [
    250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278, 500, 500, 500, 500, 500, 500, 500,
    500, 500, 500, 278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611, 556, 722, 722, 333, 389, 722, 611, 889,
    722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722, 722, 611, 333, 278, 333, 469, 500, 333, 444, 500, 444, 500,
    444, 333, 500, 500, 278, 278, 500, 278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722, 500, 500, 444, 480,
    200, 480, 541,
];

/// The width of a character in the standard font that a name stands for. Bold faces are a little wider than this says,
/// which matters only to what is drawn after the text without being placed.
pub(super) fn standard_width(font_name: &str, c: char) -> f32 {
    if font_name.contains("Courier") || font_name.contains("Mono") {
        return 600.0;
    }
    let serif = ["Times", "Roman", "Serif", "Georgia", "Garamond"].iter().any(|name| font_name.contains(name));
    let table = if serif { &TIMES } else { &HELVETICA };
    let widen = if font_name.contains("Bold") { 1.05 } else { 1.0 };
    let index = (c as u32).checked_sub(0x20).map_or(usize::MAX, |index| index as usize);
    table.get(index).map_or(556.0, |width| f32::from(*width)) * widen
}
