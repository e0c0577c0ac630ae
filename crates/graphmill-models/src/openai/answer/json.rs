//! A JSON reader for what language models write: quotes of either kind, bare keys, commas too many, comments, `NaN`, text cut anywhere.
//!
//! It never fails on depth or length: nesting is bounded, and every step consumes input.

use serde_json::{Map, Number, Value};

/// Deeper nesting than an answer of ours can have.
const DEEPEST: usize = 48;

/// A value, where it ended, and whether it was all there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    /// The value; of a cut text what was whole of it.
    pub(super) value: Value,
    /// Bytes read.
    pub(super) end: usize,
    /// The text did not end within the value.
    pub(super) complete: bool,
}

/// The value at the start of `text` (after white space); `None` when there is none.
pub(super) fn parse(text: &str) -> Option<Parsed> {
    let mut reader = Reader { text, at: 0, cut: false };
    let value = reader.value(0)?;
    Some(Parsed { value, end: reader.at, complete: !reader.cut })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The end of the text came too early.
    cut: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Past white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.at += rest.len() - trimmed.len();
            let comment = if trimmed.starts_with("//") {
                trimmed.find('\n')
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map(|n| n + 2)
            } else {
                return;
            };
            self.at += comment.unwrap_or(trimmed.len());
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip();
        match self.peek() {
            Some('{') if depth < DEEPEST => self.object(depth),
            Some('[') if depth < DEEPEST => self.array(depth),
            Some(quote @ ('"' | '\'' | '“')) => self.string(quote).map(Value::String),
            Some(c) if c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '_') => self.word(),
            Some(_) => None,
            None => {
                self.cut = true;
                None
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip();
            match self.peek() {
                None => {
                    self.cut = true;
                    return Some(Value::Array(items));
                }
                Some(']') => {
                    self.at += 1;
                    return Some(Value::Array(items));
                }
                Some(',') => self.at += 1,
                _ => {
                    let item = self.value(depth + 1);
                    match item {
                        // What the cut went through is not whole, unless it holds whole things itself.
                        Some(item) if !self.cut || holds_lists(&item) => items.push(item),
                        _ if self.cut => return Some(Value::Array(items)),
                        _ => return None,
                    }
                }
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut members = Map::new();
        loop {
            self.skip();
            match self.peek() {
                None => {
                    self.cut = true;
                    return Some(Value::Object(members));
                }
                Some('}') => {
                    self.at += 1;
                    return Some(Value::Object(members));
                }
                Some(',') => self.at += 1,
                _ => {
                    let Some(key) = self.key() else {
                        return self.cut.then_some(Value::Object(members));
                    };
                    self.skip();
                    match self.peek() {
                        Some(':') => self.at += 1,
                        None => {
                            self.cut = true;
                            return Some(Value::Object(members));
                        }
                        Some(_) => return None,
                    }
                    match self.value(depth + 1) {
                        Some(value) if !self.cut || holds_lists(&value) || value.is_array() => {
                            insert(&mut members, key, value)
                        }
                        _ if self.cut => return Some(Value::Object(members)),
                        _ => return None,
                    }
                }
            }
        }
    }

    fn key(&mut self) -> Option<String> {
        match self.peek()? {
            quote @ ('"' | '\'' | '“') => self.string(quote).filter(|_| !self.cut),
            c if c.is_alphabetic() || c == '_' => {
                let length = self
                    .rest()
                    .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
                    .unwrap_or(self.rest().len());
                let key = self.rest()[..length].to_owned();
                self.at += length;
                Some(key)
            }
            _ => None,
        }
    }

    /// A string up to the quote after which JSON goes on: a quote within a sentence that nobody escaped does not end it.
    fn string(&mut self, quote: char) -> Option<String> {
        let closing = if quote == '“' { '”' } else { quote };
        self.at += quote.len_utf8();
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else {
                self.cut = true;
                return Some(out);
            };
            self.at += c.len_utf8();
            if c == '\\' {
                self.escape(&mut out);
            } else if c == closing && self.ends_string() {
                return Some(out);
            } else {
                out.push(c);
            }
        }
    }

    fn ends_string(&self) -> bool {
        let next = self.rest().trim_start().chars().next();
        matches!(next, None | Some(',' | ':' | '}' | ']' | '/'))
    }

    fn escape(&mut self, out: &mut String) {
        let Some(c) = self.peek() else {
            self.cut = true;
            return;
        };
        self.at += c.len_utf8();
        match c {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            '"' | '\\' | '/' | '\'' => out.push(c),
            'u' => self.unicode(out),
            // No escape of JSON: a Windows path, say.
            other => out.extend(['\\', other]),
        }
    }

    /// After `\u`. Half of a pair alone becomes U+FFFD.
    fn unicode(&mut self, out: &mut String) {
        let Some(unit) = self.hex4() else {
            out.push_str("\\u");
            return;
        };
        let mut code = unit;
        if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            match self.hex4() {
                Some(low) if (0xdc00..0xe000).contains(&low) => {
                    code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                }
                _ => self.at = before,
            }
        }
        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(unit)
    }

    /// A number or a bare word: `NaN`, `None`, `true`, `7/10`.
    fn word(&mut self) -> Option<Value> {
        let length =
            self.rest().find(|c: char| c.is_whitespace() || ",}]:{[\"".contains(c)).unwrap_or(self.rest().len());
        let word = self.rest()[..length].to_owned();
        self.at += length;
        // At the very end of the text it may have been longer.
        self.cut |= self.at == self.text.len();
        Some(match word.to_ascii_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" | "none" | "nil" | "undefined" | "nan" | "-nan" | "infinity" | "-infinity" | "+infinity" | "inf"
            | "-inf" => Value::Null,
            _ => match word.parse::<f64>() {
                Ok(number) => {
                    let whole =
                        word.parse::<u64>().map(Number::from).or_else(|_| word.parse::<i64>().map(Number::from));
                    whole.ok().or_else(|| Number::from_f64(number)).map_or(Value::Null, Value::Number)
                }
                Err(_) => Value::String(word),
            },
        })
    }
}

fn holds_lists(value: &Value) -> bool {
    value.as_object().is_some_and(|members| members.values().any(Value::is_array))
}

/// A key said twice: two lists are one, else what says more stays.
fn insert(members: &mut Map<String, Value>, key: String, value: Value) {
    match (members.get_mut(&key), value) {
        (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
        (Some(Value::Array(known)), _) if !known.is_empty() => {}
        (_, value) => {
            members.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        parse(text).unwrap_or_else(|| panic!("{text}")).value
    }

    #[test]
    fn what_is_json_is_read_as_json() {
        for text in [r#"{"a": [1, 2.5, -3, true, null, "x\n\u00e9\ud83d\ude00"], "b": {}}"#, "[]", r#""s""#, "12 "] {
            assert_eq!(read(text), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn nearly_json() {
        let right = json!({"a": [1, "x"], "b": null});
        for text in [
            r#"{"a": [1, "x",], "b": NaN,}"#,
            "{'a': [1, 'x'], 'b': None}",
            "{a: [1, \"x\"], // why\n b: null}",
            "\u{feff} {\"a\": [1 \"x\"], \"b\": undefined}",
        ] {
            assert_eq!(read(text), right, "{text}");
        }
        assert_eq!(
            read(r#"{"a": "the "quoted" valve", "b": 'O'Brien'}"#),
            json!({"a": "the \"quoted\" valve", "b": "O'Brien"})
        );
        assert_eq!(read(r#"["C:\plant", "\ud83d!", "a\u0000b"]"#), json!(["C:\\plant", "\u{fffd}!", "a\0b"]));
    }

    #[test]
    fn of_a_cut_text_the_whole_part_stays() {
        let text = r#"{"e": [{"n": "A"}, {"n": "B"}], "r": [{"s": "A", "t": "B"}, {"s": "A", "t": "#;
        for end in 1..text.len() {
            let parsed = parse(&text[..end]).unwrap();
            assert!(!parsed.complete, "{end}");
        }
        assert_eq!(read(text), json!({"e": [{"n": "A"}, {"n": "B"}], "r": [{"s": "A", "t": "B"}]}));
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        assert_eq!(parse(&"[".repeat(100_000)).map(|p| p.complete), None);
        assert_eq!(parse(&"{\"a\":".repeat(100_000)).map(|p| p.complete), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends(text in "[\\[\\]{}:,\"'a1\\\\ /*n]{0,60}") {
            if let Some(parsed) = parse(&text) {
                proptest::prop_assert!(parsed.end <= text.len());
            }
        }
    }
}
