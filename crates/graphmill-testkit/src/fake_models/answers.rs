//! Answers that follow from the text alone, so that any two runs get the same.

use serde_json::{Value, json};

/// Words with which sentences begin and that name nothing.
const NO_TERMS: [&str; 14] = ["A", "An", "And", "At", "But", "For", "He", "If", "In", "It", "On", "She", "The", "This"];

/// Types of the fake's entities.
const TYPES: [&str; 5] = ["component", "concept", "location", "organization", "product"];

/// Most entities of one answer.
const MOST_TERMS: usize = 20;

/// A vector of length 1 that is a hash of the text.
pub fn embedding(text: &str, dimension: usize) -> Vec<f32> {
    let mut bytes = vec![0; dimension * 2];
    blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut bytes);
    let (pairs, _) = bytes.as_chunks::<2>();
    let raw: Vec<f64> = pairs.iter().map(|pair| f64::from(i16::from_le_bytes(*pair)) + 0.5).collect();
    let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
    raw.iter().map(|x| (x / length) as f32).collect()
}

/// Capitalised words of `text`, neighbours joined, each with a number that follows it: `Maas Pump`, `Sensor 4`. Each once, in order.
pub fn terms(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut term: Vec<&str> = Vec::new();
    let mut close = |term: &mut Vec<&str>| {
        let name = term.join(" ");
        term.clear();
        if name.len() > 1 && found.len() < MOST_TERMS && !found.contains(&name) {
            found.push(name);
        }
    };
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let capital = bare.chars().next().is_some_and(char::is_uppercase) && !NO_TERMS.contains(&bare);
        let number = !term.is_empty() && !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit());
        let begins_clean = word.starts_with(|c: char| c.is_alphanumeric());
        if !begins_clean || !(capital || number) {
            close(&mut term);
        }
        if capital || number {
            term.push(bare);
        }
        if number || !word.ends_with(|c: char| c.is_alphanumeric()) {
            close(&mut term);
        }
    }
    close(&mut term);
    found
}

/// What the fake's chat model says about `text`: its terms, and a relation from each to the next.
pub fn extraction(text: &str) -> Value {
    let terms = terms(text);
    let hash = |s: &str| usize::from(blake3::hash(s.as_bytes()).as_bytes()[0]);
    let entities: Vec<Value> = terms
        .iter()
        .map(|t| json!({ "name": t, "type": TYPES[hash(t) % TYPES.len()], "description": format!("{t} as the text has it") }))
        .collect();
    let relations: Vec<Value> = terms
        .windows(2)
        .map(|pair| {
            json!({
                "source": pair[0], "target": pair[1], "type": "next_to", "strength": 1 + hash(&pair.join(" ")) % 10,
                "description": format!("{} stands before {}", pair[0], pair[1]),
            })
        })
        .collect();
    json!({ "entities": entities, "relations": relations })
}

/// What the fake's chat model says about a group of things (`Group of 3 members. …`): a title and a summary that follow from the text.
pub(super) fn summary(text: &str) -> Value {
    let terms = terms(text);
    let hash = blake3::hash(text.as_bytes()).to_hex();
    json!({ "title": format!("Group {}", &hash[..8]), "summary": format!("The model saw {}.", terms.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_capitalised_words() {
        assert_eq!(
            terms("The Maas Pump feeds Rotterdam. Sensor 4 of Mill 2, and Mill 2 again."),
            ["Maas Pump", "Rotterdam", "Sensor 4", "Mill 2"]
        );
    }

    #[test]
    fn vectors_have_length_one() {
        let length: f32 = embedding("x", 32).iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5);
        assert_ne!(embedding("x", 32), embedding("y", 32));
    }
}
