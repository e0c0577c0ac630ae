//! A strict reader of Prometheus' text format 0.0.4, so that tests do not take for right what a scraper would refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// An answer of `/metrics`.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Measures by name.
    pub families: BTreeMap<String, Family>,
    samples: BTreeMap<(String, Labels), f64>,
}

/// What is said about a measure.
#[derive(Debug, Default)]
pub struct Family {
    /// For people.
    pub help: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
}

type Labels = BTreeSet<(String, String)>;

impl Exposition {
    /// The sample of this name with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    fn comment(&mut self, line: &str) -> Result<String, String> {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("a comment must be # HELP name text or # TYPE name type".into());
        };
        let family = self.families.entry(name.to_owned()).or_default();
        match what {
            "HELP" if family.help.is_empty() && family.kind.is_empty() => family.help = rest.to_owned(),
            "TYPE" if family.kind.is_empty() && ["counter", "gauge", "histogram"].contains(&rest) => {
                family.kind = rest.to_owned();
            }
            _ => return Err(format!("{what} stands twice, in the wrong place or is not known")),
        }
        Ok(name.to_owned())
    }

    fn sample(&mut self, line: &str, family: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("there is no value")?;
        let (name, mut rest) = line.split_at(end);
        let kind = self.families[family].kind.as_str();
        let suffix = name.strip_prefix(family).ok_or_else(|| format!("it stands below {family}"))?;
        if !(suffix.is_empty() && kind != "histogram"
            || kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&suffix))
        {
            return Err(format!("{name} is no sample of a {kind}"));
        }
        let mut labels = Labels::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = read_labels(inner, &mut labels)?;
        }
        let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
        let value: f64 = value.parse().map_err(|_| format!("{value:?} is no number"))?;
        match self.samples.insert((name.to_owned(), labels), value) {
            None => Ok(()),
            Some(_) => Err("it stands twice".into()),
        }
    }

    /// Buckets must rise, and the last is the count.
    fn check_histograms(&self) -> Result<(), String> {
        for ((name, labels), count) in &self.samples {
            let Some(family) = name.strip_suffix("_count").filter(|f| self.families.contains_key(*f)) else { continue };
            let mut buckets: Vec<(f64, f64)> = Vec::new();
            for ((bucket, own), n) in &self.samples {
                if *bucket == format!("{family}_bucket") && labels.is_subset(own) {
                    let le = own.iter().find(|(k, _)| k == "le").ok_or("a bucket without le")?;
                    buckets.push((le.1.parse().map_err(|_| format!("{} is no bound", le.1))?, *n));
                }
            }
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            if !buckets.is_sorted_by(|a, b| a.1 <= b.1) || buckets.last() != Some(&(f64::INFINITY, *count)) {
                return Err(format!("the buckets of {family} {labels:?} are wrong: {buckets:?}"));
            }
        }
        Ok(())
    }
}

/// Reads `name="value",…}`; what follows is returned.
fn read_labels<'t>(mut rest: &'t str, labels: &mut Labels) -> Result<&'t str, String> {
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label must be name=\"value\"")?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{name:?} is no name of a label"));
        }
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next().ok_or("a label does not end")? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, c @ ('\\' | '"'))) => c,
                    other => return Err(format!("{other:?} is not to be escaped")),
                }),
                (_, c) => value.push(c),
            }
        };
        if !labels.insert((name.to_owned(), value)) {
            return Err(format!("the label {name} stands twice"));
        }
        rest = &after[end + 1..];
        match rest.chars().next() {
            Some(',') => rest = &rest[1..],
            Some('}') => return Ok(&rest[1..]),
            _ => return Err("labels must end with }".into()),
        }
    }
}

impl FromStr for Exposition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut told = Self::default();
        let mut family = String::new();
        if !text.ends_with('\n') {
            return Err("the last line does not end".into());
        }
        for line in text.lines() {
            let read = if line.starts_with('#') {
                told.comment(line).map(|name| family = name)
            } else if told.families.get(&family).is_none_or(|f| f.kind.is_empty()) {
                Err("a sample before its type".to_owned())
            } else {
                told.sample(line, &family)
            };
            read.map_err(|e| format!("{line:?}: {e}"))?;
        }
        told.check_histograms()?;
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_and_wrong_texts() {
        let good = "# HELP a_total It.\n# TYPE a_total counter\na_total{k=\"x\\\"y\"} 3\n\
                    # HELP h It.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 4.5\nh_count 2\n";
        let told: Exposition = good.parse().unwrap();
        assert_eq!((told.value("a_total", &[("k", "x\"y")]), told.len()), (Some(3.0), 5));
        for (from, to) in [
            ("a_total{k=\"x\\\"y\"} 3", "a_total{k=\"x\"y\"} 3"),
            ("a_total{k=\"x\\\"y\"} 3", "a_total{} three"),
            ("counter\n", "counter\na_total 1\na_total 1\n"),
            ("# TYPE a_total counter\n", ""),
            ("h_bucket{le=\"+Inf\"} 2", "h_bucket{le=\"+Inf\"} 1"),
            ("h_bucket{le=\"1\"} 1", "h_bucket{le=\"1\"} 3"),
            ("h_count 2\n", "h_count 2"),
            ("# HELP h It.", "# HELP a_total It."),
        ] {
            assert!(good.contains(from));
            assert!(good.replace(from, to).parse::<Exposition>().is_err(), "{to}");
        }
    }
}
