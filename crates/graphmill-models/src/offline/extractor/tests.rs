//! What the offline extractor finds in small texts of each kind.

use super::extract;

fn names(text: &str) -> Vec<String> {
    extract(text).mentions.into_iter().map(|m| m.spelling).collect()
}

fn type_of(text: &str, spelling: &str) -> String {
    let facts = extract(text);
    let found = facts.mentions.iter().find(|m| m.spelling == spelling);
    found.unwrap_or_else(|| panic!("{spelling:?} not in {:?}", facts.mentions)).entity_type.clone()
}

#[test]
fn the_first_word_of_a_sentence_is_no_name() {
    let found =
        names("However, this works. Installing Debian is easy. The pump runs. Press Enter. Yesterday we saw Grafana.");
    assert_eq!(found, ["Debian", "Grafana"]);
}

#[test]
fn names_acronyms_identifiers() {
    let found = names(
        "Set `max_connections` in /etc/postgresql.conf of the PostgreSQL server; the RS-232 port and the CPU of the Maas Pump in Rotterdam.",
    );
    for name in ["max_connections", "/etc/postgresql.conf", "PostgreSQL", "RS-232", "CPU", "Maas Pump", "Rotterdam"] {
        assert!(found.iter().any(|f| f == name), "{name} not in {found:?}");
    }
}

#[test]
fn short_forms_are_told_by_the_text() {
    for (text, short, long) in [
        ("The Central Processing Unit (CPU) is hot.", "CPU", "Central Processing Unit"),
        ("It has a universally unique identifier (UUID) inside.", "UUID", "universally unique identifier"),
        ("We use DHCP (Dynamic Host Configuration Protocol) here.", "DHCP", "Dynamic Host Configuration Protocol"),
        (
            "Das Bundesamt für Sicherheit in der Informationstechnik (BSI) warnt.",
            "BSI",
            "Bundesamt für Sicherheit in der Informationstechnik",
        ),
    ] {
        let facts = extract(text);
        assert_eq!(facts.aliases.len(), 1, "{text}: {facts:?}");
        assert_eq!((facts.aliases[0].short.as_str(), facts.aliases[0].long.as_str()), (short, long));
    }
    assert!(extract("The pump stands outside (NATO).").aliases.is_empty());
}

#[test]
fn types_by_cues() {
    assert_eq!(type_of("They met Linda Torberg in the hall.", "Linda Torberg"), "person");
    assert_eq!(type_of("We bought it from Northgate Pumps Ltd last year.", "Northgate Pumps Ltd"), "organization");
    assert_eq!(type_of("The plant is in Rotterdam since then.", "Rotterdam"), "location");
    assert_eq!(type_of("It follows ISO 9001 in all.", "ISO 9001"), "standard");
    assert_eq!(type_of("We run Debian 12 now.", "Debian 12"), "product");
}

#[test]
fn relations_by_words_and_by_nearness() {
    let facts = extract(
        "Grafana uses PostgreSQL. The Maas Pump is part of the Delta Works. Redis and Kafka do not use Oracle.",
    );
    let told: Vec<_> =
        facts.statements.iter().map(|s| (s.source.as_str(), s.relation_type.as_str(), s.target.as_str())).collect();
    assert!(told.contains(&("Maas Pump", "part_of", "Delta Works")), "{told:?}");
    assert!(told.contains(&("Kafka", "related_to", "Oracle")), "{told:?}");
    assert!(facts.statements.iter().all(|s| s.strength_millionths <= 10_000_000));
}

#[test]
fn spans_are_characters_of_the_text() {
    let text = "Größe: die Straße führt zum Müller-Werk, dann nach München. Wir mögen München.";
    let chars: Vec<char> = text.chars().collect();
    let facts = extract(text);
    let city = facts.mentions.iter().find(|m| m.spelling == "München").expect("found");
    assert_eq!(city.spans.len(), 2);
    for (from, to) in &city.spans {
        assert_eq!(chars[*from as usize..*to as usize].iter().collect::<String>(), "München");
    }
}

#[test]
fn no_kind_of_text_breaks_it() {
    let odd = [
        "",
        " ",
        "\n\n\n",
        "|||---|||",
        "```",
        "```\nx",
        "`",
        "**",
        "* ",
        "# ",
        "((((",
        "[](",
        "<",
        "<a",
        "\u{feff}",
        "\u{0}",
        "ÄÖÜ",
        "🦀🦀🦀",
        "e\u{301}\u{301}",
        "---",
        "-",
        "$",
        "/",
        "~",
        "...",
        "A.B.C.",
        "「",
        "」",
        "ー",
        "a\u{ad}b",
        "é.É",
        "::",
        "x::y",
        "'s",
        "@",
        "1",
        "١٢٣",
    ];
    for text in odd {
        let facts = extract(&text.repeat(50));
        assert!(facts.mentions.len() <= 40, "{text:?}: {facts:?}");
        extract(text);
        extract(&format!("The {text} of {text} in Rotterdam {text}."));
    }
}

proptest::proptest! {
    #[test]
    fn facts_are_sound_for_any_text(text in "([A-Za-z]{1,8}[ .,(){}|`*#/_\n-]{0,2}|\\PC){0,120}") {
        let facts = extract(&text);
        let chars = text.chars().count() as u32;
        for mention in &facts.mentions {
            proptest::prop_assert!(!mention.spans.is_empty());
            proptest::prop_assert!(mention.spans.iter().all(|(a, b)| a < b && *b <= chars));
        }
        proptest::prop_assert_eq!(&facts, &extract(&text));
    }
}
