//! What a word looks like: the cue by which names, acronyms and identifiers are told from plain words.

/// Look of a word. The order of the checks in [`Shape::of`] decides, so that a word has one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Starts with a lower-case letter, or has no case.
    Lower,
    /// `Debian`: a capital, then lower-case letters.
    Capital,
    /// `CPU`, `AT&T`, `TCP/IP`, `USB3`: capitals, perhaps digits, at most 8 characters.
    Acronym,
    /// Capitals alone, longer than an acronym: shouting.
    Shout,
    /// `PostgreSQL`, `iPhone`: capitals within.
    Camel,
    /// `RS-232`, `x86`, `MC68000`: letters and digits mixed.
    Code,
    /// `max_connections`, `os.path`, `/etc/fstab`, `--verbose`, `sources.list`.
    Identifier,
    /// `v2.1`, `1.2.3`.
    Version,
    /// Digits, perhaps with separators.
    Number,
    /// An address or something else that names nothing.
    Noise,
}

/// A dotted word of these is a file name even where it could be the end of one sentence and the start of the next.
const FILE_ENDINGS: &[&str] = &[
    "bat", "bin", "bz2", "c", "cc", "cfg", "conf", "cpp", "cs", "css", "csv", "d", "db", "deb", "dll", "doc", "docx",
    "exe", "go", "gz", "h", "hpp", "htm", "html", "ini", "io", "iso", "jar", "java", "jpg", "js", "json", "jsonl",
    "key", "ko", "list", "lock", "log", "md", "mk", "net", "org", "pdf", "pem", "php", "png", "ppt", "pptx", "py",
    "rb", "rpm", "rs", "rst", "service", "sh", "so", "socket", "sql", "svg", "sys", "tar", "target", "tex", "toml",
    "ts", "tsx", "txt", "vue", "wasm", "xls", "xlsx", "xml", "yaml", "yml", "zip",
];

/// What the characters of a word are, counted once.
#[derive(Default)]
struct Letters {
    upper: usize,
    lower: usize,
    digits: usize,
    others: usize,
    first_upper: bool,
    upper_after_lower: bool,
}

impl Letters {
    fn of(word: &str) -> Self {
        let mut found = Self::default();
        let mut last_lower = false;
        for (i, c) in word.chars().enumerate() {
            let lower = c.is_lowercase();
            if c.is_uppercase() {
                found.upper += 1;
                found.first_upper |= i == 0;
                found.upper_after_lower |= last_lower;
            } else if lower {
                found.lower += 1;
            } else if c.is_numeric() {
                found.digits += 1;
            } else {
                found.others += 1;
            }
            last_lower = lower;
        }
        found
    }
}

impl Shape {
    /// The shape of `word`, which has no white space and no punctuation at its ends but `-`, `/`, `.`, `~`, `$` before and `+`, `#` behind.
    pub(super) fn of(word: &str) -> Self {
        let bytes = word.as_bytes();
        // The usual word first: nothing but lower-case letters.
        if bytes.iter().all(u8::is_ascii_lowercase) {
            return Self::Lower;
        }
        if word.contains("://") || word.starts_with("www.") || word.starts_with("mailto:") || word.contains('@') {
            return Self::Noise;
        }
        let letters = Letters::of(word);
        if letters.upper + letters.lower == 0 {
            return Self::without_case(word, &letters);
        }
        if let Some(shape) = Self::of_identifier(word, &letters) {
            return shape;
        }
        if letters.digits > 0 && letters.upper + letters.lower > 0 {
            return Self::of_mixed(word, &letters);
        }
        match (letters.upper, letters.lower) {
            (0, _) => Self::Lower,
            (1, 0) => Self::Noise,
            (n, 0) if n <= 8 => Self::Acronym,
            (_, 0) => Self::Shout,
            // The plural of an acronym: `CPUs`.
            (n, 1) if n >= 2 && word.ends_with('s') => Self::Acronym,
            _ if letters.upper_after_lower && !word.contains(['-', '\'', '’']) => Self::Camel,
            (n, _) if n >= 2 && letters.first_upper && letters.others == 0 => Self::Camel,
            _ if letters.first_upper => Self::Capital,
            _ => Self::Lower,
        }
    }

    fn without_case(word: &str, letters: &Letters) -> Self {
        if letters.digits == 0 {
            return if word.chars().any(char::is_alphabetic) { Self::Lower } else { Self::Noise };
        }
        let numbers = word.split('.').filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        if numbers.count() >= 3 && word.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            Self::Version
        } else if word.chars().any(char::is_alphabetic) {
            Self::Lower
        } else {
            Self::Number
        }
    }

    /// Paths, flags, variables, snake_case and dotted names.
    fn of_identifier(word: &str, letters: &Letters) -> Option<Self> {
        let rest = word.trim_start_matches(['-', '/', '.', '~', '$']);
        let inner = |c: char| rest.trim_end_matches(['+', '#']).contains(c);
        if word.starts_with("--") {
            return Some(if rest.len() >= 2 { Self::Identifier } else { Self::Noise });
        }
        if word.starts_with('-') {
            return Some(Self::Noise);
        }
        if word.starts_with('/') || word.starts_with("~/") || word.starts_with("./") || word.starts_with("../") {
            return Some(if rest.len() >= 2 { Self::Identifier } else { Self::Noise });
        }
        if word.starts_with('$') || word.starts_with('.') {
            return Some(if rest.len() >= 2 { Self::Identifier } else { Self::Noise });
        }
        if inner('\\') || word.contains("::") {
            return Some(Self::Identifier);
        }
        if inner('_') {
            return Some(if letters.upper + letters.lower >= 2 { Self::Identifier } else { Self::Noise });
        }
        if inner('.') { Some(Self::of_dotted(word, letters)) } else { None }
    }

    fn of_dotted(word: &str, letters: &Letters) -> Self {
        let parts = || word.split('.');
        if parts().any(str::is_empty) || parts().all(|p| p.chars().count() == 1) {
            return Self::Noise; // `U.S`, `e.g`, `a..b`
        }
        let digits_only = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
        let head = word.strip_prefix(['v', 'V']).unwrap_or(word);
        if head.split('.').all(digits_only) {
            return Self::Version;
        }
        let last = parts().next_back().unwrap_or_default();
        let known = FILE_ENDINGS.binary_search(&last.to_ascii_lowercase().as_str()).is_ok();
        if known && letters.upper + letters.lower >= 3 {
            return Self::Identifier;
        }
        // `end.Next` is a missing blank between two sentences.
        let glued = letters.digits == 0 && last.chars().next().is_some_and(char::is_uppercase);
        let plain = word.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
        let wordy = parts().any(|p| p.len() >= 3) && !parts().any(|p| digits_only(p) && p.len() > 4);
        if glued || !plain || !wordy { Self::Noise } else { Self::Identifier }
    }

    fn of_mixed(word: &str, letters: &Letters) -> Self {
        if word.strip_prefix(['v', 'V']).is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit())) {
            return Self::Version;
        }
        // `3rd`, `10GB`, `2x`, `1st`: a count and its unit.
        if word.starts_with(|c: char| c.is_numeric()) && (letters.upper + letters.lower <= 3 || !word.contains('-')) {
            return Self::Number;
        }
        let long_number = letters.digits > 8 && letters.upper + letters.lower <= 2;
        let hash = word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
        if long_number || hash || letters.upper + letters.lower + letters.digits < 2 { Self::Noise } else { Self::Code }
    }

    /// The word can be part of a name.
    pub(super) fn is_name(self) -> bool {
        matches!(self, Self::Capital | Self::Acronym | Self::Camel | Self::Code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_words() {
        let cases = [
            (Shape::Lower, &["pump", "état", "well-known", "don't", "привет"][..]),
            (Shape::Capital, &["Debian", "Élan", "Jean-Paul", "Wi-Fi", "O'Brien", "Москва"]),
            (Shape::Acronym, &["CPU", "CPUs", "AT&T", "TCP/IP", "RAID"]),
            (Shape::Shout, &["INSTALLATION"]),
            (Shape::Camel, &["PostgreSQL", "iPhone", "VxRail", "JavaScript", "systemD"]),
            (Shape::Code, &["RS-232", "x86", "MC68000", "ext4", "USB3", "IPv6", "amd64"]),
            (
                Shape::Identifier,
                &[
                    "max_connections",
                    "os.path.join",
                    "/etc/fstab",
                    "--verbose",
                    "sources.list",
                    "~/.bashrc",
                    ".profile",
                    "$HOME",
                    "std::fmt",
                    "README.md",
                    "C:\\plant\\unit7",
                    "node.js",
                    "debian.org",
                ],
            ),
            (Shape::Version, &["1.2.3", "v2", "v2.1", "10.0.19041.1"]),
            (Shape::Number, &["12", "3rd", "10GB", "1,000", "50%"]),
            (Shape::Noise, &["https://x.org/a", "e.g", "end.Next", "a@b.org", "-v", "A", "deadbeef00112233"]),
        ];
        for (shape, words) in cases {
            for word in words {
                assert_eq!(Shape::of(word), shape, "{word}");
            }
        }
    }

    #[test]
    fn file_endings_are_sorted() {
        assert!(FILE_ENDINGS.is_sorted());
    }
}
