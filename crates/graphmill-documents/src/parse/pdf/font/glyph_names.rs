//! What glyph names mean: the rules of the Adobe Glyph List Specification ("Mapping a PostScript name to a Unicode
//! string") over the list for new fonts, and names that fonts of old and of TeX use besides.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Names outside the list for new fonts.
const MORE: &[(&str, &str)] = &[
    ("ff", "ff"),
    ("fi", "fi"),
    ("fl", "fl"),
    ("ffi", "ffi"),
    ("ffl", "ffl"),
    ("longst", "st"),
    ("st", "st"),
    ("nbspace", " "),
    ("nonbreakingspace", " "),
    ("visiblespace", "␣"),
    ("sfthyphen", "\u{ad}"),
    ("softhyphen", "\u{ad}"),
    ("hyphenchar", "-"),
    ("rangedash", "–"),
    ("punctdash", "—"),
    ("middot", "·"),
    ("overscore", "¯"),
    ("Gcommaaccent", "Ģ"),
    ("gcommaaccent", "ģ"),
    ("Kcommaaccent", "Ķ"),
    ("kcommaaccent", "ķ"),
    ("Lcommaaccent", "Ļ"),
    ("lcommaaccent", "ļ"),
    ("Ncommaaccent", "Ņ"),
    ("ncommaaccent", "ņ"),
    ("Rcommaaccent", "Ŗ"),
    ("rcommaaccent", "ŗ"),
    ("Tcommaaccent", "Ţ"),
    ("tcommaaccent", "ţ"),
    ("dcroat", "đ"),
    ("dotlessj", "ȷ"),
    ("cwm", ""),
    ("compwordmark", ""),
    ("quotedblbasecld", "„"),
    ("mu1", "µ"),
    ("Ohm", "Ω"),
    ("increment", "∆"),
    ("epsilon1", "ϵ"),
    ("lunate", "ϵ"),
    ("phi1", "ϕ"),
    ("theta1", "ϑ"),
    ("rho1", "ϱ"),
    ("sigma1", "ς"),
    ("omega1", "ϖ"),
    ("square", "□"),
    ("squaresolid", "■"),
    ("bulletsolid", "•"),
    ("openbullet", "◦"),
    ("asteriskmath", "∗"),
    ("periodcentered", "·"),
    ("element", "∈"),
    ("arrowdblright", "⇒"),
    ("arrowdblleft", "⇐"),
    ("arrowdblboth", "⇔"),
    ("mapsto", "↦"),
    ("lessorequalslant", "⩽"),
    ("greaterorequalslant", "⩾"),
    ("bardbl", "‖"),
    ("angbracketleft", "⟨"),
    ("angbracketright", "⟩"),
    ("negationslash", "\u{338}"),
    ("owner", "∋"),
    ("nabla", "∇"),
    ("onesuperior", "¹"),
    ("twosuperior", "²"),
    ("threesuperior", "³"),
    ("prime", "′"),
    ("star", "⋆"),
    ("precedes", "≺"),
    ("follows", "≻"),
    ("precedesequal", "⪯"),
    ("followsequal", "⪰"),
    ("similarequal", "≃"),
    ("lessmuch", "≪"),
    ("greatermuch", "≫"),
    ("equivasymptotic", "≍"),
    ("diamondmath", "⋄"),
    ("minusplus", "∓"),
    ("circlecopyrt", "©"),
    ("circleminus", "⊖"),
    ("circledot", "⊙"),
    ("circledivide", "⊘"),
    ("floorleft", "⌊"),
    ("floorright", "⌋"),
    ("ceilingleft", "⌈"),
    ("ceilingright", "⌉"),
    ("Rfractur", "ℜ"),
    ("Ifractur", "ℑ"),
    ("lscript", "ℓ"),
    ("turnstileleft", "⊢"),
    ("turnstileright", "⊣"),
    ("latticetop", "⊤"),
    ("perpendicular", "⊥"),
    ("triangle", "△"),
    ("triangleleft", "◁"),
    ("triangleright", "▷"),
    ("triangleinv", "▽"),
    ("unionsq", "⊔"),
    ("unionmulti", "⊎"),
    ("intersectionsq", "⊓"),
    ("subsetsqequal", "⊑"),
    ("supersetsqequal", "⊒"),
    ("arrowhookleft", "↩"),
    ("arrowhookright", "↪"),
    ("arrowsoutheast", "↘"),
    ("arrowsouthwest", "↙"),
    ("arrownortheast", "↗"),
    ("arrownorthwest", "↖"),
    ("coproduct", "∐"),
    ("wreathproduct", "≀"),
    ("pi1", "ϖ"),
    ("vector", "→"),
    ("sharp", "♯"),
    ("flat", "♭"),
    ("natural", "♮"),
    ("tildewide", "˜"),
    ("tildewider", "˜"),
    ("tildewidest", "˜"),
    ("hatwide", "ˆ"),
    ("hatwider", "ˆ"),
    ("hatwidest", "ˆ"),
    ("tie", "\u{361}"),
    ("perthousandzero", "0"),
];

/// Endings that TeX's fonts give to larger or other forms of a sign.
const FORMS: &[&str] = &["bigg", "Bigg", "big", "Big", "text", "display", "oldstyle"];

/// Endings of the parts that TeX builds large brackets from: parts say nothing.
const PARTS: &[&str] = &["tp", "bt", "mid", "ex", "extendsingle", "extenddouble"];

/// The text of a glyph; `None` if its name means nothing.
pub(super) fn text_of(name: &str) -> Option<String> {
    // What follows the first period says how the glyph looks.
    let base = name.split('.').next().filter(|base| !base.is_empty())?;
    let mut text = String::new();
    for part in base.split('_') {
        if let Some(known) = table().get(part) {
            text.push_str(known);
        } else if let Some(known) = FORMS.iter().find_map(|form| table().get(part.strip_suffix(form)?)) {
            text.push_str(known);
        } else if PARTS.iter().any(|end| part.ends_with(end)) && part.starts_with(['b', 'p', 'v', 'a', 'r']) {
            // Nothing to add.
        } else {
            text.push_str(&by_rule(part)?);
        }
    }
    Some(text)
}

/// `uni` and groups of four hexadecimal digits, `u` and four to six of them, Hebrew of the old `afii` numbers.
fn by_rule(part: &str) -> Option<String> {
    let hexadecimal = |digits: &str| {
        let upper = digits.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_lowercase());
        upper.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    if let Some(digits) = part.strip_prefix("uni")
        && !digits.is_empty()
        && digits.len() % 4 == 0
        && digits.is_ascii()
    {
        let groups = digits.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).ok());
        return groups.map(|group| char::from_u32(hexadecimal(group?)?)).collect();
    }
    if let Some(digits) = part.strip_prefix('u')
        && (4..=6).contains(&digits.len())
    {
        return hexadecimal(digits).and_then(char::from_u32).map(String::from);
    }
    let number: u32 = part.strip_prefix("afii")?.parse().ok()?;
    let code = match number {
        57664..=57690 => 0x5d0 + number - 57664,
        57716..=57718 => 0x5f0 + number - 57716,
        _ => return None,
    };
    char::from_u32(code).map(String::from)
}

fn table() -> &'static HashMap<&'static str, String> {
    static TABLE: OnceLock<HashMap<&'static str, String>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let listed = glyph_names::GLYPH_NAME_PAIRS.iter().map(|(c, name)| (*name, c.to_string()));
        listed.chain(MORE.iter().map(|(name, text)| (*name, (*text).to_owned()))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn c01_names_follow_the_rules_of_the_list() {
        let cases = [
            ("A", Some("A")),
            ("Euro", Some("€")),
            ("f_f_i", Some("ffi")),
            ("fi", Some("fi")),
            ("uni2211", Some("∑")),
            ("uni20AC0308", Some("\u{20ac}\u{308}")),
            ("u1F600", Some("😀")),
            ("Lcommaaccent_uni20AC0308_u1040C.alternate", Some("Ļ\u{20ac}\u{308}\u{1040c}")),
            ("germandbls.sc", Some("ß")),
            ("parenleftBigg", Some("(")),
            ("summationdisplay", Some("∑")),
            ("threeoldstyle", Some("3")),
            ("bracelefttp", Some("")),
            ("afii57664", Some("א")),
            ("uniD800", None),
            ("uni20ac", None),
            (".notdef", None),
            ("g123", None),
        ];
        for (name, expected) in cases {
            assert_eq!(text_of(name).as_deref(), expected, "{name}");
        }
    }
}
