//! PDF documents, from files that the tests write.

use crate::pdf_builder::{PdfBuilder, pages, show};
use graphmill_documents::{Collected, DocumentInfo, Error, Format, detect, parse_file};

fn parse(bytes: &[u8]) -> Result<(Collected, DocumentInfo), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("document.pdf");
    std::fs::write(&path, bytes).expect("a temporary file");
    assert_eq!(detect(&bytes[..bytes.len().min(65_536)], Some("document.txt")), Ok(Format::Pdf));
    let mut found = Collected::default();
    let info = parse_file(&path, Format::Pdf, &mut found)?;
    Ok((found, info))
}

fn texts(bytes: &[u8]) -> Vec<String> {
    let (found, _) = parse(bytes).expect("a readable document");
    found.pages.into_iter().map(|page| page.text).collect()
}

fn text_of(content: &str) -> String {
    let mut pdf = PdfBuilder::new();
    let font = pdf.helvetica();
    pdf.page(content, &[font], "");
    texts(&pdf.build()).remove(0)
}

#[test]
fn pages_title_and_language_come_out() {
    let mut pdf = PdfBuilder::new();
    let font = pdf.helvetica();
    for number in 1..=120 {
        pdf.page(&show(40, 500, 12, &format!("This is page {number} of the manual.")), &[font], "");
    }
    let info = pdf.object(b"<< /Title <FEFF004800F600680065> >>".to_vec());
    pdf.trailer(&format!("/Info {info} 0 R"));
    let (found, info) = parse(&pdf.build()).expect("readable");
    assert_eq!((info.page_count, found.pages.len()), (120, 120));
    assert_eq!((info.title.as_deref(), info.language.as_deref()), (Some("Höhe"), Some("en-GB")));
    assert_eq!(found.warnings, []);
    for (page, number) in found.pages.iter().zip(1..) {
        assert_eq!(
            (page.number, page.text.as_str()),
            (number, format!("This is page {number} of the manual.").as_str())
        );
    }
}

#[test]
fn what_cannot_be_read_is_told_clearly() {
    assert_eq!(parse(&PdfBuilder::new().build()).expect_err("no page"), Error::NoPages);

    let empty = PdfBuilder::new();
    let mut scanned = empty;
    scanned.page("0 0 1 rg 0 0 100 100 re f", &[], "");
    scanned.page("", &[], "");
    let error = parse(&scanned.build()).expect_err("no text");
    assert!(matches!(&error, Error::NoText { reason } if reason.contains("2 pages")), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("OCR")));

    let whole = pages(&["Something".to_owned()]);
    let error = parse(&whole[..60]).expect_err("cut off at the start");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(matches!(parse(b"%PDF-1.7\nnothing else"), Err(Error::Damaged { .. })));

    let mut locked = PdfBuilder::new();
    let font = locked.helvetica();
    locked.page(&show(40, 500, 12, "secret"), &[font], "");
    let key = "00".repeat(32);
    let encrypt = locked.object(format!("<< /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <{key}> /U <{key}> >>"));
    locked.trailer(&format!("/Encrypt {encrypt} 0 R /ID [<0011> <0011>]"));
    let error = parse(&locked.build()).expect_err("a password is needed");
    assert!(matches!(error, Error::Encrypted { .. }), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("password")));
}

#[test]
fn c07_damaged_files_are_repaired_and_say_so() {
    let whole = pages(&["Boiler log one".to_owned(), "Boiler log two".to_owned()]);
    let text = String::from_utf8_lossy(&whole).into_owned();
    let pointer = text.rfind("startxref").expect("a pointer");
    let with_pointer = |number: &str| {
        let mut bytes = whole[..pointer].to_vec();
        bytes.extend_from_slice(format!("startxref\n{number}\n%%EOF\n").as_bytes());
        bytes
    };
    let mut damaged = vec![with_pointer("0"), with_pointer("7"), with_pointer("99999999"), with_pointer("")];
    damaged.push(whole[..pointer].to_vec());
    let mut behind_junk = b"some bytes of a mail\n\n".to_vec();
    behind_junk.extend_from_slice(&with_pointer("1"));
    damaged.push(behind_junk);
    for (number, bytes) in damaged.iter().enumerate() {
        let (found, info) = parse(bytes).expect("repaired");
        assert_eq!(info.page_count, 2, "file {number}");
        assert_eq!(found.pages[1].text, "Boiler log two");
        assert!(found.warnings.iter().any(|warning| warning.code == "repaired"), "file {number}");
    }
    let (found, _) = parse(&whole).expect("whole");
    assert_eq!(found.warnings, []);
}

#[test]
fn c02_text_drawn_twice_is_read_once_and_repetitions_stay() {
    let content = show(40, 500, 12, "Warning sign")
        + &format!("BT /F1 12 Tf 40.3 500.2 Td (Warning sign) Tj ET {}", show(40, 500, 12, "Warning sign"))
        + "BT /F1 12 Tf 40 480 Td (a) Tj 0 0 Td (a) Tj ET "
        + &show(40, 460, 12, "no no no 7 7 7 bookkeeper 1122");
    assert_eq!(text_of(&content), "Warning sign\na\nno no no 7 7 7 bookkeeper 1122");
}

#[test]
fn c03_rotated_pages_read_as_they_are_seen() {
    let rows = [("Part", "Wear"), ("Hook", "12 %"), ("Cable", "48 %")];
    // Text matrices that undo the rotation of the page.
    let matrices = [(90, "0 1 -1 0"), (180, "-1 0 0 -1"), (270, "0 -1 1 0"), (0, "1 0 0 1")];
    for (rotation, matrix) in matrices {
        let place = |x: i32, y: i32| match rotation {
            90 => (400 - y, x),
            180 => (400 - x, 600 - y),
            270 => (y, 600 - x),
            _ => (x, y),
        };
        let mut content = String::new();
        for ((left, right), row) in rows.iter().zip(0..) {
            for (text, x) in [(left, 40), (right, 140)] {
                let (x, y) = place(x, 300 - 20 * row);
                content += &format!("BT /F1 12 Tf {matrix} {x} {y} Tm ({text}) Tj ET\n");
            }
        }
        let mut pdf = PdfBuilder::new();
        let font = pdf.helvetica();
        pdf.page(&content, &[font], &format!("/Rotate {rotation}"));
        assert_eq!(texts(&pdf.build()), ["Part  Wear\nHook  12 %\nCable  48 %"], "rotation {rotation}");
    }
}

#[test]
fn text_outside_of_the_page_is_not_read() {
    let content = show(40, 300, 12, "seen") + &show(40, 900, 12, "above") + &show(-300, 300, 12, "beside");
    assert_eq!(text_of(&content), "seen");
    let mut pdf = PdfBuilder::new();
    let font = pdf.helvetica();
    pdf.page(
        &(show(40, 300, 12, "cut away") + &show(220, 300, 12, "kept")),
        &[font],
        "/CropBox [200 0 400 600] /Rotate 0",
    );
    assert_eq!(texts(&pdf.build()), ["kept"]);
}

#[test]
fn c06_gaps_set_words_apart_and_kerning_does_not() {
    let content = "BT /F1 12 Tf 40 500 Td [(A) 74 (V) 74 (A) -318 (ships) -230 (s) -38 (ail)] TJ ET";
    assert_eq!(text_of(content), "AVA ships sail");
}

#[test]
fn c01_glyph_names_and_useless_maps() {
    let mut pdf = PdfBuilder::new();
    let map = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n\
               1 begincodespacerange <00> <FF> endcodespacerange\n\
               4 beginbfchar <41> <FB01> <42> <0000> <43> <FFFD> <44> <00660066> endbfchar\nendcmap end end";
    let map = pdf.stream("", map.as_bytes());
    let font = pdf.object(format!(
        "<< /Type /Font /Subtype /Type1 /BaseFont /Own /FirstChar 65 /LastChar 71 /Widths [500 500 500 500 500 500 500] \
         /ToUnicode {map} 0 R /Encoding << /Differences [65 /fi /fl /Euro /f_f /f_f_i /uni2211 /noname] >> >>"
    ));
    pdf.page("BT /F1 12 Tf 40 500 Td (AnBnCnDnEnFnG) Tj ET", &[font], "");
    let (found, _) = parse(&pdf.build()).expect("readable");
    assert_eq!(found.pages[0].text.replace('n', ""), "fifl€ffffi∑");
    assert!(found.warnings.iter().any(|warning| warning.code == "unknown_characters" && warning.page == Some(1)));
}

#[test]
fn paragraphs_columns_and_listings_keep_their_order() {
    let left = [
        "The left column has several lines",
        "of running text, which a reader",
        "reads to its end before he",
        "turns to the other column.",
    ];
    let right = [
        "The right column comes after it,",
        "and its lines must not be mixed",
        "with those of the left one that",
        "stand at the same height.",
    ];
    let mut content = show(40, 560, 18, "A title over both columns of the page");
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        let y = 500 - 12 * index as i32;
        content += &show(30, y, 10, left);
        content += &show(220, y, 10, right);
    }
    let text = text_of(&content);
    let order =
        ["A title over", "The left column", "turns to the other column.", "The right column", "at the same height."];
    let places: Vec<_> = order.iter().map(|part| text.find(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    assert!(text.contains("reads to its end before he turns") || text.contains("before he\nturns"), "{text}");

    let table = show(40, 500, 10, "Name")
        + &show(150, 500, 10, "Stock")
        + &show(40, 486, 10, "Bolt")
        + &show(150, 486, 10, "7");
    assert_eq!(text_of(&table), "Name  Stock\nBolt  7");
}

#[test]
fn forms_within_forms_end() {
    let mut pdf = PdfBuilder::new();
    let font = pdf.helvetica();
    let number = font + 1;
    let dict = format!(
        "/Type /XObject /Subtype /Form /BBox [0 0 400 600] /Resources << /XObject << /X {number} 0 R >> /Font << /F1 {font} 0 R >> >>"
    );
    let form = pdf.stream(&dict, b"BT /F1 12 Tf 40 500 Td (inside) Tj ET /X Do");
    assert_eq!(form, number);
    let content = pdf.stream("", b"/X Do");
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 600] /Contents {content} 0 R /Resources << /XObject << /X {form} 0 R >> >> >>"
    );
    pdf.add_page(page);
    assert_eq!(texts(&pdf.build()), ["inside"]);
}

#[test]
fn files_cut_or_changed_anywhere_end_in_text_or_an_error() {
    let texts: Vec<String> = (0..3).map(|page| format!("Page {page} has text.\nAnd a second line.")).collect();
    let whole = pages(&texts);
    let expected = ["document_damaged", "document_without_pages", "no_text", "document_encrypted"];
    let check = |bytes: &[u8]| match parse(bytes) {
        Ok((found, _)) => assert!(found.pages.iter().all(|page| !page.text.contains('\0'))),
        Err(error) => assert!(expected.contains(&error.code()), "{error:?}"),
    };
    (10..whole.len()).step_by(97).for_each(|cut| check(&whole[..cut]));
    let mut state = 7_u32;
    for _ in 0..200 {
        let mut changed = whole.clone();
        for _ in 0..8 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = 20 + (state >> 8) as usize % (changed.len() - 20);
            changed[at] = (state >> 3) as u8;
        }
        check(&changed);
    }
}
