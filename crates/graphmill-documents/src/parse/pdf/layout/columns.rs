//! The order of segments: columns of running text one after the other, everything else row by row.

use super::rows::Segment;

/// Columns in columns in columns are no longer looked for.
const MAX_DEPTH: u32 = 4;
/// Width of the strips in which a gutter is searched, in points.
const STRIP: f32 = 2.0;
/// More strips than this would be no page.
const MAX_STRIPS: usize = 4000;
/// Fewest segments of a column.
const FEWEST: usize = 3;

/// Segments that are read row by row.
pub(super) type Block = Vec<Segment>;

/// Puts segments (rows from the top, each from the left) into reading order.
pub(super) fn blocks(segments: Vec<Segment>) -> Vec<Block> {
    let mut blocks = Vec::new();
    arrange(segments, 0, &mut blocks);
    blocks
}

fn arrange(segments: Vec<Segment>, depth: u32, blocks: &mut Vec<Block>) {
    let gutter = if depth < MAX_DEPTH { gutter(&segments) } else { None };
    let Some(gutter) = gutter else {
        blocks.push(segments);
        return;
    };
    // What crosses the gutter divides the page into bands; in each the columns are read in turn.
    let mut plain: Block = Vec::new();
    let mut left: Block = Vec::new();
    let mut right: Block = Vec::new();
    let band = |left: &mut Block, right: &mut Block, plain: &mut Block, blocks: &mut Vec<Block>| {
        if is_running_text(left, depth) && is_running_text(right, depth) {
            if !plain.is_empty() {
                blocks.push(std::mem::take(plain));
            }
            arrange(std::mem::take(left), depth + 1, blocks);
            arrange(std::mem::take(right), depth + 1, blocks);
        } else {
            plain.append(left);
            plain.append(right);
            plain.sort_by(|a, b| a.row.cmp(&b.row).then(a.x0.total_cmp(&b.x0)));
        }
    };
    for segment in segments {
        if segment.x1 <= gutter {
            left.push(segment);
        } else if segment.x0 >= gutter {
            right.push(segment);
        } else {
            band(&mut left, &mut right, &mut plain, blocks);
            plain.push(segment);
        }
    }
    band(&mut left, &mut right, &mut plain, blocks);
    if !plain.is_empty() {
        blocks.push(plain);
    }
}

/// The middle of the best upright strip that few segments cross and that has text on both sides.
fn gutter(segments: &[Segment]) -> Option<f32> {
    if segments.len() < 2 * FEWEST {
        return None;
    }
    let from = segments.iter().map(|segment| segment.x0).fold(f32::INFINITY, f32::min);
    let to = segments.iter().map(|segment| segment.x1).fold(f32::NEG_INFINITY, f32::max);
    let strips = ((to - from) / STRIP) as usize + 1;
    if strips > MAX_STRIPS || to <= from {
        return None;
    }
    let (crossing, ended, begun) = profile(segments, from, strips);
    let few = segments.len() / 8;
    let usable =
        |strip: usize| crossing[strip] <= few && ended[strip] >= FEWEST && segments.len() - begun[strip] >= FEWEST;
    let size = segments[segments.len() / 2].size;
    let narrowest = ((0.8 * size / STRIP) as usize).max(1);
    let mut best: Option<(usize, usize, usize)> = None;
    let mut strip = 0;
    while strip < strips {
        let run = (strip..strips).take_while(|strip| usable(*strip)).count();
        if run >= narrowest {
            let cost = (strip..strip + run).map(|strip| crossing[strip]).min().unwrap_or(0);
            // Fewest crossings, then the most even division.
            let middle = strip + run / 2;
            let balance = ended[middle].abs_diff(segments.len() - begun[middle]);
            if best.is_none_or(|best| (cost, balance) < (best.0, best.1)) {
                best = Some((cost, balance, middle));
            }
        }
        strip += run.max(1);
    }
    best.map(|(_, _, middle)| from + (middle as f32 + 0.5) * STRIP)
}

/// For each strip: how many segments lie on it, have ended before it, have begun before its end.
fn profile(segments: &[Segment], from: f32, strips: usize) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let strip_of = |x: f32| (((x - from) / STRIP).max(0.0) as usize).min(strips - 1);
    let (mut begins, mut ends) = (vec![0; strips], vec![0; strips]);
    for segment in segments {
        begins[strip_of(segment.x0)] += 1;
        ends[strip_of(segment.x1.max(segment.x0))] += 1;
    }
    let (mut crossing, mut ended, mut begun) = (vec![0; strips], vec![0; strips], vec![0; strips]);
    let (mut open, mut closed) = (0, 0);
    for strip in 0..strips {
        open += begins[strip];
        ended[strip] = closed;
        begun[strip] = open;
        crossing[strip] = open - closed;
        closed += ends[strip];
    }
    (crossing, ended, begun)
}

/// Whether segments are lines of running text, most of them as wide as their column and of several words, rather than
/// the cells of a table; or columns of such lines.
fn is_running_text(column: &[Segment], depth: u32) -> bool {
    if column.len() < FEWEST {
        return false;
    }
    let from = column.iter().map(|segment| segment.x0).fold(f32::INFINITY, f32::min);
    let to = column.iter().map(|segment| segment.x1).fold(f32::NEG_INFINITY, f32::max);
    let wide = column.iter().filter(|segment| segment.x1 - segment.x0 > 0.55 * (to - from)).count();
    let words: usize = column.iter().map(|segment| segment.words.len()).sum();
    let size = column[column.len() / 2].size;
    if words < 3 * column.len() || to - from < 10.0 * size {
        return false;
    }
    if 2 * wide >= column.len() {
        return true;
    }
    let inner = if depth < MAX_DEPTH { gutter(column) } else { None };
    inner.is_some_and(|gutter| {
        let left: Vec<Segment> = column.iter().filter(|segment| segment.x1 <= gutter).cloned().collect();
        let right: Vec<Segment> = column.iter().filter(|segment| segment.x0 >= gutter).cloned().collect();
        is_running_text(&left, depth + 1) && is_running_text(&right, depth + 1)
    })
}
