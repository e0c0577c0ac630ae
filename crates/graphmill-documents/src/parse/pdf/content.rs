//! The interpreter of content streams, as far as text goes (ISO 32000-1, 8 and 9).

use super::font::Font;
use super::glyphs::{Direction, Glyph, Glyphs};
use super::matrix::Matrix;
use hayro_syntax::content::{Instruction, UntypedIter};
use hayro_syntax::object::{Array, Dict, Name, Number, Object, ObjectIdentifier, Stream, String as PdfString};
use hayro_syntax::page::Resources;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Forms within forms beyond this depth are left out: they contain themselves.
const MAX_DEPTH: u32 = 12;
/// Saved states beyond this number are not saved.
const MAX_SAVED: usize = 512;
/// Glyphs of a page beyond this number are left out.
const MAX_GLYPHS: usize = 2_000_000;

/// Fonts of the document that were loaded, by their object.
pub(super) type Fonts = HashMap<ObjectIdentifier, Rc<RefCell<Font>>>;

#[derive(Clone)]
struct State {
    ctm: Matrix,
    font: Option<Rc<RefCell<Font>>>,
    size: f32,
    char_space: f32,
    word_space: f32,
    stretch: f32,
    leading: f32,
    rise: f32,
}

/// Text that stands for all that is shown in a marked-content sequence.
struct Replacement {
    text: String,
    given: bool,
}

/// Reads the content of a page.
pub(super) struct Interpreter<'a> {
    fonts: &'a mut Fonts,
    glyphs: &'a mut Glyphs,
    state: State,
    saved: Vec<State>,
    text_matrix: Matrix,
    line_matrix: Matrix,
    space: bool,
    /// Open marked-content sequences; those that replace their text have it.
    marked: Vec<Option<Replacement>>,
    depth: u32,
    /// Width and height of the upright page: what is shown outside is not seen.
    area: (f32, f32),
}

impl<'a> Interpreter<'a> {
    /// `page` turns user space into the upright page, whose width and height are `area`.
    pub(super) fn new(fonts: &'a mut Fonts, glyphs: &'a mut Glyphs, page: Matrix, area: (f32, f32)) -> Self {
        let state = State {
            ctm: page,
            font: None,
            size: 0.0,
            char_space: 0.0,
            word_space: 0.0,
            stretch: 1.0,
            leading: 0.0,
            rise: 0.0,
        };
        Self {
            fonts,
            glyphs,
            state,
            saved: Vec::new(),
            text_matrix: Matrix::IDENTITY,
            line_matrix: Matrix::IDENTITY,
            space: false,
            marked: Vec::new(),
            depth: 0,
            area,
        }
    }

    pub(super) fn run(&mut self, content: &[u8], resources: &Resources<'_>) {
        let mut instructions = UntypedIter::new(content);
        let saved = self.saved.len();
        let marked = self.marked.len();
        while let Some(instruction) = instructions.next() {
            if self.glyphs.list.len() > MAX_GLYPHS {
                return;
            }
            self.step(&instruction, resources);
        }
        self.saved.truncate(saved);
        self.marked.truncate(marked);
    }

    fn step(&mut self, instruction: &Instruction<'_, '_>, resources: &Resources<'_>) {
        let operator: &[u8] = instruction.operator;
        let number = |index: usize| number_at(instruction, index);
        match operator {
            b"q" if self.saved.len() < MAX_SAVED => self.saved.push(self.state.clone()),
            b"Q" => {
                if let Some(state) = self.saved.pop() {
                    self.state = state;
                }
            }
            b"cm" => {
                if let Some(matrix) = matrix_of(instruction) {
                    self.state.ctm = matrix.then(self.state.ctm);
                }
            }
            b"BT" => {
                self.text_matrix = Matrix::IDENTITY;
                self.line_matrix = Matrix::IDENTITY;
            }
            b"Tc" => self.state.char_space = number(0),
            b"Tw" => self.state.word_space = number(0),
            b"Tz" => self.state.stretch = number(0) / 100.0,
            b"TL" => self.state.leading = number(0),
            b"Ts" => self.state.rise = number(0),
            b"Tf" => self.set_font(instruction, resources),
            b"Td" => self.next_line(number(0), number(1)),
            b"TD" => {
                self.state.leading = -number(1);
                self.next_line(number(0), number(1));
            }
            b"Tm" => {
                if let Some(matrix) = matrix_of(instruction) {
                    self.text_matrix = matrix;
                    self.line_matrix = matrix;
                }
            }
            b"T*" => self.next_line(0.0, -self.state.leading),
            b"Tj" => self.show_operand(instruction, 0),
            b"'" => {
                self.next_line(0.0, -self.state.leading);
                self.show_operand(instruction, 0);
            }
            b"\"" => {
                self.state.word_space = number(0);
                self.state.char_space = number(1);
                self.next_line(0.0, -self.state.leading);
                self.show_operand(instruction, 2);
            }
            b"TJ" => self.show_array(instruction),
            b"Do" => self.draw(instruction, resources),
            b"BDC" => {
                let replacement = replacement(instruction, resources);
                self.marked.push(replacement);
            }
            b"BMC" => self.marked.push(None),
            b"EMC" => {
                self.marked.pop();
            }
            b"gs" => self.set_graphics_state(instruction, resources),
            _ => {}
        }
    }

    fn set_font(&mut self, instruction: &Instruction<'_, '_>, resources: &Resources<'_>) {
        self.state.size = number_at(instruction, 1);
        let Some(Object::Name(name)) = instruction.operands().next() else { return };
        let id = resources.fonts.get_ref(name).map(ObjectIdentifier::from);
        if let Some(font) = id.and_then(|id| self.fonts.get(&id)) {
            self.state.font = Some(Rc::clone(font));
            return;
        }
        self.state.font = resources.get_font(name).map(|dict| Rc::new(RefCell::new(Font::load(&dict))));
        if let (Some(id), Some(font)) = (id, &self.state.font) {
            self.fonts.insert(id, Rc::clone(font));
        }
    }

    fn set_graphics_state(&mut self, instruction: &Instruction<'_, '_>, resources: &Resources<'_>) {
        let Some(Object::Name(name)) = instruction.operands().next() else { return };
        let font = resources.get_ext_g_state(name).and_then(|state| state.get::<Array<'_>>("Font"));
        let Some(font) = font else { return };
        let mut items = font.flex_iter();
        if let (Some(dict), Some(size)) = (items.next::<Dict<'_>>(), items.next::<Number>()) {
            self.state.font = Some(Rc::new(RefCell::new(Font::load(&dict))));
            self.state.size = size.as_f32();
        }
    }

    fn next_line(&mut self, x: f32, y: f32) {
        self.line_matrix = self.line_matrix.shifted(x, y);
        self.text_matrix = self.line_matrix;
    }

    fn show_operand(&mut self, instruction: &Instruction<'_, '_>, index: usize) {
        if let Some(Object::String(string)) = instruction.operands().nth(index) {
            self.show(string.as_bytes());
        }
    }

    fn show_array(&mut self, instruction: &Instruction<'_, '_>) {
        let Some(Object::Array(array)) = instruction.operands().next() else { return };
        let vertical = self.state.font.as_ref().is_some_and(|font| font.borrow().vertical);
        for item in array.iter::<Object<'_>>() {
            match item {
                Object::String(string) => self.show(string.as_bytes()),
                Object::Number(number) => {
                    let distance = -number.as_f32() / 1000.0 * self.state.size;
                    let (x, y) = if vertical { (0.0, distance) } else { (distance * self.state.stretch, 0.0) };
                    self.text_matrix = self.text_matrix.shifted(x, y);
                }
                _ => {}
            }
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        let Some(font) = self.state.font.clone() else { return };
        let mut font = font.borrow_mut();
        let (vertical, scale, fixed_width) = (font.vertical, font.scale, font.fixed_width);
        let state = &self.state;
        let base = Matrix::new([state.size * state.stretch, 0.0, 0.0, state.size, 0.0, state.rise]);
        let mut matrix = self.text_matrix;
        let (glyphs, space, (width, height)) = (&mut *self.glyphs, &mut self.space, self.area);
        let seen = |at: Matrix| {
            (-0.02 * width..1.02 * width).contains(&at.e) && (-0.02 * height..1.02 * height).contains(&at.f)
        };
        let mut replacement = self.marked.iter_mut().rev().find_map(Option::as_mut);
        font.decode(bytes, |shown| {
            let advance = shown.width / 1000.0 * state.size;
            let mut pen = advance + state.char_space;
            if shown.word_space {
                pen += state.word_space;
            }
            let blank = shown.text.is_some_and(|text| text == " ");
            if shown.text.is_none() && replacement.is_none() {
                glyphs.unknown += 1;
            }
            if blank && replacement.is_none() {
                *space = true;
            } else {
                let text = match &mut replacement {
                    Some(replacement) if replacement.given => "",
                    Some(replacement) => {
                        replacement.given = true;
                        replacement.text.as_str()
                    }
                    None => shown.text.unwrap_or_default(),
                };
                let placed = base.then(matrix).then(state.ctm);
                if !seen(placed) {
                    *space = true;
                } else if let Some(glyph) = place(placed, shown.width / 1000.0, vertical, scale) {
                    glyphs.push(text, Glyph { after_space: *space, fixed_width, ..glyph });
                    *space = false;
                }
            }
            matrix = if vertical { matrix.shifted(0.0, -pen) } else { matrix.shifted(pen * state.stretch, 0.0) };
        });
        self.text_matrix = matrix;
    }

    fn draw(&mut self, instruction: &Instruction<'_, '_>, resources: &Resources<'_>) {
        let Some(Object::Name(name)) = instruction.operands().next() else { return };
        let Some(form) = resources.get_x_object(name) else { return };
        let is_form = form.dict().get::<Name<'_>>("Subtype").is_some_and(|name| name.as_ref() == b"Form");
        if !is_form || self.depth >= MAX_DEPTH {
            return;
        }
        let Ok(content) = form.decoded_data() else { return };
        let saved = (self.state.clone(), self.text_matrix, self.line_matrix);
        if let Some(matrix) = form.dict().get::<Array<'_>>("Matrix").and_then(|numbers| matrix_from(&numbers)) {
            self.state.ctm = matrix.then(self.state.ctm);
        }
        self.depth += 1;
        match form.dict().get::<Dict<'_>>("Resources") {
            Some(own) => self.run(&content, &Resources::new(own)),
            None => self.run(&content, resources),
        }
        self.depth -= 1;
        (self.state, self.text_matrix, self.line_matrix) = saved;
    }
}

/// Puts a glyph in its place; `None` if it has none, being infinitely small or far away.
fn place(matrix: Matrix, length: f32, vertical: bool, scale: f32) -> Option<Glyph> {
    if !matrix.is_finite() || !length.is_finite() {
        return None;
    }
    let size = (matrix.c.hypot(matrix.d) * scale).max(0.01);
    let (x, y) = (matrix.e, matrix.f);
    let along = matrix.a.hypot(matrix.b);
    let direction = if vertical {
        Direction::Vertical
    } else if matrix.a.abs() >= matrix.b.abs() {
        if matrix.a >= 0.0 { Direction::Right } else { Direction::Left }
    } else if matrix.b > 0.0 {
        Direction::Up
    } else {
        Direction::Down
    };
    let (x0, y) = match direction {
        Direction::Right | Direction::Vertical => (x, y),
        Direction::Up => (y, -x),
        Direction::Left => (-x, -y),
        Direction::Down => (-y, x),
    };
    let length = if vertical { length * size } else { length * along };
    Some(Glyph { start: 0, end: 0, x0, x1: x0 + length, y, size, direction, after_space: false, fixed_width: false })
}

/// The `ActualText` of a marked-content sequence, given in place or among the resources.
fn replacement(instruction: &Instruction<'_, '_>, resources: &Resources<'_>) -> Option<Replacement> {
    let text = match instruction.operands().nth(1)? {
        Object::Dict(properties) => properties.get::<PdfString<'_>>("ActualText"),
        Object::Name(name) => resources.properties.get::<Dict<'_>>(name)?.get::<PdfString<'_>>("ActualText"),
        _ => None,
    }?;
    Some(Replacement { text: super::text_string(&text), given: false })
}

fn number_at(instruction: &Instruction<'_, '_>, index: usize) -> f32 {
    match instruction.operands().nth(index) {
        Some(Object::Number(number)) => number.as_f32(),
        _ => 0.0,
    }
}

fn matrix_of(instruction: &Instruction<'_, '_>) -> Option<Matrix> {
    let mut numbers = [0.0; 6];
    let mut operands = instruction.operands();
    for place in &mut numbers {
        match operands.next()? {
            Object::Number(number) => *place = number.as_f32(),
            _ => return None,
        }
    }
    Some(Matrix::new(numbers))
}

fn matrix_from(array: &Array<'_>) -> Option<Matrix> {
    let numbers: Vec<f32> = array.iter::<Number>().map(|number| number.as_f32()).collect();
    Some(Matrix::new(numbers.try_into().ok()?))
}

/// The decoded content of a page: one stream or several, which are read as if there were white space between them.
///
/// Not asked from the page object, since that keeps it for as long as the document is open.
pub(super) fn page_content(page: &hayro_syntax::page::Page<'_>) -> Vec<u8> {
    let decode = |stream: Stream<'_>| stream.decoded_data().map(|data| data.into_owned()).unwrap_or_default();
    if let Some(stream) = page.raw().get::<Stream<'_>>("Contents") {
        return decode(stream);
    }
    let streams = page.raw().get::<Array<'_>>("Contents");
    let mut content = Vec::new();
    for stream in streams.iter().flat_map(|streams| streams.iter::<Stream<'_>>()) {
        content.extend(decode(stream));
        content.push(b' ');
    }
    content
}
