//! What of an embedding server's answer is believed: all of it or nothing.

use serde::Deserialize;

/// An answer as it comes.
#[derive(Debug, Deserialize)]
pub(super) struct EmbeddingAnswer {
    #[serde(default)]
    data: Option<Vec<Datum>>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    pub(super) usage: Option<Tokens>,
}

#[derive(Debug, Deserialize)]
struct Datum {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    embedding: Option<Vec<Option<f64>>>,
}

/// Tokens as the server counted them.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    pub(super) prompt_tokens: u64,
}

/// Why an answer is refused, and whose vectors are wrong if it is only these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// For people.
    pub(super) reason: String,
    /// Places of the texts whose own vectors are wrong while the answer as a whole is in order.
    pub(super) items: Vec<usize>,
}

impl Refused {
    fn whole(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), items: Vec::new() }
    }
}

/// The vectors in the order of the `count` texts. `dimension` is what earlier answers had.
pub(super) fn read(answer: EmbeddingAnswer, count: usize, dimension: Option<u32>) -> Result<Vec<Vec<f32>>, Refused> {
    if answer.error.is_some() {
        return Err(Refused::whole("it is an error under status 200"));
    }
    let data = answer.data.ok_or_else(|| Refused::whole("it has no data"))?;
    if data.len() != count {
        return Err(Refused::whole(format!("it has {} vectors for {count} texts", data.len())));
    }
    let ordered = in_order(data)?;
    let mut vectors: Vec<Vec<f32>> = Vec::with_capacity(count);
    let mut faulty = Vec::new();
    let expected = dimension.map_or_else(|| ordered.first().map_or(0, Vec::len), |d| d as usize);
    let mut reason = String::new();
    for (place, numbers) in ordered.into_iter().enumerate() {
        let vector: Vec<f32> = numbers.iter().map(|n| n.unwrap_or(f64::NAN) as f32).collect();
        let fault = if vector.len() != expected || expected == 0 {
            Some(format!("a vector has {} components, the space has {expected}", vector.len()))
        } else if vector.iter().any(|x| !x.is_finite()) {
            Some("a vector has a component that is no finite number".to_owned())
        } else if vector.iter().all(|x| *x == 0.0) {
            Some("a vector is all zero".to_owned())
        } else {
            None
        };
        if let Some(fault) = fault {
            reason = fault;
            faulty.push(place);
        }
        vectors.push(vector);
    }
    match faulty.len() {
        0 => Ok(vectors),
        // When most are wrong it is the server, not the texts.
        n if n * 2 > count && count > 1 => Err(Refused::whole(reason)),
        _ => Err(Refused { reason, items: faulty }),
    }
}

/// By `index` where all have one, as they stand where none has.
fn in_order(data: Vec<Datum>) -> Result<Vec<Vec<Option<f64>>>, Refused> {
    let count = data.len();
    let indexed = data.iter().filter(|d| d.index.is_some()).count();
    if indexed != 0 && indexed != count {
        return Err(Refused::whole("some of its vectors have an index and some have none"));
    }
    let mut ordered: Vec<Option<Vec<Option<f64>>>> = vec![None; count];
    for (place, datum) in data.into_iter().enumerate() {
        let index = datum.index.map_or(Some(place), |i| usize::try_from(i).ok());
        let slot = index.and_then(|i| ordered.get_mut(i)).ok_or_else(|| Refused::whole("an index is out of range"))?;
        let numbers = datum.embedding.ok_or_else(|| Refused::whole("an entry has no vector"))?;
        if slot.replace(numbers).is_some() {
            return Err(Refused::whole("an index stands twice"));
        }
    }
    // As many entries as texts, no index twice, none out of range: every place is filled.
    Ok(ordered.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(json: &str, count: usize, dimension: Option<u32>) -> Result<Vec<Vec<f32>>, Refused> {
        read(serde_json::from_str(json).expect("JSON of the test"), count, dimension)
    }

    /// `[index, components…]` entries; a negative index is absent.
    fn answer(entries: &[(i64, &str)]) -> String {
        let entry = |(index, vector): &(i64, &str)| match index {
            0.. => format!(r#"{{"object":"embedding","index":{index},"embedding":{vector}}}"#),
            _ => format!(r#"{{"object":"embedding","embedding":{vector}}}"#),
        };
        format!(r#"{{"data":[{}]}}"#, entries.iter().map(entry).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn each_text_gets_its_own_vector() {
        let right = vec![vec![0.0, 1.0], vec![1.0, 1.0], vec![2.0, 1.0]];
        for entries in [
            [(0, "[0,1]"), (1, "[1,1]"), (2, "[2,1]")],
            [(2, "[2,1]"), (0, "[0,1]"), (1, "[1,1]")],
            [(-1, "[0,1]"), (-1, "[1,1]"), (-1, "[2,1]")],
        ] {
            assert_eq!(verdict(&answer(&entries), 3, None), Ok(right.clone()));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        for entries in [
            &[(0, "[0,1]"), (1, "[1,1]")][..],
            &[(0, "[0,1]"), (1, "[1,1]"), (3, "[3,1]")],
            &[(0, "[0,1]"), (1, "[1,1]"), (1, "[1,1]")],
            &[(0, "[0,1]"), (1, "[1,1]"), (-1, "[2,1]")],
            &[(0, "[0,1]"), (1, "[1,1]"), (2, "[2,1]"), (3, "[3,1]")],
            &[(0, "[0,0]"), (1, "[0,0]"), (2, "[2,1]")],
            &[(0, "[]"), (1, "[]"), (2, "[]")],
        ] {
            assert!(verdict(&answer(entries), 3, None).unwrap_err().items.is_empty(), "{entries:?}");
        }
        assert!(verdict(r#"{"error":{"message":"overloaded","code":503}}"#, 3, None).is_err());
        assert!(verdict("{}", 3, None).is_err());
        assert!(verdict(&answer(&[(0, "[0,1]")]), 1, Some(3)).is_err());
    }

    #[test]
    fn a_single_wrong_vector_is_named() {
        for wrong in ["[0,0]", "[null,1]", "[1e300,1]", "[1,2,3]"] {
            let refused = verdict(&answer(&[(0, "[0,1]"), (1, "[1,1]"), (2, wrong)]), 3, Some(2)).unwrap_err();
            assert_eq!(refused.items, [2], "{wrong}");
        }
    }
}
