//! Small PDF documents, written by hand as ISO 32000-1 says.

/// A document of these objects (numbered from 1; the first is the catalog) and further entries of its trailer.
pub(crate) fn build(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut offsets = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        offsets.push(bytes.len());
        bytes.extend(format!("{} 0 obj\n", n + 1).bytes());
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let table = bytes.len();
    bytes.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for offset in offsets {
        bytes.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    bytes.extend(format!("trailer\n<< /Size {} /Root 1 0 R {trailer}>>\n", objects.len() + 1).bytes());
    bytes.extend(format!("startxref\n{table}\n%%EOF\n").bytes());
    bytes
}

fn stream(content: &[u8]) -> Vec<u8> {
    let mut object = format!("<< /Length {} >>\nstream\n", content.len()).into_bytes();
    object.extend(content);
    object.extend(b"\nendstream");
    object
}

/// One page with this content stream; `extra`: further objects, from number 6 on.
fn one_page(content: &[u8], extra: &[&str], trailer: &str) -> Vec<u8> {
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_vec(),
        stream(content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
    ];
    objects.extend(extra.iter().map(|object| object.as_bytes().to_vec()));
    build(&objects, trailer)
}

/// One page with a line of text.
pub(crate) fn with_text(text: &str) -> Vec<u8> {
    one_page(format!("BT /F1 12 Tf 72 700 Td ({text}) Tj ET").as_bytes(), &[], "")
}

/// One page without a mark on it.
pub(crate) fn blank() -> Vec<u8> {
    one_page(b"", &[], "")
}

/// A document without pages.
pub(crate) fn without_pages() -> Vec<u8> {
    let pages = b"<< /Type /Pages /Kids [] /Count 0 >>".to_vec();
    build(&[b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(), pages], "")
}

/// RC4 with 40 bits (revision 2). The entries O and U and the key are algorithms 2 to 4 of ISO 32000-1, 7.6.3, for the owner's password `owner`, the
/// user's password `secret` or none, P = -4 and the ID 000102…0f; computed once.
fn rc4(owner: &str, user: &str, content: &[u8]) -> Vec<u8> {
    let encrypt = format!("<< /Filter /Standard /V 1 /R 2 /O <{owner}> /U <{user}> /P -4 >>");
    let id = "<000102030405060708090a0b0c0d0e0f>";
    one_page(content, &[&encrypt], &format!("/Encrypt 6 0 R /ID [{id} {id}] "))
}

/// Needs the password `secret`.
pub(crate) fn encrypted_rc4() -> Vec<u8> {
    rc4(
        "92fe0f4454ad4c9644693f33c07cb54f587dce1e2682fe9ecea6107a1ef630dd",
        "a2d98dd93474875ec95c60445c51fe1df35ffaac7da1baca629058b1c08a8e39",
        &hex(
            "ab6d3448216ebafa9de331ddcdd5b98bf95ecaddf9075ea2bd302525820b921af6446969f116fe2ac0570817320618231eb2789c1eb1106d83e08101f48951bc1935c3",
        ),
    )
}

/// Encrypted, and opens without a password: only changing it needs one. Its text is `Northgate Pump stands in Basin Four.`
pub(crate) fn encrypted_for_owner_only() -> Vec<u8> {
    rc4(
        "c92422687facee686e373f10b5c7d04738053152f7e2ee30e11c69ec442576ab",
        "19794f9d50ebc9182f8a72bb20274501272fe2bee8bbe219d98cb9360ba26be1",
        &hex(
            "e731039863845f158d83d605197a78d4933bb3e6d680f2b5d23e0bed4928e57ea5a5aa2fbc183b994043501c63b933b3399bba7d6642d1f28f6d51f4dbe906333f8f74",
        ),
    )
}

/// AES with 256 bits (revision 6, ISO 32000-2) and the password `secret`; the entries were taken from a document that qpdf's library wrote.
pub(crate) fn encrypted_aes() -> Vec<u8> {
    let encrypt = "<< /Filter /Standard /V 5 /R 6 /Length 256 /P -1028 /StmF /StdCF /StrF /StdCF \
        /CF << /StdCF << /AuthEvent /DocOpen /CFM /AESV3 /Length 32 >> >> \
        /O <e241d86d1b1135e1abd9c9dcebbb2935fd886f3b4a1d5da3121603ffb528ff27096d37d42c77b033588a02050af605da> \
        /OE <d50390df447fb2e85baef29681e8a278880bf8fa7bbd9ed6af845811fa06374e> \
        /U <f81a862c136721b3913d5fb1ae3bdc2f487424a985417bcf11fa8b974a398cd4da36106839a12196267ae6c9ebb39732> \
        /UE <560679a1bcf847291f5266f6ee5bc1af17124ce1b19a4113de406167ce5914a3> \
        /Perms <53ab8f6c5c241365ea0a9480982205b7> >>";
    let id = "<000102030405060708090a0b0c0d0e0f>";
    one_page(&[0x5a; 64], &[encrypt], &format!("/Encrypt 6 0 R /ID [{id} {id}] "))
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
