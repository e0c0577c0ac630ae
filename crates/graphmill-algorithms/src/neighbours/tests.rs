//! Against a plain computation in f64, and the kind of case c30.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

static GO_ON: AtomicBool = AtomicBool::new(false);

fn plain(rows: &[Vec<f32>], wanted: Wanted) -> Vec<Row<u32>> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = |a: &[f32], b: &[f32]| dot(a, b) / dot(a, a).sqrt() / dot(b, b).sqrt();
    let has_direction = |a: &[f32]| a.iter().any(|x| *x != 0.0);
    let neighbours_of = |i: usize| {
        let others = (0..rows.len()).filter(|j| *j != i && has_direction(&rows[i]) && has_direction(&rows[*j]));
        let scored = others.map(|j| (j as u32, Score::new(cosine(&rows[i], &rows[j]))));
        let mut all: Vec<_> = scored.filter(|(_, score)| *score >= wanted.threshold).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let cut_at = all.get(wanted.neighbours).map(|(_, score)| *score);
        all.truncate(wanted.neighbours);
        Row { neighbours: all, cut_at }
    };
    (0..rows.len()).map(neighbours_of).collect()
}

fn in_one(rows: &[Vec<f32>], dimension: usize, wanted: Wanted) -> Vec<Row<u32>> {
    neighbours(&rows.concat(), dimension, wanted, &GO_ON).unwrap()
}

/// The same search over blocks of these sizes, in a turned order.
fn in_blocks(rows: &[Vec<f32>], dimension: usize, wanted: Wanted, ours: usize, theirs: usize) -> Vec<Row<u32>> {
    let cut = |size: usize| {
        let numbered: Vec<(u32, &Vec<f32>)> = (0..).zip(rows).collect();
        let block = |part: &[(u32, &Vec<f32>)]| {
            let mut block = Rows::new(dimension);
            part.iter().for_each(|(key, row)| block.push(*key, row).unwrap());
            block
        };
        numbered.chunks(size).map(block).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for block in cut(ours) {
        let mut search = Search::new(Arc::new(block), wanted);
        for other in cut(theirs).iter().rev() {
            search.compare(other, &GO_ON).unwrap();
        }
        found.extend(search.finish());
    }
    found
}

/// A component: from a few values, so that ties, twins and zero rows are common; or of any size.
fn component() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => prop::sample::select(vec![0.0f32, 1.0, -1.0, 2.0, 0.5]),
        3 => -1.0f32..1.0,
        1 => prop::sample::select(vec![f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45, 1e-20, 3e30]),
    ]
}

fn matrix() -> impl Strategy<Value = (usize, Vec<Vec<f32>>)> {
    (1usize..40).prop_flat_map(|dimension| {
        (Just(dimension), prop::collection::vec(prop::collection::vec(component(), dimension), 0..40))
    })
}

/// A score of the plain computation may round to the other side of half a millionth: such cases are passed over.
fn is_on_the_edge(rows: &[Vec<f32>], threshold: f64) -> bool {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    rows.iter().enumerate().any(|(i, a)| {
        rows[..i].iter().any(|b| {
            let cosine = dot(a, b) / dot(a, a).sqrt() / dot(b, b).sqrt();
            let part = (cosine * 1e6).rem_euclid(1.0);
            (part - 0.5).abs() < 1e-4 && cosine.abs() < 1.1 && cosine + 1e-6 > threshold
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn equal_to_the_plain_computation(
        (dimension, rows) in matrix(), neighbours in 0usize..45, threshold in -1.0f64..1.0,
        ours in 1usize..50, theirs in 1usize..50,
    ) {
        prop_assume!(!is_on_the_edge(&rows, threshold));
        let wanted = Wanted { neighbours, threshold: Score::new(threshold) };
        let right = plain(&rows, wanted);
        prop_assert_eq!(&in_one(&rows, dimension, wanted), &right);
        prop_assert_eq!(&in_blocks(&rows, dimension, wanted, ours, theirs), &right);
    }

    /// A kept row through any history of arrivals, changes and removals shows what a row computed anew shows.
    #[test]
    fn a_kept_row_shows_what_a_new_one_shows(
        steps in prop::collection::vec((0u32..12, 0i32..5, 0u8..4), 1..60), asked in 1usize..5, more in 0usize..3,
    ) {
        let keep = asked + more;
        let best = |live: &std::collections::BTreeMap<u32, Score>, n: usize| {
            let mut all: Vec<(u32, Score)> = live.iter().map(|(k, s)| (*k, *s)).collect();
            all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            let cut_at = all.get(n).map(|x| x.1);
            all.truncate(n);
            Row { neighbours: all, cut_at }
        };
        let (mut live, mut stood) = (std::collections::BTreeMap::new(), Vec::new());
        let mut row = Row::default();
        for (i, (key, score, what)) in steps.into_iter().enumerate() {
            if what == 0 {
                live.remove(&key);
            } else {
                live.insert(key, Score(score));
                stood.push(key);
            }
            // A delta now and then; several changes lie between two.
            if i % 3 == 2 {
                row.retain(|k| live.contains_key(k) && !stood.contains(k));
                let fresh = live.iter().filter(|(k, _)| stood.contains(k)).map(|(k, s)| (*k, *s)).collect();
                row = row.with(&best(&fresh, keep + 1).neighbours, keep);
                if !row.answers(asked) {
                    row = best(&live, keep);
                }
                stood.clear();
                let shown: Vec<_> = row.neighbours.iter().take(asked).copied().collect();
                prop_assert_eq!(shown, best(&live, asked).neighbours);
            }
        }
    }
}

#[test]
fn large_blocks_agree_with_small_ones() {
    // More rows than a tile, with many twins and near twins.
    let rows: Vec<Vec<f32>> = (0..1_300u32)
        .map(|i| (0..24).map(|j| ((i % 97) * 31 + j * 7) as f32 % 13.0 - 6.0 + (i % 3) as f32 * 1e-6).collect())
        .collect();
    let wanted = Wanted { neighbours: 7, threshold: Score::new(0.3) };
    let right = plain(&rows, wanted);
    assert_eq!(in_one(&rows, 24, wanted), right);
    assert_eq!(in_blocks(&rows, 24, wanted, 333, 1_000), right);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let wanted = Wanted { neighbours: 3, threshold: Score::new(0.0) };
    let found = neighbours(&[1.0, 2.0, 3.0, f32::NAN], 2, wanted, &GO_ON).unwrap_err();
    assert_eq!(found.to_string(), "component 1 of row 1 is NaN; only finite numbers can be compared");
    let found = neighbours(&[1.0, f32::NEG_INFINITY], 2, wanted, &GO_ON).unwrap_err();
    assert_eq!(found.to_string(), "component 1 of row 0 is -inf; only finite numbers can be compared");
    let found = neighbours(&[1.0, 2.0, 3.0], 2, wanted, &GO_ON).unwrap_err();
    assert_eq!(found.to_string(), "3 numbers are no whole number of rows of 2 components");
    assert!(neighbours(&[1.0], 0, wanted, &GO_ON).is_err());
    assert_eq!(neighbours(&[], 3, wanted, &GO_ON).unwrap(), []);
    let (mut two, mut three) = (Rows::new(2), Rows::new(3));
    assert!(two.push(0u32, &[1.0]).is_err());
    two.push(0, &[1.0, 0.0]).unwrap();
    three.push(1, &[1.0, 0.0, 0.0]).unwrap();
    assert!(matches!(Search::new(Arc::new(two), wanted).compare(&three, &GO_ON), Err(Error::Dimension { .. })));
}

#[test]
fn the_stop_flag_is_looked_at() {
    let wanted = Wanted { neighbours: 3, threshold: Score::new(0.0) };
    assert_eq!(neighbours(&[1.0, 2.0], 1, wanted, &AtomicBool::new(true)), Err(Error::Stopped));
}

/// Case c30, whose files are made here.
#[test]
fn c30_zero_vector_twins_and_fewer_rows_than_k() {
    let rows: [[f32; 4]; 7] = [
        [1.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 0.0],
        [0.0; 4],
        [0.6, 0.8, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0],
        [-1.0, 0.0, 0.0, 0.0],
        [3.0, 4.0, 0.0, 0.0],
    ];
    let wanted = Wanted { neighbours: 10, threshold: Score::new(0.5) };
    let found = neighbours(&rows.concat(), 4, wanted, &GO_ON).unwrap();
    let shown: Vec<Vec<(u32, f64)>> =
        found.iter().map(|row| row.neighbours.iter().map(|(key, score)| (*key, score.value())).collect()).collect();
    assert_eq!(
        shown,
        [
            vec![(1, 1.0), (3, 0.6), (6, 0.6)],
            vec![(0, 1.0), (3, 0.6), (6, 0.6)],
            vec![],
            vec![(6, 1.0), (4, 0.8), (0, 0.6), (1, 0.6)],
            vec![(3, 0.8), (6, 0.8)],
            vec![],
            vec![(3, 1.0), (4, 0.8), (0, 0.6), (1, 0.6)],
        ]
    );
}
