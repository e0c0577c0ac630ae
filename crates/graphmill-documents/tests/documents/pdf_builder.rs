//! Writes small PDF files for tests.

/// A document under construction: objects by number, from 1.
pub(crate) struct PdfBuilder {
    objects: Vec<Vec<u8>>,
    kids: Vec<usize>,
    trailer: String,
}

/// The number of the page tree.
const PAGES: usize = 2;

impl PdfBuilder {
    pub(crate) fn new() -> Self {
        Self { objects: vec![Vec::new(); 2], kids: Vec::new(), trailer: String::new() }
    }

    /// Adds an object; returns its number.
    pub(crate) fn object(&mut self, body: impl Into<Vec<u8>>) -> usize {
        self.objects.push(body.into());
        self.objects.len()
    }

    pub(crate) fn stream(&mut self, dict: &str, data: &[u8]) -> usize {
        let mut body = format!("<< /Length {} {dict} >>\nstream\n", data.len()).into_bytes();
        body.extend_from_slice(data);
        body.extend_from_slice(b"\nendstream");
        self.object(body)
    }

    /// Adds a page of 400 by 600 points that shows `content` with fonts `F1`, `F2` and so on.
    pub(crate) fn page(&mut self, content: &str, fonts: &[usize], extra: &str) {
        let content = self.stream("", content.as_bytes());
        let fonts: String = fonts.iter().zip(1..).map(|(font, name)| format!("/F{name} {font} 0 R ")).collect();
        let page = self.object(format!(
            "<< /Type /Page /Parent {PAGES} 0 R /MediaBox [0 0 400 600] /Contents {content} 0 R \
             /Resources << /Font << {fonts} >> >> {extra} >>"
        ));
        self.kids.push(page);
    }

    /// Adds a page by its whole dictionary.
    pub(crate) fn add_page(&mut self, body: String) {
        let page = self.object(body);
        self.kids.push(page);
    }

    pub(crate) fn helvetica(&mut self) -> usize {
        self.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    }

    /// Adds entries to the trailer, such as `/Info 5 0 R`.
    pub(crate) fn trailer(&mut self, entries: &str) {
        self.trailer.push_str(entries);
    }

    pub(crate) fn build(mut self) -> Vec<u8> {
        let kids: String = self.kids.iter().map(|kid| format!("{kid} 0 R ")).collect();
        self.objects[0] = format!("<< /Type /Catalog /Pages {PAGES} 0 R /Lang (en-GB) >>").into_bytes();
        self.objects[1] = format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", self.kids.len()).into_bytes();
        let mut file = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
        let mut offsets = Vec::new();
        for (object, number) in self.objects.iter().zip(1..) {
            offsets.push(file.len());
            file.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
            file.extend_from_slice(object);
            file.extend_from_slice(b"\nendobj\n");
        }
        let table = file.len();
        file.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).as_bytes());
        for offset in &offsets {
            file.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
        }
        let size = offsets.len() + 1;
        let trailer = format!("trailer\n<< /Size {size} /Root 1 0 R {} >>\nstartxref\n{table}\n%%EOF\n", self.trailer);
        file.extend_from_slice(trailer.as_bytes());
        file
    }
}

/// Content that shows a string at a place, in the first font.
pub(crate) fn show(x: i32, y: i32, size: i32, text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
    format!("BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET\n")
}

/// A document with a page for each text.
pub(crate) fn pages(texts: &[String]) -> Vec<u8> {
    let mut pdf = PdfBuilder::new();
    let font = pdf.helvetica();
    for text in texts {
        let content: String =
            text.lines().zip(0..).map(|(line, number)| show(40, 560 - 14 * number, 11, line)).collect();
        pdf.page(&content, &[font], "");
    }
    pdf.build()
}
